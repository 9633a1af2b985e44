"""What people say of concepts, through the explorer's addresses: kept, shown everywhere, guarded, and never markup."""

import json

import pytest
from fastapi.testclient import TestClient
from tests.explorer.conftest import CALIBRATED, HERE, PUBLISHED

import monoseme as ms
from monoseme.base import bank_folder

SAY = f"/api{CALIBRATED}/concept/2/annotation"
HOSTILE = "<script>alert('1')</script>\"'&<img src=x onerror=alert(2)><!--"


@pytest.fixture
def bank(own) -> ms.ConceptBank:
    return ms.load_bank(own.path, layer="3", name="calibrated")


@pytest.fixture
def mine(own):
    """The application of a run that tests may change."""
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        yield client


def test_what_is_said_is_kept_in_the_run_and_what_is_left_out_stays(mine, own, bank):
    told = mine.post(SAY, json={"name": " red  stripes ", "tags": ["red", "thin"]}).json()
    assert told["name"] == {"text": "red stripes", "by": "person", "source": "a person", "detail": "named by a person"}
    assert mine.post(SAY, json={"note": "two\nlines", "rejected": True}).status_code == 200
    said = ms.load_annotations(own)[bank[2].key]
    assert (said.name, said.tags, said.note, said.rejected) == ("red stripes", ("red", "thin"), "two\nlines", True)
    twin = mine.get(f"/api{CALIBRATED}/concept/2").json()
    assert twin["name"] == told["name"]
    assert twin["annotation"] == {
        "name": "red stripes",
        "tags": ["red", "thin"],
        "note": "two\nlines",
        "rejected": True,
        "time": said.time,
    }
    back = mine.post(SAY, json={"name": "", "tags": [], "note": "", "rejected": False}).json()
    assert back["name"]["by"] == "label"
    assert mine.get(f"/api{CALIBRATED}/concept/2").json()["annotation"] is None


def test_pages_and_twins_of_layer_neuron_and_concept_show_it_at_once_whoever_says_it(mine, own, bank):
    direction = bank[2].direction
    addresses = (CALIBRATED, f"{CALIBRATED}/neuron/{direction}", f"{CALIBRATED}/concept/2")
    before = [mine.get(address).text for address in addresses]
    assert not any("snow leopards" in text for text in before)
    ms.annotate(own, bank, 2, name="snow leopards", tags=["felines"], note="in winter", rejected=True)
    for address in addresses:
        text = mine.get(address).text
        assert "snow leopards" in text
        assert "felines" in text
        assert "rejected" in text
    assert "in winter" in mine.get(addresses[1]).text
    [row] = [each for each in mine.get(f"/api{CALIBRATED}").json()["directions"] if each["direction"] == direction]
    [group] = [each for each in row["groups"] if each["concept"] == 2]
    assert group["name"] == {
        "text": "snow leopards",
        "by": "person",
        "source": "a person",
        "detail": "named by a person",
    }
    assert group["annotation"]["tags"] == ["felines"]
    concepts = mine.get(f"/api{CALIBRATED}/neuron/{direction}").json()["concepts"]
    assert [each["annotation"]["note"] for each in concepts if each["concept"] == 2] == ["in winter"]
    assert "snow leopards" in mine.get(f"{CALIBRATED}/concept/{mine_of(mine)}").text


def mine_of(client) -> int:
    """A concept among whose neighbours concept 2 is."""
    for concept in range(40):
        answer = client.get(f"/api{CALIBRATED}/concept/{concept}").json()
        if 2 in [number for number, _ in answer["nearest"]]:
            return concept
    raise AssertionError


def test_a_new_bank_that_finds_the_concept_again_shows_it(mine, own, bank):
    mine.post(SAY, json={"name": "kept"})
    bank.save(bank_folder(own.path, "3", "again"))
    assert mine.get("/api/banks/3/again/concept/2").json()["name"]["text"] == "kept"


