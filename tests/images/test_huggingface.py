import io
import pickle
import sys

import pytest
from PIL import Image

from monoseme.base import MissingExtraError, MonosemeError, UsageError, digest_bytes
from monoseme.images import BadImage, open_images

datasets = pytest.importorskip("datasets")


@pytest.fixture
def rows(png):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    images = [{"bytes": png(seed), "path": None} for seed in range(3)]
    return datasets.Dataset.from_dict({"image": images, "label": [1, 0, 1]}, features=features)


def test_an_open_data_set_gives_encoded_bytes_and_class_names(rows, png, uris, labels):
    source = open_images(rows)
    assert uris(source) == ["dataset#0", "dataset#1", "dataset#2"]
    assert labels(source) == ["dog", "cat", "dog"]
    assert source.load(1).digest == digest_bytes(png(1))
    assert pickle.loads(pickle.dumps(source)).load(1).digest == digest_bytes(png(1))
    assert not source.in_process


def test_a_saved_data_set_and_its_splits(rows, tmp_path, uris):
    rows.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": rows, "test": rows.select([0])}).save_to_disk(tmp_path / "two")
    datasets.DatasetDict({"train": rows}).save_to_disk(tmp_path / "three")
    assert uris(open_images(f"hf:{tmp_path}/one")) == ["hf:one#0", "hf:one#1", "hf:one#2"]
    assert uris(open_images(f"hf:{tmp_path}/two:test")) == ["hf:two:test#0"]
    assert len(open_images(f"hf:{tmp_path}/three")) == 3
    with pytest.raises(UsageError, match=r"has several splits \(train, test\); write hf:.*two:train"):
        open_images(f"hf:{tmp_path}/two")
    with pytest.raises(UsageError, match=r"has no such split; did you mean train"):
        open_images(f"hf:{tmp_path}/two:trian")
    with pytest.raises(UsageError, match=r"was saved without splits"):
        open_images(f"hf:{tmp_path}/one:test")


def test_a_saved_data_set_survives_pickling(rows, tmp_path):
    rows.save_to_disk(tmp_path / "one")
    source = open_images(f"hf:{tmp_path}/one")
    copy = pickle.loads(pickle.dumps(source))
    assert copy.digest() == source.digest()
    assert copy.load(2).digest == source.load(2).digest


def test_images_that_the_data_set_only_points_at_are_read(tmp_path, png):
    (tmp_path / "a.png").write_bytes(png(5))
    paths = [str(tmp_path / "a.png"), str(tmp_path / "gone.png")]
    rows = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image())
    source = open_images(rows)
    assert source.load(0).digest == digest_bytes(png(5))
    with pytest.raises(BadImage, match=r"no such file"):
        source.load(1)


def test_the_hub_is_asked_for_one_split_and_never_to_run_code(rows, monkeypatch, uris):
    calls = []

    def load_dataset(name, **options):
        calls.append((name, options))
        return rows

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda name: ["train"])
    assert uris(open_images("hf:someone/cats:train[:10%]"))[0] == "hf:someone/cats:train[:10%]#0"
    assert uris(open_images("hf:cats"))[0] == "hf:cats#0"
    assert calls == [("someone/cats", {"split": "train[:10%]"}), ("cats", {"split": "train"})]
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda name: ["train", "test"])
    with pytest.raises(UsageError, match=r"several splits \(train, test\); write hf:cats:train"):
        open_images("hf:cats")


def test_what_cannot_be_loaded_is_one_sentence(monkeypatch):
    def fail(*arguments, **options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(MonosemeError, match=r"^cannot load the Hugging Face data set cats: no route to host$"):
        open_images("hf:cats:train")


@pytest.mark.parametrize(
    "spec, sentence", [("hf:", "names no data set"), ("hf:/no/where", "there is no saved data set at /no/where")]
)
def test_specs_that_name_nothing(spec, sentence):
    with pytest.raises(UsageError, match=sentence):
        open_images(spec)


def test_data_sets_that_are_not_rows_of_images(rows):
    with pytest.raises(UsageError, match=r"give one split of the data set, such as dataset\['train'\]"):
        open_images(datasets.DatasetDict({"train": rows}))
    with pytest.raises(UsageError, match=r"load it without streaming"):
        open_images(rows.to_iterable_dataset())
    with pytest.raises(UsageError, match=r"has no column of encoded images"):
        open_images(datasets.Dataset.from_dict({"text": ["a"]}))
    with pytest.raises(MonosemeError, match=r"has no rows"):
        open_images(rows.select([]))


def test_string_labels_binary_columns_and_formats(png, labels):
    rows = datasets.Dataset.from_dict({"jpg": [png(1)], "label": ["cat"]}).with_format("numpy")
    source = open_images(rows)
    assert labels(source) == ["cat"]
    assert source.load(0).digest == digest_bytes(png(1))


def test_a_class_of_a_users_own_module_called_datasets_is_no_hugging_face_data_set(png):
    mine = type("Mine", (list,), {"__module__": "datasets"})([png(1)])
    assert open_images(mine).in_process


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'monoseme\[datasets\]'"):
        open_images("hf:cats")


def test_decoded_images_match_their_bytes(rows, png):
    expected = Image.open(io.BytesIO(png(0))).convert("RGB")
    assert open_images(rows).load(0).image.tobytes() == expected.tobytes()
