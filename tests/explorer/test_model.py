"""What pages ask the model for: heatmaps, images that drive something, and what is said where it is not at hand."""

import base64
import io
import shutil
import sys
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.conftest import make_small_model
from tests.explorer.conftest import CALIBRATED, HERE, PUBLISHED

import monoseme as ms
from monoseme.runs import originals
from monoseme.use import heatmaps, receptive_field
from monoseme.visualize import GREY, mark, overlaid

FEATURE = f"/api{CALIBRATED}/feature"


def picture_of(uri: str) -> Image.Image:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:image/jpeg"
    return Image.open(io.BytesIO(base64.b64decode(content)), formats=["JPEG"])


def ended(client, job: int) -> dict:
    until = time.monotonic() + 120
    while (told := client.get(f"/api/jobs/{job}").json())["state"] == "running":
        assert time.monotonic() < until, told
        time.sleep(0.02)
    return told


@pytest.fixture(scope="module")
def seen(made, small_model):
    """The heatmap of a vector on an original, zero for the average image, by the library's own functions."""
    bank, acts = ms.load_bank(made.path, layer="3", name="calibrated"), made.activations("3")
    field = receptive_field(small_model, "3")

    def see(image_id: int, vector):
        with originals(made) as photographs:
            pictures = photographs.load([image_id])
        return heatmaps(bank, small_model, pictures, np.float32(vector)[None], centre=acts, field=field), pictures

    return see


def test_the_heatmap_of_a_concept_is_the_librarys_on_the_original_in_the_colour_of_its_page(seeing, made, seen):
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    concept = next(each for each in bank if len(bank.for_direction(each.direction)) > 1)
    place = [each.number for each in bank.for_direction(concept.direction)].index(concept.number)
    told = seeing.get(f"/api{CALIBRATED}/concept/{concept.number}/heat/7").json()
    maps, pictures = seen(7, concept.vector)
    assert told["of"] == f"concept {concept.number}"
    assert told["source"] == "original"
    assert told["projection"] == pytest.approx(float(maps.projections[0, 0]), rel=1e-4)
    found, expected = picture_of(told["picture"]), overlaid(maps, pictures, 0, mark(place).colour, 220)[0]
    assert found.size == expected.size
    assert np.abs(np.float32(found) - np.float32(expected)).mean() < 4  # JPEG


def test_a_direction_itself_is_grey_and_dropped_images_are_seen_through_it(seeing, seen):
    told = seeing.get(f"/api{CALIBRATED}/neuron/3/heat/7").json()
    maps, pictures = seen(7, np.eye(20)[3])
    assert told["of"] == "neuron 3"
    expected = overlaid(maps, pictures, 0, GREY, 220)[0]
    assert np.abs(np.float32(picture_of(told["picture"])) - np.float32(expected)).mean() < 4
    page = seeing.get(f"{CALIBRATED}/neuron/3").text
    assert f'data-heat="/api{CALIBRATED}/neuron/3/heat/{{image}}"' in page


def test_a_concept_that_a_choice_makes_is_seen_by_its_own_vector(seeing, made, seen):
    choice = "method=published&threshold=0.3&min_size=2"
    page = seeing.get(f"{PUBLISHED}/neuron/3?{choice}").text
    told = seeing.get(f"/api{PUBLISHED}/neuron/3?{choice}").json()
    assert len(told["concepts"]) > 1
    acts = made.activations("3")
    for group, each in enumerate(told["concepts"]):
        address = f"/api{PUBLISHED}/neuron/3/heat/{{image}}?group={group}&"
        start = page.index('data-heat="' + address.replace("&", "&amp;")) + len('data-heat="')
        address = page[start : page.index('"', start)].replace("&amp;", "&")
        mean = acts[[told["image_ids"][rank] for rank in each["ranks"]]].mean(0)
        maps, _ = seen(5, mean / np.linalg.norm(mean))
        heat = seeing.get(address.replace("{image}", "5")).json()
        assert heat["projection"] == pytest.approx(float(maps.projections[0, 0]), rel=1e-3, abs=1e-4)
        assert heat["of"] == f"concept {each['name']}"


