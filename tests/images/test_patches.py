import math
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from monoseme.base import UsageError
from monoseme.images import BadImage, open_images
from monoseme.images._options import PatchOptions, parsed
from monoseme.images._patches import Spread, draw_boxes

SIZES = st.tuples(st.integers(1, 3000), st.integers(1, 3000))
PARTS = st.floats(0.01, 1.0)
OPTIONS = st.builds(
    lambda per_image, parts, seed: PatchOptions(per_image, min(parts), max(parts), seed),
    st.integers(1, 40),
    st.tuples(PARTS, PARTS),
    st.integers(0, 2**64),
)


@given(st.text(max_size=8), SIZES, OPTIONS)
def test_boxes_lie_inside_the_image_have_sides_in_range_and_differ(uri, size, options):
    boxes = draw_boxes(uri, size, options)
    short = min(size)
    for left, top, side in boxes:
        assert 0 <= left <= left + side <= size[0]
        assert 0 <= top <= top + side <= size[1]
        assert max(1, math.floor(options.min * short)) <= side <= max(1, math.ceil(options.max * short))
    assert 1 <= len(boxes) == len(set(boxes)) <= options.per_image


@given(SIZES, OPTIONS, st.integers(1, 40))
def test_asking_for_more_patches_keeps_the_first(size, options, fewer):
    less = PatchOptions(min(fewer, options.per_image), options.min, options.max, options.seed)
    assert draw_boxes("a", size, options)[: len(draw_boxes("a", size, less))] == draw_boxes("a", size, less)


def test_boxes_are_the_same_today_and_tomorrow():
    assert draw_boxes("cat/1.jpg", (640, 480), PatchOptions(per_image=2, seed=7)) == [
        (200, 16, 277),
        (230, 121, 245),
    ]


def test_sides_are_spread_evenly_in_logarithm():
    boxes = draw_boxes("a", (10_000, 10_000), PatchOptions(per_image=2000, min=0.1, max=0.4))
    assert np.mean([side < 2000 for _, _, side in boxes]) == pytest.approx(0.5, abs=0.04)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_patches_of_an_image_do_not_depend_on_the_other_images(tmp_path_factory, fill, png, uris, data):
    root = tmp_path_factory.mktemp("photos")
    others = data.draw(st.sets(st.sampled_from(["a.png", "c.png", "z/b.png"])))
    fill(root, {"b.png": png(1), **{name: png(len(name)) for name in others}})
    source = open_images(f"patches:{root}?per_image=4&seed=5")
    mine = [place for place in range(len(source)) if source.entry(place).group == "b.png"]
    assert mine == list(range(mine[0], mine[0] + len(mine)))
    alone = open_images(f"patches:{root}/b.png?per_image=4&seed=5")
    assert [uris(source)[place] for place in mine] == uris(alone)
    assert [source.load(place).digest for place in mine] == [alone.load(place).digest for place in range(len(alone))]


def test_patches_are_the_pixels_that_their_names_say(tmp_path, fill, png, noise, uris):
    fill(tmp_path, {"cat/1.png": png(1, 50, 40), "cat/2.png": png(2, 30, 60)})
    source = open_images(f"patches:{tmp_path}/?per_image=6")
    photographs = {"cat/1.png": noise(1, 50, 40), "cat/2.png": noise(2, 30, 60)}
    assert len(source) == 12
    assert len(set(uris(source))) == 12
    for place in range(12):
        entry, loaded = source.entry(place), source.load(place)
        name, _, box = entry.uri.rpartition("@")
        left, top, side = map(int, box.split(","))
        assert entry.group == name
        assert entry.label == name.removesuffix(".png")
        assert loaded.image.tobytes() == photographs[name].crop((left, top, left + side, top + side)).tobytes()
        assert (loaded.width, loaded.height) == source.size(place) == loaded.image.size == (side, side)


def test_order_of_loading_and_pickling_change_nothing(tmp_path, fill, png):
    fill(tmp_path, {f"{number}.png": png(number) for number in range(4)})
    source = open_images(f"patches:{tmp_path}?per_image=3")
    digests = [source.load(place).digest for place in range(12)]
    assert [source.load(place).digest for place in reversed(range(12))] == digests[::-1]
    copy = pickle.loads(pickle.dumps(source))
    assert [copy.load(place).digest for place in range(12)] == digests
    assert [copy.load(place, at_least=2).digest for place in range(12)] == digests
    assert copy.digest() == source.digest()
    source.close()
    assert source.load(0).digest == digests[0]


