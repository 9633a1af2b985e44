"""The explorer as files: served by a plain server below a path, and opened from the disk; written whole or not at all."""

import functools
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.explorer.conftest import CALIBRATED, PUBLISHED, ready

import monoseme as ms
from monoseme.explorer._rewrite import rewritten

BELOW = "some/where"


@pytest.fixture(scope="module")
def small(made, tmp_path_factory):
    """A run with a bank of two neurons by each method."""
    run = ms.open_run(shutil.copytree(made.path, tmp_path_factory.mktemp("export") / "run"))
    shutil.rmtree(run.path / "banks")
    acts = run.activations("3")
    bank = ms.disentangle(acts, select=[3, 6], top=24, bootstrap=2, min_size=3, granularity=0.97)
    folder = bank.save(run.path / "banks" / "3" / "calibrated")
    ms.evaluate(bank, acts, labels=run.labels(), resamples=20).save(folder)
    ms.disentangle(acts, "published", select=[3, 6], top=24, min_size=3).save(run.path / "banks/3/published")
    return run


@pytest.fixture(scope="module")
def site(small, tmp_path_factory):
    """What was exported, in a folder below the root of a server."""
    root = tmp_path_factory.mktemp("www")
    (root / BELOW).mkdir(parents=True)
    return root, ms.export_pages(small, root / BELOW / "site", cuts=6)


@pytest.fixture(scope="module")
def hosted(site):
    """The address of a plain web server that knows nothing of us."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(site[0]))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{BELOW}/site"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["server", "disk"])
def root(request, hosted, site):
    """The address that pages begin with."""
    return hosted if request.param == "server" else site[1].path.as_uri()


class Links(HTMLParser):
    """Everything that a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]


def test_every_link_of_every_page_leads_to_a_file_inside(site):
    pages = list(site[1].path.rglob("*.html"))
    assert len(pages) == site[1].pages + 1
    for page in pages:
        for link in Links(page.read_text(encoding="utf-8")).found:
            parts = urlsplit(link)
            assert not parts.scheme, (page, link)
            if parts.path:
                other = (page.parent / unquote(parts.path)).resolve()
                assert other.is_file(), (page, link)
                assert other.is_relative_to(site[1].path.resolve())


def test_it_says_how_much_it_wrote_and_holds_each_page_and_picture_once(site, small):
    made = site[1]
    banks = [ms.load_bank(small.path, layer="3", name=name) for name in ("calibrated", "published")]
    assert made.pages == sum(2 + 2 + len(bank) for bank in banks)
    files = [path for path in made.path.rglob("*") if path.is_file()]
    assert len(list((made.path / "image").iterdir())) == made.images
    assert abs(sum(path.stat().st_size for path in files) - made.size) < 200  # the mark
    for path in (made.path / "image").iterdir():
        assert path.read_bytes() == small.images([int(path.stem)], ["thumbnail"])["thumbnail"][0].as_py()


def test_it_names_no_place_of_the_machine_that_made_it(site, small):
    for path in site[1].path.rglob("*.html"):
        assert str(small.path.parent) not in path.read_text(encoding="utf-8")
        assert "Take it along" not in path.read_text(encoding="utf-8")


