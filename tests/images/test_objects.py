import numpy as np
import pytest
from PIL import Image

from monoseme.base import UsageError, digest_bytes
from monoseme.images import BadImage, open_images

GREY = np.uint8([[0, 100], [200, 255], [1, 2]])
"""Three rows of two pixels."""
COLOUR = np.stack([GREY, GREY // 2, 255 - GREY], axis=2)


class Items:
    """A data set over a list."""

    def __init__(self, items, **attributes):
        self.items = items
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def pixels(item):
    return np.asarray(open_images(Items([item])).load(0).image)


@pytest.mark.parametrize(
    "item, expected",
    [
        (Image.fromarray(COLOUR), COLOUR),
        (COLOUR, COLOUR),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        (COLOUR.astype(np.int64), COLOUR),
        (COLOUR.astype(np.uint16) * 257, COLOUR),
        (COLOUR.transpose(2, 0, 1), COLOUR),
        (np.ascontiguousarray(COLOUR[::-1])[::-1], COLOUR),
        (GREY, np.stack([GREY] * 3, axis=2)),
        (GREY[:, :, None], np.stack([GREY] * 3, axis=2)),
        (GREY > 150, np.stack([(GREY > 150) * np.uint8(255)] * 3, axis=2)),
        (np.dstack([COLOUR, np.zeros_like(GREY)]), np.full_like(COLOUR, 255)),
        ((COLOUR, 1), COLOUR),
        ([COLOUR, 1], COLOUR),
        ({"image": COLOUR, "label": 1}, COLOUR),
        ({"pixel_values": COLOUR}, COLOUR),
    ],
)
def test_each_kind_of_item_gives_its_pixels(item, expected):
    assert np.array_equal(pixels(item), expected)


@pytest.mark.parametrize("height, width", [(3, 2), (3, 3), (4, 1), (1, 4)])
def test_tensors_have_their_channels_first_and_arrays_last(height, width):
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    assert np.array_equal(pixels(tensor), array)
    assert np.array_equal(pixels(tensor / 255), array)
    assert np.array_equal(pixels(array), array)


def test_a_torch_dataset_and_a_subset_of_it(labels, uris):
    data = pytest.importorskip("torch.utils.data")

    class Squares(data.Dataset):
        classes = ("cat", "dog")

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return Image.new("RGB", (8, 8), (index, 0, 0)), index % 2

    source = open_images(Squares())
    assert source.in_process
    assert uris(source) == ["dataset#0", "dataset#1", "dataset#2", "dataset#3"]
    assert labels(source) == ["cat", "dog", "cat", "dog"]
    subset = open_images(data.Subset(Squares(), [3, 0]))
    assert labels(subset) == ["dog", "cat"]
    assert subset.load(0).image.getpixel((0, 0)) == (3, 0, 0)


def test_targets_spare_decoding_for_labels(labels):
    class Counting(Items):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    dataset = Counting([COLOUR, COLOUR], targets=np.array([1, 0]), classes=["cat", "dog"])
    source = open_images(dataset)
    assert labels(source) == ["dog", "cat"]
    source.digest()
    assert dataset.reads == 0
    unlabelled = Counting([(COLOUR, 3), (COLOUR, 4)])
    source = open_images(unlabelled)
    assert source.entry(1).label == "4"
    source.load(1)
    assert unlabelled.reads == 1


def test_labels_of_many_kinds(labels):
    torch = pytest.importorskip("torch")
    kinds = [1, np.int64(1), torch.tensor(1), "cat", None, {"boxes": []}, torch.zeros(4), 1.5]
    assert labels(open_images(Items([(COLOUR, label) for label in kinds]))) == [
        "1", "1", "1", "cat", None, None, None, None,
    ]  # fmt: skip


def test_encoded_bytes_and_mappings_of_bytes_are_decoded(png):
    source = open_images(Items([png(1), {"image": {"bytes": png(1)}}]))
    assert source.load(0).digest == source.load(1).digest == digest_bytes(png(1))


def test_duplicates_have_equal_digests_and_shapes_count():
    source = open_images(Items([GREY, GREY.copy(), GREY.reshape(2, 3), Image.fromarray(GREY)]))
    first, copy, reshaped, pillow = (source.load(place).digest for place in range(4))
    assert first == copy == pillow != reshaped


def test_a_pillow_image_with_orientation_is_turned():
    image = Image.fromarray(COLOUR)
    image.getexif()[0x0112] = 6
    assert open_images(Items([image])).load(0).image.size == (3, 2)


def test_the_limit_of_pixels_holds_for_items():
    with pytest.raises(BadImage, match=r"too large: 2 x 3 pixels \(limit 5\)"):
        open_images(Items([COLOUR]), max_pixels=5).load(0)


@pytest.mark.parametrize(
    "item, reason",
    [
        (COLOUR / 255 * 4 - 2, r"its values go from -2 to 2, not from 0 to 1; give the data set without normalisation"),
        (np.full((2, 2), np.nan), r"its values go from nan"),
        (COLOUR.astype(int) * 2, r"its integers go from 0 to \d+, not from 0 to 255"),
        (np.zeros((5, 6, 7)), r"an array of shape \(5, 6, 7\) has no axis of 1, 3 or 4 channels"),
        (np.zeros(7), r"the item is a ndarray of shape \(7,\) and float64, not an image"),
        (np.zeros((0, 2, 3)), r"no pixels"),
        ("a.png", r"the item is a str .* not an image"),
        (None, r"not an image"),
        ((), r"the item is empty"),
        ({"text": "x"}, r"the item has no image \(keys: 'text'\)"),
        (b"junk", r"not an image"),
    ],
)
def test_items_that_are_no_images_have_a_reason(item, reason):
    source = open_images(Items([COLOUR, item]))
    assert source.entry(1).label is None
    with pytest.raises(BadImage, match=reason):
        source.load(1)


def test_what_the_data_set_raises_is_the_reason():
    class Failing(Items):
        def __getitem__(self, index):
            raise RuntimeError("disk\non fire")

    source = open_images(Failing([1]))
    assert source.entry(0).label is None
    with pytest.raises(BadImage, match=r"^the data set raised RuntimeError: disk on fire$"):
        source.load(0)


def test_lists_and_arrays_of_images_are_data_sets():
    assert len(open_images([Image.new("RGB", (2, 2))])) == 1
    assert open_images(np.stack([COLOUR, COLOUR])).load(1).image.size == (2, 3)


@pytest.mark.parametrize("thing", [3, None, iter([1]), {1, 2}])
def test_other_things_are_refused(thing):
    with pytest.raises(UsageError, match=r"cannot read images from a "):
        open_images(thing)


def test_an_empty_data_set_is_refused():
    with pytest.raises(UsageError, match=r"its length is 0"):
        open_images(Items([]))


def test_rows_beyond_the_end_are_index_errors():
    with pytest.raises(IndexError):
        open_images(Items([COLOUR])).load(1)
