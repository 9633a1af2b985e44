"""Automatic names on every page and in every twin: seen as soon as they are written, below what people say, never markup."""

from html import escape

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from tests.explorer.conftest import CALIBRATED, HERE

import monoseme as ms
from monoseme.banks import NAMES
from monoseme.base import bank_folder

FUR = "<i>fur</i> & 'co'"
DETAIL = "name from hf:clip, score 0.91 (0.50 by chance)"
AUTOMATIC = {"text": FUR, "by": "automatic", "source": "hf:clip", "detail": DETAIL}


@pytest.fixture
def mine(own):
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        yield client


@pytest.fixture
def bank(own) -> ms.ConceptBank:
    return ms.load_bank(own.path, layer="3", name="calibrated")


def write_names(own, bank) -> None:
    """Concept 2 gets a name, and all others get none."""
    rows = [
        {**row, "name": None, "reason": "nothing <fits>", "source": "hf:clip", "images": 5, "runners_up": []}
        for row in bank.concepts.select(["concept", "key", "direction"]).to_pylist()
    ]
    rows[2] |= {"name": FUR, "reason": None, "score": 0.91, "chance": 0.5}
    ms.Names(pa.Table.from_pylist(rows, schema=NAMES)).save(bank_folder(own.path, "3", "calibrated"))


def twins(client, direction: int) -> list[dict]:
    """What the twins of layer, neuron and concept call concept 2."""
    [row] = [each for each in client.get(f"/api{CALIBRATED}").json()["directions"] if each["direction"] == direction]
    of_neuron = client.get(f"/api{CALIBRATED}/neuron/{direction}").json()["concepts"]
    return [
        next(each["name"] for each in row["groups"] if each["concept"] == 2),
        next(each["called"] for each in of_neuron if each["concept"] == 2),
        client.get(f"/api{CALIBRATED}/concept/2").json()["name"],
    ]


def on_the_map(client) -> str:
    answer = client.get(f"/api{CALIBRATED}/map").json()
    return answer["labels"][answer["label"][2]]


def test_names_written_after_the_explorer_began_are_shown_everywhere_until_a_person_gives_another(mine, own, bank):
    direction = bank[2].direction
    pages = (f"{CALIBRATED}/neuron/{direction}", f"{CALIBRATED}/concept/2")
    label = own.shown_labels().counts(bank[2].image_ids)[0][0]
    told = {"text": label, "by": "label", "source": "commonest label", "detail": "called by its commonest label"}
    assert twins(mine, direction) == [told] * 3
    assert on_the_map(mine) == label
    write_names(own, bank)
    assert twins(mine, direction) == [AUTOMATIC] * 3
    assert on_the_map(mine) == FUR
    for page in pages:
        text = mine.get(page).text
        assert escape(FUR) in text
        assert FUR not in text
        assert DETAIL in text
    ms.annotate(own, bank, 2, name="mine")
    assert [each["text"] for each in twins(mine, direction)] == ["mine"] * 3
    assert on_the_map(mine) == "mine"
    assert not any(escape(FUR) in mine.get(page).text for page in pages)
    ms.annotate(own, bank, 2, name="")
    assert twins(mine, direction) == [AUTOMATIC] * 3


def test_a_concept_without_a_name_says_why_until_a_person_names_it(mine, own, bank):
    write_names(own, bank)
    twin = mine.get(f"/api{CALIBRATED}/concept/0").json()
    assert (twin["nameless"], twin["name"]["by"]) == ("nothing <fits>", "label")
    assert "; called by its commonest label; no name: nothing &lt;fits&gt;" in mine.get(f"{CALIBRATED}/concept/0").text
    said = mine.post(f"/api{CALIBRATED}/concept/0/annotation", json={"name": "stripes"}).json()["name"]
    assert said["detail"] == "named by a person"
    assert mine.get(f"/api{CALIBRATED}/concept/0").json()["nameless"] is None
