"""Each page and its JSON twin: what they show, and one clear sentence where there is nothing to show."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.explorer.conftest import CALIBRATED, HERE, PUBLISHED

import monoseme as ms
from monoseme.base import held_out


def test_home_leads_to_the_first_bank(client):
    answer = client.get("/")
    assert answer.status_code == 307
    assert answer.headers["location"] == CALIBRATED


def test_a_run_without_banks_says_how_to_make_one(small_run):
    with TestClient(ms.create_app(small_run.path), base_url=HERE) as client:
        assert "monoseme disentangle" in client.get("/").text
        assert client.get("/api/run").json()["banks"] == []


def test_the_run_as_data(client, made):
    told = client.get("/api/run").json()
    assert told["images"] == len(made)
    assert told["banks"] == [["3", "calibrated"], ["3", "published"]]
    assert told["layers"] == ["1", "3"]
    assert told["finished"] is True
    assert str(made.path.parent) not in str(told)


def test_the_layer_twin_holds_every_direction_as_the_bank_has_it(client, made):
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    told = client.get(f"/api{CALIBRATED}").json()
    assert {int(number): count for number, count in told["histogram"].items()} == bank.histogram()
    view = ms.view_layer(bank, made)
    assert [row["direction"] for row in told["directions"]] == view.directions["direction"].to_pylist()
    for row, labels in zip(told["directions"], view.directions["labels"].to_pylist(), strict=True):
        concepts = bank.for_direction(row["direction"])
        assert [group["concept"] for group in row["groups"]] == [each.number for each in concepts]
        assert [group["image_ids"] for group in row["groups"]] == [each.image_ids[:5].tolist() for each in concepts]
        assert [group["size"] for group in row["groups"]] == [each.size for each in concepts]
        assert [group["label"] for group in row["groups"]] == labels
        assert row["kept"] == sum(each.size for each in concepts)


def test_the_neuron_twin_is_the_view_of_the_neuron(client, made):
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    for direction in (0, 3, 11):
        view = ms.view_neuron(bank, direction, made)
        told = client.get(f"/api{CALIBRATED}/neuron/{direction}").json()
        assert told["image_ids"] == view.image_ids.tolist()
        assert told["concept"] == view.concept.tolist()
        assert [each["concept"] for each in told["concepts"]] == [each.number for each in view.concepts]
        assert [each["key"] for each in told["concepts"]] == [each.key for each in view.concepts]
        assert sorted(told["dropped"] + [rank for each in told["concepts"] for rank in each["ranks"]]) == list(
            range(24)
        )
        assert told["tree"]["heights"] == view.heights.tolist()
        assert told["choice"]["own"] is True
        assert told["tree"]["cut"] is None


def test_the_concept_twin_and_its_page_say_the_same(client, made):
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    told = client.get(f"/api{CALIBRATED}/concept/2").json()
    view = ms.view_concept(bank, 2, made, evaluation=None, nearest=8)
    assert told["key"] == view.concept.key
    assert told["labels"] == [list(pair) for pair in view.labels]
    assert told["nearest"] == [[number, pytest.approx(cosine)] for number, cosine in view.nearest]
    assert {each["name"] for each in told["evidence"]} >= {each.name for each in view.evidence} | {"label purity"}
    text = client.get(f"{CALIBRATED}/concept/2").text
    assert view.concept.key in text
    assert f"/neuron/{view.concept.direction}" in text
    for number, _ in view.nearest:
        assert f"{CALIBRATED}/concept/{number}" in text


def test_the_vector_is_that_of_the_bank_and_the_line_loads_it(client, made):
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    told = client.get(f"/api{CALIBRATED}/concept/2/vector").json()
    np.testing.assert_array_equal(np.float32(told["vector"]), bank.vectors[2])
    np.testing.assert_array_equal(np.float32(told["detector"]), bank.detectors[2])
    line = client.get(f"/api{CALIBRATED}/concept/2").json()["python"]
    np.testing.assert_array_equal(eval(line, {"ms": ms}), bank.vectors[2])


def test_the_command_makes_the_same_bank_again(client, own, made, monkeypatch, capsys):
    import shlex
    import sys

    from monoseme.cli._app import _status

    for base, name in ((CALIBRATED, "calibrated"), (PUBLISHED, "published")):
        command = client.get(f"/api{base}/concept/0").json()["command"].replace(str(made.path), str(own.path))
        monkeypatch.setattr(sys, "argv", [*shlex.split(command), "--overwrite", "-q"])
        assert _status() == 0
        again = ms.load_bank(own.path, layer="3", name=name)
        assert (
            again.concepts["key"].to_pylist()
            == ms.load_bank(made.path, layer="3", name=name).concepts["key"].to_pylist()
        )


def test_a_bank_of_some_neurons_or_of_given_vectors_has_its_command_or_none(own):
    acts = own.activations("3")
    some = ms.disentangle(acts, "published", select=[2, 3, 4, 9], top=12, min_size=2)
    some.save(own.path / "banks" / "3" / "some")
    given = ms.disentangle(acts, "published", directions=np.eye(20, dtype=np.float32)[:3], top=12, min_size=2)
    given.save(own.path / "banks" / "3" / "given")
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        assert "--neurons 2-4,9" in client.get("/api/banks/3/some/concept/0").json()["command"]
        assert client.get("/api/banks/3/given/concept/0").json()["command"] is None
        assert client.get("/banks/3/given/concept/0").status_code == 200


def test_pages_of_images_hold_every_image_once_in_the_order_of_their_projection(client, made, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._concept.PER_PAGE", 7)
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    acts = made.activations("3")
    first = client.get(f"/api{CALIBRATED}/concept/1").json()
    copies = acts.images().first_copies
    assert first["pages"] == -(-int(copies.sum()) // 7)
    every = []
    for number in range(1, first["pages"] + 1):
        every += client.get(f"/api{CALIBRATED}/concept/1", params={"page": number}).json()["images"]
    assert [each["rank"] for each in every] == list(range(int(copies.sum())))
    assert sorted(each["image_id"] for each in every) == np.flatnonzero(copies).tolist()
    projection = bank.frame(acts[:]) @ bank.vectors[1]
    np.testing.assert_allclose(
        [each["projection"] for each in every], projection[[each["image_id"] for each in every]], rtol=1e-4, atol=1e-4
    )
    assert np.all(np.diff([each["projection"] for each in every]) <= 1e-4)


def test_it_says_which_images_were_held_out(client, made):
    outside = held_out(made.activations("3").images(), 0.2)
    told = client.get(f"/api{CALIBRATED}/concept/1").json()["images"]
    assert [each["held_out"] for each in told] == [bool(outside[each["image_id"]]) for each in told]
    assert any(each["held_out"] for each in told)
    assert not any(each["held_out"] and each["exemplar"] for each in told)
    assert client.get(f"{CALIBRATED}/concept/1").text.count('<span class="mark">held out</span>') == sum(
        each["held_out"] for each in told
    )
    assert not any(each["held_out"] for each in client.get(f"/api{PUBLISHED}/concept/1").json()["images"])


def test_thumbnails_are_those_of_the_run_and_may_be_kept_when_their_version_is_named(client, made):
    kept = made.images([5], ["thumbnail"])["thumbnail"][0].as_py()
    answer = client.get("/image/5.jpg")
    assert answer.content == kept
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" not in answer.headers["cache-control"]
    version = made.manifest.images["digest"][:12]
    assert "immutable" in client.get(f"/image/5.jpg?v={version}").headers["cache-control"]
    assert f"/image/5.jpg?v={version}" in client.get(f"{CALIBRATED}/concept/{concept_of(made, 5)}").text


def concept_of(run, image_id: int) -> int:
    """A concept among whose strongest images an image is."""
    top = ms.load_bank(run.path, layer="3", name="calibrated").top
    first = top["rank"].to_numpy() < 60
    return int(top["concept"].to_numpy()[first & (top["image_id"].to_numpy() == image_id)][0])


NOTHING = [
    (f"{CALIBRATED}/neuron/99", "direction 99 was not split in this bank, which holds 20 (0 to 19)"),
    (f"{CALIBRATED}/concept/9999", "there is no concept 9999; the bank holds "),
    (f"{CALIBRATED}/concept/0/vector", None),
    (f"{CALIBRATED}/concept/9999/vector", "there is no concept 9999; the bank holds "),
    (f"{CALIBRATED}/concept/0?page=500", "there is no page 500 of images; the last is "),
    (
        "/banks/3/calibrate",
        "the run has no bank 'calibrate' of '3', only 3/calibrated and 3/published; did you mean calibrated?",
    ),
    ("/banks/4/calibrated", "the run has no bank 'calibrated' of '4', only"),
    ("/nothing", "there is no page at this address; begin at /"),
    ("/jobs/7", "there is no job 7; "),
]


@pytest.mark.parametrize("address, sentence", NOTHING)
def test_what_is_not_there_is_404_with_what_there_is(client, address, sentence):
    answer = client.get(f"/api{address}")
    if sentence is None:
        assert answer.status_code == 200
        return
    assert answer.status_code == 404
    assert answer.json()["error"].startswith(sentence)
    if not address.startswith("/jobs") and not address.endswith("vector"):
        shown = client.get(address)
        assert shown.status_code == 404
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        assert "Not there" in shown.text


def test_an_image_that_is_not_there(client, made):
    answer = client.get(f"/image/{len(made)}.jpg")
    assert answer.status_code == 404
    assert f"There is no image {len(made)}; the run holds {len(made)}" in answer.text


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("threshold=0&method=published", "threshold is not right"),
        ("threshold=-1", "threshold is not right"),
        ("threshold=nan", "threshold is not right"),
        ("threshold=inf", "threshold is not right"),
        ("threshold=1e31", "threshold is not right"),
        ("threshold=x", "threshold is not right"),
        ("min_size=0", "min_size is not right"),
        ("min_size=100001", "min_size is not right"),
        ("min_size=1&method=calibrated", "at least 2"),
        ("top=1", "top is not right"),
        ("top=25", "the bank keeps 24 exemplars of each neuron; ask for 2 to 24"),
        ("granularity=1", "granularity is not right"),
        ("method=magic", "method is not right"),
        ("outlier=q7", "quantile in (0, 1]"),
        ("outlier=-3", "must be above 0"),
        ("outlier=nan", "must be above 0"),
        ("outlier=" + "9" * 25, "outlier is not right"),
        ("band=0.5", "holds no bands"),
        ("band=7", "band is not right"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused_in_a_sentence(client, query, sentence):
    answer = client.get(f"/api{PUBLISHED}/neuron/3?{query}")
    assert answer.status_code in (400, 404, 422)
    assert sentence in answer.json()["error"]
    for part in ("", "/cut", "/charts"):
        assert client.get(f"{PUBLISHED}/neuron/3{part}?{query}").status_code == answer.status_code


def test_numbers_of_any_size_are_an_answer_and_no_accident(client):
    for number in ("-1", "99999999999999999999999999", "1e5", "0x10", "\u0663", "nan"):
        for kind in ("neuron", "concept"):
            assert client.get(f"/api{CALIBRATED}/{kind}/{number}").status_code in (404, 422)
        assert client.get(f"/image/{number}.jpg").status_code in (404, 422)


def test_every_page_is_in_the_document_and_has_a_twin(client):
    document = client.get("/api/openapi.json").json()
    paths = document["paths"]
    pages = [path for path in paths if path.startswith("/banks") and not path.endswith(("/cut", "/charts", "/figures"))]
    assert len(pages) == 4
    assert {f"/api{path}" for path in pages} <= set(paths)
    for path, methods in paths.items():
        for method, told in methods.items():
            assert told["summary"], (path, method)
    assert client.get("/docs").status_code == 404  # it would load scripts from elsewhere


def test_a_run_that_grows_while_it_is_open_is_seen(own, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._opened.LOOK", 0.0)
    from monoseme.base import bank_folder

    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        assert len(client.get("/api/run").json()["banks"]) == 2
        assert "/banks/3/another" not in client.get(CALIBRATED).text
        bank = ms.disentangle(own.activations("3"), "published", top=10, distance_threshold=0.5, min_size=2)
        bank.save(bank_folder(own.path, "3", "another"))
        assert ["3", "another"] in client.get("/api/run").json()["banks"]
        assert "/banks/3/another" in client.get(CALIBRATED).text
        first = client.get("/api/banks/3/another").json()
        assert len(client.get("/api/banks/3/another/neuron/1").json()["image_ids"]) == 10
        wider = ms.disentangle(own.activations("3"), "published", top=12, distance_threshold=0.5, min_size=2)
        wider.save(bank_folder(own.path, "3", "another"), overwrite=True)
        assert len(client.get("/api/banks/3/another/neuron/1").json()["image_ids"]) == 12
        assert client.get("/api/banks/3/another").json() != first


def test_a_run_that_another_process_writes_to_answers_all_the_while(tmp_path, photos, small_model, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._opened.LOOK", 0.0)
    import threading

    seen = []
    run = ms.embed(small_model, photos / "ramp", ["3"], tmp_path / "run", batch_size=4, workers=0)
    ms.disentangle(run.activations("3"), "published", top=8, min_size=2).save(tmp_path / "run" / "banks" / "3" / "one")
    with TestClient(ms.create_app(tmp_path / "run"), base_url=HERE) as client:
        done = threading.Event()

        def write():
            ms.embed(small_model, photos / "ramp", ["1"], tmp_path / "run", batch_size=4, workers=0)
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            for address in ("/api/run", "/banks/3/one", "/api/banks/3/one/neuron/2", "/image/3.jpg"):
                seen.append(client.get(address).status_code)
        writer.join()
        assert client.get("/api/run").json()["layers"] == ["3", "1"]
    assert set(seen) == {200}


def test_labels_names_and_notes_stay_text(tmp_path, photos, small_model):
    import shutil

    hostile = "<script>alert(1)</script>\"'&\u202e" + "x" * 150
    folder = tmp_path / "photos" / hostile.replace("/", "\u2215")
    shutil.copytree(photos / "ramp", folder)
    shutil.copytree(photos / "plain", tmp_path / "photos" / "<img src=x onerror=alert(2)>")
    shutil.copytree(photos / "stripes", tmp_path / "photos" / "<!--<script>")
    run = ms.embed(small_model, tmp_path / "photos", ["3"], tmp_path / "run", workers=0)
    bank = ms.disentangle(run.activations(), "published", top=20, distance_threshold=0.5, min_size=2)
    bank.save(run.path / "banks" / "3" / "x")
    with TestClient(ms.create_app(run.path), base_url=HERE) as client:
        for address in ("", "/neuron/3", "/neuron/3/cut", "/neuron/3/charts", "/concept/0"):
            text = client.get(f"/banks/3/x{address}").text
            assert "<script>alert" not in text
            assert "<img src=x" not in text
            assert "<!--" not in text
            assert "\u202e" not in text
        assert "&lt;script&gt;alert(1)" in client.get("/banks/3/x/neuron/3").text


def test_labels_of_ten_thousand_letters_do_not_stretch_a_page(own, monkeypatch):
    from monoseme.base import Labels

    hostile = "</script><script>alert(1)</script>" + "y" * 10_000
    monkeypatch.setattr(ms.Run, "shown_labels", lambda self, name=None: Labels.of([hostile] * len(self)))
    with TestClient(ms.create_app(own.path), base_url=HERE) as client:
        for address in ("", "/neuron/3", "/concept/0"):
            text = client.get(f"{CALIBRATED}{address}").text
            assert "y" * 200 not in text
            assert "<script>alert" not in text


def test_a_layer_whose_name_has_a_slash_has_an_address(own):
    import shutil

    from monoseme.explorer._page import bank_address

    shutil.copytree(own.path / "banks" / "3", own.path / "banks" / "a%2Fb")
    address = bank_address("a/b", "calibrated")
    with ms.Explorer(own.path, port=0).start() as explorer:  # the test client would unquote it twice
        here = explorer.url.rstrip("/")
        with urllib.request.urlopen(f"{here}{CALIBRATED}") as answer:
            assert f'href="{address}"' in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{here}/api{address}/neuron/3")
        assert "holds no layer 'a/b'" in json.load(refused.value)["error"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{here}/banks/a/b/calibrated")


def test_work_that_waits_is_not_begun_once_the_explorer_is_closed():
    import threading

    from monoseme.explorer._opened import Later

    later, first, begun = Later(), threading.Event(), []
    later.after(0.0, first.set)
    assert first.wait(30)
    later.after(600.0, lambda: begun.append("too late"))
    waiting = [thread for thread in threading.enumerate() if thread.name == "after"]
    later.close()
    for thread in waiting:
        thread.join(30)
        assert not thread.is_alive()
    assert begun == []
