"""Trying a picture: what is seen in it against the data set, and every file that is no picture refused with a sentence."""

import base64
import gc
import io
import struct
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.explorer.conftest import CALIBRATED, HERE

import monoseme as ms
from monoseme.explorer._safety import PICTURE
from monoseme.explorer._seen import CONCEPTS, NEURONS, decoded
from monoseme.use import firing_levels

TRY = f"/api{CALIBRATED}/try"
PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def photo(made) -> bytes:
    """Image 7 of the run, as its file is."""
    row = made.images([7], ["uri"]).to_pylist()[0]
    return (Path(made.manifest.images["source"]) / row["uri"]).read_bytes()


def told(client, content: bytes, **query) -> dict:
    until_known = 200
    while True:
        answer = client.post(TRY, content=content, headers=PNG, params=query)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        if found["firing"] is not None:
            return found
        until_known -= 1
        assert until_known


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_an_image_of_the_run_gives_what_the_run_and_the_bank_hold_of_it(seeing, made, photo):
    bank, acts = ms.load_bank(made.path, layer="3", name="calibrated"), made.activations("3")
    found = told(seeing, photo)
    projections, embedding = bank.project(acts[[7]])[0], acts[[7]][0]
    assert len(found["concepts"]) == min(CONCEPTS, len(bank))
    for each in found["concepts"]:
        assert each["value"] == pytest.approx(float(projections[each["concept"]]), rel=1e-3, abs=1e-4)
        assert each["key"] == bank[each["concept"]].key
        assert each["direction"] == bank[each["concept"]].direction
    assert len(found["neurons"]) == NEURONS
    for each in found["neurons"]:
        assert each["value"] == pytest.approx(float(embedding[each["neuron"]]), rel=1e-3, abs=1e-4)
        assert each["split"] is True
    first = found["nearest"][0]
    assert (first["image_id"], first["label"]) == (7, made.images([7], ["label"])["label"][0].as_py())
    assert first["cosine"] == pytest.approx(1, abs=1e-4)
    assert (found["width"], found["height"]) == (48, 40)


def test_shares_levels_and_order_are_those_of_the_whole_data_set(seeing, made, photo):
    bank, acts = ms.load_bank(made.path, layer="3", name="calibrated"), made.activations("3")
    found = told(seeing, photo, concept=list(range(20)))
    every, levels = bank.project(acts[:]), firing_levels(bank, acts)
    assert found["sample"] == len(made)
    for each in found["concepts"]:
        column, value = every[:, each["concept"]], each["value"]
        ranked = np.sort(column)
        low, high = (np.searchsorted(ranked, value - 1e-4), np.searchsorted(ranked, value + 1e-4))
        assert low / len(made) - 1e-6 <= each["below"] <= high / len(made) + 1e-6
        assert each["level"] == pytest.approx(float(levels[each["concept"]]))
        assert each["fires"] is (value >= each["level"])
        middle, strong = np.quantile(column, [0.5, 0.99])
        assert each["strength"] == pytest.approx((value - middle) / (strong - middle), rel=2e-2, abs=2e-3)
    assert [each["concept"] for each in found["concepts"][:20]] == list(range(20))
    rest = [each["strength"] for each in found["concepts"][20:]]
    assert rest == sorted(rest, reverse=True)
    assert found["expected"] == pytest.approx(0.01 * len(bank))
    assert 0 <= found["firing"] <= len(bank)


def test_where_concepts_are_is_shown_on_the_picture_and_said(seeing, photo):
    found = told(seeing, photo)
    assert found["no_heat"] is None
    for each in found["concepts"] + found["neurons"]:
        assert each["heat"]["picture"].startswith("data:image/jpeg;base64,")
        assert "picture" in each["heat"]["where"] or "nowhere" in each["heat"]["where"]


def test_the_models_classes_are_told(seeing, made, small_model, photo):
    found = told(seeing, photo)["predictions"]
    row = made.images([7], ["predictions"])["predictions"][0].as_py()
    assert [each["label"] for each in found] == [f"class {each['class']}" for each in row]
    assert [each["probability"] for each in found] == pytest.approx([each["probability"] for each in row], abs=1e-3)


def header_of(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a.png", header_of(2, 2))
    return file.getvalue()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))
