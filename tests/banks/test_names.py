"""Names on disk and merged: kept whole, filled up, refused where they are of something else."""

from dataclasses import replace

import pyarrow as pa
import pytest

import monoseme as ms
from monoseme.banks import NAMES


@pytest.fixture(scope="module")
def bank(layer):
    return ms.disentangle(layer, "published", select=range(6), top=24, distance_threshold=6.0, outlier_threshold=1e9)


def names_of(bank, given, source="labels", **info):
    about = bank.concepts.select(["concept", "key", "direction"]).slice(0, len(given)).to_pylist()
    rows = [
        {**row, "name": name, "source": source, "score": 0.9, "chance": 0.1, "images": 5, "runners_up": []}
        | {"reason": None if name else "nothing fits"}
        for row, name in zip(about, given, strict=True)
    ]
    return ms.Names(pa.Table.from_pylist(rows, schema=NAMES), {"by_chance": 0.0, **info})


def test_names_are_kept_and_read_again(bank, tmp_path):
    names = names_of(bank, ["dog", None, "<b>cat</b>"])
    path = names.save(tmp_path)
    again = ms.load_names(tmp_path)
    assert again.table.equals(names.table)
    assert (again[0], again[1], again[7], again.named) == ("dog", None, None, 2)
    assert again.is_of(bank)
    assert not again.is_of(replace(bank, concepts=bank.concepts.slice(1)))
    assert ms.load_names(tmp_path / "none") is None
    path.write_text('{"format": 99}')
    with pytest.raises(ms.MonosemeError, match="format 99"):
        ms.load_names(tmp_path)
    path.write_text('{"format": 1}')
    (tmp_path / "names.parquet").write_bytes(b"rubbish")
    with pytest.raises(ms.MonosemeError, match="damaged"):
        ms.load_names(tmp_path)


def test_names_are_filled_up_and_keep_where_they_are_from(bank):
    first = names_of(bank, ["dog", None, None])
    second = names_of(bank, ["cat", "cow", None, "sky"], source="hf:clip")
    both = first.or_else(second)
    assert [both[number] for number in range(4)] == ["dog", "cow", None, "sky"]
    assert [both.of(number)["source"] for number in range(4)] == ["labels", "hf:clip", "labels", "hf:clip"]
    other = replace(bank, concepts=bank.concepts.set_column(1, "key", pa.array(["x"] * len(bank))))
    with pytest.raises(ms.UsageError, match="same bank"):
        first.or_else(names_of(other, ["cat"]))


def test_lines_tell_names_and_why_there_is_none(bank):
    lines = names_of(bank, ["dog", None]).lines()
    assert "dog 0.90 (by chance 0.10), from labels" in lines[0]
    assert "1 concept without a name; the first: nothing fits" in lines[1]
