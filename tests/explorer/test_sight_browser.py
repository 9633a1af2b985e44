"""What the model shows, in a real browser: maps over thumbnails, images that drive something, and a picture that is tried."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.explorer.conftest import CALIBRATED, PUBLISHED, ready

import monoseme as ms


@pytest.fixture(scope="module")
def photo(made) -> Path:
    """The file of image 7."""
    return Path(made.manifest.images["source"]) / made.images([7], ["uri"])["uri"][0].as_py()


def test_pointing_at_an_image_lays_the_map_of_its_concept_over_it_and_says_where_it_is(watched, watching):
    page = ready(watched.page, f"{watching}{CALIBRATED}/neuron/6")
    tile = page.locator("#groups article li").first
    tile.hover()
    page.wait_for_selector(".heat")
    number = tile.locator("img").first.get_attribute("data-image")
    told = page.request.get(f"{watching}/api{CALIBRATED}/neuron/6/heat/{number}?group=0").json()
    assert page.locator(".heat").get_attribute("src") == told["picture"]
    words = f"Where concept A is in image {number}: {told['where']}."
    assert page.locator("#sight").inner_text() == words
    assert page.locator(".heat").get_attribute("alt") == words
    page.locator("h1").hover()
    page.wait_for_selector(".heat", state="detached")
    tile.hover()
    page.wait_for_selector(".heat")
    page.keyboard.press("Escape")
    assert page.locator(".heat").count() == 0


def test_instead_of_the_concept_the_neuron_itself_or_nothing_can_be_seen(watched, watching):
    page = ready(watched.page, f"{watching}{CALIBRATED}/neuron/6")
    page.get_by_label("Point at an image").select_option("the neuron itself")
    page.locator("#groups article li").nth(2).hover()
    page.wait_for_selector(".heat")
    assert page.locator("#sight").inner_text().startswith("Where neuron 6 is in image ")
    page.get_by_label("Point at an image").select_option("nothing")
    page.wait_for_selector(".heat", state="detached")
    asked = len(watched.requests)
    page.locator("#groups article li").nth(3).hover()
    page.wait_for_timeout(200)
    assert watched.requests[asked:] == []


def test_arrow_keys_go_from_image_to_image_with_one_stop_in_each_list(watched, watching):
    page = ready(watched.page, f"{watching}{CALIBRATED}/concept/2")
    lists = page.locator("[data-heat]")
    assert page.locator("[data-heat] img[tabindex='0']").count() == lists.count()
    page.get_by_label("Point at an image").focus()
    page.keyboard.press("Tab")
    page.wait_for_selector("#images li:nth-child(1) .heat")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#images li:nth-child(2) .heat")
    assert page.locator(".heat").count() == 1
    assert page.locator("#said").inner_text().startswith("Where concept 2 is in image ")
    page.keyboard.press("End")
    page.wait_for_selector("#images li:last-child .heat")
    page.keyboard.press("Home")
    page.wait_for_selector("#images li:nth-child(1) .heat")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".heat")
    at = page.evaluate("document.activeElement.getBoundingClientRect().top")
    assert at > page.locator("#images li").first.bounding_box()["y"]
    page.keyboard.press("Escape")
    assert page.locator(".heat").count() == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('#images li img')") is False


def test_only_the_last_image_that_was_gone_to_shows_its_map(watched, watching):
    page = ready(watched.page, f"{watching}{CALIBRATED}/concept/4")
    page.get_by_label("Point at an image").focus()
    for key in ("Tab", "Shift+Tab", "Tab", "ArrowRight", "ArrowLeft", "ArrowRight"):  # sooner than answers come
        page.keyboard.press(key)
    page.wait_for_selector("#images li:nth-child(2) .heat")
    page.wait_for_load_state("networkidle")
    assert page.locator(".heat").count() == 1
    assert page.locator(".looking").count() == 0


def test_on_a_touch_screen_a_tap_shows_the_map_and_another_takes_it_away(browser, watching):
    context = browser.new_context(viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{watching}{CALIBRATED}/concept/2")
    tile = page.locator("#images li").nth(1)
    tile.tap()
    page.wait_for_selector("#images li:nth-child(2) .heat")
    box = page.locator(".heat").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    tile.tap()
    page.wait_for_selector(".heat", state="detached")
    context.close()


def test_after_the_line_has_moved_images_show_the_concepts_that_it_makes(watched, watching):
    page = ready(watched.page, f"{watching}{PUBLISHED}/neuron/3?method=published&threshold=0.3&min_size=2")
    page.get_by_label("Fewest images of a concept").fill("1")
    page.wait_for_selector("#board[data-rest=yes]")
    number = page.locator("#groups article:not(.dropped)").count()
    assert number > 1
    page.locator("#groups article:not(.dropped) li").last.hover()
    page.wait_for_selector(".heat")
    asked = [url for url in watched.requests if "/heat/" in url]
    assert f"group={number - 1}&" in asked[-1]
    assert "min_size=1&" in asked[-1]


def test_without_a_model_the_page_says_what_to_do_and_asks_for_nothing(watched, served):
    page = ready(watched.page, f"{served}{CALIBRATED}/neuron/6")
    assert "start the explorer with --model" in page.locator("#sight").inner_text()
    page.locator("#groups li").first.hover()
    page.wait_for_timeout(200)
    assert not [url for url in watched.requests if "/heat/" in url]
    assert page.get_by_role("button", name="make an image that drives").count() == 0


def test_an_image_that_drives_the_neuron_is_made_shown_and_still_there_later(watched, watching):
    page = ready(watched.page, f"{watching}{CALIBRATED}/neuron/9")
    figure = page.locator("figure[data-feature]").first
    assert figure.locator("figcaption").inner_text() == "neuron 9"
    figure.get_by_role("button", name="make an image that drives neuron 9").click()
    figure.locator(".drive img").wait_for()
    assert figure.locator(".drive img").evaluate("one => one.naturalWidth") == 32
    assert figure.locator("progress").is_hidden()
    page.reload()
    assert page.locator("figure[data-feature] .drive img").evaluate("one => one.naturalWidth") == 32


def test_making_an_image_shows_its_progress_goes_on_after_a_reload_and_can_be_stopped(watched, watching, monkeypatch):
    monkeypatch.setattr("monoseme.explorer._feature.STEPS", 10**6)
    page = ready(watched.page, f"{watching}{CALIBRATED}/neuron/10")
    page.get_by_role("button", name="make an image that drives neuron 10").click()
    page.wait_for_selector("figure progress[value]")
    others = page.get_by_role("button", name=re.compile("make an image that drives concept"))
    assert all(each.is_disabled() for each in others.all())
    page.reload()
    page.wait_for_selector("figure progress[value]")
    assert re.match(r"feature images: [\d,]+ of 1,000,000", page.locator("figure .state").first.inner_text())
    page.get_by_role("button", name="stop making an image that drives neuron 10").click()
    page.locator("figure .state").get_by_text("stopped", exact=True).wait_for()
    assert page.locator("figure progress:not([hidden])").count() == 0


def shown(page) -> None:
    page.wait_for_selector("#seen[data-ready=yes]")


def test_a_picture_that_is_chosen_shows_its_concepts_neurons_and_images_like_it(watched, watching, photo, made):
    page = ready(watched.page, f"{watching}{CALIBRATED}/concept/2")
    page.get_by_role("link", name="try an image").click()
    page.wait_for_selector("#drop[data-ready=yes]")
    page.get_by_label("Drop a picture here").set_input_files(photo)
    shown(page)
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    links = page.locator("#concepts h3 a")
    assert links.count() == min(12, len(bank))
    assert re.match(
        r"\d+ concepts? fire; in an image of the run about [\d.]+ do\.", page.locator("#state").inner_text()
    )
    assert page.locator("#neurons h3 a").count() == 8
    assert page.locator("#nearest img").first.get_attribute("alt").startswith("image 7: ")
    assert page.locator("#concepts img").evaluate_all("all => all.every(one => one.naturalWidth > 0 && one.alt)")
    page.wait_for_load_state("networkidle")
    name = links.first.inner_text()
    links.first.click()
    page.wait_for_selector("h1")
    assert page.locator("h1").inner_text().startswith(name)


DROP = """([kind, bytes, type]) => {
  const things = new DataTransfer();
  if (bytes) things.items.add(new File([new Uint8Array(bytes)], "a", { type }));
  else things.setData("text/uri-list", "http://elsewhere.example/a.jpg");
  const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: things, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: things, bubbles: true });
  document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_can_be_dropped_or_pasted_and_what_is_none_is_said(watched, watching, photo, kind):
    page = ready(watched.page, f"{watching}{CALIBRATED}/try?concept=3")
    page.evaluate(DROP, [kind, list(photo.read_bytes()), "image/jpeg"])
    shown(page)
    assert page.locator("#concepts h3 a").first.inner_text() == "concept 3"
    page.evaluate(DROP, [kind, None, ""])
    assert "There is no picture in that" in page.locator("#state").inner_text()
    page.evaluate(DROP, [kind, list(b"<svg onload='alert(1)'/>"), "image/svg+xml"])
    page.locator("#state.error").get_by_text("not an image").wait_for()
    assert page.locator("#seen").inner_text() == ""
    watched.complaints[:] = [text for text in watched.complaints if "400 (Bad Request)" not in text]


