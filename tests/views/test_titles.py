"""What concepts are called, and what they do, where they are shown: name before label, the source beside it."""

from dataclasses import replace

import pyarrow as pa
import pytest

import monoseme as ms
from monoseme.banks import NAMES, Annotations
from monoseme.evaluation import Causal
from monoseme.views import Titles


@pytest.fixture(scope="module")
def bank(small_run):
    options = {"top": 24, "distance_threshold": 1.0, "outlier_threshold": 1e9}
    return ms.disentangle(small_run.activations("3"), "published", select=range(3), **options)


@pytest.fixture(scope="module")
def names(bank):
    about = bank.concepts.select(["concept", "key", "direction"]).to_pylist()
    rows = [
        {**row, "name": None, "reason": "nothing fits", "source": "hf:clip", "images": 5, "runners_up": []}
        for row in about
    ]
    rows[0] |= {"name": "<b>fur\u202e", "reason": None, "score": 0.91, "chance": 0.5}
    return ms.Names(pa.Table.from_pylist(rows, schema=NAMES))


def test_a_persons_name_wins_over_a_programs_and_that_over_a_label(bank, names):
    fur, none = bank[0].key, bank[1].key
    labels = [("dog", 7), ("cat", 1)]
    person = Annotations({key: ms.Annotation(key, name="my dogs") for key in (fur, none)})
    nameless = Annotations({key: ms.Annotation(key, tags=("animal",)) for key in (fur, none)})
    expected = [
        (person, names, fur, ("my dogs", "person")),
        (person, None, fur, ("my dogs", "person")),
        (nameless, names, fur, ("<b>fur\ufffd", "automatic")),
        (nameless, names, none, ("dog", "label")),
        (nameless, None, fur, ("dog", "label")),
    ]
    for said, program, key, title in expected:
        titles = Titles(said, program)
        assert titles.of(key, labels)[:2] == title
        assert titles.of(key, labels).given == (title[0] if title[1] != "label" else "")
        assert titles.said(key) is said[key]
    assert Titles().of(fur) == ("", "label", "", "")
    assert Titles(names=names).of(none, labels).detail == "called by its commonest label; no name: nothing fits"
    assert Titles(names=names).of(none).detail == "no name: nothing fits"
    assert Titles(person, names).nameless(none) is None


def test_views_take_what_was_said_when_the_bank_was_loaded_and_the_given_instead(bank, names, small_run):
    key = bank[1].key
    said = Annotations({key: ms.Annotation(key, name="one", tags=("a",))})
    named = replace(bank, annotations=said)
    view = ms.view_concept(named, 1, names=names)
    assert view.title == ("one", "person", "a person", "named by a person")
    assert (view.annotation, view.nameless) == (said[key], None)
    assert ms.view_concept(named, 1, annotations=Annotations()).annotation is None


def test_a_name_is_the_title_and_says_where_it_is_from(bank, names, small_run):
    view = ms.view_concept(bank, 0, small_run, names=names)
    assert view.title == ("<b>fur\ufffd", "automatic", "hf:clip", "name from hf:clip, score 0.91 (0.50 by chance)")
    assert view.nameless is None


def test_without_a_name_it_is_the_commonest_label_and_the_reason_is_told(bank, names, small_run):
    view = ms.view_concept(bank, 1, small_run, names=names)
    assert view.title.text == view.labels[0][0]
    assert view.title.source == "commonest label"
    assert view.nameless == "nothing fits"
    plain = ms.view_concept(bank, 1, small_run)
    assert (plain.title[:3], plain.nameless) == (view.title[:3], None)
    assert ms.view_concept(bank, 1, small_run, labels=ms.Labels.none(61)).title.text == ""


def test_names_of_another_bank_are_not_shown(bank, names, small_run):
    other = replace(bank, concepts=bank.concepts.set_column(1, "key", pa.array(["x"] * len(bank))))
    assert ms.view_concept(other, 0, small_run, names=names).title.source == "commonest label"


def test_a_layer_calls_its_concepts_so_too(bank, names, small_run):
    key = bank[2].key
    said = Annotations({key: ms.Annotation(key, name="mine")})
    titles = Titles(said, names).of_layer(ms.view_layer(bank, small_run))
    views = [ms.view_concept(bank, number, small_run, names=names, annotations=said) for number in range(len(bank))]
    assert titles == [view.title for view in views]
    assert [each.text for each in titles][0::2][:2] == ["<b>fur\ufffd", "mine"]
    assert [each.by for each in titles][:3] == ["automatic", "label", "person"]


def test_a_report_shows_names_as_text_and_idle_concepts_as_idle(bank, names, small_run, tmp_path):
    import shutil

    run = ms.open_run(shutil.copytree(small_run.path, tmp_path / "run"))
    folder = bank.save(run.path / "banks" / "3" / "mine")
    names.save(folder)
    causal_of(bank, ["acts", "does nothing"]).save(folder)
    ms.report(run, tmp_path / "out.html", neurons=3)
    text = (tmp_path / "out.html").read_text()
    assert "<b>fur" not in text
    assert "concept 0: &lt;b&gt;fur" in text
    assert "name from hf:clip, score 0.91" in text
    assert "no name: nothing fits" in text
    assert "Separate in embedding space, but does nothing" in text
    assert "predictions rest on it; the classes that lose most without it: owl." in text


def causal_of(bank, verdicts):
    rows = bank.concepts.select(["concept", "key", "direction"]).slice(0, len(verdicts)).to_pylist()
    rows = [
        {**row, "verdict": v, "amount": 1.0, "ablated": 0.2, "steered": 0.1}
        for row, v in zip(rows, verdicts, strict=True)
    ]
    from monoseme.evaluation._causal._result import CLASS_FIELDS, EFFECT_FIELDS

    moved = {"concept": 0, "change": "ablated", "class": 3, "name": "owl", "difference": -0.3, "images": 1.0}
    return Causal(
        pa.Table.from_pylist(rows), EFFECT_FIELDS.empty_table(), pa.Table.from_pylist([moved], schema=CLASS_FIELDS), {}
    )


def test_what_a_concept_does_is_said_in_words(bank, small_run):
    causal = causal_of(bank, ["acts", "does nothing"])
    acts = ms.view_concept(bank, 0, small_run, causal=causal).cause
    assert (acts.verdict, acts.down, acts.up) == ("acts", [("owl", -0.3)], [])
    assert "owl" in acts.sentence
    assert "does nothing" in ms.view_concept(bank, 1, small_run, causal=causal).cause.sentence
    assert ms.view_concept(bank, 2, small_run, causal=causal).cause is None
