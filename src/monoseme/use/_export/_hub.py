"""A bank with a model card, as a folder for the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...banks import ConceptBank
from ...base import MonosemeError, UsageError, counted, printable, whole_folder
from ...runs import Run

CARD = "README.md"
LISTED = 30
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")


def write_hub(bank: ConceptBank, target: Path, run: Run | None, licence: str | None, overwrite: bool) -> Path:
    """The files of `ConceptBank.save`, and the card beside them."""
    if licence is not None and not _LICENSE.fullmatch(licence):
        raise UsageError(f"a license is named by its identifier, such as cc-by-4.0 or apache-2.0, not {licence!r}")
    if target.exists():
        if not overwrite:
            raise UsageError(f"{target} exists already; choose another folder, or ask to overwrite it")
        if not (target / CARD).is_file() or not (target / "bank.json").is_file():
            raise UsageError(f"{target} is no bank with a card; choose another folder")
    with whole_folder(target, replace=overwrite) as partial:
        bank.save(partial / "bank", overwrite=True)
        for path in (partial / "bank").iterdir():
            path.rename(partial / path.name)
        (partial / "bank").rmdir()
        (partial / CARD).write_text(card(bank, run, licence), encoding="utf-8")
    return target


def card(bank: ConceptBank, run: Run | None, licence: str | None) -> str:
    """The README of a bank: YAML that the Hub reads, what the bank is, its first concepts, and how it is used."""
    info = bank.info.get("activations", {})
    spec = str(info.get("model") or "")
    front: dict[str, Any] = {
        "library_name": "monoseme",
        "tags": ["monoseme", "interpretability", "polysemanticity", "concept-vectors", "safetensors"],
    }
    if licence is not None:
        front["license"] = licence
    kind, _, name = spec.partition(":")
    repository = name if kind == "hf" else f"timm/{name}" if kind == "timm" else ""
    if _REPOSITORY.fullmatch(repository):
        front["base_model"] = repository
    dataset = _dataset(run)
    if dataset:
        front["datasets"] = [dataset]
    title = f"Concept vectors of layer {_inline(bank.layer)}" + (f" ({_inline(spec)})" if spec else "")
    split = sum(1 for number in bank.concepts["separation"].to_pylist() if number is not None)
    lines = [
        "---",
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()),  # JSON is YAML
        "---",
        "",
        f"# {title}",
        "",
        f"{counted(len(bank), 'concept')} from {counted(len(np.unique(bank.directions)), bank.start_name)} of the layer "
        f"{_inline(bank.layer)}, {split:,} of them from {bank.start_name}s that have more than one: unit vectors of "
        f"{bank.vectors.shape[1]:,} components, each with the images that it was found from. Made with monoseme.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {_inline(value)} |" for key, value in _facts(bank, info).items()),
        "",
        "## Use",
        "",
        "```python",
        "import monoseme as ms",
        "from huggingface_hub import snapshot_download",
        "",
        'bank = ms.load_bank(snapshot_download("OWNER/NAME"))',
        "scores = bank.project(embeddings)  # (images, neurons) of the layer -> (images, concepts)",
        "with ms.steer(model, bank.layer, bank[0], 5.0):",
        "    ...",
        "```",
        "",
        "Without monoseme: `vectors.safetensors` holds `vectors` (concepts x neurons), and `centre` and `scale` where embeddings are "
        "moved and scaled before they meet the vectors, `(x - centre) / scale`; the Parquet files hold a row for each concept, each "
        "exemplar and each top image. Images are named by their number alone, and are not included.",
        "",
        "## Concepts",
        "",
        *_concepts(bank, run),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _facts(bank: ConceptBank, info: dict[str, Any]) -> dict[str, str]:
    parameters = bank.info.get("parameters", {})
    said = ", ".join(f"{key} {value}" for key, value in parameters.items() if value not in (None, [], {}))
    rows = {
        "layer": bank.layer,
        "pooling": bank.pooling,
        "model": info.get("model"),
        "weights digest": info.get("weights_digest"),
        "images": f"{info['images']:,}" if isinstance(info.get("images"), int) else None,
        "method": f"{bank.info.get('method')} ({said})",
    }
    return {key: str(value) for key, value in rows.items() if value}


def _concepts(bank: ConceptBank, run: Run | None) -> list[str]:
    """A table of the first concepts of the directions that are told apart most clearly, with labels where a run has some."""
    first = [concept for direction in bank.most_split(LISTED) for concept in bank.for_direction(direction)][:LISTED]
    shown = first or [bank[number] for number in range(min(len(bank), LISTED))]
    try:
        labels = None if run is None or not run.label_sets else run.shown_labels()
    except MonosemeError:
        labels = None
    head = ["concept", bank.start_name, "images", "stability", *(["labels"] if labels is not None else [])]
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for concept in shown:
        cells = [
            str(concept.number),
            str(concept.direction),
            str(concept.size),
            "" if concept.stability is None else f"{concept.stability:.2f}",
        ]
        if labels is not None:
            cells.append(_inline(labels.commonest(concept.image_ids)))
        rows.append(f"| {' | '.join(cells)} |")
    if len(bank) > len(shown):
        rows += ["", f"and {len(bank) - len(shown):,} more in `concepts.parquet`."]
    return rows


def _dataset(run: Run | None) -> str | None:
    """The data set's name on the Hub, where the run's images come from there."""
    source = "" if run is None else str(run.manifest.images["source"])
    name = source.removeprefix("hf:").partition(":")[0]
    return name if source.startswith("hf:") and _REPOSITORY.fullmatch(name) else None


def _inline(text: object) -> str:
    """Text from elsewhere as part of a line of Markdown: it makes no markup, no link and no HTML.

    >>> _inline("<b>|[x](http://y)")
    '\\\\<b\\\\>\\\\|\\\\[x\\\\](http://y)'
    """
    return re.sub(r"([\\`*_{}\[\]<>|#!~])", r"\\\1", printable(str(text), 200))