def test_a_file_that_is_too_large_is_not_even_sent(watched, watching, tmp_path):
    (tmp_path / "large.jpg").write_bytes(bytes(17 * 2**20))
    page = ready(watched.page, f"{watching}{CALIBRATED}/try")
    asked = len(watched.requests)
    page.get_by_label("Drop a picture here").set_input_files(tmp_path / "large.jpg")
    page.locator("#state.error").get_by_text("17.0 MiB, more than the 16 that can be sent").wait_for()
    assert watched.requests[asked:] == []


def test_a_page_of_another_site_cannot_have_a_picture_looked_at(browser, watching, monkeypatch):
    looked = []
    monkeypatch.setattr("monoseme.explorer._try.decoded", looked.append)
    page = browser.new_page()
    page.route("http://evil.example/", lambda route: route.fulfill(body="<h1>x</h1>", content_type="text/html"))
    page.goto("http://evil.example/")
    send = """async ([address, mode, type]) => {
      const body = new Blob([new Uint8Array(100)], { type });
      try { return (await fetch(address, { method: "POST", mode, body, credentials: "include" })).type; }
      catch { return "refused"; }
    }"""
    address = f"{watching}/api{CALIBRATED}/try"
    for kind in ("image/png", "application/octet-stream"):
        assert page.evaluate(send, [address, "cors", kind]) == "refused"
    for kind in ("image/png", "text/plain", ""):
        page.evaluate(send, [address, "no-cors", kind])  # goes out, and comes back as nothing that can be read
    page.evaluate(
        "address => navigator.sendBeacon(address, new Blob([new Uint8Array(9)], { type: 'image/png' }))", address
    )
    page.request.get(f"{watching}/api/run")
    assert looked == []
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(browser, watching, served, photo, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    for name, address in (
        ("without", f"{served}{CALIBRATED}/try"),
        ("try", f"{watching}{CALIBRATED}/try"),
        ("neuron", f"{watching}{PUBLISHED}/neuron/3"),
        ("concept", f"{watching}{CALIBRATED}/concept/2"),
    ):
        page.goto(address)
        if name == "try":
            page.set_input_files("#file", photo)
            shown(page)
        if name == "neuron":
            page.wait_for_selector("#charts svg.map")
        if name in ("neuron", "concept"):
            page.locator("[data-heat] li").first.hover()
            page.wait_for_selector(".heat")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    context.close()


def test_who_wants_less_motion_gets_none(browser, watching):
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{watching}{CALIBRATED}/concept/2")
    page.locator("#images li").first.hover()
    page.wait_for_selector(".heat")
    assert page.locator(".heat").evaluate("one => getComputedStyle(one).animationName") == "none"
    context.close()
