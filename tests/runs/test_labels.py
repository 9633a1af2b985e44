"""Labels joined to a run: which image a row means, what is refused, how sets are chosen, kept and checked."""

import os
import shutil
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import monoseme as ms
from monoseme.runs._named import _by_ending


@pytest.fixture
def made(tmp_path, small_run) -> ms.Run:
    """A copy of the small run that tests may change."""
    return ms.open_run(shutil.copytree(small_run.path, tmp_path / "made"))


@pytest.fixture
def joined(made, tmp_path):
    """Join the rows of a file with that content; what each labelled image got, by uri."""

    def join(content: str | bytes, **options: object) -> dict[str, list[str]]:
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return by_uri(made, ms.join_labels(made, path, overwrite=True, **options).labels)

    return join


def by_uri(run, labels) -> dict[str, list[str]]:
    uris = run.images(columns=["uri"])["uri"].to_pylist()
    found: dict[str, list[str]] = {}
    for image, code in zip(labels.image_ids.tolist(), labels.codes.tolist(), strict=True):
        found.setdefault(uris[image], []).append(labels.names[code])
    return found


@pytest.mark.parametrize(
    "content",
    [
        "path,label\nplain/000.jpg,a\nplain/000.jpg,b\nramp/001.jpg,a\n",
        'path;label\nplain/000.jpg;"a;b"\nramp/001.jpg;a',
        "Path\tTags\r\nplain/000.jpg\ta; b ;;a\r\nramp/001.jpg\t a \r\n",
        "\ufeffuri,label\nplain/000.jpg,a;b\nramp/001.jpg,a\n",
        '\n\nnote,label,file\n"x, ""y""",a;b,/data/photos/plain/000.jpg\n,a,.\\ramp\\001.jpg\n',
        "split,path,class\ntrain,000.jpg,a;b\ntrain,001.jpg,a\ntrain,,c\n",
    ],
    ids=["several rows", "semicolons", "tabs", "byte order mark", "longer paths", "file names alone"],
)
def test_labels_in_many_kinds_of_text_find_their_images(joined, content):
    assert joined(content) == {"plain/000.jpg": ["a", "b"], "ramp/001.jpg": ["a"]}


def test_rows_find_images_by_number_and_by_content(made, joined):
    facts = made.images([0, 3]).to_pylist()
    assert joined("image_id,label\n3,a\n 0 ,b\n99,c\n") == {facts[1]["uri"]: ["a"], facts[0]["uri"]: ["b"]}
    digests = made.images(columns=["digest"])["digest"].to_pylist()
    twice = next(digest for digest in digests if digests.count(digest) == 2)
    assert joined(f"digest,label\n{twice},a\n") == {"plain/003.jpg": ["a"], "plain/copy.jpg": ["a"]}


@pytest.mark.parametrize("kind", ["text", "list", "dictionary", "numbers", "large lists"])
def test_parquet_columns_of_every_sensible_type_are_read(made, tmp_path, kind):
    uris = made.images([5, 6], ["uri"])["uri"]
    labels = {
        "text": pa.array(["a;b", "a"]),
        "list": pa.array([["a", "b", None], ["a"]]),
        "dictionary": pa.array(["a;b", "a"]).dictionary_encode(),
        "numbers": pa.array([7, None]),
        "large lists": pa.array([["a", "b"], ["a"]], pa.large_list(pa.large_string())),
    }[kind]
    pq.write_table(pa.table({"image": uris, "label": labels, "x": [0.5, 1]}), tmp_path / "set.parquet")
    expected = [["7"]] if kind == "numbers" else [["a", "b"], ["a"]]
    joined = ms.join_labels(made, tmp_path / "set.parquet")
    assert (joined.name, joined.rows, joined.unmatched, joined.example) == ("set", 2, 0, None)
    assert by_uri(made, joined.labels) == dict(zip(uris.to_pylist(), expected, strict=False))


def test_a_label_of_a_photograph_goes_to_all_its_patches(tmp_path, photos, small_model):
    run = ms.embed(small_model, f"patches:{photos}?per_image=2&flat=0", ["1"], tmp_path / "run", workers=0)
    (tmp_path / "x.csv").write_text("path,label\n000.jpg,a\nramp/001.jpg,b\n")
    labels = ms.join_labels(run, tmp_path / "x.csv").labels
    photographs = np.array(run.images(columns=["photograph"])["photograph"].to_pylist())
    assert set(photographs[labels.matrix()[:, [0]].toarray()[:, 0]]) == {"plain/000.jpg"}
    assert labels.labelled.sum() == np.isin(photographs, ["plain/000.jpg", "ramp/001.jpg"]).sum() == 4


def test_rows_of_no_image_are_counted_and_the_first_is_shown(made, tmp_path):
    (tmp_path / "x.csv").write_text("path,label\nplain/000.jpg,a\nnone/\x1b[31m.jpg,b\n,c\nplain/003.jpg,\n")
    joined = ms.join_labels(made, tmp_path / "x.csv")
    assert (joined.rows, joined.unmatched, joined.example) == (4, 2, r"'none/\x1b[31m.jpg'")
    assert joined.labels.names == ("a",)


