import subprocess
import sys

import pytest

from monoseme import models


def test_preparing_pictures_needs_no_torch():
    code = """
import sys
from PIL import Image
from monoseme.models import CallablePreprocess, Preprocess, keep_freed_memory
import pickle
preprocess = pickle.loads(pickle.dumps(Preprocess.imagenet(32)))
assert preprocess.pixels(Image.new("RGB", (50, 40))).shape == (32, 32, 3)
preprocess.describe(), preprocess.short_side()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", models.__all__)
def test_every_public_name_is_there(name):
    assert getattr(models, name) is not None
    assert name in dir(models)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = models.nonsense
