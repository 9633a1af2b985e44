"""What can go wrong with the vectors of a folder of ours, for tests of refusing it."""

import numpy as np
from safetensors.numpy import load_file, save_file


def damage_shape(folder):
    arrays = load_file(folder / "vectors.safetensors")
    save_file({**arrays, "vectors": arrays["vectors"][:-1].copy()}, folder / "vectors.safetensors")


def damage_numbers(folder):
    arrays = load_file(folder / "vectors.safetensors")
    arrays["vectors"][0, 0] = np.nan
    save_file(arrays, folder / "vectors.safetensors")
