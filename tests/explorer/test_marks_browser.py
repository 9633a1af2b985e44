"""Naming, tagging, noting and rejecting in a real browser; concepts elsewhere; banks side by side."""

import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.explorer.conftest import CALIBRATED, ready
from tests.explorer.test_browser import directions

import monoseme as ms


@pytest.fixture
def here(several, tmp_path):
    """A run that tests may change, and the address of an explorer of it."""
    run = ms.open_run(shutil.copytree(several.path, tmp_path / "run"))
    with ms.Explorer(run.path, port=0).start() as explorer:
        yield run, explorer.url.rstrip("/")


@pytest.fixture(scope="module")
def address(several):
    with ms.Explorer(several.path, port=0).start() as explorer:
        yield explorer.url.rstrip("/")


def kept(page, text: str = "kept") -> None:
    page.locator("#kept", has_text=text).wait_for()


def test_a_concept_is_named_tagged_noted_and_rejected_without_leaving_the_page(watched, here):
    run, address = here
    key = ms.load_bank(run.path, layer="3", name="calibrated")[2].key
    page = ready(watched.page, f"{address}{CALIBRATED}/concept/2")
    page.keyboard.press("n")
    page.keyboard.type("  bright   stripes")
    page.get_by_label("Tags").fill("stripes, bright, stripes")
    page.get_by_label("Note").fill("seen twice\nask Ann")
    page.get_by_role("button", name="keep").click()
    kept(page)
    assert page.locator("h1").inner_text() == "concept 2 bright stripes"
    assert page.locator("#marks").inner_text().split() == ["stripes", "bright"]
    assert page.get_by_label("Name").input_value() == "bright stripes"  # as it was kept
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("x")
    page.locator("#marks .rejected").wait_for()
    said = ms.load_annotations(run)[key]
    assert (said.name, said.tags, said.note, said.rejected) == (
        "bright stripes",
        ("stripes", "bright"),
        "seen twice\nask Ann",
        True,
    )
    page.reload()
    page.wait_for_selector("[data-ready=yes]")
    assert page.get_by_label("Note").input_value() == "seen twice\nask Ann"
    assert page.get_by_label("rejected").is_checked()
    page.get_by_role("button", name="keep").click()
    kept(page, "nothing has changed")


def test_only_what_was_changed_here_is_sent_so_that_two_pages_do_not_undo_each_other(watched, here):
    run, address = here
    bank = ms.load_bank(run.path, layer="3", name="calibrated")
    page = ready(watched.page, f"{address}{CALIBRATED}/concept/2")
    ms.annotate(run, bank, 2, name="of another page")
    page.get_by_label("Note").fill("of this one")
    page.get_by_label("Note").press("Control+Enter")
    kept(page)
    said = ms.load_annotations(run)[bank[2].key]
    assert (said.name, said.note) == ("of another page", "of this one")
    assert page.get_by_label("Name").input_value() == "of another page"


def test_what_is_refused_is_said_beside_the_button_and_nothing_is_lost(watched, here):
    run, address = here
    page = ready(watched.page, f"{address}{CALIBRATED}/concept/2")
    page.get_by_label("Name").fill("y" * 10_000)
    page.get_by_role("button", name="keep").click()
    kept(page, "a name has at most 120 letters, not 10,000")
    assert page.locator("#kept").get_attribute("class") == "error"
    assert len(page.get_by_label("Name").input_value()) == 10_000
    page.get_by_label("Name").fill("y" * 120)
    page.get_by_role("button", name="keep").click()
    kept(page)
    assert len(next(iter(ms.load_annotations(run).values())).name) == 120
    watched.complaints[:] = [text for text in watched.complaints if "400 (Bad Request)" not in text]


