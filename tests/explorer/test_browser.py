"""The explorer in a real browser: tables, lines, keys, addresses, what is asked of the network, and access for everybody."""

import re
import shutil

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.explorer.conftest import CALIBRATED, PUBLISHED, ready

import monoseme as ms

MANY = 900


@pytest.fixture(scope="module")
def large(made, tmp_path_factory):
    """An explorer of a run with a bank of many directions, which tests may add banks to."""
    run = ms.open_run(shutil.copytree(made.path, tmp_path_factory.mktemp("large") / "run"))
    directions = np.random.default_rng(0).normal(size=(MANY, 20)).astype(np.float32)
    bank = ms.disentangle(run.activations("3"), "published", directions=directions, top=12, min_size=2)
    bank.save(run.path / "banks" / "3" / "many")
    with ms.Explorer(run.path, port=0).start() as explorer:
        yield run, explorer.url.rstrip("/")


def directions(page) -> list[str]:
    return page.locator("#directions tbody tr[data-direction]").evaluate_all(
        "all => all.map(one => one.dataset.direction)"
    )


def column(page, key: str) -> list[str]:
    keys = page.locator("#directions thead th").evaluate_all("all => all.map(one => one.dataset.key)")
    return page.locator(f"#directions tbody tr[data-direction] > :nth-child({keys.index(key) + 1})").all_inner_texts()


def test_the_layer_page_shows_every_neuron_and_its_concepts(watched, served, made):
    page = ready(watched.page, served + CALIBRATED)
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    page.locator("#rows").evaluate("one => { one.style.height = '4000px' }")
    page.wait_for_selector('tr[data-direction="19"]')
    assert directions(page) == [str(number) for number in range(20)]
    assert [int(text) for text in column(page, "concepts")] == [len(bank.for_direction(each)) for each in range(20)]
    assert page.locator("#count").inner_text() == "20 neurons"
    page.wait_for_load_state("networkidle")
    loaded = page.locator("#directions img").evaluate_all("all => all.filter(one => one.naturalWidth > 0).length")
    assert loaded == page.locator("#directions img").count() > 20
    page.locator(".strip").first.click()
    page.wait_for_url(re.compile(r"/concept/\d+$"))


def test_of_many_rows_only_those_that_can_be_seen_are_in_the_page(watched, large):
    page = ready(watched.page, f"{large[1]}/banks/3/many")
    assert page.locator("#directions").get_attribute("aria-rowcount") == str(MANY + 1)
    assert 5 < len(directions(page)) < 60
    page.locator("#rows").evaluate("one => { one.scrollTop = one.scrollHeight }")
    page.wait_for_selector(f'tr[data-direction="{MANY - 1}"]')
    assert len(directions(page)) < 60
    assert page.locator(f'tr[data-direction="{MANY - 1}"]').get_attribute("aria-rowindex") == str(MANY + 1)
    height = page.locator("#rows").evaluate("one => one.scrollHeight")
    assert height == pytest.approx(MANY * 68, rel=0.02)


def test_sorting_is_in_the_address_and_the_back_button_undoes_it(watched, served):
    page = ready(watched.page, served + CALIBRATED)
    before = directions(page)
    for key, address in (
        ("concepts", "?sort=concepts"),
        ("concepts", "?sort=-concepts"),
        ("stability", "?sort=stability"),
    ):
        page.locator(f"th[data-key={key}] button").click()
        assert page.url.endswith(address)
        values = [float(value) for value in column(page, key) if value]
        assert values == sorted(values, reverse="-" in address)
        assert page.locator(f"th[data-key={key}]").get_attribute("aria-sort") == (
            "descending" if "-" in address else "ascending"
        )
        unknown = [not value for value in column(page, key)]
        assert unknown == sorted(unknown)  # last, whichever way
    for _ in range(3):
        page.go_back()
    page.wait_for_url(served + CALIBRATED)
    page.wait_for_selector("th[data-key=direction][aria-sort=ascending]")
    assert directions(page) == before
    assert page.locator("th[data-key=direction]").get_attribute("aria-sort") == "ascending"


