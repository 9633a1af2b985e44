"""The neuron page in a notebook: its messages, its front end in a browser, and a notebook that is run."""

import re

import numpy as np
import pytest
from tests.explorer.conftest import PUBLISHED

import monoseme as ms
from monoseme.explorer._page import assets


@pytest.fixture
def bank(made):
    return ms.load_bank(made.path, layer="3", name="published")


@pytest.fixture
def widget(bank, monkeypatch):
    widget = ms.neuron_widget(bank, 3)
    widget.sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: widget.sent.append(content))
    yield widget
    widget.close()


def ask(widget, address: object, number: str = "a-1") -> dict:
    widget._handle_custom_msg({"ask": number, "address": address}, [])
    return widget.sent[-1]


HERE = "/banks/3/bank/neuron/3"


def test_its_page_needs_nothing_from_anywhere(widget, bank):
    assert re.findall(r' (?:src|href)="(?!data:|#)([^"]*)"', widget.page) == []
    assert widget.page.count("data:image/jpeg;base64,") == 24
    assert assets()["neuron.js"][0].decode() in widget.page
    assert widget.title == "neuron 3 of 3"


def test_a_message_is_answered_as_the_explorer_answers_the_address(widget, client):
    query = "method=published&threshold=0.4&min_size=2"
    answer = ask(widget, f"{HERE}/cut?{query}")
    assert (answer["ask"], answer["status"]) == ("a-1", 200)
    live = client.get(f"{PUBLISHED}/neuron/3/cut?{query}").text

    def places(text: str) -> list[list[str]]:
        return [re.findall(r'data-place="(\d+)"', part) for part in text.split("<article")[1:]]

    assert places(answer["text"]) == places(live)
    assert len(places(live)) > 1
    assert "src=" not in answer["text"]  # the page has the pictures already
    told = ask(widget, f"/api{HERE}?{query}", "a-2")
    assert '"own":false' in told["text"]
    assert ask(widget, f"{HERE}/charts?")["text"].count("data:image/jpeg") == 24


@pytest.mark.parametrize(
    "address", [None, 3, "", "neuron", "/" + "x" * 5_000, "/../../etc/passwd", f"{HERE}/cut?top=1"]
)
def test_what_cannot_be_answered_is_refused(widget, address):
    assert ask(widget, address)["status"] in (400, 404, 422)


@pytest.mark.parametrize("content", [None, [], "x", {}, {"ask": 3}])
def test_what_is_no_request_is_not_answered(widget, content):
    widget._handle_custom_msg(content, [])
    assert widget.sent == []


def test_a_bank_that_was_never_saved_has_a_widget(made):
    bank = ms.disentangle(made.activations("3"), "published", top=12, min_size=2, distance_threshold=0.3)
    with pytest.raises(ms.UsageError, match="was not split"):
        ms.neuron_widget(bank, 99, made)
    widget = ms.neuron_widget(bank, 4, made, height=500)
    assert widget.height == 500
    assert widget.page.count("data:image/jpeg;base64,") == 12
    widget.close()


def test_a_bank_without_its_run_asks_for_it(layer):
    bank = ms.disentangle(layer, "published", top=12, min_size=2)
    with pytest.raises(ms.UsageError, match="the bank does not know its run"):
        ms.neuron_widget(bank, 4)


def test_what_is_missing_is_named(bank, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "monoseme.explorer._widget", raising=False)
    with pytest.raises(ms.MonosemeError, match=r"monoseme\[notebook\]"):
        ms.neuron_widget(bank, 3)


MODEL = """async (page) => {
  const heard = [];
  const model = {
    get: (name) => ({ page, title: "neuron 3", height: 700 })[name],
    on: (name, call) => { if (name === "msg:custom") heard.push(call); },
    off: (name, call) => heard.splice(heard.indexOf(call), 1),
    send: async (content) => { const answer = await window.kernel(content); for (const call of [...heard]) call(answer); },
  };
  const { default: widget } = await import(window.code);
  const el = document.createElement("div");
  document.body.append(el);
  window.leave = widget.render({ model, el });
}"""


def test_its_front_end_draws_the_page_and_moves_the_line(browser, widget):
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.expose_function("kernel", lambda content: ask(widget, content["address"], content["ask"]))
    code = (assets_folder() / "widget.js").read_text(encoding="utf-8")
    page.route(
        "http://widget.test/*", lambda route: route.fulfill(body="<!doctype html><body>", content_type="text/html")
    )
    page.goto("http://widget.test/")
    page.evaluate("code => { window.code = URL.createObjectURL(new Blob([code], { type: 'text/javascript' })); }", code)
    page.evaluate(MODEL, widget.page)
    frame = page.frame_locator("iframe")
    frame.locator("#board[data-ready=yes]").wait_for()
    frame.locator("#charts svg.map").wait_for()
    own = frame.locator("#groups article").count()
    line = frame.get_by_label("Line across the tree")
    line.focus()
    for _ in range(3):
        line.press("ArrowDown")
    frame.locator("#board[data-rest=yes]").wait_for()
    assert frame.locator("#summary").inner_text().endswith("as chosen here")
    assert frame.locator("#groups article").count() != own
    shown = frame.locator("#groups img")
    assert shown.count() == 24
    assert shown.evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    frame.locator("#top").fill("12")
    frame.locator("#groups li").nth(12).wait_for(state="detached")
    frame.locator("#top").fill("24")
    frame.locator("#groups li").nth(23).wait_for()
    frame.locator("#board[data-rest=yes]").wait_for()
    assert shown.evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    frame.get_by_role("link", name="as in the bank").click()
    frame.locator("#summary .chip.own").wait_for()
    assert frame.locator("#groups article").count() == own
    page.evaluate("window.leave()")
    assert complaints == []
    page.close()


def assets_folder():
    from importlib.resources import files

    return files("monoseme.explorer") / "assets"


@pytest.mark.filterwarnings("ignore")  # of the kernel's own libraries
def test_a_notebook_shows_it(made, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    code = f"import monoseme as ms\nms.neuron_widget(ms.load_bank({str(made.path)!r}, layer='3', name='published'), 3)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", store_widget_state=True)
    client.execute(cwd=str(tmp_path))
    view = notebook.cells[0].outputs[-1]["data"]["application/vnd.jupyter.widget-view+json"]
    state = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"][view["model_id"]][
        "state"
    ]
    assert "<svg" in state["page"]
    assert "srcdoc" in state["_esm"]
    assert np.isclose(state["height"], 760)