def test_a_tag_of_another_concept_is_put_on_and_taken_off_with_a_click(watched, here):
    run, address = here
    ms.annotate(run, ms.load_bank(run.path, layer="3", name="calibrated"), 0, tags=["texture"])
    page = ready(watched.page, f"{address}{CALIBRATED}/concept/2")
    page.get_by_label("Tags").fill("own")
    page.get_by_role("button", name="texture").click()
    assert page.get_by_label("Tags").input_value() == "own, texture"
    page.get_by_role("button", name="texture").click()
    assert page.get_by_label("Tags").input_value() == "own"
    page.get_by_label("Tags").fill("")


def test_the_browser_asks_before_a_note_that_was_not_kept_is_left(watched, here):
    page = ready(watched.page, f"{here[1]}{CALIBRATED}/concept/2")
    page.get_by_label("Note").fill("not kept")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.get_by_role("link", name="next (concept 3)").click()
    page.wait_for_url("**/concept/3")
    assert asked == ["beforeunload"]
    page.wait_for_selector("[data-ready=yes]")
    page.get_by_role("link", name="previous (concept 2)").click()
    page.wait_for_url("**/concept/2")
    assert asked == ["beforeunload"]


def test_hostile_text_runs_nothing_and_turns_nothing_around(watched, here):
    run, address = here
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    page = ready(watched.page, f"{address}{CALIBRATED}/concept/2")
    page.get_by_label("Name").fill(hostile)
    page.get_by_label("Tags").fill("<b>bold</b>")
    page.get_by_label("Note").fill("</textarea><script>alert(3)</script>")
    page.get_by_role("button", name="keep").click()
    kept(page)
    assert page.locator("#called").inner_text() == hostile
    assert page.locator("#marks b, #called img").count() == 0
    direction = ms.load_bank(run.path, layer="3", name="calibrated")[2].direction
    for place in ("", f"/neuron/{direction}", "/concept/2"):
        page.goto(f"{address}{CALIBRATED}{place}")
        page.wait_for_selector("[data-ready=yes]")
        page.get_by_text("<script>alert(1)").first.wait_for()
    assert page.get_by_label("Note").input_value() == "</textarea><script>alert(3)</script>"


def test_the_layer_page_shows_finds_and_filters_what_is_said(watched, here):
    run, address = here
    bank = ms.load_bank(run.path, layer="3", name="calibrated")
    one, other = (bank.for_direction(each)[0] for each in (6, 7))
    ms.annotate(run, bank, one.number, name="Snow Leopards", tags=["felines"])
    ms.annotate(run, bank, other.number, rejected=True)
    page = ready(watched.page, f"{address}{CALIBRATED}")
    page.locator("#rows").evaluate("one => { one.style.height = '4000px' }")
    strip = page.locator(f'a.strip[href$="/concept/{one.number}"]')
    assert strip.inner_text().strip() == "Snow Leopards · felines"
    assert "tag felines" in strip.get_attribute("aria-label")
    assert "rejected" in page.locator(f'a.strip[href$="/concept/{other.number}"]').get_attribute("aria-label")
    for text in ("snow leop", "FELINES"):
        page.get_by_label("Search").fill(text)
        assert directions(page) == ["6"]
    page.get_by_label("Search").fill("person")  # who says it is no part of what is said
    assert directions(page) == []
    page.get_by_label("Search").fill("")
    everything = directions(page)
    expected = {
        "named": ["6"],
        "tagged": ["6"],
        "rejected": ["7"],
        "kept": [each for each in everything if each != "7"],
        "tag:felines": ["6"],
    }
    for value, rows in expected.items():
        page.get_by_label("People say").select_option(value)
        assert directions(page) == rows
    assert page.url.endswith("?said=tag%3Afelines")
    page.reload()
    page.wait_for_selector("[data-ready=yes]")
    assert directions(page) == ["6"]
    page.go_back()
    page.wait_for_selector("[data-ready=yes]")
    assert page.get_by_label("People say").input_value() == "kept"
    page.goto(f"{address}{CALIBRATED}?said=tag%3Anobodys")
    page.wait_for_selector("[data-ready=yes]")
    assert page.locator("#count").inner_text() == "20 neurons"