def test_without_originals_the_thumbnail_is_looked_at_and_that_is_said(own, small_model, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "other.jpg").write_bytes(b"no image")
    app = ms.create_app(own.path, model=small_model, images=str(tmp_path / "empty"))
    with TestClient(app, base_url=HERE) as client:
        told = client.get(f"/api{CALIBRATED}/concept/1/heat/7").json()
    assert told["source"] == "thumbnail"
    bank = ms.load_bank(own.path, layer="3", name="calibrated")
    maps = heatmaps(bank, small_model, own.thumbnails([7]), [1], centre=own.activations("3"))
    assert told["projection"] == pytest.approx(float(maps.projections[0, 0]), rel=1e-4)


@pytest.mark.parametrize(
    "address, status, sentence",
    [
        (f"/api{CALIBRATED}/concept/1/heat/61", 404, "there is no image 61"),
        (f"/api{CALIBRATED}/concept/9999/heat/1", 404, "there is no concept 9999"),
        (f"/api{CALIBRATED}/neuron/99/heat/1", 404, "direction 99 was not split"),
        (f"/api{CALIBRATED}/neuron/3/heat/1?group=500", 404, "there is no concept at place 500"),
        (f"/api{CALIBRATED}/neuron/3/heat/1?group=-1", 422, "group is not right"),
        (f"/api{CALIBRATED}/neuron/3/heat/1?group=0&granularity=7", 422, "granularity is not right"),
        (f"/api{CALIBRATED}/concept/1/heat/x", 422, "image_id is not right"),
        (f"/api{CALIBRATED}/concept/1/heat/{2**60}", 422, "image_id is not right"),
    ],
)
def test_what_is_not_there_is_one_sentence(seeing, address, status, sentence):
    answer = seeing.get(address)
    assert answer.status_code == status
    assert sentence in answer.json()["error"]


def test_scores_are_at_no_place(own, small_model):
    scores = np.random.default_rng(0).random((len(own), 3)).astype(np.float32)
    bank = ms.disentangle(own.activations("3"), "published", scores=scores, top=12, min_size=2)
    bank.save(own.path / "banks" / "3" / "scored")
    with TestClient(ms.create_app(own.path, model=small_model), base_url=HERE) as client:
        assert client.get("/api/banks/3/scored/neuron/0/heat/1").status_code == 404
        page = client.get("/banks/3/scored/neuron/0")
        assert page.status_code == 200
        assert "data-direction" not in page.text