def test_filters_and_search_are_in_the_address_and_come_back_from_it(watched, served, made):
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    view = ms.view_layer(bank, made).directions.to_pylist()
    page = ready(watched.page, served + CALIBRATED)
    page.locator("#rows").evaluate("one => { one.style.height = '4000px' }")

    def expected(keep) -> list[str]:
        return [str(row["direction"]) for row in view if keep(row)]

    page.get_by_label("more than one concept").check()
    assert directions(page) == expected(lambda row: row["concepts"] > 1)
    assert page.url.endswith("?several=1")
    page.get_by_label("more than one concept").uncheck()
    page.get_by_label("p at most").fill("0.02")
    assert directions(page) == expected(lambda row: row["p_value"] <= 0.02)
    assert page.locator("#count").inner_text() == f"{len(directions(page))} of 20 neurons"
    page.get_by_label("p at most").fill("")
    page.get_by_label("Label contains").fill("RAM")
    assert directions(page) == expected(lambda row: any("ram" in label for label in row["labels"]))
    page.wait_for_url("**?label=RAM")
    page.reload()
    page.wait_for_selector("[data-ready=yes]")
    assert page.get_by_label("Label contains").input_value() == "RAM"
    page.get_by_label("Label contains").fill("")
    page.get_by_label("Search").fill("7")
    assert directions(page) == ["7"]
    page.get_by_label("Search").fill("stripes")
    assert set(directions(page)) <= set(expected(lambda row: "stripes" in row["labels"]))
    page.get_by_label("Search").fill("no such thing")
    assert directions(page) == []
    assert page.locator("#count").inner_text() == "0 of 20 neurons"


def test_the_keyboard_walks_opens_searches_and_comes_back_to_the_same_row(watched, large):
    page = ready(watched.page, f"{large[1]}/banks/3/many?sort=-direction")
    for _ in range(30):
        page.keyboard.press("j")
    for _ in range(2):
        page.keyboard.press("k")
    row = page.locator("tr[aria-current=true]")
    assert row.get_attribute("data-direction") == str(MANY - 28)
    box, frame = row.bounding_box(), page.locator("#rows").bounding_box()
    assert frame["y"] <= box["y"] <= frame["y"] + frame["height"] - box["height"] + 1
    assert "direction 872" in page.locator("#said").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/neuron/{MANY - 28}$"))
    page.go_back()
    page.wait_for_selector("[data-ready=yes]")
    assert page.url.endswith(f"?sort=-direction&at={MANY - 28}")
    assert page.locator("tr[aria-current=true]").get_attribute("data-direction") == str(MANY - 28)
    page.keyboard.press("/")
    page.keyboard.type("5j")
    assert page.get_by_label("Search").input_value() == "5j"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "rows"


def test_what_the_run_is_and_its_figures_unfold(watched, served):
    page = ready(watched.page, served + CALIBRATED)
    page.get_by_text("About the run").click()
    page.wait_for_selector("#figures table", state="attached")
    text = page.locator("#about").inner_text()
    assert "61 from photos0" in text
    assert "calibrated (" in text
    assert "Figures of the whole bank" in text


def groups(page) -> list[list[str]]:
    """The exemplars in each group, the dropped last, by their places."""
    return page.locator("#groups article").evaluate_all(
        "all => all.map(one => [...one.querySelectorAll('li')].map(each => each.dataset.place))"
    )


def told(page, address: str) -> dict:
    return page.request.get(address).json()


def matches(page, answer: dict) -> None:
    """The page shows what the answer says."""
    expected = [[str(rank) for rank in each["ranks"]] for each in answer["concepts"]]
    expected += [[str(rank) for rank in answer["dropped"]]] if answer["dropped"] else []
    assert groups(page) == expected
    rows = page.locator(".cosines tbody tr")
    assert rows.count() == len(answer["concepts"])
    shown = rows.first.locator("td").first.inner_text() if len(expected) > 0 and answer["concepts"] else "1.00"
    assert shown == "1.00"


def settled(page) -> None:
    page.wait_for_selector("#board[data-rest=yes]")


def test_dragging_the_line_changes_concepts_galleries_and_vectors_and_the_address_keeps_it(watched, served):
    page = ready(watched.page, f"{served}{PUBLISHED}/neuron/3")
    own = groups(page)
    assert page.locator("#summary").inner_text().endswith("as in the bank")
    box = page.locator("#tree").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 20)
    page.mouse.down()
    seen = set()
    for share in np.linspace(0.1, 0.9, 25):
        page.mouse.move(box["x"] + 200, box["y"] + box["height"] * share)
        page.wait_for_timeout(15)
        seen.add(page.locator("#height").inner_text())
    page.mouse.up()
    settled(page)
    assert len(seen) > 15
    assert "method=published" in page.url
    assert "threshold=" in page.url
    query = page.url.partition("?")[2]
    answer = told(page, f"{served}/api{PUBLISHED}/neuron/3?{query}")
    matches(page, answer)
    assert groups(page) != own
    assert page.locator("#summary").inner_text().endswith("as chosen here")
    at = page.locator("#rule").bounding_box()["y"] - box["y"]
    most = float(page.locator("#tree svg").get_attribute("data-most"))
    assert at == pytest.approx((1 - answer["tree"]["cut"] / most) * box["height"] * 300 / 310, abs=2.5)
    before = groups(page)
    page.reload()
    page.wait_for_selector("[data-ready=yes]")
    assert groups(page) == before
    page.get_by_role("link", name="as in the bank").click()
    page.wait_for_selector("[data-ready=yes]")
    assert groups(page) == own


