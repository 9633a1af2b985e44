"""What people say of concepts: kept under their keys, by several processes at once, through crashes and hostile files."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import monoseme as ms
from monoseme.banks import bank_folder
from monoseme.banks._annotations import LARGEST, annotation_of, checked, line_of, parsed

KEY = "0123456789abcdef"
OPTIONS = {"top": 24, "distance_threshold": 0.5, "min_size": 2}


@pytest.fixture(scope="module")
def bank(small_run) -> ms.ConceptBank:
    return ms.disentangle(small_run.activations("3"), "published", **OPTIONS)


@pytest.fixture
def run(small_run, bank, tmp_path) -> ms.Run:
    run = ms.open_run(shutil.copytree(small_run.path, tmp_path / "run"))
    bank.save(bank_folder(run.path, "3", "one"))
    return run


def test_what_is_said_is_kept_and_what_is_not_given_stays(run, bank):
    ms.annotate(run, bank, 2, name="  red \t stripes ", tags=["stripes", "red", "stripes"])
    ms.annotate(run.path, bank, 2, note="seen twice\n  in the evening\r\n", rejected=True)
    [(key, said)] = ms.load_annotations(run).items()
    assert key == bank[2].key
    assert (said.name, said.tags, said.rejected) == ("red stripes", ("stripes", "red"), True)
    assert said.note == "seen twice\n  in the evening"
    assert (said.layer, said.direction) == ("3", bank[2].direction)
    ms.annotate(run, bank, 2, name="", tags=[], note="", rejected=False)
    assert dict(ms.load_annotations(run)) == {}
    assert len((run.path / "annotations.jsonl").read_text().splitlines()) == 3


def test_a_new_bank_finds_what_was_said_of_the_concepts_it_finds_again(run, bank):
    ms.annotate(run, bank, 1, name="kept")
    again = ms.disentangle(run.activations("3"), "published", **OPTIONS | {"outlier_threshold": "q0.5"})
    same = set(again.concepts["key"].to_pylist()) & set(bank.concepts["key"].to_pylist())
    again.save(bank_folder(run.path, "3", "two"))
    for name, there in (("one", True), ("two", bank[1].key in same)):
        loaded = ms.load_bank(run.path, layer="3", name=name)
        assert [each.key for each in loaded if each.annotation] == [bank[1].key] * there
    assert ms.load_bank(run.path, layer="3", name="one")[1].annotation.name == "kept"


def test_a_bank_that_is_saved_elsewhere_takes_along_what_is_said_of_it_and_brings_it_to_another_run(
    run, bank, small_run, tmp_path
):
    loaded = ms.load_bank(run.path)
    ms.annotate(run, bank, 0, name="said after it was loaded", tags=["late"])
    ms.annotate(run, bank, 3, note="of another")
    other = replace(ms.load_annotations(run)[bank[3].key], key="f" * 16)
    with (run.path / "annotations.jsonl").open("ab") as file:
        file.write(line_of(other))  # of no concept of this bank
    out = loaded.save(tmp_path / "elsewhere")
    alone = ms.load_bank(out)
    assert alone.run is None
    assert dict(alone.annotations) == {key: each for key, each in ms.load_annotations(run).items() if key != "f" * 16}
    assert dict(ms.load_annotations(out)) == dict(alone.annotations)
    again = ms.load_bank(alone.save(tmp_path / "again"))
    assert dict(again.annotations) == dict(alone.annotations)

    second = ms.open_run(shutil.copytree(small_run.path, tmp_path / "second"))
    bank.save(bank_folder(second.path, "3", "mine"))
    ms.annotate(second, bank, 0, name="what this run says")
    again.save(bank_folder(second.path, "3", "brought"))
    there = ms.load_annotations(second)
    assert there[bank[0].key].name == "what this run says"
    assert there[bank[3].key] == alone.annotations[bank[3].key]


def test_a_bank_of_which_nothing_is_said_has_no_such_file(run, tmp_path):
    assert not (ms.load_bank(run.path).save(tmp_path / "elsewhere") / "annotations.jsonl").exists()


def test_writers_of_two_processes_lose_nothing(run, bank):
    code = (
        "import sys, monoseme as ms; run, mine, first = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
        "bank = ms.load_bank(run, layer='3', name='one'); print('ready', flush=True); sys.stdin.readline()\n"
        "for turn in range(20):\n"
        "    ms.annotate(run, bank, first + turn % 3, note=f'{mine} {turn}')\n"
        "    before = ms.load_annotations(run).get(bank[7].key)\n"
        "    ms.annotate(run, bank, 7, **{mine: f'{mine} {turn}'})\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, run.path, mine, first],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for mine, first in (("name", "0"), ("note", "3"))
    ]
    for each in writers:
        assert each.stdout.readline() == "ready\n"
    for each in writers:
        each.stdin.write("go\n")
        each.stdin.flush()
    assert [each.communicate(timeout=120) and each.returncode for each in writers] == [0, 0]
    said = ms.load_annotations(run)
    assert said.damaged == 0
    assert len((run.path / "annotations.jsonl").read_text().splitlines()) == 2 * 40
    assert [said[bank[place].key].note for place in range(6)] == [
        f"{mine} {turn}" for mine in ("name", "note") for turn in (18, 19, 17)
    ]
    assert (said[bank[7].key].name, said[bank[7].key].note) == ("name 19", "note 19")  # neither has undone the other


@pytest.mark.parametrize("kept", [1, 40, -2, -1])
def test_a_line_that_a_crash_cut_short_is_no_damage_and_the_next_one_is_whole(run, bank, kept):
    ms.annotate(run, bank, 0, name="whole")
    file = run.path / "annotations.jsonl"
    last = line_of(replace(ms.load_annotations(run)[bank[0].key], key=KEY, name="cut"))
    with file.open("ab") as opened:
        opened.write(last[:kept])
    there = kept == -1  # all but the end of the line
    assert (KEY in ms.load_annotations(run), ms.load_annotations(run).damaged) == (there, 0)
    ms.annotate(run, bank, 1, name="next")
    said = ms.load_annotations(run)
    assert [each.name for each in said.values()] == ["whole", *["cut"] * there, "next"]
    assert said.damaged == 0
    assert file.read_bytes().endswith(b"\n")


HOSTILE = [
    b"",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"{" * 5000,
    b'{"key": "../../etc/passwd"}',
    b'{"key": 7}',
    b'{"name": "no key"}',
    json.dumps({"key": KEY, "name": ["a"]}).encode(),
    json.dumps({"key": KEY, "name": "x" * 10_000}).encode(),
    json.dumps({"key": KEY, "name": "turned \u202e around"}).encode(),
    json.dumps({"key": KEY, "name": "half \ud800 a letter"}).encode(),
    json.dumps({"key": KEY, "tags": "no list"}).encode(),
    json.dumps({"key": KEY, "tags": [1]}).encode(),
    json.dumps({"key": KEY, "tags": ["a", []]}).encode(),
    json.dumps({"key": KEY, "tags": [str(number) for number in range(21)]}).encode(),
    json.dumps({"key": KEY, "rejected": "yes"}).encode(),
    json.dumps({"key": KEY, "note": "x" * 4001}).encode(),
    json.dumps({"key": KEY, "note": {"a": 1}}).encode(),
    json.dumps({"key": KEY, "name": "a", "layer": 3}).encode(),
    json.dumps({"key": KEY, "name": "a", "direction": True}).encode(),
    json.dumps({"key": KEY, "name": "a", "direction": 10**30}).encode(),
    json.dumps({"key": KEY, "name": "a", "padding": "x" * 70_000}).encode(),
]


def test_lines_that_nobody_of_us_wrote_are_left_out_and_counted_and_harm_no_others(run, bank, tmp_path):
    ms.annotate(run, bank, 0, name="first")
    with (run.path / "annotations.jsonl").open("ab") as file:
        file.write(b"\n".join(HOSTILE) + b"\n")
    ms.annotate(run, bank, 1, name="<script>alert('1')</script>")
    said = ms.load_annotations(run)
    assert [each.name for each in said.values()] == ["first", "<script>alert('1')</script>"]
    assert said.damaged == len(HOSTILE) - 1  # an empty line says nothing
    assert len(ms.load_bank(run.path).annotations) == 2


def test_a_file_that_is_too_large_is_refused_before_it_is_read(run, monkeypatch):
    with (run.path / "annotations.jsonl").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ms.MonosemeError, match="larger than 64 MiB; delete the lines"):
        ms.load_annotations(run)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"name": "x" * 121}, "a name has at most 120 letters, not 121"),
        ({"name": "x" * 10_000}, "a name has at most 120 letters, not 10,000"),
        ({"note": "x" * 4001}, "a note has at most 4,000 letters, not 4,001"),
        ({"tags": ["x" * 41]}, "a tag has at most 40 letters, not 41"),
        ({"tags": map(str, range(21))}, "a concept has at most 20 tags, not 21; say the rest in its note"),
        ({"tags": ["a,b"]}, "a tag holds no comma; give several tags instead"),
        ({"tags": "abc"}, r"tags are a list of texts, such as \['abc'\]"),
        ({"name": "a\u202eb"}, r"a name holds the letter U\+202E, which cannot be seen or turns text around"),
        ({"note": "a\x00b"}, r"a note holds the letter U\+0000"),
        ({"name": 7}, "a name is text, not 7"),
        ({"rejected": "no"}, "rejected is true or false, not 'no'"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_a_sentence_and_nothing_is_written(run, bank, given, sentence):
    with pytest.raises(ms.UsageError, match=sentence):
        ms.annotate(run, bank, 0, **given)
    assert dict(ms.load_annotations(run)) == {}


def test_other_places_and_concepts_are_refused(run, bank, tmp_path):
    with pytest.raises(ms.UsageError, match="is not a run"):
        ms.annotate(tmp_path, bank, 0, name="x")
    with pytest.raises(ms.UsageError, match="there is no concept 999"):
        ms.annotate(run, bank, 999, name="x")
    with pytest.raises(ms.UsageError, match="there is no folder"):
        ms.load_annotations(tmp_path / "nowhere")


@settings(deadline=None)
@given(st.text(max_size=140), st.lists(st.text(max_size=50), max_size=22), st.text(max_size=300), st.booleans())
def test_what_is_accepted_comes_back_from_its_line_and_is_accepted_as_it_is(name, tags, note, rejected):
    try:
        tidy = checked(ms.Annotation(KEY, name, tuple(tags), note, rejected))
    except ms.UsageError:
        return
    assert checked(tidy) == tidy
    assert annotation_of(line_of(tidy)) == tidy
    assert line_of(tidy).count(b"\n") == 1


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(content):
    parsed(content)
    parsed(b'{"key": "' + KEY.encode() + b'", "name": "' + content + b'"}\n')
