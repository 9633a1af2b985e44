import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monoseme.base import MonosemeError, UsageError, digest_bytes
from monoseme.images import BadImage, _parquet, open_images


def write(path, columns, *, names=None, **options):
    """A Parquet file; `names` are the class names that Hugging Face would note for the column label."""
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def structs(images):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": image, "path": f"{place}.png"} for place, image in enumerate(images)], kind)


def test_hugging_face_images_and_class_names(tmp_path, png, uris, labels):
    columns = {"image": structs([png(0), png(1), png(2)]), "label": [1, 0, -1]}
    source = open_images(write(tmp_path / "train.parquet", columns, names=["cat", "dog"]))
    assert uris(source) == ["train.parquet#0", "train.parquet#1", "train.parquet#2"]
    assert labels(source) == ["dog", "cat", None]
    assert source.load(2).digest == digest_bytes(png(2))


@pytest.mark.parametrize("column", ["jpg", "img", "bytes", "the_only_binary_one"])
def test_plain_bytes_under_any_usual_name(tmp_path, png, labels, column):
    columns = {"id": [1, 2], column: pa.array([png(0), png(1)], pa.large_binary()), "class": ["cat", None]}
    source = open_images(write(tmp_path / "a.parquet", columns))
    assert source.load(1).digest == digest_bytes(png(1))
    assert labels(source) == ["cat", None]


def test_labels_of_a_dictionary_column_and_integers_without_names(tmp_path, png, labels):
    images = [png(0), png(1)]
    words = pa.array(["cat", "dog"]).dictionary_encode()
    assert labels(open_images(write(tmp_path / "a.parquet", {"image": images, "label": words}))) == ["cat", "dog"]
    assert labels(open_images(write(tmp_path / "b.parquet", {"image": images, "label": [3, 4]}))) == ["3", "4"]
    assert labels(open_images(write(tmp_path / "c.parquet", {"image": images, "label": [0.1, 0.2]}))) == [None, None]


@pytest.mark.parametrize(
    "columns, sentence",
    [
        ({"a": [1], "b": ["x"]}, r"a.parquet has no column of encoded images \(columns: a, b\); name one image"),
        (
            {"a": [b"x"], "b": [b"y"]},
            r"several columns of .*a.parquet may hold images \(a, b\); name the right one image",
        ),
    ],
)
def test_a_table_without_a_clear_column_of_images_says_so(tmp_path, columns, sentence):
    with pytest.raises(UsageError, match=sentence):
        open_images(write(tmp_path / "a.parquet", columns))


def test_damaged_and_empty_files_say_so(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(MonosemeError, match=r"cannot read .*a.parquet: it is not a whole Parquet file"):
        open_images(tmp_path / "a.parquet")
    with pytest.raises(MonosemeError, match=r"have no rows"):
        open_images(write(tmp_path / "b.parquet", {"image": pa.array([], pa.binary())}))


def test_rows_without_an_image_have_a_reason(tmp_path, png):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([None, {"bytes": None, "path": "/etc/passwd"}, {"bytes": b"junk", "path": None}], kind)
    source = open_images(write(tmp_path / "a.parquet", {"image": rows}))
    for place, reason in enumerate(["the row has no bytes", "the row has no bytes", "not an image"]):
        with pytest.raises(BadImage, match=reason):
            source.load(place)


@pytest.mark.parametrize("spec", ["", "*.parquet", "part-{0..2}.parquet"])
def test_several_files_are_one_listing(tmp_path, png, uris, spec):
    for part in range(3):
        rows = [png(10 * part + row) for row in range(part + 1)]
        write(tmp_path / f"part-{part}.parquet", {"image": rows}, row_group_size=1)
    source = open_images(f"{tmp_path}/{spec}")
    assert uris(source) == [f"part-{part}.parquet#{row}" for part in range(3) for row in range(part + 1)]
    assert [source.load(place).digest for place in range(6)] == [
        digest_bytes(png(10 * part + row)) for part in range(3) for row in range(part + 1)
    ]


@pytest.fixture
def grouped(tmp_path, png):
    """40 rows in groups of 7, windows of 3 rows."""
    rows = [png(row, 8, 8) for row in range(40)]
    return write(tmp_path / "a.parquet", {"image": rows}, row_group_size=7)


@pytest.mark.parametrize("order", [range(40), range(39, -1, -1), [0, 39, 7, 6, 7, 20, 3, 3, 13, 14]])
def test_rows_come_right_in_any_order_and_through_small_windows(grouped, png, monkeypatch, order):
    monkeypatch.setattr(_parquet, "WINDOW_BYTES", 3 * len(png(0, 8, 8)))
    source = open_images(grouped)
    assert [source.load(row).digest for row in order] == [digest_bytes(png(row, 8, 8)) for row in order]
    assert len(source._windows) <= 2


def test_threads_and_pickled_copies_read_the_same_rows(grouped, png):
    source = open_images(grouped)
    expected = [digest_bytes(png(row, 8, 8)) for row in range(40)]
    with ThreadPoolExecutor(4) as pool:
        assert [loaded.digest for loaded in pool.map(source.load, range(40))] == expected
    copy = pickle.loads(pickle.dumps(source))
    assert [copy.load(row).digest for row in range(40)] == expected
    assert copy.digest() == source.digest()
    source.close()
    assert source.load(5).digest == expected[5]


def test_the_listing_digest_tells_files_of_other_size_apart(tmp_path, png):
    first = open_images(write(tmp_path / "a.parquet", {"image": [png(0, 8, 8)]})).digest()
    assert open_images(write(tmp_path / "a.parquet", {"image": [png(0, 9, 9)]})).digest() != first


def test_a_file_that_vanishes_gives_a_reason(grouped):
    source = open_images(grouped)
    grouped.unlink()
    with pytest.raises(BadImage, match=r"damaged or vanished"):
        source.load(0)
