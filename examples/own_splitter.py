"""A way of splitting of one's own: k-means with a fixed number of clusters, on made-up embeddings."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.cluster import KMeans

import monoseme as ms
from monoseme.splitting import Exemplars, Layer, Split, ward_trees


@dataclass(frozen=True)
class Always:
    """Every direction has this many concepts."""

    concepts: int = 2
    name = "always"

    def fitted(self, layer: Layer) -> Self:
        return self

    def split(self, exemplars: Exemplars) -> Split:
        solved = [KMeans(self.concepts, n_init=5, random_state=0).fit(points) for points in exemplars.points.numpy()]
        labels = np.stack([each.labels_ for each in solved]).astype(np.int32)
        squared = np.stack(
            [each.transform(points).min(1) ** 2 for each, points in zip(solved, exemplars.points.numpy(), strict=True)]
        )
        return Split(ward_trees(exemplars.gram), labels, squared, labels)


def main() -> None:
    random = np.random.default_rng(0)
    pattern = 3 * random.random((5, 32)).astype(np.float32)
    embeddings = pattern[random.integers(0, 5, 500)] + random.normal(size=(500, 32)).astype(np.float32)
    bank = ms.disentangle(embeddings, Always(3), top=60, bootstrap=0)
    print(bank, bank.histogram(), bank[0], sep="\n")


if __name__ == "__main__":
    main()
