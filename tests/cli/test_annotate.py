"""``monoseme annotate``: what it keeps, lists and refuses, and where else it shows."""

import json

import pytest

import monoseme as ms
from monoseme.base import bank_folder


@pytest.fixture
def split(made) -> tuple[ms.Run, ms.ConceptBank]:
    """A run that tests may change, and its one bank."""
    run = ms.open_run(made)
    bank = ms.disentangle(run.activations("3"), "published", top=20, distance_threshold=0.5, min_size=2)
    bank.save(bank_folder(run.path, "3", "published"))
    return run, bank


def test_a_concept_is_named_tagged_noted_and_rejected_and_all_of_it_is_listed(monoseme, made, split):
    _, bank = split
    status, text, _ = monoseme("annotate", made, 2, "--name", "red stripes", "--tag", "red", "--tag", "stripes")
    assert status == 0
    assert text.splitlines() == [
        f"concept 2 of neuron {bank[2].direction} of 3, key {bank[2].key}",
        "  name        red stripes",
        "  tags        red, stripes",
        f"next: monoseme show {made} {bank[2].direction}",
    ]
    monoseme("annotate", made, 2, "--untag", "red", "--tag", "thin", "--note", "seen\ntwice", "--reject")
    said = ms.load_annotations(made)[bank[2].key]
    assert (said.name, said.tags, said.note, said.rejected) == ("red stripes", ("stripes", "thin"), "seen\ntwice", True)
    assert monoseme("annotate", made)[1].splitlines() == [
        "concept 2 of 3/published",
        "  name        red stripes",
        "  tags        stripes, thin",
        "              rejected",
        "  note        seen",
        "              twice",
    ]
    assert "  name        red stripes" in monoseme("show", made, bank[2].direction)[1].splitlines()
    assert monoseme("annotate", made, 2, "--keep", "--name", "")[0] == 0
    assert ms.load_annotations(made)[bank[2].key].rejected is False
    assert monoseme("verify", made)[0] == 0


def test_machines_get_one_json_object(monoseme, made, split):
    run, bank = split
    told = json.loads(monoseme("annotate", made, 1, "--name", "a", "--json")[1])
    said = ms.load_annotations(run)[bank[1].key]
    assert told == {"concept": 1, **said.to_json()}
    assert json.loads(monoseme("annotate", made, "--json")[1]) == {
        "annotations": [{**said.to_json(), "concepts": [{"layer": "3", "bank": "published", "concept": 1}]}],
        "damaged": 0,
    }
    assert json.loads(monoseme("annotate", made, 0, "--json")[1])["name"] == ""  # only asked
    assert len(ms.load_annotations(run)) == 1
    shown = json.loads(monoseme("show", made, bank[1].direction, "--json")[1])["concepts"]
    assert [each["annotation"] for each in shown if each["concept"] == 1] == [said.to_json()]


def test_what_is_in_no_bank_any_more_and_lines_that_are_damaged_are_said(monoseme, made, split):
    run, _ = split
    with (run.path / "annotations.jsonl").open("w") as file:
        file.write('{"key": "0123456789abcdef", "name": "lost", "layer": "old", "direction": 35}\nnothing\n')
    assert monoseme("annotate", made)[1].splitlines() == [
        "direction 35 of old, in no bank any more (key 0123456789abcdef)",
        "  name        lost",
        "1 line of annotations.jsonl could not be read",
    ]
    status, _, error = monoseme("verify", made)
    assert status == 1
    assert "1 line of annotations.jsonl cannot be read; delete them" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "x"], "name the concept by its number"),
        (["999", "--name", "x"], "there is no concept 999"),
        (["0", "--name", "x" * 121], "a name has at most 120 letters, not 121"),
        (["0", "--untag", "red"], "concept 0 has no tag 'red'"),
        (["0", "--name", "\u202ex"], "U+202E"),
        (["0", "--bank", "publisched", "--name", "x"], "did you mean published"),
        (["x"], "CONCEPT"),
    ],
)
def test_bad_usage_is_one_sentence_and_writes_nothing(monoseme, made, split, arguments, sentence):
    status, text, error = monoseme("annotate", made, *arguments)
    assert (status, text, error.count("\n")) == (2, "", 1)
    assert sentence in error
    assert not (made / "annotations.jsonl").exists()
