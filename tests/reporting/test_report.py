"""Reports in a real browser: what they show, that they ask for nothing, and that hostile text stays text."""

import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from tests.browser import Watched

import monoseme as ms
from monoseme.base import bank_folder


@pytest.fixture(scope="module")
def made(small_run, tmp_path_factory) -> ms.Run:
    """A copy of the small run with a bank and its evaluation."""
    run = ms.open_run(shutil.copytree(small_run.path, tmp_path_factory.mktemp("report") / "run"))
    bank = ms.disentangle(run.activations("3"), top=24, bootstrap=3, min_size=3, granularity=0.97)
    folder = bank.save(bank_folder(run.path, "3", "calibrated"))
    ms.evaluate(bank, run.activations("3"), labels=run.labels(), resamples=20).save(folder)
    return run


@pytest.fixture(scope="module")
def bank(made) -> ms.ConceptBank:
    return ms.load_bank(made.path)


@pytest.fixture(scope="module")
def path(made, bank, tmp_path_factory):
    return ms.report(made, tmp_path_factory.mktemp("out") / "report.html", neurons=[3, 11, 7])


@pytest.fixture
def watched(browser, path):
    watched = Watched(browser)
    watched.open(path)
    yield watched
    assert watched.complaints == []
    assert [url for url in watched.requests if not url.startswith("data:")] == [path.absolute().as_uri()]
    watched.page.close()


def column(page, name: str) -> list[str]:
    heads = page.locator("#directions thead th").all_inner_texts()
    return page.locator(f"#directions tbody tr:visible td:nth-child({heads.index(name) + 1})").all_inner_texts()


def test_it_shows_the_facts_and_every_neuron(watched, made, bank):
    page = watched.page
    assert page.title() == "3 of small"
    facts = page.locator("dl.facts").inner_text()
    assert f"{len(bank):,} from 20 neurons" in facts
    assert "61 from photos0" in facts
    assert str(made.path.parent) not in page.content()
    assert column(page, "neuron") == [str(number) for number in range(20)]
    assert sum(map(int, column(page, "concepts"))) == len(bank)
    texts = [int(text) for text in page.locator("svg").first.locator("text").all_text_contents()]
    assert dict(zip(texts[1::2], texts[::2], strict=True)) == bank.histogram()


def test_a_click_on_a_heading_sorts_and_another_turns_the_order_round(watched, bank):
    page = watched.page
    for name in ("p-value", "concepts", "neuron"):
        head = page.locator("#directions th", has_text=re.compile(f"^{name}$"))
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        up = [float(value) for value in column(page, name)]
        assert up == sorted(up)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert [float(value) for value in column(page, name)] == sorted(up, reverse=True)


def test_unknown_values_are_last_whichever_way_it_is_sorted(watched):
    page = watched.page
    assert "" in column(page, "separation")
    for _ in range(2):
        page.locator("#directions th", has_text="separation").locator("button").click()
        values = column(page, "separation")
        known = [value for value in values if value]
        assert values[: len(known)] == known


def test_search_finds_numbers_and_labels(watched):
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("7")
    assert column(page, "neuron") == ["7"]
    assert page.locator("#count").inner_text() == "1 of 20 neurons"
    page.locator("#search").fill("RAMP")
    assert column(page, "labels")
    assert all("ramp" in text for text in column(page, "labels"))
    page.locator("#search").fill("no such thing")
    assert column(page, "neuron") == []
    page.locator("#search").fill("")
    assert len(column(page, "neuron")) == 20


def test_chosen_neurons_have_sections_in_the_order_given_with_their_concepts_and_evidence(watched, bank):
    page = watched.page
    assert page.locator("section.neuron").evaluate_all("all => all.map(one => one.id)") == ["n3", "n11", "n7"]
    for direction in (3, 11, 7):
        section = page.locator(f"#n{direction}")
        concepts = bank.for_direction(direction)
        names = [text for text in section.locator("h3").all_inner_texts() if text.startswith("concept ")]
        assert [name.partition(":")[0] for name in names] == [f"concept {concept.number}" for concept in concepts]
        for concept in concepts:
            text = section.locator(".row", has_text=f"concept {concept.number}").first.inner_text()
            assert concept.key in text
            assert f"{concept.size} images" in text
            assert f"stability {concept.stability:.3g}" in text
            assert "label purity" in text
        assert section.locator("img").evaluate_all("all => all.every(one => one.naturalWidth > 0 && one.alt)")
    page.locator("#directions a", has_text=re.compile("^11$")).click()
    assert page.url.endswith("#n11")


