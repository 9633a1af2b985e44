import numpy as np
import pytest
from PIL import Image
from tests.torchvision_shim import make_torchvision_importable

from monoseme.models import keep_freed_memory

make_torchvision_importable()

# Dozens of networks are built and dropped: without this, most of the time goes into faulting the same pages in again.
keep_freed_memory()


def make_photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth noise with edges: what resizing filters tell apart."""
    noise = np.random.default_rng(seed).integers(0, 256, (max(height // 6, 2), max(width // 6, 2), 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def photo():
    return make_photo
