"""A concept in other banks and layers, and banks side by side on a neuron: pages and twins against references."""

from html import escape

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.explorer.conftest import CALIBRATED, HERE, PUBLISHED

import monoseme as ms
from monoseme.base import held_out
from monoseme.views import agreements, view_neuron


@pytest.fixture(scope="module")
def client(several):
    with TestClient(ms.create_app(several.path), base_url=HERE) as client:
        yield client


def loaded(run, layer, name):
    return ms.load_bank(run.path, layer=layer, name=name)


def test_in_another_layer_the_nearest_concepts_are_those_that_make_the_same_of_the_images(client, several):
    told = {(each["layer"], each["bank"]): each for each in client.get(f"/api{CALIBRATED}/concept/2/elsewhere").json()}
    assert set(told) == {("1", "first"), ("3", "coarse"), ("3", "published"), ("3", "svd")}
    found = told["1", "first"]
    copies = several.activations("3").images().first_copies
    mine = loaded(several, "3", "calibrated").project(several.activations("3")[:])[copies, 2]
    theirs = loaded(several, "1", "first").project(several.activations("1")[:])[copies]
    correlation = np.array([np.corrcoef(mine, each)[0, 1] for each in theirs.T])
    best = np.argsort(-correlation)[:3]
    assert [each["concept"] for each in found["nearest"]] == best.tolist()
    np.testing.assert_allclose([each["value"] for each in found["nearest"]], correlation[best], atol=2e-3)
    assert (found["measure"], found["images"]) == ("correlation", int(copies.sum()))
    assert 0 < found["chance"] < 1


def test_in_a_bank_of_the_same_space_they_are_those_of_greatest_cosine(client, several):
    told = {each["bank"]: each for each in client.get(f"/api{CALIBRATED}/concept/2/elsewhere").json()}
    bank, coarse = loaded(several, "3", "calibrated"), loaded(several, "3", "coarse")
    cosines = coarse.vectors @ bank.vectors[2]
    best = np.argsort(-cosines)[:3]
    assert [each["concept"] for each in told["coarse"]["nearest"]] == best.tolist()
    np.testing.assert_allclose([each["value"] for each in told["coarse"]["nearest"]], cosines[best], rtol=1e-5)
    assert told["coarse"]["measure"] == "cosine"
    assert told["published"]["measure"] == "correlation"  # centred vectors there, means here
    keys = coarse.concepts["key"].to_pylist()
    assert told["coarse"]["same"] == (keys.index(bank[2].key) if bank[2].key in keys else None)


def test_the_part_of_the_page_says_what_the_twin_says_and_leads_there(client):
    told = client.get(f"/api{CALIBRATED}/concept/2/elsewhere").json()
    text = client.get(f"{CALIBRATED}/concept/2/elsewhere").text
    for each in told:
        for near in each["nearest"]:
            assert f'href="/banks/{each["layer"]}/{each["bank"]}/concept/{near["concept"]}"' in text
            assert f"{each['measure']} {near['value']:.2f}" in text
    assert text.index("3 / coarse") < text.index("1 / first")  # the own layer first
    assert f'data-part-from="{CALIBRATED}/concept/2/elsewhere"' in client.get(f"{CALIBRATED}/concept/2").text


def test_a_bank_that_cannot_be_read_is_said_and_the_others_are_shown(several, tmp_path):
    import shutil

    run = ms.open_run(shutil.copytree(several.path, tmp_path / "run"))
    (run.path / "banks" / "1" / "first" / "vectors.safetensors").write_bytes(b"nothing")
    with TestClient(ms.create_app(run.path), base_url=HERE) as client:
        told = {each["bank"]: each for each in client.get(f"/api{CALIBRATED}/concept/2/elsewhere").json()}
        assert "is damaged" in told["first"]["error"]
        assert told["coarse"]["error"] is None
        assert "not known: the bank" in client.get(f"{CALIBRATED}/concept/2/elsewhere").text


def test_side_by_side_banks_show_their_own_concepts_and_how_far_they_agree(client, several):
    banks = {name: loaded(several, "3", name) for name in ("calibrated", "coarse", "published")}
    for direction in (3, 6):
        told = client.get(f"/api{CALIBRATED}/neuron/{direction}/beside").json()
        assert [each["bank"] for each in told["sides"]] == list(banks)  # svd begins with other directions
        views = [view_neuron(bank, direction, several) for bank in banks.values()]
        for side, view in zip(told["sides"], views, strict=True):
            assert [each["image_ids"] for each in side["concepts"]] == [
                each.image_ids.tolist() for each in view.concepts
            ]
            assert side["dropped"] == (view.concept < 0).sum()
        for answer, found in zip(told["agreements"], agreements(views), strict=True):
            assert answer["adjusted_rand"] == found.rand
            assert answer["normalised_information"] == found.information
            assert answer["counts"] == found.counts.tolist()
            np.testing.assert_allclose(answer["cosines"], found.cosines)
        text = client.get(f"{CALIBRATED}/neuron/{direction}/beside").text
        for name, view in zip(banks, views, strict=True):
            for concept in view.concepts:
                assert f'href="/banks/3/{name}/concept/{concept.number}"' in text
        assert f"over them the adjusted Rand index is {told['agreements'][0]['adjusted_rand']:.2f}" in text


