"""Five random images of each concept, as people were shown them: a sheet a concept, and a key that they do not see."""

import numpy as np
from arguments import Given, script

from monoseme.visualize import strip

IMAGES, SIDE = 5, 150


def main(given: Given) -> None:
    random = np.random.default_rng(given.more.seed)
    concepts = [concept for neuron in given.neurons for concept in given.bank.for_direction(neuron)]
    key = []
    given.out.mkdir(parents=True, exist_ok=True)
    for number, place in enumerate(random.permutation(len(concepts))):
        concept, sheet = concepts[place], f"sheet-{number:03d}.png"
        shown = random.choice(concept.image_ids, IMAGES, replace=False)
        strip(given.run, shown, IMAGES, SIDE).save(given.out / sheet)
        names = " ".join(given.run.images(shown, ["uri"])["uri"].to_pylist())
        key.append({"sheet": sheet, "neuron": concept.direction, "concept": concept.number, "images": names})
    print(f"{len(concepts)} sheets of {IMAGES} images in {given.out}; key.csv says which concept each shows")
    given.write_table(key, "key.csv")


if __name__ == "__main__":
    script(main, __doc__, seed={"type": int, "default": 0, "help": "for the choice of the images"})
