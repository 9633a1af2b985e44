"""One neuron split as the controls say is what the whole layer so split would give."""

import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.explorer.conftest import CALIBRATED, HERE, PUBLISHED

import monoseme as ms
from monoseme.explorer._controls import METHODS
from monoseme.splitting import NodeTests, OneDirection, recut


@pytest.fixture(scope="module")
def published(made) -> ms.ConceptBank:
    return ms.load_bank(made.path, layer="3", name="published")


def concepts_of(bank: ms.ConceptBank, direction: int) -> list[list[int]]:
    return [concept.image_ids.tolist() for concept in bank.for_direction(direction)]


def told_concepts(told: dict) -> list[list[int]]:
    ids = np.array(told["image_ids"])
    return [ids[each["ranks"]].tolist() for each in told["concepts"]]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.7, 0.95, 1.2])
@pytest.mark.parametrize("outlier, min_size", [("auto", 3), ("q0.6", 1), ("0.01", 2), ("inf", 5)])
def test_a_line_anywhere_gives_what_the_trees_cut_there_give(client, made, published, share, outlier, min_size):
    acts = made.activations("3")
    for direction in (0, 7, 13):
        at = share * float(published.heights[direction, -1])
        query = {"method": "published", "threshold": at, "outlier": outlier, "min_size": min_size}
        told = client.get(f"/api{PUBLISHED}/neuron/{direction}", params=query).json()
        threshold = outlier if outlier[0] in "aq" else float(outlier)
        whole = recut(published, acts, distance_threshold=at, outlier_threshold=threshold, min_size=min_size)
        mine = whole.for_direction(direction)
        assert told_concepts(told) == concepts_of(whole, direction)
        assert [each["separation"] for each in told["concepts"]] == [
            None if each.separation is None else pytest.approx(each.separation) for each in mine
        ]
        vectors = np.array([each.vector for each in mine], dtype=np.float64).reshape(len(mine), 20)
        np.testing.assert_allclose(
            np.array(told["similarities"]).reshape(len(mine), len(mine)), np.clip(vectors @ vectors.T, -1, 1), atol=1e-5
        )
        assert told["choice"]["own"] is False
        assert told["tree"]["cut"] == at
        assert told["concepts"] == [] or told["concepts"][0]["concept"] is None


@pytest.mark.parametrize("top", [8, 15, 24])
def test_fewer_exemplars_are_those_of_a_bank_with_fewer(client, made, top):
    query = {"method": "published", "threshold": 0.4, "top": top, "min_size": 2}
    whole = ms.disentangle(made.activations("3"), "published", top=top, distance_threshold=0.4, min_size=2)
    for direction in (2, 9):
        told = client.get(f"/api{PUBLISHED}/neuron/{direction}", params=query).json()
        assert told["image_ids"] == whole.exemplars_of(direction)["image_id"].to_pylist()
        assert told_concepts(told) == concepts_of(whole, direction)
        np.testing.assert_allclose(told["tree"]["heights"], whole.heights[direction], rtol=1e-6)


@pytest.mark.parametrize("granularity", [0.3, 0.9])
def test_another_granularity_gives_what_the_whole_layer_at_it_gives(client, made, granularity):
    acts = made.activations("3")
    whole = ms.disentangle(acts, top=24, bootstrap=0, min_size=3, granularity=granularity)
    for direction in range(0, 20, 4):
        told = client.get(f"/api{CALIBRATED}/neuron/{direction}", params={"granularity": granularity}).json()
        assert told_concepts(told) == concepts_of(whole, direction)
        assert told["choice"]["own"] is False
        division = whole.divisions.slice(direction, 1).to_pylist()[0]
        assert told["division"]["p_value"] == pytest.approx(division["p_value"])
        vectors = np.array([each.vector for each in whole.for_direction(direction)], dtype=np.float64).reshape(-1, 20)
        np.testing.assert_allclose(
            np.array(told["similarities"]).reshape(len(vectors), -1 if len(vectors) else 0),
            vectors @ vectors.T,
            atol=1e-4,
        )