def test_keys_on_the_slider_join_and_part_one_pair_of_clusters_each(watched, served):
    page = ready(watched.page, f"{served}{PUBLISHED}/neuron/3")
    line = page.get_by_label("Line across the tree")
    line.focus()

    def clusters() -> int:
        return int(re.search(r"(\d+) cluster", line.get_attribute("aria-valuetext")).group(1))

    begin = clusters()
    for pressed in range(1, 5):
        page.keyboard.press("ArrowDown")
        assert clusters() == begin + pressed
    page.keyboard.press("ArrowUp")
    assert clusters() == begin + 3
    settled(page)
    answer = told(page, f"{served}/api{PUBLISHED}/neuron/3?{page.url.partition('?')[2]}")
    assert sum(height >= answer["tree"]["cut"] for height in answer["tree"]["heights"]) + 1 == begin + 3
    matches(page, answer)
    for _ in range(40):
        page.keyboard.press("ArrowUp")
    assert clusters() == 1


def test_the_other_controls_change_the_split_as_their_address_does(watched, served):
    page = ready(watched.page, f"{served}{PUBLISHED}/neuron/7")
    for label, value in (("Fewest images of a concept", "2"), ("Outliers", "q0.5"), ("Strongest images", "15")):
        page.locator("#controls").get_by_label(label).fill(value)
        settled(page)
        matches(page, told(page, f"{served}/api{PUBLISHED}/neuron/7?{page.url.partition('?')[2]}"))
    assert {"min_size=2", "outlier=q0.5", "top=15"} <= set(page.url.partition("?")[2].split("&"))
    page.get_by_label("Method").select_option("calibrated")
    settled(page)
    assert page.locator("#rule").is_hidden()
    assert page.get_by_label("Outliers").is_hidden()
    page.get_by_label("Granularity").fill("0.9")
    settled(page)
    matches(page, told(page, f"{served}/api{PUBLISHED}/neuron/7?{page.url.partition('?')[2]}"))
    assert "granularity=0.9" in page.url


def test_what_is_wrong_is_said_where_the_result_would_be(watched, served):
    page = ready(watched.page, f"{served}{PUBLISHED}/neuron/7")
    page.get_by_label("Outliers").fill("far")
    page.wait_for_selector("#summary .error")
    assert "quantile in (0, 1]" in page.locator("#summary").inner_text()
    page.get_by_label("Outliers").fill("q0.8")
    page.wait_for_selector("#summary .chip")
    watched.complaints[:] = [text for text in watched.complaints if "400 (Bad Request)" not in text]


def test_an_answer_that_a_later_one_has_overtaken_is_dropped(watched, served):
    page = ready(watched.page, f"{served}{PUBLISHED}/neuron/3")
    held = []

    def hold(route):
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/cut?*", hold)
    page.get_by_label("Fewest images of a concept").fill("1")
    page.wait_for_timeout(100)
    page.get_by_label("Fewest images of a concept").fill("2")
    page.wait_for_selector("#summary .chip:not(.own)")
    assert len(held) == 1
    shown = groups(page)
    held[0].continue_()
    page.wait_for_selector("#board:not([aria-busy])")
    assert groups(page) == shown
    matches(page, told(page, f"{served}/api{PUBLISHED}/neuron/3?min_size=2"))


def test_a_calibrated_bank_shows_its_own_concepts_with_the_line_off_and_p_values_at_tested_nodes(watched, served, made):
    bank = ms.load_bank(made.path, layer="3", name="calibrated")
    page = ready(watched.page, f"{served}{CALIBRATED}/neuron/6")
    assert page.locator("#rule").is_hidden()
    assert page.locator("#groups h3 a").all_inner_texts() == [
        f"concept {each.number}" for each in bank.for_direction(6)
    ]
    page.wait_for_selector(".spot", state="attached")
    tips = page.locator("#tree g title").all_text_contents()
    answer = told(page, f"{served}/api{CALIBRATED}/neuron/6")["tree"]
    known = [(p, more) for p, more in zip(answer["p_value"], answer["divides"], strict=True) if p is not None]
    assert tips == [f"p = {p:.2g}: {'more than one concept' if more else 'one concept'} below" for p, more in known]
    box = page.locator("#tree").bounding_box()
    page.mouse.click(box["x"] + 100, box["y"] + box["height"] / 2)  # puts the line on
    settled(page)
    assert page.locator("#rule").is_visible()
    matches(page, told(page, f"{served}/api{CALIBRATED}/neuron/6?{page.url.partition('?')[2]}"))