def test_a_name_that_several_images_end_with_is_refused_by_name(made, tmp_path):
    table = lance.dataset(made.path / "activations.lance")
    table.update({"uri": "'other/000.jpg'"}, where="image_id = 7")
    made.refresh()
    (tmp_path / "x.csv").write_text("path,label\n000.jpg,a\n")
    with pytest.raises(ms.UsageError, match=r"000\.jpg in .*x\.csv may mean .*/000\.jpg or .*/000\.jpg; write more"):
        ms.join_labels(made, tmp_path / "x.csv")
    assert not (made.path / "labels").exists()


PARTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(st.lists(PARTS, unique=True, min_size=1, max_size=8), PARTS)
def test_endings_follow_the_rule_in_plain_words(texts, name):
    ends_with = [text for text in texts if f"/{text}".endswith(f"/{name}")]
    inside = [text for text in texts if f"/{name}".endswith(f"/{text}")]
    expected = [name] if name in texts else ends_with or sorted(inside, key=len)[-1:]
    if len(expected) > 1:
        with pytest.raises(ms.UsageError, match="may mean"):
            _by_ending([name], texts, Path("x.csv"))
    else:
        assert _by_ending([name], texts, Path("x.csv")) == [texts.index(expected[0]) if expected else -1]


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (b"", {}, "is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", {}, "is empty"),
        (b"path,label\n", {}, "a header but no rows"),
        (b"path,label\nplain/000.jpg,a\0\n", {}, "neither text nor Parquet"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", {}, "neither text nor Parquet"),
        ("path,label\ncaf\xe9,a\n".encode("latin-1"), {}, "cannot be read as a table .*UTF-8"),
        (b"PAR1 no more", {}, "cannot be read as a table"),
        (b"plain/000.jpg,a\nplain/003.jpg,b\n", {}, "name the one that names images with --image"),
        (b"path\nplain/000.jpg\n", {}, "name the one of labels with --label"),
        (b"path,x,y\nplain/000.jpg,a,b\n", {}, r"\(it has path, x and y\); name the one of labels"),
        (b"path,label\nplain/000.jpg,a\n", {"image": "pth"}, "has no column 'pth' for --image.*did you mean path"),
        (b"path,label\nplain/000.jpg,a\n", {"label": "path"}, "cannot name both"),
        (b"path,x,x\nplain/000.jpg,a,b\n", {"label": "x"}, "several columns 'x'"),
        (b"path,label\nplain/000.jpg,a,b\n", {}, "row 2 of .* has 3 columns, but its header has 2; put cells"),
        (b'path,label\nplain/000.jpg,"a\nplain/003.jpg,b\n', {}, "goes over several lines; close its quotes"),
        (b"path,label\nplain/000.jpg," + b"x" * 100_000, {}, "has 100,000 characters"),
        (b"path,label\nplain/000.jpg," + b"x" * 40_000_000, {}, "cannot be read as a table|has 40,000,000 characters"),
        (b'"a' * 200_000, {}, "cannot be read as a table .its first row is no header"),
        (b"path,label\nx/1.jpg,a\n", {}, "says x/1.jpg, the run plain/000.jpg; name another column with --image"),
        (b"path,label\n" + b"/" * 9000 + b",a\n", {}, "names an image of"),
        (b"path,label\n" + b"a" * 9000 + b",a\n", {}, "says a{99}…, the run"),
        (b"image_id,label\n61,a\n-1,b\n1.0,c\n", {}, "says 61, the run 0"),
        (b"path,label\nplain/000.jpg,\n", {}, "no image of .* gets a label"),
        (b"path,label\nplain/000.jpg,a\n", {"name": "../x"}, "is no name for a label set"),
        (b"path,label\nplain/000.jpg,a\n", {"name": "folder"}, "choose another with --name"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_in_a_sentence_and_nothing_is_written(
    made, tmp_path, content, options, sentence
):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ms.MonosemeError, match=sentence) as caught:
        ms.join_labels(made, tmp_path / "x.csv", **options)
    assert "\n" not in str(caught.value)
    assert not (made.path / "labels").exists()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(max_size=80), st.text(alphabet="path,label;\t\n\r\"'0/.jpg\0é", max_size=80).map(str.encode))
)
def test_whatever_a_file_holds_is_joined_or_refused_in_a_sentence(made, tmp_path, content):
    for start in (b"", b"path,label\nplain/000.jpg,a\n"):
        (tmp_path / "x.csv").write_bytes(start + content)
        sentence = "joined"
        try:
            ms.join_labels(made, tmp_path / "x.csv", overwrite=True)
        except ms.MonosemeError as error:
            sentence = str(error)
        assert sentence.isprintable()
        assert sentence != "joined" or ms.open_run(made.path).labels("x").labelled.any()


