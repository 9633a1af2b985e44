"""A made-up layer with class structure, the same on every machine: the matrix of the disentangling benchmarks.

Each of the classes has strong neurons of its own; each neuron is strong for one to four classes, as polysemantic neurons
are. An image is its class's pattern at a strength of its own, plus rectified noise on every neuron.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

IMAGES, NEURONS, CLASSES = 128_116, 2_048, 100
_BLOCK = 4_096
# Shares of neurons with one to four classes; they give about 4,200 concepts for 2,048 neurons.
_SHARES = (0.24, 0.50, 0.21, 0.05)


def make_layer(
    path: Path, images: int = IMAGES, neurons: int = NEURONS, classes: int = CLASSES, seed: int = 0
) -> np.ndarray:
    """A float32 .npy file (images, neurons) at `path`, made unless it is there, opened as a memory map.

    Images of a class lie together, as in a listing of class folders.
    """
    if not path.exists():
        partial = path.with_suffix(".partial.npy")
        matrix = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=(images, neurons))
        pattern = class_patterns(neurons, classes, seed)
        random = np.random.default_rng([seed, 1])
        label = np.sort(random.integers(0, classes, images))
        for begin in range(0, images, _BLOCK):
            rows = label[begin : begin + _BLOCK]
            strength = random.uniform(0.7, 1.3, size=(len(rows), 1)).astype(np.float32)
            noise = random.standard_normal((len(rows), neurons), dtype=np.float32)
            matrix[begin : begin + len(rows)] = np.maximum(pattern[rows] * strength + 0.35 * noise, 0)
        matrix.flush()
        del matrix
        partial.rename(path)
    return np.load(path, mmap_mode="r")


def class_patterns(neurons: int = NEURONS, classes: int = CLASSES, seed: int = 0) -> np.ndarray:
    """(classes, neurons) float32: how strongly each class drives each neuron."""
    random = np.random.default_rng([seed, 0])
    pattern = np.zeros((classes, neurons), dtype=np.float32)
    for neuron, count in enumerate(random.choice(len(_SHARES), size=neurons, p=_SHARES) + 1):
        pattern[random.choice(classes, size=count, replace=False), neuron] = random.uniform(1.8, 2.2, size=count)
    return pattern