def test_read_only_shows_a_form_that_cannot_be_changed(watched, here):
    run, _ = here
    ms.annotate(run, ms.load_bank(run.path, layer="3", name="calibrated"), 2, name="there")
    with ms.Explorer(run.path, port=0, read_only=True).start() as explorer:
        page = ready(watched.page, f"{explorer.url.rstrip('/')}{CALIBRATED}/concept/2")
        assert page.get_by_label("Name").is_disabled()
        assert page.get_by_label("Name").input_value() == "there"
        page.keyboard.press("x")
        page.keyboard.press("n")
        assert not page.get_by_label("rejected").is_checked()
        page.get_by_text("started with --read-only").wait_for()
    assert not ms.load_annotations(run)[next(iter(ms.load_annotations(run)))].rejected


def test_concepts_of_other_banks_come_in_their_own_time_and_lead_there(watched, address):
    page = ready(watched.page, f"{address}{CALIBRATED}/concept/2")
    page.wait_for_selector("#elsewhere[data-there=yes]")
    assert page.locator("#elsewhere").get_attribute("aria-busy") is None
    told = page.request.get(f"{address}/api{CALIBRATED}/concept/2/elsewhere").json()
    assert page.locator("#elsewhere h3").all_inner_texts() == [f"{each['layer']} / {each['bank']}" for each in told]
    assert page.locator("#elsewhere li > p").count() == sum(len(each["nearest"]) for each in told)
    page.locator("#elsewhere a").last.click()
    page.wait_for_url("**/banks/1/first/concept/*")


def test_the_neuron_page_leads_to_its_banks_side_by_side_and_back(watched, address):
    page = ready(watched.page, f"{address}{CALIBRATED}/neuron/6")
    page.keyboard.press("b")
    page.wait_for_url("**/neuron/6/beside")
    assert page.locator(".side h2").all_inner_texts() == ["calibrated", "coarse", "published"]
    told = page.request.get(f"{address}/api{CALIBRATED}/neuron/6/beside").json()
    for place, side in enumerate(told["sides"]):
        images = sum(each["size"] for each in side["concepts"]) + side["dropped"]
        assert page.locator(".side").nth(place).locator("li img").count() == images == side["exemplars"]
    boxes = [page.locator(".side").nth(place).bounding_box() for place in range(3)]
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]
    assert boxes[0]["y"] == boxes[1]["y"] == boxes[2]["y"]
    page.get_by_role("link", name="with published").click()
    page.wait_for_url("**/beside?with=published")
    assert page.locator(".side h2").all_inner_texts() == ["calibrated", "published"]
    page.get_by_role("link", name="neuron 6 alone").click()
    page.wait_for_url(re.compile(r"/neuron/6$"))
    page.wait_for_selector("[data-ready=yes]")


def test_the_form_follows_the_evidence_in_the_order_of_focus(watched, address):
    page = ready(watched.page, f"{address}{CALIBRATED}/concept/2")
    page.get_by_label("Name").focus()
    order = []
    for _ in range(4):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert order == ["tags", "note", "rejected", "keep"]


@pytest.mark.parametrize("scheme, width", [("light", 400), ("dark", 400), ("light", 1280), ("dark", 1280)])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(browser, here, scheme, width):
    run, address = here
    bank = ms.load_bank(run.path, layer="3", name="calibrated")
    ms.annotate(run, bank, 2, name="w" * 120, tags=["x" * 40, "another"], note="z" * 200, rejected=True)
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    direction = bank[2].direction
    for place in ("", f"/neuron/{direction}", f"/neuron/{direction}/beside", "/concept/2", "/concept/2?only=held-out"):
        page.goto(f"{address}{CALIBRATED}{place}")
        if "concept" in place:
            page.wait_for_selector("#elsewhere[data-there=yes]")
        elif "beside" not in place:
            page.wait_for_selector("[data-ready=yes]")
        if place.endswith(f"neuron/{direction}"):
            page.wait_for_selector("#charts svg.map")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{place}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
    context.close()