def test_the_address_chooses_the_banks_and_the_neuron_page_leads_there(client):
    told = client.get(f"/api{PUBLISHED}/neuron/3/beside?with=coarse").json()
    assert [each["bank"] for each in told["sides"]] == ["published", "coarse"]
    text = client.get(f"{PUBLISHED}/neuron/3/beside?with=coarse").text
    assert f'href="{PUBLISHED}/neuron/3/beside?with=calibrated"' in text
    assert f'href="{PUBLISHED}/neuron/3/beside"' in client.get(f"{PUBLISHED}/neuron/3").text
    alone = client.get("/banks/1/first/neuron/3/beside")
    assert "No other bank of the layer holds neuron 3" in alone.text
    assert "/beside" not in client.get("/banks/1/first/neuron/3").text


@pytest.mark.parametrize(
    "query, status, sentence",
    [
        ("neuron/3/beside?with=nothing", 404, "the run has no bank 'nothing' of '3'"),
        ("neuron/3/beside?with=first", 404, "the run has no bank 'first' of '3'"),
        ("neuron/3/beside?with=calibrated", 400, "calibrated is the bank itself; name another"),
        ("neuron/3/beside?with=svd", 400, "is another direction than neuron 3"),
        ("neuron/99/beside", 404, "direction 99 was not split"),
        ("neuron/3/beside?" + "&".join(f"with=a{number}" for number in range(9)), 422, "with is not right"),
        (f"neuron/3/beside?with={'x' * 200}", 422, "is not right"),
        ("concept/9999/elsewhere", 404, "there is no concept 9999"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(client, query, status, sentence):
    for prefix in ("", "/api"):
        answer = client.get(f"{prefix}{CALIBRATED}/{query}")
        assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_held_out_images_are_shown_alone_in_the_order_of_their_projection(client, several, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._concept.PER_PAGE", 4)
    acts = several.activations("3")
    outside = held_out(acts.images(), 0.2) & acts.images().first_copies
    every, page = [], 0
    first = client.get(f"/api{CALIBRATED}/concept/1?only=held-out").json()
    assert first["pages"] == -(-int(outside.sum()) // 4)
    for page in range(1, first["pages"] + 1):
        every += client.get(f"/api{CALIBRATED}/concept/1?only=held-out&page={page}").json()["images"]
    assert sorted(each["image_id"] for each in every) == np.flatnonzero(outside).tolist()
    assert all(each["held_out"] for each in every)
    assert np.all(np.diff([each["projection"] for each in every]) <= 1e-4)
    text = client.get(f"{CALIBRATED}/concept/1?only=held-out").text
    assert "of the held-out part of the data set" in text
    assert 'href="?page=2&amp;only=held-out#images"' in text
    answer = client.get(f"/api{PUBLISHED}/concept/1?only=held-out")
    assert (answer.status_code, "no images were held out" in answer.json()["error"]) == (400, True)
    assert client.get(f"/api{CALIBRATED}/concept/1?only=x").status_code == 422


def test_causal_evidence_and_its_verdict_are_shown_where_they_were_tried(client, several):
    from monoseme.evaluation import load_causal

    causal = load_causal(several.path / "banks" / "3" / "calibrated")
    told = {each["name"]: each["value"] for each in client.get(f"/api{CALIBRATED}/concept/2").json()["evidence"]}
    assert told["moved when taken out"] == pytest.approx(causal.of(2)["ablated"])
    view = ms.view_concept(loaded(several, "3", "calibrated"), 2, causal=causal)
    text = client.get(f"{CALIBRATED}/concept/2").text
    assert client.get(f"/api{CALIBRATED}/concept/2").json()["verdict"] == causal.of(2)["verdict"]
    assert escape(view.cause.sentence) in text
    assert "Classes that move with it" in text
    assert client.get(f"/api{CALIBRATED}/concept/1").json()["verdict"] is None
    assert "Classes that move with it" not in client.get(f"{CALIBRATED}/concept/1").text