def test_matrix_map_and_projections_are_drawn_for_what_is_chosen(watched, served):
    page = ready(watched.page, f"{served}{PUBLISHED}/neuron/3?threshold=0.3&min_size=2&method=published")
    page.wait_for_selector("#charts svg.map")
    answer = told(page, f"{served}/api{PUBLISHED}/neuron/3?threshold=0.3&min_size=2&method=published")
    assert page.locator("svg.map image").count() == 24
    colours = page.locator("svg.map rect").evaluate_all(
        "all => all.map(one => one.getAttribute('class').split(' ')[1])"
    )
    assert colours == ["grey" if each < 0 else f"c{each % 8}" for each in answer["concept"]]
    assert page.locator("#charts img.matrix").evaluate("one => one.naturalWidth") == 24
    for text in ("A on its vector", "A on the neuron"):
        assert page.locator("#charts").get_by_text(text, exact=True).count() == 2
    page.wait_for_load_state("networkidle")


def test_a_choice_is_written_into_a_bank_from_the_page(watched, large):
    run, address = large
    page = ready(watched.page, f"{address}{PUBLISHED}/neuron/3?method=published&threshold=0.3&min_size=2")
    shown = groups(page)
    page.get_by_text("Keep this choice as a bank").click()
    page.get_by_label("name").fill("from-the-page")
    page.get_by_role("button", name="write the bank").click()
    page.get_by_role("link", name="bank from-the-page is written").click()
    page.wait_for_url("**/banks/3/from-the-page/neuron/3")
    page.wait_for_selector("[data-ready=yes]")
    assert groups(page) == shown
    assert page.locator("#summary").inner_text().endswith("as in the bank")
    assert ms.load_bank(run.path, layer="3", name="from-the-page").info["parameters"]["min_size"] == 2
    assert page.locator("header nav a[aria-current]").inner_text() == "from-the-page"


def test_keys_lead_to_the_neighbours(watched, served):
    page = ready(watched.page, f"{served}{CALIBRATED}/neuron/6")
    page.keyboard.press("j")
    page.wait_for_url("**/neuron/7")
    page.wait_for_selector("[data-ready=yes]")
    page.keyboard.press("k")
    page.wait_for_url("**/neuron/6")
    page.goto(f"{served}{CALIBRATED}/concept/3")
    page.keyboard.press("j")
    page.wait_for_url("**/concept/4")


def test_the_concept_page_copies_vector_line_and_command(browser, served, made):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{served}{CALIBRATED}/concept/2")
    bank = ms.load_bank(made.path, layer="3", name="calibrated")

    def copied(name: str) -> str:
        page.get_by_role("button", name=name).click()
        page.get_by_role("button", name=name).get_by_text("copied").or_(
            page.get_by_text("copied", exact=True)
        ).first.wait_for()
        return page.evaluate("navigator.clipboard.readText()")

    import json

    np.testing.assert_array_equal(np.float32(json.loads(copied("copy the vector"))), bank.vectors[2])
    assert copied("copy Python").startswith("ms.load_bank(")
    assert copied("copy the command").startswith("monoseme disentangle ")
    context.close()


def test_images_of_a_concept_are_paged(watched, served):
    page = watched.page
    page.goto(f"{served}{CALIBRATED}/concept/2")
    assert page.locator("#images img").count() == 60
    page.wait_for_load_state("networkidle")
    strongest = page.locator("#images img").first.get_attribute("alt")
    assert re.match(r"image \d+: .*, projection \d", strongest)


def test_without_scripts_pages_show_and_the_form_splits(browser, served):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}{PUBLISHED}")
    page.get_by_role("link", name="7", exact=True).click()
    assert page.locator("#groups img").count() == 24
    page.get_by_label("Fewest images of a concept").fill("1")
    page.get_by_role("button", name="split").click()
    assert "min_size=1" in page.url
    assert page.locator("#summary").inner_text().endswith("as chosen here")
    context.close()


PAGES = {
    "layer": CALIBRATED,
    "neuron": f"{PUBLISHED}/neuron/3?method=published&threshold=0.3&min_size=2",
    "calibrated neuron": f"{CALIBRATED}/neuron/6",
    "concept": f"{CALIBRATED}/concept/2",
    "error": f"{CALIBRATED}/neuron/99",
}


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(browser, served, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    for name, address in PAGES.items():
        page.goto(served + address)
        if name in ("layer", "neuron", "calibrated neuron"):
            page.wait_for_selector("[data-ready=yes]")
        if "neuron" in name:
            page.wait_for_selector("#charts svg.map")
        for summary in page.locator("summary").all():
            summary.click()
        found = Axe().run(page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    context.close()


def test_the_first_key_leads_past_the_head_and_focus_goes_from_top_to_bottom(watched, served):
    page = ready(watched.page, f"{served}{PUBLISHED}/neuron/3")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    order = []
    for _ in range(12):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert order.index("method") < order.index("line") < order.index("threshold") < order.index("outlier")
    assert order.index("min_size") < order.index("top") < order.index("own")
