"""The tour, executed as a notebook: every cell shows a figure, a card or a short line."""

import itertools
import os
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[1]
MOST_TEXT = 600
"""Characters of plain text that a cell may show where it has nothing better."""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook with the outputs of its cells, on few patches."""
    from nbclient import NotebookClient

    out = tmp_path_factory.mktemp("tour")
    notebook = jupytext.read(ROOT / "examples" / "tour.py")
    environment = {
        **os.environ,
        "MONOSEME_IMAGES": "patches:samples:?per_image=12&min=0.12&max=0.6",
        "MONOSEME_OUT": str(out),
        "IPYTHONDIR": str(out / "ipython"),
        "PYTHONWARNINGS": "error::UserWarning:monoseme",
    }
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}})
    client.execute(env=environment)
    return notebook, out


def shown(cell) -> dict[str, str]:
    """What a cell shows, by kind."""
    found: dict[str, str] = {}
    for output in cell.outputs:
        assert output.output_type in ("execute_result", "display_data"), output  # nothing is printed, nothing warns
        found |= dict(output.data)
    return found


def test_every_cell_shows_something_and_none_a_wall_of_text(executed):
    cells = [cell for cell in executed[0].cells if cell.cell_type == "code"]
    assert shown(cells[0]) == {}  # imports
    for cell in cells[1:]:
        kinds = shown(cell)
        assert kinds, cell.source
        if not {"image/png", "text/html"} & set(kinds):
            assert len(kinds["text/plain"]) < MOST_TEXT, cell.source


def test_figures_are_pictures_and_objects_are_cards(executed):
    kinds = [set(shown(cell)) for cell in executed[0].cells if cell.cell_type == "code"]
    assert sum("image/png" in each for each in kinds) >= 8
    assert sum("text/html" in each for each in kinds) >= 4


def test_every_code_cell_is_told_about(executed):
    cells = executed[0].cells
    for before, cell in itertools.pairwise(cells):
        if cell.cell_type == "code" and before.cell_type == "code":
            pytest.fail(f"no text before {cell.source}")


def test_what_the_tour_writes_is_there(executed):
    _, out = executed
    assert (out / "report.html").stat().st_size > 10_000
    assert (out / "images" / "manifest.json").is_file()
    assert (out / "run").is_dir()
    assert (out / "bank").is_dir()
