import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from monoseme.base import MissingExtraError, digest_bytes
from monoseme.images import MAX_PIXELS, BadImage, Entry, ImageSource, Loaded, _samples, open_images, photographs
from monoseme.images._source import pixel_digest


class Told:
    """A reporter that counts."""

    def __init__(self):
        self.tasks, self.steps = [], Counter()

    def task(self, description, total, unit):
        self.tasks.append((description, total, unit))
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def advance(self, amount=1):
        self.steps[self.tasks[-1][0]] += amount

    def note(self, message):
        pass


def test_importing_the_room_is_light():
    code = (
        "import sys, monoseme.images\n"
        "print([name for name in ('PIL', 'pyarrow', 'datasets', 'torch', 'lance', 'sklearn', 'skimage', 'scipy')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_source_is_returned_as_it_is(tmp_path, fill, png):
    source = open_images(fill(tmp_path, {"a.png": png()}))
    assert open_images(source) is source


def test_the_spec_is_what_was_written(tmp_path, fill, png, monkeypatch):
    fill(tmp_path, {"photos/a.png": png()})
    monkeypatch.chdir(tmp_path)
    for spec in ("photos", "photos/", "photos/*.png", "photos/a.png", "patches:photos?per_image=2"):
        assert open_images(spec).spec == spec
    assert open_images(Path("photos")).spec == "photos"


def test_a_home_folder_is_found(tmp_path, fill, png, monkeypatch):
    monkeypatch.setenv("HOME", os.fspath(fill(tmp_path, {"photos/a.png": png()})))
    monkeypatch.setenv("USERPROFILE", os.fspath(tmp_path))
    assert len(open_images("~/photos")) == len(open_images("~/photos/*.png")) == 1


def test_max_pixels_reaches_every_kind_of_source(tmp_path, fill, pack, png, encode):
    image = png(0, 20, 10)
    fill(tmp_path, {"a.png": image, "list.txt": b"a.png\n"})
    pack(tmp_path / "a.tar", {"a.png": image})
    for spec in ("a.png", "*.png", "list.txt", "a.tar"):
        assert open_images(f"{tmp_path}/{spec}").load(0).width == 20
        source = open_images(f"{tmp_path}/{spec}", max_pixels=199)
        for refused in (source.load, source.size):
            with pytest.raises(BadImage, match=r"too large: 20 x 10 pixels"):
                refused(0)


def test_slow_listings_tell_their_progress(tmp_path, pack, fill, png):
    pack(tmp_path / "a.tar", {"x.png": png(), "y.png": png()})
    told = Told()
    open_images(f"patches:{tmp_path}/a.tar?per_image=2", progress=told)
    assert told.tasks == [("reading tar headers", 1, "files"), ("choosing patches", 2, "images")]
    assert told.steps == {"reading tar headers": 1, "choosing patches": 2}


def test_what_crosses_to_other_processes_survives_pickling(tmp_path, fill, png):
    source = open_images(fill(tmp_path, {"a.png": png()}))
    loaded = source.load(0)
    copy = pickle.loads(pickle.dumps(loaded))
    assert isinstance(copy, Loaded)
    assert (copy.digest, copy.width, copy.height) == (loaded.digest, loaded.width, loaded.height)
    assert copy.image.tobytes() == loaded.image.tobytes()
    assert pickle.loads(pickle.dumps(source.entry(0))) == source.entry(0) == Entry("a.png", None, "a.png")
    assert str(pickle.loads(pickle.dumps(BadImage("truncated")))) == "truncated"


def test_a_source_closes_and_shows_what_it_is(tmp_path, fill, png):
    with open_images(fill(tmp_path, {"a.png": png()})) as source:
        assert repr(source) == f"<1 images from {tmp_path}>"
    assert source.load(0)


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet", "patches"])
def test_rows_beyond_the_end_are_index_errors(tmp_path, fill, pack, png, kind):
    if kind == "tar":
        source = open_images(pack(tmp_path / "a.tar", {"a.png": png()}))
    elif kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"image": [png()]}), tmp_path / "a.parquet")
        source = open_images(tmp_path / "a.parquet")
    else:
        fill(tmp_path, {"a.png": png()})
        source = open_images(tmp_path) if kind == "folder" else open_images(f"patches:{tmp_path}?per_image=1")
    for method in (source.entry, source.load):
        with pytest.raises(IndexError):
            method(1)


class Pixels(ImageSource):
    """The least that a source must be."""

    spec = "pixels"

    def __len__(self):
        return 5000

    def entry(self, index):
        return Entry(f"{index}", None, f"{index}")

    def load(self, index, at_least=None):
        image = Image.new("RGB", (3, 2))
        return Loaded(image, pixel_digest(image), *image.size)


def test_a_source_of_ones_own_has_sizes_a_digest_and_patches():
    source = Pixels()
    assert source.size(0) == (3, 2)
    assert source.digest() == Pixels().digest()
    assert source.byte_size(0) is None
    assert open_images(source) is source


def test_pixel_digests_tell_shapes_apart():
    assert pixel_digest(Image.new("RGB", (3, 2))) != pixel_digest(Image.new("RGB", (2, 3)))


def test_photographs_are_about_twenty_in_order_and_whole(uris):
    pytest.importorskip("skimage")
    source = photographs()
    assert len(source) == 20
    assert uris(source) == sorted(uris(source))
    assert "sklearn/china.jpg" in uris(source)
    assert uris(open_images("samples:")) == uris(source)
    assert {source.load(place).image.mode for place in range(20)} == {"RGB"}
    copy = pickle.loads(pickle.dumps(source))
    assert copy.load(3).digest == source.load(3).digest == digest_bytes(source.read(3))


def test_photographs_need_an_extra(monkeypatch):
    monkeypatch.setattr(_samples, "_existing", lambda package: [])
    with pytest.raises(MissingExtraError, match=r"pip install 'monoseme\[demo\]'"):
        photographs()


def test_the_limit_is_where_pillow_itself_refuses():
    assert pytest.approx(2 * Image.MAX_IMAGE_PIXELS, abs=1) == MAX_PIXELS
