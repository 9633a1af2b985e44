"""Studies in the explorer: what those who take part can do and see, one by one, and what whoever runs them does."""

import csv
import io
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from tests.explorer.conftest import HERE

import monoseme as ms
from monoseme.explorer._safety import HEADERS, is_open

HOSTILE = "<script>alert(1)</script> \"'\u202e"


@pytest.fixture(scope="module")
def source(made, tmp_path_factory) -> ms.Run:
    run = ms.open_run(shutil.copytree(made.path, tmp_path_factory.mktemp("studies") / "run"))
    options = {"layer": "3", "bank": "calibrated", "concepts": 2, "controls": 1, "shown": 3}
    ms.new_study(run, "first", tests=["intruder", "label", "word"], note=f"from us\n{HOSTILE}", **options)
    return run


@pytest.fixture
def run(source, tmp_path) -> ms.Run:
    return ms.open_run(shutil.copytree(source.path, tmp_path / "run"))


@pytest.fixture
def study(run) -> ms.Study:
    return ms.open_study(run, "first")


@pytest.fixture
def client(run):
    with TestClient(ms.create_app(run.path), base_url=HERE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def guest(run):
    """Somebody elsewhere, who has no token of the explorer."""
    app = ms.create_app(run.path, host="0.0.0.0", token="secret-token")
    with TestClient(app, base_url="http://192.168.1.9:8642", follow_redirects=False) as client:
        yield client


def begun(client, study) -> str:
    """What the addresses of a new person begin with."""
    address = client.post(study.address, json={}).json()["address"]
    assert address.startswith(f"{study.address}/")
    assert address.endswith("/1")
    return address[:-2]


def answer(client, address, **given):
    return client.post(address, json={"seconds": 1.5, **given})


def answer_for(study, person: int, step: int) -> dict:
    """The right answer to a step, as the page would send it."""
    number = study.order(person)[step - 1]
    question = study.questions[number]
    if question.test == "word":
        return {"word": "dog"}
    images, options = study.shown(person, number)
    return {"choice": (images if question.test == "intruder" else options).index(question.answer)}


def test_somebody_begins_answers_everything_and_is_thanked(client, study):
    page = client.get(study.address)
    assert page.status_code == 200
    assert f"{len(study.questions)} questions" in page.text
    base = begun(client, study)
    address = f"{base}/1"
    for step in range(1, len(study.questions) + 1):
        assert address == f"{base}/{step}"
        assert client.get(address).status_code == 200
        address = answer(client, address, **answer_for(study, 0, step)).json()["address"]
    assert address == f"{base}/end"
    assert "Thank you" in client.get(address).text
    assert client.get(base).headers["location"] == address
    score = study.score()
    assert (score.people, score.finished) == (1, 1)
    assert {score.value("intruder"), score.value("label")} == {1.0}
    assert {each["seconds"] for each in study.answers().to_pylist()} == {1.5}


def test_pages_and_addresses_and_pictures_give_nothing_away(client, study, run):
    base = begun(client, study)
    facts = run.images(columns=["uri", "label"]).to_pylist()
    hints = {row["uri"] for row in facts} | {row["uri"].rpartition("/")[2] for row in facts}
    hints |= {
        run.path.name,
        "calibrated",
        "concept",
        "neuron",
        "intruder",
        "cluster",
        *(each.key or "-" for each in study.questions),
    } - {"-"}
    for step in range(1, len(study.questions) + 1):
        question = study.questions[study.order(0)[step - 1]]
        text = client.get(f"{base}/{step}").text
        told = re.sub(r'class="[^"]*"', "", text.replace(study.link, ""))
        assert not [hint for hint in hints if hint in told], "a hint is in the page"
        if question.test != "label":
            assert not [row["label"] for row in facts if row["label"] in told]
        count = len(question.images)
        assert re.findall(r'<img src="([^"]*)" alt="([^"]*)"', text) == [
            (f"{base}/{step}/{place}.jpg", f"picture {place} of {count}") for place in range(1, count + 1)
        ]
        assert "<title>question" in text
        assert not re.search(r'href="/(?!study/|assets/)', text)
        picture = client.get(f"{base}/{step}/1.jpg")
        assert picture.headers["content-type"] == "image/jpeg"
        assert not {"etag", "last-modified", "content-disposition"} & set(picture.headers)
        answer(client, f"{base}/{step}", **answer_for(study, 0, step))


def test_the_note_of_whoever_asks_is_shown_as_text(client, study):
    text = client.get(study.address).text
    assert "from us" in text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text


def test_the_pictures_are_those_of_the_question_in_the_persons_order(client, study, run):
    begun(client, study)
    base = begun(client, study)
    number = study.order(1)[0]
    images, _ = study.shown(1, number)
    for place, image in enumerate(images, 1):
        kept = run.images([study.questions[number].images[image]], ["thumbnail"])["thumbnail"][0].as_py()
        assert client.get(f"{base}/1/{place}.jpg").content == kept
    assert client.get(f"{base}/1/{len(images) + 1}.jpg").status_code == 404


def test_an_answer_counts_once(client, study):
    base = begun(client, study)
    first = answer(client, f"{base}/1", choice=1)
    assert first.json() == {"address": f"{base}/2"}
    again = answer(client, f"{base}/1", choice=1)  # the answer got lost on its way back
    assert (again.status_code, again.json()) == (200, {"address": f"{base}/2"})
    other = answer(client, f"{base}/1", choice=2)
    assert other.status_code == 409
    assert "that answer counts" in other.json()["error"]
    assert len(study.given.all()) == 1


def test_two_tabs_do_not_answer_twice(client, study):
    base = begun(client, study)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda choice: answer(client, f"{base}/1", choice=choice % 4).status_code, range(8)))
    assert sorted(set(answers)) == [200, 409]
    assert answers.count(200) == 2  # the one that came first, and the same from another tab
    assert len(study.given.all()) == 1
    assert client.get(base).headers["location"] == f"{base}/2"


