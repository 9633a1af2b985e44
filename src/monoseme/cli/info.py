"""``monoseme info`` and ``monoseme verify``: what is in a run, and whether it is whole."""

from __future__ import annotations

from typing import Any

from ..base import MonosemeError, counted, printable
from ._common import Json, Quiet, RunFolder, progress_for, say


def info(run: RunFolder, as_json: Json = False) -> None:
    """Say what is in a run: images, layers, labels, banks, and the images that could not be used."""
    from ..runs import open_run

    opened = open_run(run)
    from ..banks import list_banks

    facts = opened.info()
    aside = opened.quarantined().to_pylist()
    banks = list_banks(opened.path)
    command = opened.manifest.command
    state = "finished" if facts["finished"] else f"not finished; run its {command} command again to go on"
    lines = [
        f"{facts['path']}: {facts['images']:,} of {facts['listed']:,} images, {state}",
        f"  images      {facts['source'] or 'not named'}"
        + (f", {facts['labels']:,} labels" if facts["labels"] else ", no labels"),
        f"  model       {_model(facts)}",
        f"  kept        {facts['dtype']} activations"
        + (", thumbnails" if facts["thumbnails"] else "")
        + (", predictions" if facts["predictions"] else ""),
    ]
    lines += [
        f"  layer       {layer['layer']}: {layer['neurons']:,} neurons, {layer['pooling']} of {layer['layout']}"
        + ("" if layer["whole"] else ", not finished")
        for layer in facts["layers"]
    ]
    lines += [f"  label set   {printable(name)}" for name in facts["label_sets"]]
    lines += [f"  bank        {name} of {layer}" for layer, name in banks] or [
        "  bank        none yet; make one with monoseme disentangle"
    ]
    lines += [f"  set aside   {printable(row['uri'], 100)}: {printable(row['reason'], 200)}" for row in aside[:20]]
    if len(aside) > 20:
        lines.append(f"  set aside   and {len(aside) - 20:,} more (--json lists all)")
    say(
        lines,
        {**facts, "banks": [{"layer": layer, "name": name} for layer, name in banks], "quarantine": aside},
        as_json,
    )


def _model(facts: dict[str, Any]) -> str:
    """The model, or where embeddings came from in its place."""
    if facts["imported"]:
        files = (f"{layer} from {printable(name, 100)}" for layer, name in facts["imported"].items())
        return f"none, embeddings were imported ({', '.join(files)})"
    return f"{facts['model']}, input {'x'.join(map(str, facts['input_size']))}, weights {facts['weights_digest']}"


def verify(run: RunFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Read all of a run and its banks and say whether they are whole; exit status 1 if not."""
    from ..runs import open_run, verify_run

    problems = verify_run(run, progress=progress_for(quiet, as_json))
    opened = open_run(run)
    from ..banks import list_banks, load_annotations, load_bank

    for layer, name in list_banks(opened.path):
        try:
            load_bank(opened.path, layer=layer, name=name)
        except MonosemeError as error:
            problems.append(str(error))
    if damaged := load_annotations(opened.path).damaged:
        problems.append(f"{counted(damaged, 'line')} of annotations.jsonl cannot be read; delete them")
    if as_json or not problems:
        say(
            [f"{run} is whole: {len(opened):,} images, {counted(len(opened.columns()), 'layer column')}"],
            {"whole": not problems, "problems": problems},
            as_json,
        )
    if problems:
        raise MonosemeError(f"{run} is not whole: {'; '.join(problems)}")
