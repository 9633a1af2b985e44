"""A study in a real browser: mouse, keys, time, connections that break, small screens, and access for everybody."""

import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe

import monoseme as ms


@pytest.fixture
def run(made, tmp_path) -> ms.Run:
    return ms.open_run(shutil.copytree(made.path, tmp_path / "run"))


@pytest.fixture
def study(run) -> ms.Study:
    options = {"layer": "3", "bank": "calibrated", "concepts": 1, "controls": 1, "shown": 3}
    return ms.new_study(run, "first", tests=["intruder", "label", "word"], note="We are three students.", **options)


@pytest.fixture
def address(run, study):
    with ms.Explorer(run.path, port=0).start() as explorer:
        yield explorer.url.rstrip("/")


def ready(page, step: int) -> None:
    page.wait_for_url(re.compile(f"/{step}$"))
    page.wait_for_selector("#question[data-ready=yes]")


def begin(page, address: str, study: ms.Study) -> None:
    page.goto(address + study.address)
    page.get_by_role("button", name="I take part").click()
    ready(page, 1)


def to_the_word(page, study: ms.Study, first: int) -> int:
    """Choose the first of everything until a word is asked for."""
    for step in range(first, len(study.questions) + 1):
        ready(page, step)
        if page.locator("#word").count():
            return step
        page.keyboard.press("1")
        page.keyboard.press("Enter")
    raise AssertionError("no word is asked for")


def test_a_study_is_taken_with_the_keyboard_alone(watched, address, study):
    page = watched.page
    page.goto(address + study.address)
    assert "three students" in page.locator("main").inner_text()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "begin"
    page.keyboard.press("Enter")
    ready(page, 1)
    assert page.locator("#next").is_disabled()
    page.keyboard.press("3")
    page.keyboard.press("2")
    assert page.locator("input:checked").get_attribute("value") == "1"
    page.keyboard.press("ArrowRight")
    assert page.locator("input:checked").get_attribute("value") == "2"
    page.keyboard.press("Enter")
    ready(page, 2)
    images, _ = study.shown(0, study.order(0)[0])
    assert study.given.all()[0].choice == images[2]
    page.keyboard.press("0")
    ready(page, 3)
    assert study.given.all()[1].choice is None
    step = to_the_word(page, study, 3)
    assert page.evaluate("document.activeElement.id") == "word"
    while step <= len(study.questions):
        page.keyboard.type("10 dogs")  # digits belong to the word
        page.keyboard.press("Enter")
        step += 1
        if step <= len(study.questions):
            ready(page, step)
    page.wait_for_url("**/end")
    assert page.get_by_role("heading").inner_text() == "Thank you"
    assert {each.word for each in study.given.all()} == {None, "10 dogs"}
    assert study.score().finished == 1


def test_mouse_progress_back_and_the_time_of_each_answer(watched, address, study):
    page = watched.page
    begin(page, address, study)
    count = len(study.questions)
    assert f"question 1 of {count}" in page.locator("main").inner_text()
    page.wait_for_timeout(400)
    page.get_by_role("img", name="picture 2 of 4").click()
    assert page.locator(".choice:has(:checked)").count() == 1
    page.get_by_role("button", name="next").click()
    ready(page, 2)
    assert page.locator("progress").get_attribute("value") == "1"
    assert 0.4 <= study.given.all()[0].seconds < 60
    page.get_by_role("link", name="back").click()
    page.wait_for_url("**/1")
    assert page.locator("input:checked").get_attribute("value") == "1"
    assert page.locator("input:checked").is_disabled()
    assert page.get_by_role("button").count() == 0
    page.get_by_role("link", name="go on").click()
    ready(page, 2)
    page.get_by_role("button", name="I cannot tell").click()
    ready(page, 3)
    assert len(study.given.all()) == 2


def test_closing_and_opening_the_link_again_goes_on(watched, address, study):
    page = watched.page
    begin(page, address, study)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    ready(page, 2)
    page.keyboard.press("2")
    page.reload()  # a choice that was not sent is no answer
    ready(page, 2)
    assert page.locator("input:checked").count() == 0
    page.goto(address + study.address)
    page.get_by_role("link", name="go on where you were").click()
    ready(page, 2)
    assert (study.given.people(), len(study.given.all())) == (1, 1)
    page.goto(address + study.address)
    page.get_by_role("button", name="for the first time").click()
    ready(page, 1)
    assert study.given.people() == 2


def test_a_second_tab_is_led_to_where_the_first_one_is(browser, address, study):
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    begin(page, address, study)
    other.goto(page.url)
    other.wait_for_selector("#question[data-ready=yes]")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    ready(page, 2)
    other.keyboard.press("2")
    other.keyboard.press("Enter")
    ready(other, 2)
    assert len(study.given.all()) == 1
    context.close()


def test_an_answer_is_not_lost_when_the_connection_breaks(watched, address, study):
    page = watched.page
    begin(page, address, study)
    page.context.set_offline(True)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.locator("#wrong").get_by_text("there is no connection; try again").wait_for()
    assert page.locator("input:checked").get_attribute("value") == "1"
    page.context.set_offline(False)
    page.keyboard.press("Enter")
    ready(page, 2)
    assert len(study.given.all()) == 1
    watched.complaints[:] = [text for text in watched.complaints if "ERR_INTERNET_DISCONNECTED" not in text]


def test_without_scripts_the_first_page_says_that_they_are_needed(browser, address, study):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + study.address)
    assert "need JavaScript" in page.locator("main").inner_text()
    context.close()


def test_a_study_is_drawn_on_the_page_and_its_results_are_shown(watched, address, study, run):
    page = watched.page
    page.goto(f"{address}/banks/3/calibrated")
    page.get_by_role("link", name="studies").click()
    page.get_by_label("Name").fill("second")
    page.get_by_label("Bank", exact=True).select_option(label="3 / published")
    page.get_by_label("Pictures of a set").fill("3")
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="draw").click()
    page.wait_for_url("**/studies/second")
    made = ms.open_study(run, "second")
    assert (made.bank, made.config.seed) == ("published", 7)
    assert page.locator("#link").inner_text() == address + made.address
    page.get_by_text("Show the questions").click()
    assert page.locator("#questions li:has(> .thumbs)").count() == len(made.questions)
    marked = page.locator("#questions .mark")
    assert marked.count() == sum(each.test == "intruder" for each in made.questions)
    page.goto(f"{address}/studies")
    page.get_by_label("Name").fill("second")
    page.get_by_role("button", name="draw").click()
    page.locator("#drawn").get_by_text("choose another name").wait_for()
    watched.complaints[:] = [text for text in watched.complaints if "409 (Conflict)" not in text]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(browser, address, study, scheme, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()

    def checked(name: str) -> None:
        found = Axe().run(page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name

    page.goto(address + study.address)
    checked("start")
    page.get_by_role("button", name="I take part").click()
    seen = set()
    for step in range(1, len(study.questions) + 1):
        ready(page, step)
        test = study.questions[study.order(0)[step - 1]].test
        if test not in seen:
            seen.add(test)
            checked(test)
        page.keyboard.press("2") if test != "word" else page.keyboard.type("dog")
        page.keyboard.press("Enter")
    page.wait_for_url("**/end")
    checked("end")
    page.goto(page.url.replace("/end", "/1"))
    checked("answered")
    for name in ("/studies", "/studies/first", f"{study.address}/nobody"):
        page.goto(address + name)
        for summary in page.locator("summary").all():
            summary.click()
        checked(name)
    context.close()