def test_the_table_sorts_and_leads_to_neurons_and_concepts(watched, root):
    page = watched.page
    page.goto(f"{root}/index.html")
    page.get_by_role("link", name="3 / calibrated").click()
    page.wait_for_selector("[data-ready=yes]")
    page.locator("th[data-key=concepts] button").click()
    assert page.locator("#directions tbody tr[data-direction]").count() == 2
    page.get_by_text("About the run").click()
    page.wait_for_selector("#figures table", state="attached")
    page.locator(".strip").first.click()
    page.wait_for_url(re.compile(r"/concept/\d+\.html$"))
    page.wait_for_load_state("networkidle")
    assert page.locator("#images img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    page.locator("main > p a").first.click()
    page.wait_for_url(re.compile(r"/neuron/\d+\.html$"))


@pytest.mark.parametrize("base", [PUBLISHED, CALIBRATED])
def test_the_line_of_a_copy_gives_what_the_explorer_gives_at_the_same_height(watched, root, small, base, client):
    page = ready(watched.page, f"{root}{base}/neuron/3.html")
    page.wait_for_selector("#board[data-cuts]")
    page.wait_for_selector("#charts svg.map")
    own = page.locator("#groups article").count()
    box = page.locator("#tree").bounding_box()
    seen = set()
    for share in (0.1, 0.3, 0.5, 0.6):
        page.mouse.click(box["x"] + 100, box["y"] + box["height"] * share)
        page.wait_for_selector("#board[data-rest=yes]")
        threshold = page.locator("#threshold").input_value()
        query = {"method": "published", "threshold": threshold}
        told = client.get(f"/api{base}/neuron/3", params=query).json()
        shown = page.locator("#groups article").evaluate_all(
            "all => all.map(one => [...one.querySelectorAll('li')].map(each => Number(each.dataset.place)))"
        )
        dropped = [told["dropped"]] if told["dropped"] else []
        assert shown == [each["ranks"] for each in told["concepts"]] + dropped
        seen.add(threshold)
    assert len(seen) > 1
    assert page.locator("#groups img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    assert "live explorer computes it" in page.locator("#charts").inner_text()
    page.get_by_role("link", name="as in the bank").click()
    page.wait_for_selector("#charts svg.map")
    assert page.locator("#groups article").count() == own
    assert page.get_by_label("Outliers").is_disabled()
    assert page.locator("#save").count() == 0


def test_the_map_of_a_copy_is_complete(watched, root, small):
    bank = ms.load_bank(small.path, layer="3", name="published")
    page = ready(watched.page, f"{root}{PUBLISHED}/map.html#1")
    page.wait_for_selector("#map[data-rest=yes]")
    assert page.locator("#table tbody tr").count() == len(bank)
    page.locator("#card").get_by_role("link", name="concept 1", exact=True).click()
    page.wait_for_url("**/concept/1.html")


def test_a_layer_whose_name_has_a_slash_is_a_file_that_a_server_finds(photos, site, hosted, watched):
    from collections import OrderedDict

    from torch import nn

    layers = OrderedDict(
        [("a/b", nn.Conv2d(3, 6, 5, stride=2)), ("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten())]
    )
    model = ms.wrap(nn.Sequential(layers), ms.Preprocess.imagenet(32), device="cpu", name="slash")
    run = ms.embed(model, photos / "ramp", ["a/b"], site[0] / "run", workers=0)
    bank = ms.disentangle(run.activations(), "published", select=[1], top=10, min_size=2, distance_threshold=1.0)
    bank.save(run.path / "banks" / "a%2Fb" / "one")
    ms.export_pages(run, site[0] / BELOW / "slash", cuts=1)
    watched.page.goto(f"{hosted}/../slash/index.html")
    watched.page.get_by_role("link", name="a/b / one").click()
    watched.page.wait_for_selector("[data-ready=yes]")
    watched.page.locator("#directions th a").click()
    watched.page.wait_for_selector("#board[data-cuts]")
    watched.page.wait_for_selector("#charts svg.map")


def test_a_folder_that_holds_something_else_is_left_alone(small, tmp_path, monkeypatch):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(ms.UsageError, match="is not empty and no former export"):
        ms.export_pages(small, other)
    (tmp_path / "file").write_text("")
    for folder, sentence in (
        (tmp_path / "file", "is a file; choose a folder"),
        (small.path, "holds the run"),
        (small.path.parent, "holds the run"),
        (small.path / "banks", "is part of the run"),
        (Path.home(), "choose another folder"),
        (Path.cwd(), "choose another folder"),
    ):
        with pytest.raises(ms.UsageError, match=sentence):
            ms.export_pages(small, folder, overwrite=True)
    for cuts in (-1, 5_000):
        with pytest.raises(ms.UsageError, match="cuts must be"):
            ms.export_pages(small, tmp_path / "new", cuts=cuts)
    assert (other / "thesis.txt").read_text() == "years of work"
    assert (small.path / "banks" / "3").is_dir()


def test_a_run_without_a_bank_says_what_to_do(small_run, tmp_path):
    with pytest.raises(ms.UsageError, match="has no bank to show; make one with monoseme disentangle"):
        ms.export_pages(small_run, tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def tiny(small, tmp_path_factory):
    """A run with one neuron in one bank, quick to export."""
    run = ms.open_run(shutil.copytree(small.path, tmp_path_factory.mktemp("tiny") / "run"))
    shutil.rmtree(run.path / "banks")
    bank = ms.disentangle(run.activations("3"), "published", select=[2], top=24, min_size=3)
    bank.save(run.path / "banks/3/published")
    return run


def test_a_former_export_is_replaced_and_equal_runs_give_equal_files(tiny, tmp_path):
    target = tmp_path / "site"
    ms.export_pages(tiny, target, cuts=2)
    first = {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    (target / "stray.txt").write_text("old")
    ms.export_pages(tiny, target, cuts=2)
    assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()} == first
    (target / "monoseme-export.txt").unlink()
    with pytest.raises(ms.UsageError, match="add --overwrite"):
        ms.export_pages(tiny, target, cuts=2)
    ms.export_pages(tiny, target, cuts=0, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_what_fails_midway_leaves_the_former_export_whole(tiny, tmp_path, monkeypatch):
    target = tmp_path / "site"
    ms.export_pages(tiny, target, cuts=0)
    before = sorted(target.rglob("*"))

    def full(*_: object):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("monoseme.explorer._site.Site._thumbnails", full)
    with pytest.raises(ms.MonosemeError, match="the disk is full"):
        ms.export_pages(tiny, target, cuts=0)
    assert sorted(target.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_command_writes_and_ctrl_c_leaves_nothing(tiny, tmp_path):
    code = "from monoseme.cli import main; main()"
    command = [sys.executable, "-c", code, "explore", str(tiny.path), "--export", str(tmp_path / "site")]
    done = subprocess.run([*command, "--json", "--cuts", "1"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["pages"] == 2 + 1 + len(ms.load_bank(tiny.path, layer="3", name="published"))
    shutil.rmtree(tmp_path / "site")
    slow = "import monoseme.explorer._site as s, time; old = s.Site._thumbnails\n"
    slow += "def wait(*a):\n    print('here', flush=True); time.sleep(60)\ns.Site._thumbnails = wait\n"
    command[2] = slow + code
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    assert len(os.listdir(tmp_path)) == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.strip().endswith(f"stopped; nothing was written to {tmp_path / 'site'}")
    assert os.listdir(tmp_path) == []


def test_overwrite_alone_is_refused(tiny, monkeypatch, capsys):
    from monoseme.cli._app import _status

    monkeypatch.setattr(sys, "argv", ["monoseme", "explore", str(tiny.path), "--overwrite"])
    assert _status() == 2
    assert "--overwrite is for --export" in capsys.readouterr().err


@pytest.mark.parametrize(
    "page, expected",
    [
        ('<p>a<a href="#x">b</a></p>', '<p>a<a href="#x">b</a></p>'),
        ('<img src="data:x"><img src="/image/1.jpg">', '<img src="data:x"><img src="!/image/1.jpg">'),
        ('<a class="k" href="/a?b=1&amp;c=2">x</a>', '<a class="k" href="!/a?b=1&amp;c=2">x</a>'),
        ('<a href="/none">x<b>y</b></a>', "<a>x<b>y</b></a>"),
        ('<nav><a href="/none">x<b>y</b></a><a href="/b">z</a></nav>', '<nav><a href="!/b">z</a></nav>'),
        ('<p data-live="">x<img src="/a"><b>y</b></p>z', "z"),
        ('<p data-live-line="">x</p>', '<p data-live-line="">x</p>'),
        ('<input data-live="">x', "x"),
        ('a<i data-live=""></i><i data-live=""></i>b<i>c</i>', "ab<i>c</i>"),
        (
            '<html lang="en"><p>&lt;a href=&quot;/b&quot;&gt;</p>',
            '<html lang="en" data-root="../"><p>&lt;a href=&quot;/b&quot;&gt;</p>',
        ),
    ],
)
def test_a_page_is_rewritten_tag_by_tag(page, expected):
    made = rewritten(page, lambda address: None if address == "/none" else f"!{address}", root="../")
    assert made == expected
