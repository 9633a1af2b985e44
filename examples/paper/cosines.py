"""Cosines between concept vectors: of all of them in numbers, of some neurons' as a picture."""

import numpy as np
from arguments import Given, script
from matplotlib.figure import Figure

import monoseme as ms


def main(given: Given) -> None:
    bank = given.bank
    cosines = bank.cosines()
    upper = cosines[np.triu_indices(len(bank), 1)]
    low, middle, high = np.quantile(upper, [0.05, 0.5, 0.95])
    near = int((upper > 0.95).sum())
    print(
        f"cosine between two of {len(bank):,} concept vectors: median {middle:.2f}, 90 % from {low:.2f} to {high:.2f}"
    )
    print(f"pairs above 0.95: {near:,} of {len(upper):,}")
    chosen = [concept.number for neuron in given.neurons for concept in bank.for_direction(neuron)]
    names = [f"{number} of neuron {bank[number].direction}" for number in chosen]
    ms.save_figure(_drawn(cosines[np.ix_(chosen, chosen)], names), given.out)
    print(f"wrote {given.out}")


def _drawn(matrix: np.ndarray, names: list[str]) -> Figure:
    side = 2.2 + 0.55 * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(matrix, vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), [f"concept {name}" for name in names])
    for (row, column), value in np.ndenumerate(matrix):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.5 else "white")
    figure.colorbar(shown, ax=axes, label="cosine", shrink=0.7)
    return figure


if __name__ == "__main__":
    script(main, __doc__)