def test_the_other_method_can_be_tried_on_a_bank(client, made):
    whole = ms.disentangle(
        made.activations("3"), "published", top=24, distance_threshold=0.4, min_size=3, holdout=0.2, vector="centred"
    )
    told = client.get(f"/api{CALIBRATED}/neuron/5", params={"method": "published", "threshold": 0.4}).json()
    assert told_concepts(told) == concepts_of(whole, 5)
    automatic = client.get(f"/api{CALIBRATED}/neuron/5", params={"method": "published"}).json()
    fitted = ms.disentangle(made.activations("3"), "published", top=24, min_size=3, holdout=0.2, vector="centred")
    assert automatic["choice"]["threshold"] == pytest.approx(fitted.info["parameters"]["distance_threshold"])
    other = client.get(f"/api{PUBLISHED}/neuron/5", params={"method": "calibrated", "min_size": 3}).json()
    assert other["choice"]["granularity"] == 0.5
    assert other["division"]["p_value"] is not None


def test_the_bank_s_own_parameters_show_the_bank_s_own_concepts(client, published):
    known = published.info["parameters"]
    own = {
        "method": "published",
        "threshold": repr(known["distance_threshold"]),
        "outlier": "auto",
        "min_size": 3,
        "top": 24,
    }
    for query in ({}, own, {"min_size": 3}, {"outlier": "auto"}):
        told = client.get(f"/api{PUBLISHED}/neuron/3", params=query).json()
        assert told["choice"]["own"] is True
        assert [each["concept"] for each in told["concepts"]] == [each.number for each in published.for_direction(3)]
    for query in ({"min_size": 4}, {"top": 23}, {"outlier": "q0.8"}, {"threshold": 0.1}):
        assert client.get(f"/api{PUBLISHED}/neuron/3", params=query).json()["choice"]["own"] is False


def test_nodes_are_tested_in_the_background_and_then_shown(client, made, published):
    acts = made.activations("3")
    for base, bank in ((PUBLISHED, published), (CALIBRATED, ms.load_bank(made.path, layer="3", name="calibrated"))):
        for _ in range(600):
            told = client.get(f"/api{base}/neuron/6").json()["tree"]
            if told["p_value"] is not None:
                break
            client.get("/api/run")
        tree = ms.views.view_tree(ms.view_neuron(bank, 6, made), NodeTests.of(bank, acts))
        assert told["divides"] == tree.divides.tolist()
        np.testing.assert_allclose(np.array(told["p_value"], dtype=float), tree.p_value)
        tested = int(np.isfinite(tree.p_value).sum())
        assert client.get(f"{base}/neuron/6/cut").text.count('class="spot"') == tested


def test_one_direction_with_a_tree_of_its_own_is_the_published_method(layer):
    whole = ms.disentangle(layer, "published", top=40, distance_threshold=4.0, outlier_threshold=6.0, min_size=4)
    for direction in (0, 11, 23):
        view = ms.view_neuron(whole, direction, acts=layer)
        one = OneDirection.of(view.embeddings, direction)
        np.testing.assert_allclose(one.heights, whole.heights[direction], rtol=1e-6)
        split = one.split(ms.Published(distance_threshold=4.0, outlier_threshold=6.0, min_size=4))
        first = min((concept.number for concept in view.concepts), default=0)
        np.testing.assert_array_equal(np.where(split.concept >= 0, split.concept + first, -1), view.concept)
        for place, concept in enumerate(view.concepts):
            np.testing.assert_allclose(split.vectors[place], concept.vector, atol=1e-6)


def wait_for(client: TestClient, job: dict) -> dict:
    import time

    for _ in range(600):
        job = client.get(f"/api/jobs/{job['job']}").json()
        if job["state"] != "running":
            return job
        time.sleep(0.05)
    raise AssertionError("it does not end")