def test_it_prints_and_fits_a_narrow_screen(browser, path, tmp_path):
    narrow = Watched(browser, viewport={"width": 360, "height": 700})
    page = narrow.open(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    printed = page.pdf()
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 4  # each neuron begins a page
    page.close()


def test_equal_runs_give_equal_reports(made, path, tmp_path):
    again = ms.report(made.path, tmp_path / "again.html", neurons=[3, 11, 7])
    assert again.read_bytes() == path.read_bytes()


HOSTILE = "<script>alert(1)</script>\"'&\u202e" + "x" * 150


def test_hostile_labels_and_names_stay_text(browser, tmp_path, photos, small_model):
    folder = tmp_path / "photos" / HOSTILE.replace("/", "\u2215")
    shutil.copytree(photos / "ramp", folder)
    shutil.copytree(photos / "plain", tmp_path / "photos" / "<img src=x onerror=alert(2)>")
    run = ms.embed(small_model, tmp_path / "photos", ["3"], tmp_path / "run", workers=0)
    ms.disentangle(run.activations(), "published", top=20, distance_threshold=0.5).save(bank_folder(run.path, "3", "x"))
    watched = Watched(browser)
    page = watched.open(ms.report(run, tmp_path / "report.html", neurons=5))
    assert watched.complaints == []
    assert page.locator("script").count() == 1
    assert page.locator("img[onerror]").count() == 0
    assert "<script>alert(1)" in page.locator("#directions").inner_text()
    assert "\u202e" not in page.content()
    page.close()


def test_what_people_say_is_shown_found_and_stays_text(browser, made, bank, tmp_path):
    run = ms.open_run(shutil.copytree(made.path, tmp_path / "run"))
    [first, *_] = bank.for_direction(3)
    hostile = "<script>alert(1)</script>"
    said = {"name": f"snow leopards {hostile}", "tags": ["felines"], "note": f"in winter\n{hostile}", "rejected": True}
    ms.annotate(run, bank, first.number, **said)
    watched = Watched(browser)
    page = watched.open(ms.report(run, tmp_path / "report.html", neurons=[3]))
    row = page.locator("#n3 .row", has=page.get_by_text(f"concept {first.number}:", exact=False)).first
    assert row.locator("h3").inner_text() == f"concept {first.number}: {said['name']} rejected felines"
    assert row.locator(".note").inner_text() == said["note"]
    page.get_by_label("search").fill("snow leopards")
    assert column(page, "neuron") == ["3"]
    assert watched.complaints == []
    watched.page.close()


def test_its_policy_lets_in_nothing_else(browser, path, tmp_path):
    broken = tmp_path / "broken.html"
    injected = "<script>document.title = 'taken'</script><img src='https://example.org/x.png'>"
    broken.write_text(path.read_text().replace("<main>", f"<main>{injected}"))
    watched = Watched(browser)
    page = watched.open(broken)
    assert page.title() == "3 of small"
    assert any("Content Security Policy" in text for text in watched.complaints)
    page.close()


def test_every_element_is_closed(path):
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "img", "input", "br"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(path.read_text())
    assert reader.open == []


def test_without_thumbnails_or_labels_it_still_says_what_is_known(browser, tmp_path, small_model):
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(40):
        Image.fromarray(random.integers(0, 255, (40, 40, 3)).astype(np.uint8)).save(
            tmp_path / "photos" / f"{number}.png"
        )
    run = ms.embed(
        small_model, tmp_path / "photos", ["3"], tmp_path / "run", thumbnails=False, predictions=False, workers=0
    )
    bank = ms.disentangle(run.activations(), "published", top=20, distance_threshold="auto")
    watched = Watched(browser)
    page = watched.open(ms.report(run, tmp_path / "report.html", bank=bank, neurons=2))
    assert page.locator("img.strip").count() == 0
    assert page.locator("img.matrix").count() >= 1
    assert "labels" not in page.locator("#directions thead").inner_text()
    assert watched.complaints == []
    page.close()


def test_heatmaps_are_a_row_more_for_each_concept_and_say_what_they_lack(made, bank, tmp_path, small_model, photos):
    plain = ms.report(made, tmp_path / "plain.html", neurons=[3, 11]).read_text()
    shown = ms.report(made, tmp_path / "heat.html", neurons=[3, 11], heatmaps=True, model=small_model).read_text()
    concepts = len(bank.for_direction(3)) + len(bank.for_direction(11))
    assert shown.count("<img") == plain.count("<img") + concepts
    assert shown.count('alt="where in its exemplars concept') == concepts
    with pytest.raises(ms.UsageError, match="give that model"):
        ms.report(made, tmp_path / "none.html", heatmaps=True)
    with pytest.raises(ms.MonosemeError, match=r"no image .* say where the images are now"):
        ms.report(made, tmp_path / "none.html", heatmaps=True, model=small_model, images=photos / "ramp" / "001.jpg")
    assert not (tmp_path / "none.html").exists()


def test_size_follows_quality_and_columns(made, tmp_path):
    small = ms.report(made, tmp_path / "small.html", columns=4, quality=20).stat().st_size
    assert small < 0.8 * ms.report(made, tmp_path / "large.html", columns=12, quality=90).stat().st_size


def test_bad_input_is_one_sentence_and_writes_nothing(made, tmp_path):
    target = tmp_path / "report.html"
    with pytest.raises(ms.UsageError, match="direction 99 was not split"):
        ms.report(made, target, neurons=[99])
    with pytest.raises(ms.UsageError, match=r"no bank 'calibrate'.*did you mean calibrated"):
        ms.report(made, target, bank="calibrate")
    with pytest.raises(ms.UsageError, match="quality must be a whole number from 1 to 100"):
        ms.report(made, target, quality=0)
    with pytest.raises(ms.UsageError, match="at least 0"):
        ms.report(made, target, neurons=-1)
    with pytest.raises(ms.UsageError, match="is a folder"):
        ms.report(made, tmp_path)
    assert list(tmp_path.iterdir()) == []