HOSTILE = {
    "empty": (b"", "empty file"),
    "text": (b"hello", "not an image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "not an image"),
    "html": (b"<!doctype html><script>alert(1)</script>", "not an image"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "not an image"),
    "zip": (archive(), "not an image"),
    "cut off JPEG": (encoded(NOISE, "JPEG")[:900], "truncated"),
    "cut off PNG": (encoded(NOISE, "PNG")[:900], ""),
    "bomb": (header_of(50_000, 50_000), "too large: 50,000 x 50,000 pixels (limit 40 million)"),
    "no size": (header_of(0, 10), ""),
    "little in it": (header_of(3_000, 3_000), ""),
    "10,000 x 1": (encoded(Image.new("RGB", (10_000, 1)), "PNG"), "too narrow to be seen by the model"),
    "1 x 10,000": (encoded(Image.new("RGB", (1, 10_000)), "PNG"), "too narrow to be seen by the model"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(seeing, name):
    content, sentence = HOSTILE[name]
    answer = seeing.post(TRY, content=content, headers=PNG)
    assert answer.status_code == 400
    said = answer.json()["error"]
    assert said.startswith("this picture")
    assert sentence in said
    assert "alert" not in said
    assert len(said) < 250


def test_of_an_animation_the_first_frame_counts(seeing):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "lime")]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    alone = encoded(frames[0], "GIF")
    values = [[each["value"] for each in told(seeing, content)["concepts"]] for content in (animated, alone)]
    assert values[0] == values[1]


def test_what_else_a_file_holds_never_comes_back(seeing):
    polyglot = encoded(NOISE, "JPEG", comment=b"<script>alert(1)</script>") + b"<html><script>alert(2)</script>"
    answer = seeing.post(TRY, content=polyglot, headers={"content-type": "image/svg+xml"})
    assert answer.status_code == 200
    assert "alert" not in answer.text
    assert answer.headers["content-type"] == "application/json"
    shown = base64.b64decode(answer.json()["picture"].partition(",")[2])
    assert b"alert" not in shown


def test_a_photograph_is_turned_as_its_camera_says(seeing):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encoded(Image.new("RGB", (60, 30)), "JPEG", exif=exif)
    found = told(seeing, lying)
    assert (found["width"], found["height"]) == (30, 60)


def test_more_bytes_than_a_picture_may_have_are_refused_whatever_the_header_says(seeing):
    assert seeing.post(TRY, content=b"x" * (PICTURE.limit + 1), headers=PNG).status_code == 413

    def pieces():  # no length is announced
        for _ in range(40):
            yield bytes(PICTURE.limit // 20)

    answer = seeing.post(TRY, content=pieces(), headers=PNG)
    assert answer.status_code == 413
    assert "longer than it may be" in answer.json()["error"]


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json",
        "image/",
        "imagepng",
        "",
    ],
)
def test_only_a_picture_as_it_is_passes_for_forms_of_other_pages_can_send_the_rest(seeing, photo, kind):
    answer = seeing.post(TRY, content=photo, headers={"content-type": kind, "origin": HERE})
    assert answer.status_code == 415
    assert "image/*" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:9999"},
        {"host": "evil.example"},
    ],
)
def test_other_pages_may_not_send_pictures(seeing, photo, headers):
    assert seeing.post(TRY, content=photo, headers=PNG | headers).status_code in (403, 421)


def test_the_larger_limit_holds_for_this_path_alone(seeing, photo):
    for address in (f"/api{CALIBRATED}/save", f"/api{CALIBRATED}/feature", f"{TRY}/", f"/api{CALIBRATED}/concept/1"):
        assert seeing.post(address, content=photo, headers=PNG).status_code == 415
    assert seeing.put(TRY, content=photo, headers=PNG).status_code == 415


def test_the_picture_is_nowhere_afterwards(seeing, made, photo, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file is made")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    pictures = []

    def watched(content: bytes) -> Image.Image:
        pictures.append(weakref.ref(picture := decoded(content)))
        return picture

    monkeypatch.setattr("monoseme.explorer._try.decoded", watched)
    told(seeing, photo)
    assert {path: path.stat().st_mtime_ns for path in made.path.rglob("*")} == before
    gc.collect()
    assert [each() for each in pictures] == [None] * len(pictures)
    assert pictures


def test_a_picture_can_be_tried_in_read_only_mode_for_it_changes_nothing(made, small_model, photo):
    app = ms.create_app(made.path, model=small_model, read_only=True)
    with TestClient(app, base_url=HERE) as client:
        assert client.post(TRY, content=photo, headers=PNG).status_code == 200


def test_other_machines_need_the_token_for_it(made, small_model, photo):
    app = ms.create_app(made.path, model=small_model, host="0.0.0.0", token="secret-token")
    with TestClient(app, base_url="http://192.168.1.9:8642") as client:
        assert client.post(TRY, content=photo, headers=PNG).status_code == 401
        assert (
            client.post(TRY, content=photo, headers=PNG | {"authorization": "Bearer secret-token"}).status_code == 200
        )


def test_more_pictures_at_once_than_memory_is_meant_for_are_asked_to_wait(made, small_model, photo):
    app = ms.create_app(made.path, model=small_model)
    with TestClient(app, base_url=HERE) as client:
        app.state.pictures._value = 0
        answer = client.post(TRY, content=photo, headers=PNG)
        assert answer.status_code == 503
        assert "try again in a moment" in answer.json()["error"]


def test_a_layer_without_positions_says_why_it_shows_no_places(small_model, photos, tmp_path):
    run = ms.embed(small_model, photos, ["5"], tmp_path / "run", batch_size=8, workers=0)
    bank = ms.disentangle(run.activations("5"), "published", top=12, min_size=2)
    bank.save(run.path / "banks" / "5" / "flat")
    with TestClient(ms.create_app(run.path, model=small_model), base_url=HERE) as client:
        answer = client.post("/api/banks/5/flat/try", content=encoded(NOISE, "PNG"), headers=PNG).json()
        assert "gives one vector an image and no positions" in answer["no_heat"]
        assert answer["concepts"][0]["heat"] is None
        assert "no positions" in client.get("/api/banks/5/flat/concept/0/heat/3").json()["error"]


def test_what_is_asked_for_must_be_there(seeing, photo):
    assert seeing.post(TRY, content=photo, headers=PNG, params={"concept": 9999}).status_code == 404
    assert seeing.post(TRY, content=photo, headers=PNG, params={"concept": list(range(21))}).status_code == 422
    assert seeing.post("/api/banks/3/none/try", content=photo, headers=PNG).status_code == 404


def test_the_twin_says_what_a_picture_may_be_and_the_document_how_it_is_sent(seeing):
    found = seeing.get(TRY).json()
    assert (found["most_bytes"], found["most_pixels"], found["rate"]) == (PICTURE.limit, 40_000_000, 0.01)
    paths = seeing.get("/api/openapi.json").json()["paths"]
    body = paths["/api/banks/{layer}/{bank}/try"]["post"]["requestBody"]["content"]
    assert set(body) == {"image/*", "application/octet-stream"}