def test_a_question_that_is_not_reached_yet_shows_and_takes_nothing(client, study):
    base = begun(client, study)
    assert client.get(f"{base}/2").headers["location"] == f"{base}/1"
    assert client.get(f"{base}/2/1.jpg").status_code == 409
    skipped = answer(client, f"{base}/3", choice=0)
    assert skipped.status_code == 409
    assert "come first" in skipped.json()["error"]
    assert "not answered yet" in client.get(f"{base}/end").text
    assert study.given.all() == []


def test_going_back_shows_the_answer_and_takes_no_other(client, study):
    base = begun(client, study)
    answer(client, f"{base}/1", choice=2)
    text = client.get(f"{base}/1").text
    assert "answers stay as they are" in text
    assert re.search(r'value="2" checked="" disabled=""', text)
    assert len(re.findall(r'type="radio"[^>]*checked', text)) == 1
    assert "study.js" not in text
    assert f'href="{base}/1" rel="prev"' in client.get(f"{base}/2").text


def test_who_cannot_tell_says_so(client, study):
    base = begun(client, study)
    assert answer(client, f"{base}/1").status_code == 200
    assert study.given.all()[0].choice is None
    assert "could not tell" in client.get(f"{base}/1").text


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"choice": 4}, 400),
        ({"choice": -1}, 422),
        ({"choice": "x"}, 422),
        ({"choice": 10**30}, 422),
        ({"word": "dog"}, 400),
        ({"choice": 1, "word": "dog"}, 400),
        ({"choice": 1, "seconds": -1}, 422),
        ({"choice": 1, "seconds": 1e9}, 422),
        ({"choice": 1, "seconds": None}, 422),
        ({"choice": 1, "question": 3}, 422),
        ({"choice": 1, "person": 0}, 422),
        ([], 422),
    ],
)
def test_a_forged_answer_is_refused(client, study, given, status):
    base = begun(client, study)
    body = {"seconds": 1, **given} if isinstance(given, dict) else given
    found = client.post(f"{base}/1", json=body)
    assert found.status_code == status
    assert set(found.json()) == {"error"}
    assert study.given.all() == []


