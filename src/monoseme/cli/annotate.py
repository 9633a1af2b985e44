"""``monoseme annotate``: names, tags and notes for concepts, and all that was said so far."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base import UsageError, counted, printable
from ._common import BankOption, Json, LayerOption, RunFolder, annotated, choice, quoted, say

if TYPE_CHECKING:
    from ..banks import Annotations

Found = dict[str, list[tuple[str, str, int]]]


def annotate(
    run: RunFolder,
    concept: Annotated[
        int | None,
        typer.Argument(metavar="CONCEPT", help="Its number; without it all are listed.", show_default=False),
    ] = None,
    layer: LayerOption = None,
    bank: BankOption = None,
    name: Annotated[
        str | None, typer.Option(help="What it is called; '' takes the name back.", show_default=False)
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to add; may be repeated.", show_default=False)] = None,
    untag: Annotated[
        list[str] | None, typer.Option(help="A tag to take away; may be repeated.", show_default=False)
    ] = None,
    note: Annotated[str | None, typer.Option(help="Anything else; '' takes the note back.", show_default=False)] = None,
    rejected: Annotated[
        bool | None, typer.Option("--reject/--keep", help="Whether it is no concept worth having.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Name a concept, tag it, note something or reject it; without a concept, list what was said of any.

    It is kept in the run under the concept's key, so that a bank that finds the concept again has it too.
    """
    from .. import banks

    changes = (name, tag, untag, note, rejected)
    if concept is None:
        if any(each is not None for each in changes):
            raise UsageError("name the concept by its number: monoseme annotate RUN CONCEPT --name ...")
        said = banks.load_annotations(run)
        _list(run, said, banks.find_keys(run, said), as_json)
        return
    loaded = banks.load_bank(run, layer=layer, name=bank)
    found = loaded[concept]
    before = found.annotation or banks.Annotation(found.key)
    tags = None
    if tag is not None or untag is not None:
        unknown = [each for each in untag or () if each not in before.tags]
        if unknown:
            raise UsageError(f"concept {concept} has no tag {unknown[0]!r:.60}")
        tags = [each for each in (*before.tags, *(tag or ())) if each not in (untag or ())]
    after = before
    if any(each is not None for each in changes):
        after = banks.annotate(run, loaded, concept, name=name, tags=tags, note=note, rejected=rejected)
    lines = [
        f"concept {found.number} of {loaded.start_name} {found.direction} of {printable(loaded.layer)}, key {found.key}"
    ]
    lines += annotated(after) or ["  nothing is said of it; see monoseme annotate --help"]
    lines.append(f"next: monoseme show {quoted(run)} {found.direction}{choice(layer, bank)}")
    say(
        lines,
        {"concept": found.number, **replace(after, layer=loaded.layer, direction=found.direction).to_json()},
        as_json,
    )


def _list(run: Path, said: Annotations, found: Found, as_json: bool) -> None:
    lines: list[str] = []
    for each in said.values():
        places = [f"concept {number} of {printable(layer)}/{name}" for layer, name, number in found.get(each.key, [])]
        if not places:
            places = [f"direction {each.direction} of {printable(each.layer)}, in no bank any more (key {each.key})"]
        lines += [", ".join(places), *annotated(each)]
    if not said:
        lines.append("nothing is said of any concept; begin with monoseme annotate RUN CONCEPT --name NAME")
    if said.damaged:
        lines.append(f"{counted(said.damaged, 'line')} of annotations.jsonl could not be read")
    facts: list[dict[str, Any]] = [
        {**each.to_json(), "concepts": [_place(*place) for place in found.get(each.key, [])]} for each in said.values()
    ]
    say(lines, {"annotations": facts, "damaged": said.damaged}, as_json)


def _place(layer: str, bank: str, concept: int) -> dict[str, object]:
    return {"layer": layer, "bank": bank, "concept": concept}
