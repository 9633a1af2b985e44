"""A run and its bank as one HTML file that can be handed on."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..banks import ConceptBank, Names, choose_bank, load_bank, load_names
from ..base import Reporter, Silent, UsageError, bank_folder, counted, write_whole
from ..base.html import Html, element
from ..evaluation import Causal, Evaluation, load_causal, load_evaluation
from ..runs import Run, open_run
from ..splitting import NodeTests
from ..views import Titles, view_concept, view_layer, view_neuron, view_tree
from ..views.pieces import facts, figures
from ..visualize import Lens
from . import _layer
from ._neuron import section
from ._page import page
from ._pictures import Pictures

if TYPE_CHECKING:
    from ..models import Model


def report(
    run: Run | str | PathLike[str],
    out: str | PathLike[str],
    *,
    bank: ConceptBank | str | None = None,
    layer: str | None = None,
    neurons: int | Sequence[int] = 20,
    columns: int = 12,
    quality: int = 60,
    heatmaps: bool = False,
    model: Model | str | None = None,
    images: object | None = None,
    progress: Reporter | None = None,
) -> Path:
    """Write a report: one HTML file that needs no network and no other file, and prints.

    It holds the facts of the run and the bank, the histogram of concepts, the figures of the evaluation if there is one, a
    table of all directions that can be sorted and searched, and a section for each chosen direction: its concepts with their
    images, labels and evidence, its tree with the significance of each split, and how its exemplars lie to each other, to
    their concepts and to the neuron.

    Parameters
    ----------
    run : Run or path
        The run; thumbnails and labels come from it, not from the images.
    out : path
        The file.
    bank : ConceptBank or str, optional
        The bank or its name; needed only where the run has several.
    layer : str, optional
        Which layer, where the run has banks of several.
    neurons : int or sequence of int
        How many of the most telling directions get a section, or which.
    columns : int
        Images of each concept that are shown.
    quality : int
        Of the pictures, from 1 to 100; the file's size follows it.
    heatmaps : bool
        Whether the exemplars of each concept are shown once more with the place where it is; that needs model and images.
    model, images : optional
        The run's model, and where its images are; by default as the run records them.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Returns
    -------
    Path
        The file, written whole or not at all.

    Raises
    ------
    UsageError
        There is no such run, bank or direction; heatmaps are wanted, and model or images are not at hand.
    MonosemeError
        The file cannot be written.

    Notes
    -----
    The page has a content security policy that forbids everything but its own style and script, which are named by their
    hashes. Labels, file names and the like are text, never markup.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    target = Path(out)
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name the file to write, such as {target / 'report.html'}")
    for name, value, most in (("columns", columns, 60), ("quality", quality, 100)):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise UsageError(f"{name} must be a whole number from 1 to {most}, not {value!r}")
    loaded, evaluation, causes, names = _bank(opened, bank, layer)
    chosen = _chosen(loaded, neurons)
    labels = opened.shown_labels()
    whole = view_layer(loaded, opened, labels=labels, evaluation=evaluation)
    acts = opened.activations(loaded.layer, loaded.pooling)
    sections = []
    lens = Lens(loaded, opened, model=model, images=images) if heatmaps else None
    pictures = Pictures(opened, columns, quality, lens)
    with (progress or Silent()).task("writing the report", len(chosen), f"{whole.kind}s") as task:
        tests = NodeTests.of(loaded, acts) if len(chosen) else None
        for direction in chosen:
            view = view_neuron(loaded, direction, opened, acts=acts, labels=labels)
            concepts = [
                view_concept(
                    loaded, each.number, opened, labels=labels, evaluation=evaluation, causal=causes, names=names
                )
                for each in view.concepts
            ]
            shape = view_tree(view, tests)
            sections.append(section(view, concepts, shape, pictures))
            task.advance()
    title = f"{loaded.layer} of {opened.manifest.model.get('spec')}"
    lead = f"{counted(len(loaded), 'concept')} that its {whole.kind}s fire for"
    parts = [
        element("header", element("h1", title), element("p", lead, class_="lead")),
        facts(whole, opened),
        _layer.summary(whole),
        figures(evaluation),
        element("h2", f"All {whole.kind}s"),
        _layer.table(whole, set(chosen), Titles(loaded.annotations, names)),
        *sections,
        _footer(loaded, opened),
    ]
    write_whole(target, page(title, parts))
    return target


def _bank(
    run: Run, bank: ConceptBank | str | None, layer: str | None
) -> tuple[ConceptBank, Evaluation | None, Causal | None, Names | None]:
    if isinstance(bank, ConceptBank):
        return bank, None, None, None
    folder = bank_folder(run.path, *choose_bank(run.path, layer, bank))
    return load_bank(folder), load_evaluation(folder), load_causal(folder), load_names(folder)


def _chosen(bank: ConceptBank, neurons: int | Sequence[int]) -> list[int]:
    if isinstance(neurons, int | np.integer) and not isinstance(neurons, bool):
        if neurons < 0:
            raise UsageError(f"the number of neurons to show must be at least 0, not {neurons}")
        # First those that differ, then those whose images are much the same, then those that were not split.
        telling = [*bank.most_split(int(neurons)), *bank.most_split(int(neurons), overlap=1.0)]
        return list(dict.fromkeys([*telling, *bank.directions.tolist()]))[:neurons]
    wanted = list(dict.fromkeys(int(each) for each in neurons))  # type: ignore[union-attr]
    for direction in wanted:
        bank.position(direction)
    return wanted


def _footer(bank: ConceptBank, run: Run) -> Html:
    version = bank.info.get("versions", {}).get("monoseme", "unknown")
    return element(
        "footer",
        element(
            "p",
            "A concept is a cluster of a neuron's strongest images that is more than chance would make. p: chance that one thing "
            "would be divided so clearly. Stability: how much of a concept is found again in resampled images. Separation: Ward "
            "distance to the nearest concept of the same neuron. Its key stays the same in every bank that finds it again.",
        ),
        element("p", f"Made by monoseme {version} from the run {run.path.name}."),
    )