def test_a_word_is_a_word(client, study):
    base = begun(client, study)
    step = 1
    while study.questions[study.order(0)[step - 1]].test != "word":
        answer(client, f"{base}/{step}", choice=0)
        step += 1
    for given in ({"word": "   "}, {"choice": 0}, {"word": "x" * 101}, {"word": ""}):
        assert answer(client, f"{base}/{step}", **given).status_code in (400, 422)
    assert answer(client, f"{base}/{step}", word=HOSTILE).status_code == 200
    assert HOSTILE in study.given.all()[-1].word
    for address in (f"{base}/{step}", "/studies/first"):
        text = client.get(address).text
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_unknown_links_people_and_questions_are_not_there(client, study):
    base = begun(client, study)
    other = "x" * len(study.link)
    for address in (
        f"/study/{other}",
        f"/study/{other}/{base.rpartition('/')[2]}",
        f"/study/{study.link[:-1]}",
        f"/study/{study.link}x",
        "/study/first",
        "/study/\u00e9",
        f"{study.address}/nobody",
        f"{study.address}/nobody/1",
        f"{study.address}/nobody/end",
        f"{base}/{len(study.questions) + 1}",
        f"{base}/1/99.jpg",
    ):
        assert client.get(address).status_code == 404, address
    assert client.post(f"/study/{other}", json={}).status_code == 404
    assert answer(client, f"{study.address}/nobody/1", choice=1).status_code == 404
    for address in (f"{base}/0", f"{base}/x", f"{base}/1/x.jpg", f"{base}/-1"):
        assert client.get(address).status_code == 422
    assert study.given.all() == []


def test_the_token_of_one_study_opens_no_other(client, study, run):
    other = ms.new_study(run, "second", layer="3", bank="published", shown=3, concepts=2, controls=0)
    base = begun(client, study)
    assert client.get(base.replace(study.link, other.link)).status_code == 404
    assert client.get(other.address).status_code == 200


CLOSED = [
    "/",
    "/studies",
    "/studies/first",
    "/banks/3/calibrated",
    "/banks/3/calibrated/neuron/3",
    "/banks/3/calibrated/concept/0",
    "/image/0.jpg",
    "/api/run",
    "/api/studies",
    "/api/studies/first",
    "/api/studies/first/answers.csv",
    "/api/openapi.json",
    "/api/banks/3/calibrated",
    "/study",
    "/studyx",
    "//study/x",
]


def test_with_the_link_alone_the_study_is_all_that_can_be_reached(guest, study):
    base = begun(guest, study)
    assert guest.get(study.address).status_code == 200
    assert guest.get(f"{base}/1").status_code == 200
    assert guest.get(f"{base}/1/1.jpg").status_code == 200
    assert answer(guest, f"{base}/1", choice=1).status_code == 200
    for name in re.findall(r'(?:src|href)="(/assets/[^"]*)"', guest.get(f"{base}/2").text):
        assert guest.get(name).status_code == 200
    for address in CLOSED:
        found = guest.get(f"http://192.168.1.9:8642{address}")
        assert found.status_code == 401, address
        assert "set-cookie" not in found.headers
    for address in CLOSED:
        assert guest.get(f"http://192.168.1.9:8642{study.address}/..{address}").status_code == 404
        assert (
            guest.get(f"http://192.168.1.9:8642{study.address}/%2e%2e%2f%2e%2e{address}".rstrip("/")).status_code == 404
        )
        bearer = {"authorization": f"Bearer {study.link}"}
        assert guest.get(f"http://192.168.1.9:8642{address}", headers=bearer).status_code == 401
        assert guest.get(f"http://192.168.1.9:8642{address}", params={"token": study.link}).status_code == 401
    assert guest.post("/api/studies", json={}).status_code == 401
    assert guest.post("/api/banks/3/published/save", json={"name": "x"}).status_code == 401


def test_all_that_is_open_is_of_the_study_or_of_the_package(run):
    app = ms.create_app(run.path)
    names = {route.path for route in app.routes if hasattr(route, "path")}
    paths = set(app.openapi()["paths"]) | names
    assert {path for path in paths if is_open(path)} == {
        "/study/{link}",
        "/study/{link}/{person}",
        "/study/{link}/{person}/end",
        "/study/{link}/{person}/{step}",
        "/study/{link}/{person}/{step}/{place}.jpg",
        "/assets/{name}",
    }


def test_a_study_is_guarded_like_every_other_page(client, study):
    base = begun(client, study)
    headers = client.get(f"{base}/1").headers
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert headers["cache-control"] == "no-store"
    assert client.get(study.address, headers={"host": "evil.example"}).status_code == 421
    for foreign in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert client.post(f"{base}/1", json={"seconds": 1, "choice": 1}, headers=foreign).status_code == 403
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post(f"{base}/1", content="choice=1", headers=form).status_code == 415
    assert study.given.all() == []


def test_an_error_page_leads_nowhere_else(guest, study):
    for address in (f"{study.address}/nobody", "/study/unknown"):
        text = guest.get(address).text
        assert not re.search(r'href="/(?!assets/)', text)
        assert "monoseme" not in text