@pytest.mark.parametrize(
    "base, choice",
    [
        (PUBLISHED, {"threshold": 0.4, "min_size": 2}),
        (PUBLISHED, {"method": "published", "top": 12, "threshold": 0.4, "outlier": "q0.8"}),
        (PUBLISHED, {"method": "calibrated", "granularity": 0.9, "min_size": 3}),
        (CALIBRATED, {"granularity": 0.3}),
        (CALIBRATED, {"method": "published", "threshold": 0.4}),
    ],
)
def test_a_choice_that_is_written_holds_the_concepts_that_were_shown(own, base, choice):
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        shown = {each: client.get(f"/api{base}/neuron/{each}", params=choice).json() for each in (0, 5, 13)}
        answer = client.post(f"/api{base}/save", json={"name": "mine", **choice})
        assert answer.status_code == 202
        job = wait_for(client, answer.json())
        assert job["state"] == "done", job
        assert job["address"] == "/banks/3/mine"
        written = ms.load_bank(own.path, layer="3", name="mine")
        for direction, told in shown.items():
            assert told_concepts(told) == concepts_of(written, direction)
        told = client.get(f"/api{job['address']}/neuron/5").json()
        assert told_concepts(told) == told_concepts(shown[5])
        assert told["choice"]["own"] is True


def test_what_cannot_be_written_is_said(own):
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        for body, status, sentence in [
            ({"name": "calibrated", "threshold": 1.0}, 409, "already; choose another name"),
            ({"name": "new"}, 400, "this is the bank as it is"),
            ({"name": "new", "threshold": 1.0, "nonsense": 1}, 422, "nonsense is not right"),
            ({"threshold": 1.0}, 422, "name is not right"),
            ({"name": "new", "top": 99}, 400, "ask for 2 to 24"),
            ({"name": "new", "outlier": "far"}, 400, "quantile"),
            ([], 422, "body is not right"),
        ]:
            answer = client.post(f"/api{PUBLISHED}/save", json=body)
            assert answer.status_code == status
            assert sentence in answer.json()["error"]
        answer = client.post(f"/api{PUBLISHED}/save", content="{", headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert json.loads(answer.text)["error"]


def test_one_bank_is_written_at_a_time_and_a_failure_is_told(own, monkeypatch):
    import threading

    go = threading.Event()

    def slow(*_: object):
        go.wait(20)
        raise ms.MonosemeError("the disk is full; make room")

    monkeypatch.setattr("monoseme.explorer._save.make", slow)
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        first = client.post(f"/api{PUBLISHED}/save", json={"name": "new", "threshold": 0.4}).json()
        second = client.post(f"/api{PUBLISHED}/save", json={"name": "other", "threshold": 0.4})
        assert second.status_code == 409
        assert "another bank is being written" in second.json()["error"]
        go.set()
        job = wait_for(client, first)
        assert (job["state"], job["error"]) == ("failed", "the disk is full; make room")
        assert client.post(f"/api{PUBLISHED}/save", json={"name": "other", "threshold": 0.4}).status_code == 202


def test_bands_and_singular_directions_have_pages_too(own):
    acts = own.activations("3")
    banded = ms.disentangle(acts, top=10, bands=[0.5], bootstrap=0, min_size=2)
    banded.save(own.path / "banks" / "3" / "banded")
    ms.disentangle(acts, "published", directions="svd", top=12, min_size=2).save(own.path / "banks" / "3" / "svd")
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        top = client.get("/api/banks/3/banded/neuron/4").json()
        half = client.get("/api/banks/3/banded/neuron/4?band=0.5").json()
        assert top["image_ids"] != half["image_ids"]
        assert half["image_ids"] == ms.view_neuron(banded, 4, own, band=0.5).image_ids.tolist()
        assert "at 0.5 of its strength" in client.get("/banks/3/banded/neuron/4?band=0.5").text
        assert "singular direction 3" in client.get("/banks/3/svd/neuron/3").text
        for part in ("cut", "charts"):
            assert client.get(f"/banks/3/svd/neuron/3/{part}?threshold=0.1").status_code == 200


def test_the_controls_offer_the_methods_that_there_are():
    assert set(METHODS) == {"published", "calibrated"}
