"""How many concepts each neuron has, and how many of its exemplars are in one: a row a neuron, as CSV."""

import numpy as np
from arguments import Given, script

import monoseme as ms


def main(given: Given) -> None:
    rows = ms.view_layer(given.bank, given.run).directions.select(["direction", "concepts", "kept"])
    concepts, kept = rows["concepts"].to_numpy(), rows["kept"].to_numpy()
    print(f"{concepts.sum():,} concepts of {len(rows):,} {given.bank.start_name}s, {concepts.mean():.2f} on average")
    print(f"exemplars of a {given.bank.start_name} that are in a concept: median {np.median(kept):g}")
    given.write_table(rows.to_pylist())


if __name__ == "__main__":
    script(main, __doc__)