@pytest.mark.parametrize(
    "body, status, sentence",
    [
        ({}, 400, "say a name, tags, a note, or whether it is rejected"),
        ({"name": "x" * 10_000}, 400, "a name has at most 120 letters, not 10,000"),
        ({"note": "x" * 10_000}, 400, "a note has at most 4,000 letters, not 10,000"),
        ({"tags": ["x" * 10_000]}, 400, "a tag has at most 40 letters, not 10,000"),
        ({"tags": [str(number) for number in range(50)]}, 400, "at most 20 tags, not 50"),
        ({"name": "turned \u202e around"}, 400, "U+202E, which cannot be seen or turns text around"),
        ({"name": "a\x00"}, 400, "U+0000"),
        ({"name": "half \ud800 a letter"}, 400, "U+D800"),
        ({"name": 7}, 422, "name is not right"),
        ({"tags": "abc"}, 422, "tags is not right"),
        ({"tags": [None]}, 422, "is not right"),
        ({"rejected": "yes"}, 422, "rejected is not right"),
        ({"key": "0123456789abcdef", "name": "x"}, 422, "key is not right"),
        ([], 422, "is not right"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_a_sentence(mine, own, body, status, sentence):
    answer = mine.post(SAY, content=json.dumps(body), headers={"content-type": "application/json"})
    assert (answer.status_code, sentence in answer.json()["error"]) == (status, True)
    assert not (own.path / "annotations.jsonl").exists()


def test_only_our_own_pages_may_say_something_and_only_as_json(mine, own):
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert mine.post(SAY, json={"name": "x"}, headers=headers).status_code == 403
    assert mine.post(SAY, content='{"name": "x"}', headers={"content-type": "text/plain"}).status_code == 415
    assert mine.post(SAY, json={"note": "x" * 70_000}).status_code == 413
    assert mine.get(SAY).status_code == 405
    assert mine.post(f"/api{CALIBRATED}/concept/9999/annotation", json={"name": "x"}).status_code == 404
    assert mine.post("/api/banks/3/none/concept/0/annotation", json={"name": "x"}).status_code == 404
    assert not (own.path / "annotations.jsonl").exists()


def test_read_only_refuses_and_its_form_says_so_and_shows_what_there_is(own, bank):
    ms.annotate(own, bank, 2, name="what there is")
    with TestClient(ms.create_app(own.path, read_only=True), base_url=HERE) as client:
        assert client.post(SAY, json={"name": "x"}).status_code == 403
        text = client.get(f"{CALIBRATED}/concept/2").text
        assert "started with --read-only: what is said is shown and cannot be changed" in text
        assert '<fieldset disabled="">' in text
        assert 'value="what there is"' in text
        assert '<button type="submit"' not in text
    assert ms.load_annotations(own)[bank[2].key].name == "what there is"


def test_hostile_names_tags_and_notes_stay_text(mine, own, bank):
    assert (
        mine.post(SAY, json={"name": HOSTILE, "tags": [HOSTILE[:40]], "note": f"{HOSTILE}\n</textarea>"}).status_code
        == 200
    )
    with (own.path / "annotations.jsonl").open("ab") as file:  # as nobody of us would write it
        file.write(json.dumps({"key": bank[3].key, "name": "\u202eturned" + "y" * 10_000}).encode() + b"\n")
    direction = bank[2].direction
    for address in (
        CALIBRATED,
        f"{CALIBRATED}/neuron/{direction}",
        f"{CALIBRATED}/concept/2",
        f"{CALIBRATED}/concept/3",
    ):
        text = mine.get(address).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<!--" not in text
        assert "\u202e" not in text
        assert "y" * 200 not in text
    assert "&lt;/textarea&gt;" in mine.get(f"{CALIBRATED}/concept/2").text
    assert mine.get(f"/api{CALIBRATED}/concept/2").json()["name"]["text"] == HOSTILE


def test_a_file_that_is_too_large_is_said_on_the_page(mine, own):
    with (own.path / "annotations.jsonl").open("wb") as file:
        file.truncate((64 << 20) + 1)
    answer = mine.get(f"/api{CALIBRATED}/concept/2")
    assert answer.status_code == 503
    assert "annotations.jsonl is larger than 64 MiB; delete the lines" in answer.json()["error"]


def test_tags_of_the_run_are_offered_for_other_concepts(mine, own, bank):
    ms.annotate(own, bank, 0, tags=["common", "rare"])
    ms.annotate(own, bank, 1, tags=["common"])
    text = mine.get(f"{PUBLISHED}/concept/0").text
    assert text.index('data-tag="common"') < text.index('data-tag="rare"')
