"""``monoseme name``: the concepts of a bank get names, or none."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base import UsageError, duration
from ._common import (
    BankOption,
    Device,
    ImagesOption,
    Json,
    LayerOption,
    Quiet,
    RunFolder,
    Stopped,
    next_show,
    progress_for,
    say,
)

if TYPE_CHECKING:
    from ..base import Reporter
    from ..evaluation import Namer
    from ..runs import Run


def name(
    run: RunFolder,
    layer: LayerOption = None,
    bank: BankOption = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which label set, where the run has several.", show_default=False),
    ] = None,
    hierarchy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|wordnet",
            help="What labels are kinds of: a CSV or JSON file, or WordNet (needs nltk with its data).",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Name from a vocabulary by an encoder of images and texts: hf:openai/clip-vit-base-patch32, "
            "open_clip:ViT-B-32/laion2b_s34b_b79k, hf:FOLDER. It embeds the images into RUN/judges.",
            show_default=False,
        ),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For the encoder: a text in each line.", show_default=False),
    ] = None,
    template: Annotated[str, typer.Option(help="What the encoder reads, with {} for the text.")] = "a photo of {}",
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the names that are there, and only name concepts that have none.")
    ] = False,
    images: ImagesOption = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="For random image sets.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Name the concepts of a bank, from labels or from a vocabulary, and leave those without a name that none fits."""
    if (encoder is None) != (vocabulary is None):
        raise UsageError("--encoder and --vocabulary go together: which encoder, and which texts it chooses among")
    if encoder is not None and (hierarchy is not None or labels is not None):
        raise UsageError("name from labels or from a vocabulary at a time; the second time with --keep")
    from ..banks import bank_folder, choose_bank, load_bank, load_names
    from ..runs import open_run

    opened = open_run(run)
    found = choose_bank(opened.path, layer, bank)
    target = bank_folder(opened.path, *found)
    loaded, before = load_bank(target), load_names(target) if keep else None
    from ..evaluation import name_concepts

    progress, begin = progress_for(quiet, as_json), time.monotonic()
    try:
        if encoder is not None and vocabulary is not None:
            namer = _by_encoder(opened, encoder, vocabulary, template, images, device, progress)
        else:
            namer = _by_labels(opened, labels, hierarchy)
        names = name_concepts(loaded, opened, namer, seed=seed, progress=progress)
    except KeyboardInterrupt:
        kept = "" if encoder is None else "; what the encoder has embedded is kept for the next time"
        raise Stopped(f"stopped; no name was written{kept}") from None
    if before is not None and before.is_of(loaded):
        names = before.or_else(names)
    path = names.save(target)
    seconds = time.monotonic() - begin
    lines = [
        f"{target}: {names.named:,} of {len(loaded):,} concepts have a name, from {namer.source}, in {duration(seconds)}",
        f"score: {namer.scored_by}",
        f"of random image sets of the same sizes {names.info['by_chance'] or 0:.1%} got a name",
        "",
        *names.lines(),
        "",
        f"wrote {path} and {path.with_suffix('.parquet').name}",
    ]
    if len(loaded.directions):
        lines.append(next_show(run, loaded, found[1]))
    facts: dict[str, Any] = {"bank": str(target), "named": names.named, **names.info, "seconds": round(seconds, 3)}
    say(lines, {**facts, "names": names.table.to_pylist()}, as_json)


def _by_labels(run: Run, labels: str | None, hierarchy: str | None) -> Namer:
    from ..evaluation import Hierarchy, LabelNamer

    known = run.labels(labels)
    if hierarchy is None:
        return LabelNamer(known)
    kinds = Hierarchy.wordnet(known.names) if hierarchy == "wordnet" else Hierarchy.read(hierarchy)
    return LabelNamer(known, kinds)


def _by_encoder(
    run: Run, spec: str, vocabulary: Path, template: str, images: str | None, device: str, progress: Reporter
) -> Namer:
    from ..evaluation import VocabularyNamer, read_vocabulary, text_space
    from ..models import load_encoder

    words = read_vocabulary(vocabulary)  # refused before anything is embedded
    space = text_space(load_encoder(spec, device=device), run, images=images, progress=progress)
    return VocabularyNamer(words, space, template)
