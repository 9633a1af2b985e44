"""``monoseme label``: what it prints, its exit status, what info says afterwards."""

import json

import pytest

import monoseme as ms


def test_labels_are_joined_reported_and_listed(monoseme, made, tmp_path):
    file = tmp_path / "animals.csv"
    file.write_text("file,kind,split\nplain/000.jpg,cat|dog,a\nplain/003.jpg,cat,b\nnowhere.jpg,emu,a\n")
    status, text, _ = monoseme("label", made, file, "--label", "kind", "--separator", "|")
    assert status == 0
    assert text.splitlines()[:2] == [
        f"{made}/labels/animals.parquet: 2 labels on 2 of 61 images, from 3 rows",
        "1 of the rows name no image of the run (the first: nowhere.jpg)",
    ]
    assert text.splitlines()[-1] == f"next: monoseme info {made}"
    assert ms.open_run(made).labels().names == ("cat", "dog")
    listed = [line.split()[-1] for line in monoseme("info", made)[1].splitlines() if "label set" in line]
    assert listed == json.loads(monoseme("info", made, "--json")[1])["label_sets"] == ["folder", "animals"]
    assert monoseme("verify", made)[0] == 0


def test_machines_get_one_json_object(monoseme, made, tmp_path):
    (tmp_path / "x.csv").write_text("image_id,label\n0,a\n")
    answer = json.loads(monoseme("label", made, tmp_path / "x.csv", "--name", "mine", "--json")[1])
    assert answer == {
        "label_set": "mine",
        "path": str(made / "labels" / "mine.parquet"),
        "labels": 1,
        "images": 61,
        "labelled": 1,
        "rows": 1,
        "unmatched": 0,
        "example": None,
    }


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["{made}", "{new}.csv"], 2, "there is no file"),
        (["{new}", "{file}"], 2, "there is no folder"),
        (["{made}", "{file}", "--image", "pth"], 2, "did you mean path"),
        (["{made}", "{file}", "--name", "folder"], 2, "choose another with --name"),
        (["{made}", "{made}"], 2, "there is no file"),
    ],
)
def test_bad_usage_is_one_sentence_and_writes_nothing(monoseme, made, tmp_path, arguments, status, sentence):
    (tmp_path / "x.csv").write_text("path,label\nplain/000.jpg,a\n")
    places = {"made": made, "file": tmp_path / "x.csv", "new": tmp_path / "new"}
    found, text, error = monoseme("label", *(argument.format(**places) for argument in arguments))
    assert (found, text, error.count("\n")) == (status, "", 1)
    assert sentence in error
    assert not (made / "labels").exists()