def test_read_only_takes_no_answers_and_says_so(run, study):
    token = study.given.begin()
    with TestClient(ms.create_app(run.path, read_only=True), base_url=HERE) as client:
        text = client.get(study.address).text
        assert "takes no answers" in text
        assert 'id="begin"' not in text
        for found in (client.post(study.address, json={}), answer(client, f"{study.address}/{token}/1", choice=1)):
            assert found.status_code == 403
            assert "--read-only" in found.json()["error"]
        assert 'id="draw"' not in client.get("/studies").text
        assert client.post("/api/studies", json={}).status_code == 403
    assert (study.given.people(), study.given.all()) == (1, [])


def test_a_server_that_dies_loses_no_answer_and_another_goes_on(run, study):
    with TestClient(ms.create_app(run.path), base_url=HERE) as client:
        base = begun(client, study)
        answer(client, f"{base}/1", choice=1)
    with (study.folder / "answers.jsonl").open("ab") as file:
        file.write(b'{"person":0,"questi')
    with TestClient(ms.create_app(run.path), base_url=HERE, follow_redirects=False) as client:
        assert client.get(base).headers["location"] == f"{base}/2"
        assert answer(client, f"{base}/2", choice=0).json()["address"] == f"{base}/3"
    assert len(ms.open_study(run).given.all()) == 2


def test_when_the_pictures_have_been_replaced_none_is_shown(run, study):
    path = study.folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"listing_digest": "another"}))
    with TestClient(ms.create_app(run.path), base_url=HERE) as client:
        base = begun(client, study)
        found = client.get(f"{base}/1/1.jpg")
    assert found.status_code == 503
    assert "replaced" in found.text


def test_a_damaged_study_closes_its_own_page_and_no_other(client, study, run):
    other = ms.new_study(run, "second", layer="3", bank="published", shown=3, concepts=2, controls=0)
    (study.folder / "study.json").write_text("{}")
    assert client.get(study.address).status_code == 404
    assert client.get(other.address).status_code == 200
    assert client.get("/studies/first").status_code == 503
    assert client.get("/api/studies/first").status_code == 503
    listed = client.get("/studies")
    assert listed.status_code == 200
    assert "damaged" in listed.text
    assert "second" in listed.text


def test_the_results_as_page_data_and_csv_say_the_same(client, study):
    for right in (True, False):
        base = begun(client, study)
        number = study.given.people() - 1
        for step in range(1, len(study.questions) + 1):
            given = answer_for(study, number, step)
            answer(client, f"{base}/{step}", **(given if right or "word" in given else {}))
    told = client.get("/api/studies/first").json()
    assert (told["people"], told["finished"], told["questions"]) == (2, 2, len(study.questions))
    assert told["figures"] == study.score().figures.to_pylist()
    text = client.get("/studies/first").text
    assert "2 began, 2 finished all" in text
    assert f"{HERE}{study.address}" in text
    for row in study.score().rows()[1:]:
        assert row[2] in text
    found = client.get("/api/studies/first/answers.csv")
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="first.csv"' in found.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(found.text)))
    assert len(rows) == 2 * len(study.questions)
    assert client.get("/api/studies").json() == {"studies": ["first"]}
    for address in ("/studies/none", "/api/studies/none", "/api/studies/none/answers.csv", "/studies/..%2ffirst"):
        assert client.get(address).status_code == 404


def test_a_study_is_drawn_by_the_explorer_as_by_python(client, run):
    wanted = {"layer": "3", "bank": "calibrated", "concepts": 2, "controls": 1, "shown": 3, "seed": 5}
    made = client.post("/api/studies", json={"name": "drawn", "note": "hello", **wanted})
    assert made.status_code == 201
    assert made.json()["name"] == "drawn"
    found = ms.open_study(run, "drawn")
    assert found.questions == ms.new_study(run, "by-python", **wanted).questions
    assert (found.note, found.address) == ("hello", made.json()["address"])
    for change, status in (
        ({}, 409),
        ({"name": "../x"}, 400),
        ({"name": "y", "bank": "none"}, 404),
        ({"name": "y", "shown": 24}, 400),
        ({"name": "y", "tests": ["guess"]}, 400),
        ({"name": "y", "seed": -1}, 422),
        ({"name": "y", "more": 1}, 422),
    ):
        answer = client.post("/api/studies", json={"name": "drawn", **wanted, **change})
        assert answer.status_code == status, change
        assert set(answer.json()) == {"error"}
    assert ms.evaluation.list_studies(run.path) == ["by-python", "drawn", "first"]