def test_parquet_columns_that_hold_no_labels_are_refused(made, tmp_path):
    for column in (pa.array([0.5]), pa.array([b"a"]), pa.array([{"a": 1}]), pa.array([[0.5]])):
        pq.write_table(pa.table({"path": ["plain/000.jpg"], "label": column}), tmp_path / "x.parquet")
        with pytest.raises(ms.UsageError, match="must hold text or whole numbers"):
            ms.join_labels(made, tmp_path / "x.parquet")
    with pytest.raises(ms.UsageError, match=r"there is no file .*; did you mean x\.parquet"):
        ms.join_labels(made, tmp_path / "x.parket")


def test_equal_labels_are_kept_as_equal_bytes_whatever_the_order_of_rows(made, joined):
    joined("path,label\nplain/000.jpg,a;b\nramp/001.jpg,c\n")
    path = made.path / "labels" / "labels.parquet"
    before = path.read_bytes()
    joined("path,label\nramp/001.jpg,c\nplain/000.jpg,b\nplain/000.jpg,a\nplain/000.jpg,b\n")
    assert path.read_bytes() == before
    table = pq.read_table(path)
    assert table.schema.names == ["image_id", "label"]
    assert b"labels.csv" in table.schema.metadata[b"monoseme"]
    assert [path.name for path in (made.path / "labels").iterdir()] == ["labels.parquet"]


def test_sets_are_chosen_by_name_or_where_there_is_only_one(made, tmp_path):
    assert made.label_sets == ("folder",)
    assert made.labels().names == made.labels("folder").names == ("plain", "ramp", "stripes")
    (tmp_path / "my animals.v2.csv").write_text("path,label\nplain/000.jpg,a\n")
    assert ms.join_labels(made.path, tmp_path / "my animals.v2.csv").name == "my-animals.v2"
    assert made.labels().names == ("a",)
    with pytest.raises(ms.UsageError, match="already; choose another name with --name, or replace it with --overwrite"):
        ms.join_labels(made, tmp_path / "my animals.v2.csv")
    ms.join_labels(made, tmp_path / "my animals.v2.csv", name="b")
    assert made.label_sets == tuple(made.info()["label_sets"]) == ("folder", "b", "my-animals.v2")
    assert made.labels().names == ("plain", "ramp", "stripes")
    with pytest.raises(
        ms.UsageError, match=r"no label set 'my-animal', only folder, b and my-animals\.v2; did you mean"
    ):
        made.labels("my-animal")


def test_a_run_without_labels_says_how_to_join_some(tmp_path, photos, small_model):
    (tmp_path / "flat").mkdir()
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))[:6]):
        shutil.copy(path, tmp_path / "flat" / f"{number}.jpg")
    run = ms.embed(small_model, tmp_path / "flat", ["1"], tmp_path / "run", workers=0)
    assert run.label_sets == ()
    for name in (None, "folder", "x"):
        with pytest.raises(ms.UsageError, match="join some with monoseme label"):
            run.labels(name)
    (tmp_path / "x.csv").write_text("path,label\n0.jpg,a\n")
    for name in ("x", "y"):
        ms.join_labels(run, tmp_path / "x.csv", name=name)
    with pytest.raises(ms.UsageError, match="several label sets; name one of x or y"):
        run.labels()


@pytest.mark.parametrize("damage", ["cut", "ids", "column", "metadata", "other images", "newer"])
def test_a_damaged_set_is_refused_in_a_sentence_and_found_by_verify(made, joined, damage):
    joined("path,label\nplain/000.jpg,a\n")
    path = made.path / "labels" / "labels.parquet"
    table = pq.read_table(path)
    about = table.schema.metadata[b"monoseme"]
    changed = {
        "cut": table,
        "ids": table.set_column(0, "image_id", pa.array([61])),
        "column": table.drop_columns("label"),
        "metadata": table.replace_schema_metadata(None),
        "other images": table.replace_schema_metadata(
            {b"monoseme": about.replace(made.manifest.images["digest"].encode(), b"0")}
        ),
        "newer": table.replace_schema_metadata({b"monoseme": about.replace(b'"format": 1', b'"format": 9')}),
    }[damage]
    pq.write_table(changed, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    sentence = {"other images": "joined to other images", "newer": "update monoseme"}.get(damage, "is damaged")
    with pytest.raises(ms.MonosemeError, match=sentence):
        made.labels("labels")
    assert any(sentence in problem for problem in ms.verify_run(made.path))


def test_labels_go_with_the_run_that_is_replaced(tmp_path, photos, small_model, made, joined):
    joined("path,label\nplain/000.jpg,a\n")
    run = ms.embed(small_model, photos / "ramp", ["1"], made.path, workers=0, overwrite=True)
    assert run.label_sets == ()
    assert ms.verify_run(made.path) == []


def test_a_full_disk_leaves_the_old_set(made, joined, monkeypatch):
    joined("path,label\nplain/000.jpg,a\n")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ms.MonosemeError, match="the disk is full"):
        joined("path,label\nplain/000.jpg,b\n")
    assert made.labels().names == ("a",)
    assert [path.name for path in (made.path / "labels").iterdir()] == ["labels.parquet"]