def test_each_image_is_decoded_once_for_its_consecutive_patches(tmp_path, fill, png, monkeypatch):
    fill(tmp_path, {f"{number}.png": png(number) for number in range(3)})
    source = open_images(f"patches:{tmp_path}?per_image=5")
    opened = []
    load = type(source._source).load
    monkeypatch.setattr(type(source._source), "load", lambda self, row, **hint: opened.append(row) or load(self, row))
    for place in range(15):
        source.load(place)
    assert opened == [0, 1, 2]


def test_seeds_give_other_patches_and_another_digest(tmp_path, fill, png, uris):
    fill(tmp_path, {"a.png": png(1, 200, 200)})
    spec = f"patches:{tmp_path}?per_image=8"
    one, again, other = open_images(spec), open_images(f"{spec}&seed=0"), open_images(spec, seed=1)
    assert uris(one) == uris(again)
    assert one.digest() == again.digest()
    assert not set(uris(one)) & set(uris(other))
    assert one.digest() != other.digest()
    assert uris(open_images(f"{spec}&seed=0", seed=1)) == uris(one)


def test_a_bad_image_keeps_one_entry_with_its_reason(tmp_path, fill, png):
    fill(tmp_path, {"a.png": png(1), "b.png": b"", "c.png": png(2), "d.png": png(3)[:400]})
    for spec in ("?per_image=4", "?per_image=4&flat=0"):
        source = open_images(f"patches:{tmp_path}{spec}")
        entries = [source.entry(place) for place in range(len(source))]
        assert [entry.uri for entry in entries].count("b.png") == 1
        assert [entry.group for entry in entries][4:5] == ["b.png"]
        with pytest.raises(BadImage, match=r"^empty file$"):
            source.load(4)
        with pytest.raises(BadImage, match=r"^empty file$"):
            source.size(4)
        with pytest.raises(BadImage, match=r"^truncated"):
            source.load(len(source) - 1)


def test_a_photograph_that_changes_its_size_is_refused(tmp_path, fill, png):
    fill(tmp_path, {"a.png": png(1, 20, 20)})
    source = open_images(f"patches:{tmp_path}?per_image=2")
    fill(tmp_path, {"a.png": png(1, 20, 30)})
    with pytest.raises(BadImage, match=r"its size changed since it was listed"):
        source.load(0)


def test_rotated_photographs_are_cut_upright(tmp_path, encode, noise):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.jpg").write_bytes(encode(noise(0, 60, 30), "JPEG", exif=exif.tobytes()))
    for flat in (0, 4):
        source = open_images(f"patches:{tmp_path}?per_image=30&min=0.9&max=1&flat={flat}")
        boxes = [tuple(map(int, source.entry(place).uri.rpartition("@")[2].split(","))) for place in range(len(source))]
        assert max(top + side for _, top, side in boxes) > 30
        assert max(left + side for left, _, side in boxes) <= 30


def test_flat_patches_are_drawn_again(tmp_path, encode, noise):
    half = Image.new("RGB", (200, 100), "skyblue")
    half.paste(noise(0, 100, 100), (100, 0))
    (tmp_path / "a.png").write_bytes(encode(half))
    spec = f"patches:{tmp_path}?per_image=40&min=0.2&max=0.4"

    def spread(patch: Image.Image) -> float:
        return np.asarray(patch).reshape(-1, 3).std(axis=0).mean()

    def count_flat(source) -> int:
        return sum(spread(source.load(place).image) < 4 for place in range(len(source)))

    assert count_flat(open_images(f"{spec}&flat=0")) > 5
    assert count_flat(open_images(spec)) == 0


def test_an_image_that_is_flat_all_over_still_gives_patches(tmp_path, encode):
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (100, 100), "red")))
    assert len(open_images(f"patches:{tmp_path}?per_image=10")) == 10


