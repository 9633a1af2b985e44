"""Fixtures that every room's tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import monoseme as ms

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared test material: ../shared, or where MONOSEME_SHARED points; CI must have it."""
    folder = Path(os.environ.get("MONOSEME_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "golden").is_dir():
        message = f"no shared test material in {folder}; set MONOSEME_SHARED"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 small JPEGs in three classes, two of them byte for byte the same, made on the spot."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(60):
        kind = ("plain", "ramp", "stripes")[number % 3]
        colour = random.integers(40, 216, 3)
        across, down = np.meshgrid(np.arange(48), np.arange(40))
        value = {"plain": np.ones((40, 48)), "ramp": across / 48, "stripes": (down // 4) % 2}[kind]
        noise = random.integers(-12, 12, (40, 48, 3))
        pixels = np.clip(value[..., None] * colour + noise, 0, 255).astype(np.uint8)
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{number:03d}.jpg", quality=90)
    (folder / "plain" / "copy.jpg").write_bytes((folder / "plain" / "003.jpg").read_bytes())
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium for all tests of pages, started when the first of them asks for it."""
    from tests.browser import opened_browser

    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def small_model() -> ms.Model:
    """A small convolutional network with fixed random weights and two layers worth reading."""
    return make_small_model()


def make_small_model(seed: int = 0) -> ms.Model:
    """Built anew, for tests that need their own."""
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(12, 20, 3),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(20, 7),
        )
    return ms.wrap(module, ms.Preprocess.imagenet(32), device="cpu", name="small")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, photos: Path, small_model: ms.Model) -> ms.Run:
    """A finished run of the small model over the photos, not to be changed by tests."""
    return ms.embed(small_model, photos, ["1", "3"], tmp_path_factory.mktemp("run") / "run", batch_size=8, workers=0)


@pytest.fixture(scope="session")
def layer() -> np.ndarray:
    """(600, 24) float32 made-up activations: six classes, each neuron strong for one to three of them."""
    random = np.random.default_rng(1)
    pattern = np.zeros((6, 24), dtype=np.float32)
    for neuron in range(24):
        pattern[random.choice(6, size=1 + neuron % 3, replace=False), neuron] = random.uniform(3, 4)
    label = random.integers(0, 6, 600)
    strength = random.uniform(0.7, 1.3, (600, 1))
    return np.maximum(pattern[label] * strength + 0.4 * random.normal(size=(600, 24)), 0).astype(np.float32)