def test_without_a_model_pages_say_what_is_missing_and_everything_else_works(client):
    told = client.get("/api/model").json()
    assert told["state"] == "missing"
    assert "is a module that was wrapped (small)" in told["missing"]
    assert "start the explorer with --model" in told["missing"]
    for address in (f"{CALIBRATED}/neuron/3", f"{CALIBRATED}/concept/2", f"{CALIBRATED}/try"):
        page = client.get(address)
        assert page.status_code == 200
        assert "start the explorer with --model" in page.text
    for answer in (
        client.get(f"/api{CALIBRATED}/concept/1/heat/7"),
        client.post(FEATURE, json={"concept": 1}),
        client.post(f"/api{CALIBRATED}/try", content=b"x", headers={"content-type": "image/png"}),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"] == told["missing"]


def test_code_that_a_run_from_elsewhere_records_runs_only_if_the_user_names_it(made, tmp_path, monkeypatch):
    (tmp_path / "boom.py").write_text("raise RuntimeError('it ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    run = ms.open_run(made.path)
    run.manifest.model["spec"] = "python:boom:make"
    with TestClient(ms.create_app(run), base_url=HERE) as client:
        assert "is code (python:boom:make)" in client.get("/api/model").json()["missing"]
        assert client.get(f"/api{CALIBRATED}/concept/1/heat/7").status_code == 400
        assert "boom" not in sys.modules
    with TestClient(ms.create_app(run, model="python:boom:make"), base_url=HERE) as client:
        assert client.get("/api/model").json()["state"] == "idle"
        answer = client.get(f"/api{CALIBRATED}/concept/1/heat/7")
        assert answer.status_code == 503
        assert "the model cannot be loaded (RuntimeError" in answer.json()["error"]


def test_a_model_with_other_weights_is_refused_once_and_for_all(made, monkeypatch):
    tried = []
    from monoseme.explorer import _network

    def counted(*args, **options):
        tried.append(args)
        return ms.runs.model_of(*args, **options)

    monkeypatch.setattr(_network, "model_of", counted)
    with TestClient(ms.create_app(made.path, model=make_small_model(seed=5)), base_url=HERE) as client:
        for _ in range(2):
            answer = client.get(f"/api{CALIBRATED}/concept/1/heat/7")
            assert answer.status_code == 400
            assert "has other weights than the model of" in answer.json()["error"]
        assert client.get("/api/model").json()["state"] == "missing"
    assert len(tried) == 1


def test_the_model_is_loaded_once_when_it_is_first_needed(made, small_model, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from monoseme.explorer import _network

    tried = []
    monkeypatch.setattr(_network, "model_of", lambda *_, **__: tried.append(1) or small_model)
    with TestClient(ms.create_app(made.path, model=small_model), base_url=HERE) as client:
        client.get(f"{CALIBRATED}/neuron/3")
        assert client.get("/api/model").json()["state"] == "idle"
        assert tried == []
        with ThreadPoolExecutor(4) as pool:
            asked = pool.map(lambda each: client.get(f"/api{CALIBRATED}/concept/1/heat/{each}").status_code, range(12))
        assert set(asked) == {200}
        told = client.get("/api/model").json()
        weights = sum(each.numel() * each.element_size() for each in small_model.module.state_dict().values())
        assert (told["state"], told["memory"], told["device"]) == ("ready", weights, "cpu")
    assert tried == [1]


def test_an_image_that_drives_a_concept_is_made_with_progress_and_kept(seeing, made, small_model):
    begun = seeing.post(FEATURE, json={"concept": 1})
    assert begun.status_code == 202
    done = ended(seeing, begun.json()["job"])
    assert (done["state"], done["done"], done["total"]) == ("done", 96, 96)
    answer = seeing.get(done["address"])
    assert answer.headers["content-type"] == "image/png"
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    expected = ms.feature_images(small_model, "3", bank.vectors[[1]], steps=96).picture(0)
    found = Image.open(io.BytesIO(answer.content), formats=["PNG"])
    assert np.abs(np.float32(found) - np.float32(expected)).max() <= 1
    assert f'src="{done["address"]}"' in seeing.get(f"{CALIBRATED}/concept/1").text
    again = ended(seeing, seeing.post(FEATURE, json={"concept": 1}).json()["job"])
    other = Image.open(io.BytesIO(seeing.get(again["address"]).content), formats=["PNG"])
    assert np.abs(np.float32(found) - np.float32(other)).mean() > 1  # from other noise
    assert seeing.get(done["address"]).status_code == 404  # in place of the first


def test_only_the_last_images_are_kept(seeing, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._feature.KEPT", 2)
    monkeypatch.setattr("monoseme.explorer._feature.STEPS", 2)
    made = [
        ended(seeing, seeing.post(FEATURE, json={"direction": each}).json()["job"])["address"] for each in (3, 4, 5)
    ]
    assert [seeing.get(each).status_code for each in made] == [404, 200, 200]


@pytest.mark.parametrize(
    "body, status",
    [
        ({}, 422),
        ({"concept": 1, "direction": 3}, 422),
        ({"concept": -1}, 422),
        ({"concept": 9999}, 404),
        ({"direction": 99}, 404),
        ({"concept": 1, "steps": 10**9}, 422),
    ],
)
def test_what_cannot_be_driven_begins_no_job(seeing, body, status):
    before = seeing.get("/api/jobs/99999").json()
    assert seeing.post(FEATURE, json=body).status_code == status
    assert seeing.get("/api/jobs/99999").json() == before


def test_while_an_image_is_made_others_wait_for_it_but_heatmaps_do_not_and_it_can_be_stopped(seeing, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._feature.STEPS", 10**6)
    job = seeing.post(FEATURE, json={"direction": 6}).json()["job"]
    while seeing.get(f"/api/jobs/{job}").json()["done"] < 3:
        pass
    refused = seeing.post(FEATURE, json={"direction": 7})
    assert refused.status_code == 409
    assert "another picture is being made" in refused.json()["error"]
    assert seeing.get(f"/api{CALIBRATED}/concept/1/heat/40").status_code == 200
    assert seeing.get(f"/api/jobs/{job}").json()["state"] == "running"
    assert f'data-job="{job}"' in seeing.get(f"{CALIBRATED}/neuron/6").text
    assert seeing.post(f"/api/jobs/{job}/stop", json={}).status_code == 202
    assert ended(seeing, job)["state"] == "stopped"
    assert seeing.get(f"/feature/{job}.png").status_code == 404
    monkeypatch.undo()
    after = seeing.post(FEATURE, json={"direction": 7})
    assert ended(seeing, after.json()["job"])["state"] == "done"
    assert seeing.post("/api/jobs/12345/stop", json={}).status_code == 404


def test_a_bank_that_is_being_written_can_be_stopped_and_leaves_nothing(own):
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        choice = {"name": "half", "method": "calibrated", "granularity": 0.3, "min_size": 2}
        job = client.post(f"/api{CALIBRATED}/save", json=choice).json()["job"]
        client.post(f"/api/jobs/{job}/stop", json={})
        assert ended(client, job)["state"] == "stopped"
    assert sorted(each.name for each in (own.path / "banks" / "3").iterdir()) == ["calibrated", "published"]


def test_a_step_that_fails_is_said_in_the_job(seeing, monkeypatch):
    def broken(*_: object) -> bytes:
        raise ms.MonosemeError("the objective is no number; choose another layer")

    monkeypatch.setattr("monoseme.explorer._feature.make", broken)
    told = ended(seeing, seeing.post(FEATURE, json={"direction": 8}).json()["job"])
    assert (told["state"], told["error"]) == ("failed", "the objective is no number; choose another layer")


def test_read_only_looks_and_makes_images_for_that_changes_nothing_in_the_run(made, small_model):
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    with TestClient(ms.create_app(made.path, model=small_model, read_only=True), base_url=HERE) as client:
        assert client.get(f"/api{CALIBRATED}/concept/1/heat/7").status_code == 200
        assert ended(client, client.post(FEATURE, json={"concept": 2}).json()["job"])["state"] == "done"
    assert {path: path.stat().st_mtime_ns for path in made.path.rglob("*")} == before


def test_a_run_that_was_made_anew_with_another_model_is_not_seen_through_the_old_one(own, small_model, photos):
    app = ms.create_app(own.path, model=small_model)
    with TestClient(app, base_url=HERE) as client:
        assert client.get(f"/api{CALIBRATED}/concept/1/heat/7").status_code == 200
        other = ms.embed(make_small_model(seed=3), photos, ["3"], own.path.parent / "other", batch_size=8, workers=0)
        app.state.opened._run = other
        answer = client.get(f"/api{CALIBRATED}/concept/1/heat/7")
        assert answer.status_code == 400
        assert "other weights" in answer.json()["error"]
    shutil.rmtree(other.path)


def test_more_questions_than_the_model_has_time_for_are_asked_to_come_again(seeing, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._network.WAITING", 0)
    answer = seeing.get(f"/api{CALIBRATED}/concept/3/heat/50")
    assert answer.status_code == 503
    assert "try again in a moment" in answer.json()["error"]


def test_images_that_lie_on_the_network_are_not_fetched_unless_the_user_names_them(made, monkeypatch):
    from monoseme.explorer import _photographs

    asked = []
    monkeypatch.setattr(_photographs, "originals", lambda run, images: asked.append(images) or originals(run))
    elsewhere = ms.open_run(made.path)
    assert _photographs.Photographs(None)(elsewhere, 3)[1] == "original"
    elsewhere.manifest.images["source"] = "patches:hf:some/data?per_image=4"
    assert _photographs.Photographs(None)(elsewhere, 3)[1] == "thumbnail"
    assert asked == [None]
