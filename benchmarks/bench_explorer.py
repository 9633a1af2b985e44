"""Claims: the explorer listens within 1 s and shows its first page within 3 s; while a line is dragged over 100 exemplars the
server answers within 20 ms (99th percentile) and new galleries are on screen within 100 ms; a layer page of 2,048 neurons can
be used within 1 s; a map of 10,000 concepts takes at most 8 ms of script a frame while it is moved; the server stays under
1 GiB; 50 clients for a minute get no error. On a generated run of 128,116 images.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from made_up_layer import CLASSES, IMAGES, NEURONS, make_layer
from measuring import describe_machine, peak_memory, spread, verdict
from PIL import Image

import monoseme as ms
from monoseme.base import bank_folder, digest_text
from monoseme.runs import _table
from monoseme.runs._manifest import LayerColumn, Manifest

LISTEN, FIRST, DRAG, SCREEN, USABLE, FRAME, MEMORY = 1.0, 3.0, 20.0, 100.0, 1.0, 8.0, 1024
CONCEPTS = 10_000
BANK = "/banks/made-up/published"
COLUMN = LayerColumn("made-up", "mean", NEURONS, "NC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4,096 images x 256 neurons, 5 s of clients")
    parser.add_argument("--run", type=Path, help="where the generated run is, or is to be kept")
    parser.add_argument("--rounds", type=int, default=5, help="starts and page loads (%(default)s)")
    arguments = parser.parse_args()
    quick = arguments.quick
    print(describe_machine("fastapi", "uvicorn", "torch", "pylance"))
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or Path(folder) / "run"
        if not run.exists():
            made(run, Path(folder), *((4_096, 256) if quick else (IMAGES, NEURONS)))
        rounds = 2 if quick else arguments.rounds
        starts = [start_times(run) for _ in range(rounds)]
        for name, place, goal in (("it listens after", 0, LISTEN), ("the first page is there after", 1, FIRST)):
            times = [each[place] for each in starts]
            print(f"{name} {spread(times)} s ({verdict(median(times), goal, at_least=False, quick=quick)})")
        with served(run) as (process, port):
            drag(port, quick)
            in_browser(port, rounds, quick)
            map_frames(port, quick)
            clients(port, 5 if quick else 60)
            used = peak_memory(process.pid) / 2**20
            print(f"peak memory of the server: {used:,.0f} MiB ({verdict(used, MEMORY, at_least=False, quick=quick)})")


def made(path: Path, folder: Path, images: int, neurons: int) -> None:
    """A run with a thumbnail for each image, and a bank of the published method with 100 exemplars of each neuron."""
    column = LayerColumn(COLUMN.layer, COLUMN.pooling, neurons, COLUMN.layout)
    matrix = make_layer(folder / "layer.npy", images, neurons)
    manifest = Manifest(
        model={"spec": "made up", "weights_digest": "0", "input_size": [3, 96, 96]},
        images={"source": "made up", "digest": digest_text("made up", str(images)), "count": images},
        layers=(column,),
        dtype="float16",
        batch_size=64,
        thumbnails={"size": 96, "quality": 80},
        predictions=False,
        finished=True,
    )
    _table.create(path, manifest)
    label = np.sort(np.random.default_rng([0, 1]).integers(0, CLASSES, images))
    for begin in range(0, images, 8_192):
        rows = np.arange(begin, min(begin + 8_192, images))
        half = np.asarray(matrix[rows]).astype(np.float16)
        values = pa.FixedSizeListArray.from_arrays(pa.array(half.reshape(-1)), neurons)
        facts = {
            "image_id": rows,
            "entry": rows,
            "uri": [f"class{label[row]:03d}/{row:06d}.jpg" for row in rows],
            "digest": [digest_text(str(row)) for row in rows],
            "label": [f"class {label[row]}" for row in rows],
            "photograph": [str(row) for row in rows],
            "width": np.full(len(rows), 96, np.int32),
            "height": np.full(len(rows), 96, np.int32),
            "thumbnail": [thumbnail(int(row), int(label[row])) for row in rows],
            "predictions": pa.nulls(len(rows), _table.schema_of(manifest).field("predictions").type),
        }
        _table.append(path, pa.table({**facts, column.column: values}, schema=_table.schema_of(manifest)))
    run = ms.open_run(path)
    bank = ms.disentangle(run.activations(), "published", top=100)
    bank.save(bank_folder(path, bank.layer, "published"))


def thumbnail(row: int, label: int) -> bytes:
    """A JPEG of about 2 kB in the colours of its class."""
    random_of = np.random.default_rng([row, label])
    base = np.random.default_rng(label).integers(40, 216, (6, 6, 3))
    pixels = np.clip(base + random_of.integers(-30, 30, (6, 6, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
    return file.getvalue()


@contextmanager
def served(run: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """An explorer in a process of its own."""
    command = [sys.executable, "-m", "monoseme", "explore", str(run), "--port", "0", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        select.select([process.stdout], [], [], 60)
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found is not None
        yield process, int(found[1])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def start_times(run: Path) -> tuple[float, float]:
    """Seconds from the start of the program until its port takes a connection, and until its first page is read."""
    begin = time.perf_counter()
    with served(run) as (_, port):
        socket.create_connection(("127.0.0.1", port), 30).close()
        listening = time.perf_counter() - begin
        assert len(get(connect(port), BANK)) > 10_000
        return listening, time.perf_counter() - begin


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=120)


def get(connection: http.client.HTTPConnection, address: str) -> bytes:
    connection.request("GET", address)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} for {address}: {content[:200]!r}")
    return content


def drag(port: int, quick: bool) -> None:
    """Lines at random heights over random neurons whose page is open, none seen before."""
    chance = random.Random(0)
    connection = connect(port)
    count = len(json.loads(get(connection, f"/api{BANK}"))["directions"])
    found: dict[str, list[float]] = {"the parts of the page": [], "JSON": []}
    for neuron in chance.sample(range(count), 5 if quick else 30):
        tree = json.loads(get(connection, f"/api{BANK}/neuron/{neuron}"))["tree"]
        while json.loads(get(connection, f"/api{BANK}/neuron/{neuron}"))["tree"]["p_value"] is None:
            time.sleep(0.1)  # the page is open: its nodes are tested
        for name, address in (
            ("the parts of the page", f"{BANK}/neuron/{neuron}/cut"),
            ("JSON", f"/api{BANK}/neuron/{neuron}"),
        ):
            for _ in range(40):
                height = chance.uniform(0.02, 1.05) * tree["heights"][-1]
                begin = time.perf_counter()
                get(connection, f"{address}?method=published&threshold={height:.7g}")
                found[name].append(1000 * (time.perf_counter() - begin))
    for name, times in found.items():
        p99 = float(np.quantile(times, 0.99))
        told = verdict(p99, DRAG, at_least=False, quick=quick)
        print(
            f"answer while dragging, {name}: median {median(times):.1f} ms, p99 {p99:.1f} ms of {len(times):,} ({told})"
        )


def in_browser(port: int, rounds: int, quick: bool) -> None:
    """The layer page until it can be used, and a moved line until its galleries are drawn."""
    from playwright.sync_api import sync_playwright

    path = next((name for name in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if name), None)
    here = f"http://127.0.0.1:{port}{BANK}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        usable = []
        for _ in range(rounds + 1):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(here)
            page.wait_for_selector("#rows[data-ready=yes]")
            usable.append(
                page.evaluate("performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart") / 1000
            )
            page.close()
        del usable[0]  # the browser's own start
        print(
            f"layer page until it can be used: {spread(usable)} s ({verdict(median(usable), USABLE, at_least=False, quick=quick)})"
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{here}/neuron/7")
        page.wait_for_selector("#charts svg.map", timeout=60_000)
        page.wait_for_selector(".spot", state="attached", timeout=60_000)
        page.wait_for_load_state("networkidle")
        times = page.evaluate(_MOVES, 10 if quick else 60)
        times = [each for each in times if each is not None]
        p99, mid = float(np.quantile(times, 0.99)), median(times)
        print(
            f"moved line until new galleries are on screen: median {mid:.0f} ms, p99 {p99:.0f} ms ({verdict(p99, SCREEN, at_least=False, quick=quick)})"
        )
        browser.close()


_MOVES = """async (count) => {
  const line = document.getElementById("line"), groups = document.getElementById("groups"), found = [];
  const most = Number(line.max);
  for (let move = 0; move < count; move++) {
    const changed = new Promise((done) => new MutationObserver((_, watch) => { watch.disconnect(); done(); }).observe(groups, { childList: true }));
    const begin = performance.now();
    line.value = String(most * (0.15 + 0.8 * ((move * 0.618) % 1)));
    line.dispatchEvent(new Event("input", { bubbles: true }));
    await changed;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    found.push(performance.now() - begin);
    await new Promise((done) => setTimeout(done, 30));
  }
  return found;
}"""


def map_frames(port: int, quick: bool) -> None:
    """Processor time of scripts in each frame while a map of made-up points, with facts as the run's concepts have them, is moved and zoomed."""
    from playwright.sync_api import sync_playwright

    path = next((name for name in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if name), None)
    answer = json.loads(get(connect(port), f"/api{BANK}/map"))
    known, chance = len(answer["direction"]), np.random.default_rng(0)
    middles = chance.uniform(0.05, 0.95, (200, 2))
    at = np.clip(middles[chance.integers(0, 200, CONCEPTS)] + 0.02 * chance.normal(size=(CONCEPTS, 2)), 0, 1)
    answer |= {
        name: [answer[name][k % known] for k in range(CONCEPTS)] for name in ("size", "p_value", "image", "label")
    }
    answer |= {
        "direction": [k // 5 for k in range(CONCEPTS)],
        "layout": "umap",
        "next": None,
        "x": at[:, 0].tolist(),
        "y": at[:, 1].tolist(),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.route(f"**/api{BANK}/map", lambda route: route.fulfill(json=answer))
        page.goto(f"http://127.0.0.1:{port}{BANK}/map")
        page.wait_for_selector("#map[data-rest=yes]")
        box = page.locator("#canvas").bounding_box()
        assert box is not None
        for name, zoomed in (("all in view", 0), ("zoomed to a few hundred", 8), ("near, with thumbnails", 22)):
            page.locator("#canvas").press("0")
            page.mouse.move(box["x"] + 400, box["y"] + 300)
            for _ in range(zoomed):
                page.mouse.wheel(0, -120)
            page.wait_for_selector("#map[data-rest=yes]")
            browser.start_tracing(page=page, categories=["devtools.timeline"])
            for turn in range(2 if quick else 8):
                page.mouse.down()
                for step in range(40):
                    page.mouse.move(box["x"] + 400 + 3 * step, box["y"] + 300 + 2 * step)
                page.mouse.up()
                for _ in range(20):
                    page.mouse.wheel(0, 60 if turn % 2 else -60)
                page.mouse.move(box["x"] + 400, box["y"] + 300)
            times = script_times(json.loads(browser.stop_tracing())["traceEvents"])
            p99, mid = float(np.quantile(times, 0.99)), median(times)
            told = verdict(p99, FRAME, at_least=False, quick=quick)
            print(
                f"script a frame of the map, {name}: median {mid:.1f} ms, p99 {p99:.1f} ms of {len(times):,} frames ({told})"
            )
        browser.close()


def script_times(events: list[dict[str, Any]]) -> list[float]:
    """Milliseconds of processor time that scripts take in each frame: its own calls, and those of events and timers since the frame before."""
    names = ("FireAnimationFrame", "EventDispatch", "TimerFire")
    spent, frames = 0.0, []
    for event in sorted((each for each in events if each["name"] in names), key=lambda each: each["ts"]):
        spent += event.get("tdur", event.get("dur", 0)) / 1000
        if event["name"] == "FireAnimationFrame":
            frames.append(spent)
            spent = 0.0
    return frames


def clients(port: int, seconds: float, count: int = 50) -> None:
    """So many clients at once, each asking for page after page, cut after cut and thumbnail after thumbnail."""
    end = time.monotonic() + seconds
    done, wrong = [0] * count, []

    def ask(number: int) -> None:
        chance, connection = random.Random(number), connect(port)
        while time.monotonic() < end:
            neuron = chance.randrange(200)
            address = chance.choice(
                [f"/image/{chance.randrange(4_000)}.jpg"] * 6
                + [f"{BANK}/neuron/{neuron}/cut?method=published&threshold={chance.uniform(1, 20):.4f}"] * 2
                + [BANK, f"{BANK}/neuron/{neuron}", f"{BANK}/concept/{neuron}", "/api/run"]
            )
            try:
                get(connection, address)
                done[number] += 1
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}"[:300])
                connection = connect(port)

    threads = [threading.Thread(target=ask, args=[number]) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    told = "no error" if not wrong else f"{len(wrong)} ERRORS, first {wrong[0]}"
    print(f"{count} clients for {seconds:g} s: {sum(done):,} answers, {sum(done) / seconds:,.0f} a second, {told}")


if __name__ == "__main__":
    main()
