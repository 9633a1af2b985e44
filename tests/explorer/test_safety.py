"""What the explorer refuses, one by one, and what goes out with every answer."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from tests.explorer.conftest import CALIBRATED, HERE, PUBLISHED

import monoseme as ms
from monoseme.explorer._safety import BODY, HEADERS, Guard, Safety

SAVE = f"/api{PUBLISHED}/save"
EVERY = [
    "/",
    CALIBRATED,
    f"{CALIBRATED}/neuron/3",
    "/api/run",
    "/image/0.jpg",
    "/assets/page.js",
    "/api/openapi.json",
    "/no",
]


@pytest.mark.parametrize("address", EVERY)
def test_every_answer_has_the_policy_and_may_not_be_sniffed_framed_or_embedded(client, address):
    headers = client.get(address).headers
    for name, value in HEADERS.items():
        assert headers[name] == value
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "private" in headers["cache-control"]
    assert "access-control-allow-origin" not in headers


def test_an_error_inside_has_them_too_and_tells_no_details(made, monkeypatch):
    app = ms.create_app(made.path)
    monkeypatch.setattr("monoseme.explorer._layer.LayerAnswer", None)
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
        answer = client.get(f"/api{CALIBRATED}")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert answer.json() == {
        "error": "something went wrong inside the explorer; the terminal that it runs in says what"
    }


FOREIGN = ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1:8642", ""]
FOREIGN += ["user@127.0.0.1", "127.0.0.1:8642/x", "[::1", "127.0.0.1:port", "2130706433", "0x7f.1"]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_header_is_refused_so_that_no_name_can_be_rebound_to_this_machine(client, host):
    for address in ("/", "/api/run", "/image/0.jpg", "/assets/page.js"):
        assert client.get(address, headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8642", "localhost:8642", "LOCALHOST", "[::1]:8642", "127.0.0.1", "127.9.9.9:1"]
)
def test_the_names_of_this_machine_are_answered(client, host):
    assert client.get("/api/run", headers={"host": host}).status_code == 200


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8642.evil.example"},
        {"origin": "file://127.0.0.1:8642"},
        {"origin": HERE, "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "http://" + "a" * 10_000},
    ],
)
def test_a_write_from_another_page_is_refused(client, headers):
    answer = client.post(SAVE, content='{"name": "x"}', headers=JSON | headers)
    assert answer.status_code == 403
    assert answer.json() == {"error": "pages of other sites may not write to the explorer"}


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""],
)
def test_a_write_that_is_not_json_is_refused_for_forms_of_other_pages_can_send_those(client, kind):
    answer = client.post(SAVE, content='{"name": "x"}', headers={"content-type": kind, "origin": HERE})
    assert answer.status_code == 415


def test_a_write_of_our_own_page_or_of_a_program_passes_the_guard(client):
    for headers in ({"origin": HERE, "sec-fetch-site": "same-origin"}, {}):
        answer = client.post(SAVE, json={"name": "published"}, headers=headers)
        assert answer.status_code == 409  # there is one of that name


def test_other_sites_may_not_embed_what_is_read_but_may_link_to_it(client):
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/image/0.jpg", headers=embedded).status_code == 403
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get(CALIBRATED, headers=linked).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_change_nothing(client, method):
    assert client.request(method, "/api/run", headers=JSON).status_code == 405
    assert client.request(method, "/api/run").status_code == 415


def test_a_body_that_is_too_large_is_refused_whatever_its_header_says(made):
    app = ms.create_app(made.path)
    large = json.dumps({"name": "x" * (BODY + 10)})
    with TestClient(app, base_url=HERE) as client:
        assert client.post(SAVE, content=large, headers=JSON).status_code == 413
        assert client.post(SAVE, content="{}", headers=JSON | {"content-length": "-1"}).status_code == 413

        def pieces():  # no length is announced
            for _ in range(40):
                yield b" " * (BODY // 20)

        assert client.post(SAVE, content=pieces(), headers=JSON).status_code >= 400


def test_read_only_refuses_every_write_and_offers_none(made):
    with TestClient(ms.create_app(made.path, read_only=True), base_url=HERE) as client:
        answer = client.post(SAVE, json={"name": "new", "threshold": 1.0})
        assert answer.status_code == 403
        assert "--read-only" in answer.json()["error"]
        assert 'id="save"' not in client.get(f"{PUBLISHED}/neuron/3").text
    assert sorted(path.name for path in (made.path / "banks" / "3").iterdir()) == ["calibrated", "published"]


@pytest.fixture
def guarded(made):
    app = ms.create_app(made.path, host="0.0.0.0", token="secret-token")
    with TestClient(app, base_url="http://192.168.1.9:8642", follow_redirects=False) as client:
        yield client


def test_other_machines_need_a_token_for_everything_but_what_comes_with_the_package(guarded, made):
    with pytest.raises(ms.UsageError, match="give a token"):
        ms.create_app(made.path, host="0.0.0.0")
    assert guarded.get("/assets/page.js").status_code == 200
    for address in set(EVERY) - {"/assets/page.js"}:
        answer = guarded.get(address)
        assert answer.status_code == 401
        assert "secret" not in answer.text
    assert "asks for its token" in guarded.get("/api/run").json()["error"]
    assert guarded.post(SAVE, json={"name": "x"}).status_code == 401
    for wrong in ("", "secret", "secret-tokem", "secret-token ", "\u00e9", "x" * 5000):
        assert guarded.get("/api/run", params={"token": wrong}).status_code == 401
        assert guarded.get("/api/run", headers={"authorization": f"Bearer {wrong}".encode()}).status_code == 401


def test_the_token_in_the_address_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(guarded):
    answer = guarded.get(f"{CALIBRATED}?token=secret-token&sort=concepts")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{CALIBRATED}?sort=concepts"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("monoseme-8642=secret-token;")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert guarded.get(CALIBRATED).status_code == 200  # the client keeps cookies


def test_the_way_from_the_token_never_leads_elsewhere(guarded):
    answer = guarded.get("http://192.168.1.9:8642//evil.example/x?token=secret-token")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/evil.example/x"


def test_programs_may_send_the_token_as_a_bearer(guarded):
    assert guarded.get("/api/run", headers={"authorization": "Bearer secret-token"}).status_code == 200


def test_bound_to_all_addresses_it_answers_to_addresses_and_its_own_name_alone():
    import socket

    guard = Guard("0.0.0.0", "t")
    assert guard.knows("192.168.1.9:80")
    assert guard.knows("[fe80::1]")
    assert guard.knows(socket.gethostname())
    assert not guard.knows("evil.example")
    assert "secret" not in repr(Guard(token="secret"))


def test_tokens_are_compared_in_constant_time(monkeypatch):
    import hmac

    asked = []
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: asked.append((one, other)) or one == other)
    assert Guard(token="abc").is_token("abc")
    assert not Guard(token="abc").is_token("abd")
    assert len(asked) == 2


@pytest.mark.parametrize(
    "address",
    [
        "/assets/..%2f_app.py",
        "/assets/../_app.py",
        "/assets/%2e%2e/%2e%2e/x",
        "/assets//etc/passwd",
        "/image/..%2f..%2fbanks.jpg",
        "/image/0.jpg/../../x",
        "/banks/3/..%2f..%2f..",
        "/banks/..%2f..%2fetc/passwd",
        "/banks/%252e%252e%252fbanks%252f3/calibrated",
        "/banks/3/calibrated%00",
        "/banks/3/calibrated/bank.json",
        "/banks/3/.calibrated",
        "//etc/passwd",
    ],
)
def test_no_path_of_a_request_reaches_the_file_system(client, address):
    answer = client.get(f"{HERE}{address}")
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_a_name_for_a_bank_cannot_leave_the_folder_of_banks(client, made):
    for name in ("../x", "/tmp/x", "a/b", ".hidden", "", "x" * 101, "a\\b", "\u202e", "a\x00b"):
        answer = client.post(SAVE, json={"name": name, "threshold": 0.5})
        assert answer.status_code in (400, 422)
    assert sorted(path.name for path in (made.path / "banks" / "3").iterdir()) == ["calibrated", "published"]


def test_connections_that_are_not_http_are_not_answered():
    reached = []

    async def app(scope, receive, send):
        reached.append(scope["type"])

    # In a thread of its own: the browser of other tests keeps an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(Safety(app, Guard())({"type": "websocket"}, None, None))).result()
    assert reached == []
