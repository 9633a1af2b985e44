"""Above which distance threshold the exemplars of a neuron are one cluster, two, three ...: the bank keeps their tree."""

import numpy as np
from arguments import Given, script

CLUSTERS = 4


def main(given: Given) -> None:
    rows = []
    for neuron in given.neurons:
        joins = given.bank.heights[given.bank.position(neuron)]
        least = np.sort(joins)[::-1][:CLUSTERS]  # a cut above the highest join leaves one cluster, above the next two
        rows.append({"neuron": neuron} | {str(k): round(float(height), 3) for k, height in enumerate(least, 1)})
        parts = [f"{k} above {height:.4g}" for k, height in enumerate(least, 1)]
        print(f"{given.bank.start_name} {neuron}, clusters by threshold: {', '.join(parts)}")
    print(f"the bank was cut at {float(given.bank.info['parameters']['distance_threshold']):.4g}")
    given.write_table(rows)


if __name__ == "__main__":
    script(main, __doc__)
