"""The explorer as a server and as a command: it listens at once, says what to do, and ends cleanly."""

import errno
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import monoseme as ms
from monoseme.explorer._serve import listen

CODE = "from monoseme.cli import main; main()"


def started(*arguments: object) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and the address that it prints."""
    command = [sys.executable, "-c", CODE, "explore", *map(str, arguments), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line + (process.stderr.read() if process.stderr else "")
    return process, found[0]


def test_the_command_serves_until_ctrl_c_and_ends_without_a_complaint(made):
    process, address = started(made.path, "--port", 0)
    try:
        with urllib.request.urlopen(f"{address}api/run", timeout=60) as answer:
            assert json.load(answer)["images"] == 61
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"20 neurons" in answer.read()
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.strip() == "stopped"
    assert err == ""


def test_it_listens_before_anything_heavy_is_imported(made, tmp_path):
    code = f"""
import sys
from monoseme.explorer import Explorer
explorer = Explorer({str(made.path)!r}, port=0)
assert explorer.url.startswith("http://127.0.0.1:")
print(sorted({{"torch", "lance", "fastapi", "uvicorn", "pyarrow", "scipy"}} & set(sys.modules)))
explorer.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_layer_page_needs_no_torch(made):
    code = f"""
import sys
import monoseme.explorer._opened as opened
opened.PAUSE = 60
import monoseme as ms
from fastapi.testclient import TestClient
client = TestClient(ms.create_app({str(made.path)!r}), base_url="http://127.0.0.1")
assert client.get("/").status_code == 200
assert client.get("/image/1.jpg").status_code == 200
print("torch" in sys.modules, flush=True)
import os
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_busy_port_says_what_to_do(made, monkeypatch, capsys):
    from monoseme.cli._app import _status

    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ms.UsageError, match=f"port {port} is in use already; choose another with --port"):
            ms.explore(made, port=port, browser=False)
        monkeypatch.setattr(sys, "argv", ["monoseme", "explore", str(made.path), "--port", str(port), "--no-browser"])
        assert _status() == 2
    assert "any free one with --port 0" in capsys.readouterr().err


def test_bad_arguments_are_one_sentence(made, tmp_path, monkeypatch, capsys):
    from monoseme.cli._app import _status

    for port in (-1, 70_000, 1.5, True):
        with pytest.raises(ms.UsageError, match="whole number from 0 to 65535"):
            ms.explore(made, port=port, browser=False)
    with pytest.raises(ms.UsageError, match="there is no address"):
        ms.explore(made, port=0, host="no.such.host.invalid", browser=False)
    monkeypatch.setattr(sys, "argv", ["monoseme", "explore", str(tmp_path / "nothing"), "--no-browser"])
    assert _status() == 2
    assert "there is no folder" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["monoseme", "explore", str(tmp_path), "--no-browser"])
    assert _status() == 2
    assert "is not a run" in capsys.readouterr().err


def test_in_a_notebook_it_goes_on_in_the_background_and_can_be_closed(made, capsys):
    with ms.explore(made, port=0, browser=False, block=False) as explorer:
        assert explorer.url in capsys.readouterr().out
        assert f'href="{explorer.url}"' in explorer._repr_html_()
        assert urllib.request.urlopen(f"{explorer.url}api/run").status == 200
        port = int(re.search(r":(\d+)/", explorer.url)[1])
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.1", port))


def test_a_browser_is_opened_at_the_address(made, monkeypatch):
    import webbrowser

    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with ms.explore(made, port=0, block=False) as explorer:
        assert urllib.request.urlopen(f"{explorer.url}api/run").status == 200
        assert opened == [explorer.url]


def test_on_other_addresses_the_printed_address_carries_a_token_that_opens_it(made):
    with ms.Explorer(made.path, port=0, host="0.0.0.0").start() as explorer:
        token = explorer.url.partition("?token=")[2]
        assert len(token) >= 32
        port = int(re.search(r":(\d+)/", explorer.url)[1])
        here = f"http://127.0.0.1:{port}/api/run"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(here)
        keeping = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert keeping.open(f"{here}?token={token}").status == 200
        assert keeping.open(here).status == 200
        other = ms.Explorer(made.path, port=0, host="0.0.0.0")
        assert other.url.partition("?token=")[2] != token
        other.close()


def test_fifty_clients_at_once_get_their_answers(served):
    from concurrent.futures import ThreadPoolExecutor

    def ask(number: int) -> int:
        part = ("/image/7.jpg", "/banks/3/published/neuron/3/cut?threshold=0.3", "/banks/3/calibrated", "/api/run")[
            number % 4
        ]
        return urllib.request.urlopen(served + part, timeout=60).status

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(ask, range(200))) == {200}


def test_without_the_extra_it_says_what_to_install(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(ms.MonosemeError, match=re.escape("pip install 'monoseme[explorer]'")):
        ms.explore(made, port=0, browser=False)


def test_a_port_of_the_system_says_so(made, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)  # root, who may run the tests, is refused no port
    with pytest.raises(ms.UsageError, match="choose one from 1024 up"):
        ms.explore(made, port=80, browser=False)


def test_assets_are_files_of_the_package():
    from monoseme.explorer._page import assets

    folder = Path(ms.explorer.__file__).parent / "assets"
    assert {path.name for path in folder.iterdir()} == {*assets(), "widget.js"}  # which notebooks take from the package
    for name, (content, _) in assets().items():
        text = content.decode()
        for elsewhere in re.findall(r"https?://[^\s\"')]+", text):
            assert elsewhere == "http://www.w3.org/2000/svg", name