@pytest.mark.parametrize("size, most", [((1, 1), 1), ((2, 1), 2), ((1, 5), 5)])
def test_a_tiny_image_gives_no_more_patches_than_there_are(tmp_path, fill, png, uris, size, most):
    fill(tmp_path, {"a.png": png(0, *size)})
    source = open_images(f"patches:{tmp_path}?per_image=30")
    assert 1 <= len(source) == len(set(uris(source))) <= most
    assert source.load(0).image.size == (1, 1)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_spread_is_the_standard_deviation_over_a_box(width, height, data):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = data.draw(st.integers(1, min(width, height)))
    left, top = data.draw(st.tuples(st.integers(0, width - side), st.integers(0, height - side)))
    inside = pixels[top : top + side, left : left + side].reshape(-1, 3).astype(float)
    expected = math.sqrt(inside.var(axis=0).mean())
    assert Spread(Image.fromarray(pixels), (width, height))((left, top, side)) == pytest.approx(expected, abs=1e-6)


@given(SIZES.filter(lambda size: max(size) < 700), st.sampled_from([1, 2, 4, 8]), st.data())
@settings(max_examples=30, deadline=None)
def test_every_box_covers_some_pixel_of_the_reduced_image(size, scale, data):
    reduced = Image.new("RGB", tuple(-(-length // scale) for length in size))
    side = data.draw(st.integers(1, min(size)))
    box = (data.draw(st.integers(0, size[0] - side)), data.draw(st.integers(0, size[1] - side)), side)
    assert Spread(reduced, size)(box) == 0


def test_labels_tell_images_apart_that_differ_only_in_their_suffix(tmp_path, fill, png, labels):
    fill(tmp_path, {"a.png": png(1), "a.jpg": png(2), "b.c/x": b"", "b.c/y.png": png(3)})
    assert sorted(set(labels(open_images(f"patches:{tmp_path}?per_image=2")))) == ["a.jpg", "a.png", "b.c/y"]


def test_patches_of_tar_lists_and_data_sets(tmp_path, pack, fill, png, noise):
    fill(tmp_path, {"a.png": png(1), "list.txt": b"a.png\n"})
    pack(tmp_path / "a.tar", {"x/a.png": png(1)})
    for spec in ("a.tar", "list.txt", "*.png", "a.png"):
        assert len(open_images(f"patches:{tmp_path}/{spec}?per_image=3")) == 3
    source = open_images([noise(1), noise(2)], patches_per_image=3, seed=4)
    assert source.in_process
    assert [source.entry(place).group for place in (0, 5)] == ["dataset#0", "dataset#1"]
    assert len(open_images(open_images(tmp_path / "a.tar"), patches_per_image=2)) == 2


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("per_imag=3", "patches have no option per_imag; did you mean per_image"),
        ("zzz=3", "patches have no option zzz; there are per_image, min, max, seed, flat"),
        ("per_image=few", "per_image must be a whole number, not few"),
        ("per_image=2.5", "per_image must be a whole number, not 2.5"),
        ("per_image=0", "per_image must be at least 1, not 0"),
        ("min=0", "patches need 0 < min <= max <= 1, not min=0 and max=0.8"),
        ("max=1.5", "patches need 0 < min <= max <= 1"),
        ("min=nan", "patches need 0 < min <= max <= 1"),
        ("flat=-1", "flat must be 0 or more"),
        ("min=", "min must be a number"),
    ],
)
def test_wrong_options_say_what_is_right(tmp_path, query, sentence):
    with pytest.raises(UsageError, match=sentence):
        open_images(f"patches:{tmp_path}?{query}")


def test_specs_of_patches_that_name_nothing():
    with pytest.raises(UsageError, match=r"does not say what to cut patches from"):
        open_images("patches:")
    with pytest.raises(UsageError, match=r"asks for patches of patches"):
        open_images("patches:patches:photos")
    with pytest.raises(UsageError, match=r"there is no file or folder nowhere"):
        open_images("patches:nowhere?per_image=3")


@pytest.mark.parametrize(
    "spec, inner, per_image",
    [
        ("patches:photos/", "photos/", 64),
        ("patches:photos/?", "photos/", 64),
        ("patches:photos/?.jpg?per_image=2", "photos/?.jpg", 2),
        ("patches:photos/??.jpg", "photos/??.jpg", 64),
        ("patches:hf:cats:train?per_image=2&max=0.5", "hf:cats:train", 2),
    ],
)
def test_a_question_mark_may_also_be_a_wildcard(spec, inner, per_image):
    found, options = parsed(spec, PatchOptions())
    assert (found, options.per_image) == (inner, per_image)
