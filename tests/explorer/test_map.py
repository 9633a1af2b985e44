"""The map page: where concepts lie, how that is computed, and what can be done with it by hand, by keys and without eyes."""

import re
import threading

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.explorer.conftest import CALIBRATED, PUBLISHED, ready

import monoseme as ms
from monoseme.explorer import _planes
from monoseme.explorer._planes import Laid, Planes, best, fitted
from monoseme.views import plane

MAP = f"{CALIBRATED}/map"


@pytest.fixture(scope="module")
def bank(made):
    return ms.load_bank(made.path, layer="3", name="calibrated")


@pytest.fixture
def page(watched, served):
    """The map with its last layout, nothing moving."""
    ready(watched.page, served + MAP)
    watched.page.wait_for_selector("#map[data-layout=tsne][data-rest=yes]")
    return watched.page


def told(page, served: str) -> dict:
    return page.request.get(f"{served}/api{MAP}").json()


def listed(page) -> list[int]:
    """The concepts in the table of those in view."""
    return [int(text.split()[1]) for text in page.locator("#table tbody th").all_inner_texts()]


def chosen(page) -> list[int]:
    return [int(text.split()[1]) for text in page.locator("#chosen a").all_inner_texts()]


def screen(page, served: str) -> np.ndarray:
    """(M, 2) where on the screen each concept is while the whole map is shown."""
    box, answer = page.locator("#canvas").bounding_box(), told(page, served)
    at = np.stack([answer["x"], answer["y"]], 1) - 0.5
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    return middle + at * [1, -1] * min(box["width"], box["height"]) * 0.94


def settled(page) -> None:
    page.wait_for_selector("#map[data-rest=yes]")


def test_the_twin_has_a_place_and_the_facts_of_every_concept(served, page, bank, made):
    answer = told(page, served)
    assert (answer["layout"], answer["next"], answer["trouble"]) == ("tsne", None, None)
    np.testing.assert_allclose(np.stack([answer["x"], answer["y"]], 1), fitted(plane(bank.vectors)), atol=1e-5)
    labels = made.shown_labels()
    for number in range(len(bank)):
        concept = bank[number]
        assert answer["direction"][number] == concept.direction
        assert answer["size"][number] == concept.size
        assert answer["image"][number] == concept.image_ids[0]
        assert answer["labels"][answer["label"][number]] == labels.counts(concept.image_ids)[0][0]
        division = bank.divisions.slice(concept.direction, 1)["p_value"][0].as_py()
        assert answer["p_value"][number] == (division if concept.p_value is None else concept.p_value)
    state = page.request.get(f"{served}/api{MAP}/state").json()
    assert state == {"layout": "tsne", "next": None, "trouble": None}


def test_while_a_layout_is_computed_the_page_says_so_and_shows_the_one_before(own, browser, monkeypatch):
    go, begun = {"pca": threading.Event(), "tsne": threading.Event()}, threading.Event()

    def slow(vectors, how="tsne"):
        begun.set()
        assert go[how].wait(60)
        return plane(vectors, how)

    monkeypatch.setattr(_planes, "plane", slow)
    with ms.Explorer(own.path, port=0).start() as explorer:
        page = browser.new_page()
        page.goto(explorer.url.rstrip("/") + MAP)
        assert begun.wait(60)
        state = page.locator("#state")
        state.get_by_text("principal components are being computed ...").wait_for()
        assert told(page, explorer.url.rstrip("/"))["x"] == []
        go["pca"].set()
        page.wait_for_selector("#map[data-layout=pca]")
        assert "laid out by principal components; t-SNE is being computed and will take its place" in state.inner_text()
        go["tsne"].set()
        page.wait_for_selector("#map[data-layout=tsne]")
        assert state.inner_text().endswith("laid out by t-SNE")
        page.close()


def test_a_layout_that_fails_leaves_the_one_before_and_says_why(monkeypatch):
    def broken(vectors, how="tsne"):
        if how == "pca":
            return plane(vectors, how)
        raise ValueError("no")

    monkeypatch.setattr(_planes, "plane", broken)
    laid = Planes(lambda: np.eye(9, dtype=np.float32)).whole()
    assert (laid.layout, laid.next, laid.trouble) == ("pca", None, "tsne failed: ValueError")
    assert laid.at.shape == (9, 2)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 30])
def test_few_points_have_a_map_too(count):
    laid = Planes(lambda: np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)).whole()
    assert laid.trouble is None
    assert laid.layout == ("pca" if count < 5 else "tsne")
    assert laid.at.shape == (count, 2)
    assert np.all((laid.at >= 0) & (laid.at <= 1))


