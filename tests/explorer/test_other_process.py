"""A run that another process writes to while it is open: pages keep answering, then show what is new."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import httpx2 as httpx
import pytest
from tests.explorer.conftest import CALIBRATED, PUBLISHED

import monoseme as ms

PAGES = [
    "/api/run",
    CALIBRATED,
    f"{CALIBRATED}/neuron/3",
    f"{CALIBRATED}/concept/0",
    f"/api{PUBLISHED}/neuron/3",
    "/image/5.jpg",
]

PAUSE = 0.1
"""Seconds between two rounds, as a person would leave them; without any the writer gets no processor."""
ROOT = Path(__file__).parents[2]
WRITER = """
import sys
import monoseme as ms
from monoseme.base import bank_folder
run = ms.open_run(sys.argv[1])
acts = run.activations("3")
new = ms.disentangle(acts, "published", top=12, min_size=2)
new.save(bank_folder(run.path, "3", "new"))
for top in (20, 14):
    changed = ms.disentangle(acts, "published", top=top, min_size=3)
    changed.save(bank_folder(run.path, "3", "calibrated"), overwrite=True)
sys.path.insert(0, sys.argv[3])
from tests.conftest import make_small_model
ms.embed(make_small_model(), sys.argv[2], ["0"], run.path, batch_size=8, workers=0)
"""


class Asking:
    """Asks for all pages, round and round, until it is told to stop."""

    def __init__(self, address: str) -> None:
        self._address, self._stop = address, threading.Event()
        self.seen: list[tuple[str, int, str]] = []
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._address, timeout=60) as client:
            while not self._stop.wait(PAUSE):
                for page in PAGES:
                    answer = client.get(page)
                    self.seen.append((page, answer.status_code, answer.text[:300] if answer.status_code != 200 else ""))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def changed(made, photos, tmp_path):
    """The answers while another process wrote, and a client of the explorer that was open all the time."""
    run = ms.open_run(shutil.copytree(made.path, tmp_path / "run"))
    with ms.Explorer(run.path, port=0).start() as explorer, Asking(explorer.url) as asking:
        command = [sys.executable, "-c", WRITER, str(run.path), str(photos), str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        with httpx.Client(base_url=explorer.url, timeout=60) as client:
            yield asking, client, ms.open_run(run.path)


def test_pages_answer_while_another_process_writes_and_then_show_what_it_wrote(changed):
    asking, client, run = changed
    told = client.get("/api/run").json()
    assert told["banks"] == [["3", "calibrated"], ["3", "new"], ["3", "published"]]
    assert "/banks/3/new" in client.get(CALIBRATED).text
    layer = client.get(f"/api{CALIBRATED}").json()
    bank = ms.load_bank(run.path, layer="3", name="calibrated")
    assert layer["method"] == "published"
    assert bank.heights.shape[1] + 1 == 14
    assert len(client.get(f"/api{CALIBRATED}/neuron/3").json()["image_ids"]) == 14
    assert {int(number): count for number, count in layer["histogram"].items()} == bank.histogram()
    # The table is looked at once a second.
    for _ in range(100):
        told = client.get("/api/run").json()
        if "0" in told["layers"]:
            break
        threading.Event().wait(0.1)
    assert sorted(told["layers"]) == ["0", "1", "3"] == sorted(run.layers)
    assert len(asking.seen) > 20
    assert [each for each in asking.seen if each[1] != 200] == []
