"""The model's likeliest class for each image, which the run keeps beside the embeddings, as CSV."""

import numpy as np
from arguments import Given, script

import monoseme as ms


def main(given: Given) -> None:
    if not given.run.manifest.predictions:
        raise ms.UsageError(f"{given.run.path} holds no predictions; embed without --no-predictions")
    names = given.run.manifest.classes
    rows = []
    for row in given.run.images(columns=["uri", "label", "predictions"]).to_pylist():
        best = row.pop("predictions")[0]
        rows.append({**row, **best, "name": names[best["class"]] if names else ""})
    sure = np.median([row["probability"] for row in rows])
    print(f"likeliest classes of {len(rows):,} images, their probability {sure:.2f} in the median")
    given.write_table(rows)


if __name__ == "__main__":
    script(main, __doc__)