def test_many_points_are_laid_out_by_umap_where_it_is_installed(monkeypatch):
    assert best(10_000) == "umap"
    monkeypatch.setattr(_planes, "find_spec", lambda name: None)
    assert best(10_000) == "tsne"


def test_the_work_is_done_once_whoever_asks(monkeypatch):
    calls = []
    monkeypatch.setattr(_planes, "plane", lambda vectors, how: calls.append(how) or vectors[:, :2])
    planes = Planes(lambda: np.eye(9, dtype=np.float32))
    asking = [threading.Thread(target=planes.now) for _ in range(8)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert isinstance(planes.whole(), Laid)
    assert calls == ["pca", "tsne"]


def test_a_concept_s_map_that_is_not_there_is_404(client):
    for address in ("/banks/3/none/map", "/api/banks/3/none/map", "/api/banks/3/none/map/state"):
        assert client.get(address).status_code == 404


def test_p_values_are_offered_as_colours_only_where_there_are_any(client):
    assert 'value="p"' in client.get(MAP).text
    assert 'value="p"' not in client.get(f"{PUBLISHED}/map").text


def test_hostile_labels_stay_text(own, browser, monkeypatch):
    from monoseme.base import Labels

    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    monkeypatch.setattr(ms.Run, "shown_labels", lambda self, name=None: Labels.of([hostile] * len(self)))
    with ms.Explorer(own.path, port=0).start() as explorer:
        page = browser.new_page()
        dialogs = []
        page.on("dialog", lambda dialog: dialogs.append(dialog.dismiss()))
        ready(page, f"{explorer.url.rstrip('/')}{MAP}")
        settled(page)
        assert hostile[:40] in page.locator("#legend").inner_text()
        assert hostile[:40] in page.locator("#table tbody tr").first.inner_text()
        assert page.locator("main img").count() == 0
        assert dialogs == []
        page.close()


def test_hovering_names_a_concept_and_a_click_keeps_it_with_its_links(page, served, bank):
    at = screen(page, served)
    alone = int(np.argmax([np.sort(np.linalg.norm(at - one, axis=1))[1] for one in at]))
    page.mouse.move(*at[alone])
    card = page.locator("#card")
    card.get_by_role("link", name=f"concept {alone}", exact=True).wait_for()
    page.mouse.move(*(page.locator("h1").bounding_box()[key] for key in ("x", "y")))
    card.wait_for(state="hidden")
    page.mouse.click(*at[alone])
    page.wait_for_url(f"**/map?at={alone}")
    page.mouse.move(*(page.locator("h1").bounding_box()[key] for key in ("x", "y")))
    assert f"neuron {bank[alone].direction}, {bank[alone].size} images" in card.inner_text()
    assert page.locator("#said").inner_text().startswith(f"concept {alone},")
    card.get_by_role("link", name=f"concept {alone}", exact=True).click()
    page.wait_for_url(f"**/concept/{alone}")


def test_wheel_drag_and_buttons_move_the_map_and_the_table_follows(page, served, bank):
    assert listed(page) == list(range(len(bank)))[:100]
    at = screen(page, served)
    page.mouse.move(*at[5])
    for _ in range(8):
        page.mouse.wheel(0, -300)
    settled(page)
    page.wait_for_url(re.compile(r"z=\d"))
    assert 5 in listed(page)
    assert 0 < len(listed(page)) < min(100, len(bank))
    near = listed(page)
    page.mouse.down()
    page.mouse.move(at[5][0] - page.locator("#canvas").bounding_box()["width"], at[5][1], steps=5)
    page.mouse.up()
    settled(page)
    assert 5 not in listed(page)
    assert listed(page) != near
    page.get_by_role("button", name="show all").click()
    settled(page)
    assert listed(page) == list(range(len(bank)))[:100]
    assert "z=" not in page.url


def test_what_is_seen_coloured_and_chosen_is_in_the_address(page, served):
    page.get_by_label("Colour by").select_option("neuron")
    page.locator("#canvas").press("+")
    page.locator("#canvas").press("v")
    settled(page)
    address, seen, picked = page.url, listed(page), chosen(page)
    assert picked == seen
    assert {"by=neuron", "z=1.5"} <= set(address.partition("?")[2].split("&"))
    page.goto(address)
    page.wait_for_selector("[data-ready=yes]")
    settled(page)
    assert (listed(page), chosen(page)) == (seen, picked)
    assert page.get_by_label("Colour by").input_value() == "neuron"


@pytest.mark.parametrize("how", ["shift", "tool"])
def test_a_lasso_chooses_what_lies_in_it(page, served, how):
    at = screen(page, served)
    box = page.locator("#canvas").bounding_box()
    low = np.array([box["x"] + 2, box["y"] + 2])
    high = np.array([np.median(at[:, 0]) + 0.5, box["y"] + box["height"] - 2])
    if how == "tool":
        page.get_by_label("lasso").check()
    else:
        page.keyboard.down("Shift")
    page.mouse.move(*low)
    page.mouse.down()
    for corner in ((high[0], low[1]), high, (low[0], high[1])):
        page.mouse.move(*corner, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    settled(page)
    inside = np.flatnonzero((at > low).all(1) & (at < high).all(1)).tolist()
    assert 0 < len(inside) < len(at)
    assert chosen(page) == inside
    assert page.get_by_role("button", name="copy the numbers").get_attribute("data-copy") == ",".join(map(str, inside))
    page.get_by_role("button", name="clear").click()
    assert chosen(page) == []


def test_the_keyboard_does_all_that_the_pointer_does(page, bank):
    canvas = page.locator("#canvas")
    canvas.focus()
    for key in ("j", "j", "c", "j", "c", "k"):
        page.keyboard.press(key)
    assert page.locator("#said").inner_text().startswith("concept 1,")
    assert chosen(page) == [1, 2]
    page.keyboard.press("c")
    assert chosen(page) == [2]
    for key in ("+", "+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    settled(page)
    query = dict(part.split("=") for part in page.url.partition("?")[2].split("&"))
    assert float(query["z"]) == pytest.approx(2.25)
    assert float(query["x"]) < 0.5 < float(query["y"])
    page.keyboard.press("0")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "canvas"
    page.keyboard.press("Enter")
    page.wait_for_url("**/concept/1")


def test_finding_and_switching_colours_off_leave_what_is_lit(page, served):
    answer = told(page, served)
    names = [answer["labels"][label] for label in answer["label"]]
    name = names[0]
    page.get_by_label("Find").fill(name)
    settled(page)
    assert listed(page) == [number for number, each in enumerate(names) if name in each][:100]
    page.get_by_label("Find").fill("7")
    settled(page)
    assert listed(page) == [number for number, each in enumerate(answer["direction"]) if 7 in (each, number)]
    page.get_by_label("Find").fill("")
    page.locator("#legend").get_by_role("button", name=re.compile(f"^{name} ")).click()
    settled(page)
    assert listed(page) == [number for number, each in enumerate(names) if each != name][:100]
    assert f"off={name}" in page.url


def test_colours_are_drawn_and_near_ones_show_their_strongest_image(page, served):
    page.wait_for_load_state("networkidle")
    at = screen(page, served)
    box = page.locator("#canvas").bounding_box()

    drawn = page.evaluate(
        """places => {
          const canvas = document.getElementById("canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return places.map(([x, y]) => data[4 * (Math.round(y) * canvas.width + Math.round(x)) + 3]);
        }""",
        (at - [box["x"], box["y"]]).tolist(),
    )
    assert all(opaque > 0 for opaque in drawn)
    page.locator("#canvas").press("0")
    for _ in range(4):
        page.locator("#canvas").press("+")
    settled(page)
    page.wait_for_load_state("networkidle")
    answer = told(page, served)
    asked = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    shown = {int(found[1]) for one in asked if (found := re.search(r"/image/(\d+)\.jpg", one))}
    assert {answer["image"][concept] for concept in listed(page)} <= shown


def test_two_fingers_zoom(page):
    page.evaluate(
        """() => {
          const canvas = document.getElementById("canvas"), box = canvas.getBoundingClientRect();
          canvas.setPointerCapture = () => {};
          const send = (kind, id, x) => canvas.dispatchEvent(new PointerEvent(kind, { pointerId: id, clientX: box.x + x, clientY: box.y + 200, button: 0, bubbles: true }));
          send("pointerdown", 11, 300); send("pointerdown", 12, 400);
          send("pointermove", 12, 500);
          send("pointerup", 12, 500); send("pointerup", 11, 300);
        }"""
    )
    page.wait_for_url("**z=2*")


def test_the_layer_page_leads_to_its_map_and_back(watched, served):
    page = ready(watched.page, served + CALIBRATED)
    page.keyboard.press("m")
    page.wait_for_url(f"**{MAP}")
    page.get_by_role("link", name="table of the layer").click()
    page.wait_for_url(f"**{CALIBRATED}")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_map(browser, served, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    ready(page, f"{served}{MAP}?at=1&chosen=1,2")
    settled(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_without_scripts_the_map_says_where_the_same_concepts_are(browser, served):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served + MAP)
    assert "The map needs scripts" in page.locator("main").inner_text()
    context.close()
