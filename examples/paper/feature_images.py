"""Images that drive neurons and their concept vectors: six of each, plain, then with jitter and diversity as the paper has it."""

from arguments import Given, script

import monoseme as ms
from monoseme.runs import model_of

PLAIN = ms.FeatureConfig(size=128, images=6, jitter=0, scale=(1, 1), rotate=0)
VARIED = PLAIN.with_settings(jitter=2, diversity=0.2)


def main(given: Given) -> None:
    model, bank = model_of(given.run), given.bank
    concepts = [concept for neuron in given.neurons for concept in bank.for_direction(neuron)]
    rows = {
        "neurons": (given.neurons, [f"neuron {neuron}" for neuron in given.neurons]),
        "concepts": (
            [concept.vector for concept in concepts],
            [f"concept {concept.number} of {concept.direction}" for concept in concepts],
        ),
    }
    for how, config in (("plain", PLAIN), ("varied", VARIED)):
        for what, (directions, titles) in rows.items():
            made = ms.feature_images(model, bank.layer, directions, config=config, steps=given.more.steps)
            path = ms.save_figure(ms.feature_grid(made, titles), given.out / f"{what}-{how}.png")
            print(f"wrote {path}: activations {made.activation.min():.3g} to {made.activation.max():.3g}")


if __name__ == "__main__":
    script(main, __doc__, steps={"type": int, "default": 512, "help": "of the optimiser"})
