"""The numbers behind the paper's figures 4 and 5: medians of distances, projections and cosines of a neuron's concepts."""

import numpy as np
from arguments import Given, script

import monoseme as ms
from monoseme.views import alignments, distances


def main(given: Given) -> None:
    rows = []
    for neuron in given.neurons:
        view = ms.view_neuron(given.bank, neuron, given.run)
        apart = distances(view)
        for number, found in alignments(view).items():
            row = {
                "neuron": neuron,
                "concept": number,
                "projection on concept": np.median(found.projection),
                "projection on neuron": np.median(found.projection_start),
                "cosine with concept": np.median(found.cosine),
                "cosine with neuron": np.median(found.cosine_start),
                "distance within": np.median(apart.within[number]),
            }
            rows.append(row)
            print(
                f"neuron {neuron}, concept {number} ({view.labels.commonest(given.bank[number].image_ids, 2)}): ",
                end="",
            )
            print("projection {2:.3g} on the concept, {3:.3g} on the neuron; ".format(*row.values()), end="")
            print("cosine {4:.2f} and {5:.2f}; distance within {6:.3g}".format(*row.values()))
        for (one, other), between in apart.between.items():
            print(f"neuron {neuron}: distance between concepts {one} and {other} {np.median(between):.3g}")
    if not rows:
        raise ms.UsageError("none of these neurons has a concept to measure; name others with --neuron")
    given.write_table(rows)


if __name__ == "__main__":
    script(main, __doc__)
