"""``monoseme study``: questions drawn for people, and what they have answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..base import counted
from ._common import BankOption, Json, LayerOption, RunFolder, quoted, say

study = typer.Typer(
    help="Ask people whether concepts look like one thing: draw a study, see its score, export its answers."
)
Name = Annotated[str | None, typer.Argument(help="Of the study; needed where the run has several.", show_default=False)]


@study.command()
def new(
    run: RunFolder,
    name: Annotated[str, typer.Argument(help="Of the study.")] = "study",
    layer: LayerOption = None,
    bank: BankOption = None,
    tests: Annotated[
        str | None,
        typer.Option(
            help="Any of intruder,label,word; by default intruder, and label where the run has labels.",
            show_default=False,
        ),
    ] = None,
    concepts: Annotated[int, typer.Option(help="How many concepts each kind of question asks about.")] = 10,
    controls: Annotated[int, typer.Option(help="How many sets of the baseline it asks about, among them.")] = 5,
    shown: Annotated[int, typer.Option(help="Pictures of a set that are shown.")] = 5,
    options: Annotated[int, typer.Option(help="Labels to choose from.")] = 4,
    labels: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which label set, where the run has several.", show_default=False)
    ] = None,
    note: Annotated[str, typer.Option(help="What people are told beside the instructions: who asks.")] = "",
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    as_json: Json = False,
) -> None:
    """Draw the questions of a study from a bank, by chance alone, and keep them in the run."""
    from ..evaluation import new_study

    made = new_study(
        run,
        name,
        layer=layer,
        bank=bank,
        tests=None if tests is None else [each.strip() for each in tests.split(",")],
        concepts=concepts,
        controls=controls,
        shown=shown,
        options=options,
        labels=labels,
        note=note,
        seed=seed,
    )
    kinds = ", ".join(dict.fromkeys(each.test for each in made.questions))
    lines = [
        f"{made.folder}: {counted(len(made.questions), 'question')} about {made.layer}/{made.bank} ({kinds})",
        f"people take part at {made.address}, below the address of the explorer; the link opens nothing else",
        f"next: monoseme explore {quoted(run)} --host 0.0.0.0",
    ]
    facts = {"study": made.name, "path": str(made.folder), "address": made.address, "questions": len(made.questions)}
    say(lines, facts, as_json)


@study.command()
def score(run: RunFolder, name: Name = None, as_json: Json = False) -> None:
    """How often people were right so far, beside chance and the baselines, with 95 % intervals."""
    from ..evaluation import open_study

    found = open_study(run, name)
    result = found.score()
    lines = [f"study {found.name} of {found.layer}/{found.bank}: {result.lines()[0]}", *result.lines()[1:]]
    lines.append(f"next: monoseme study export {quoted(run)} {found.name}")
    say(lines, {"study": found.name, **result.to_json()}, as_json)


@study.command()
def export(
    run: RunFolder,
    name: Name = None,
    out: Annotated[
        Path | None, typer.Option(help="The file; NAME.csv by default.", metavar="FILE", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write every answer to a CSV file, a row each, without anything that names a person."""
    from ..evaluation import open_study

    found = open_study(run, name)
    path = found.save_csv(out if out is not None else Path(f"{found.name}.csv"))
    answers = len(found.given.all())
    say([f"{path}: {counted(answers, 'answer')}"], {"path": str(path), "answers": answers}, as_json)
