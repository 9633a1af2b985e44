"""What commands share: options, progress, output for people and for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base import MonosemeError, Reporter, UsageError, printable, reporter

if TYPE_CHECKING:
    from ..banks import Annotation, ConceptBank
    from ..models import Model
    from ..runs import Run

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A folder made by monoseme embed or import.", show_default=False)
]
LayerOption = Annotated[
    str | None, typer.Option("--layer", help="Which layer, where the run holds several.", show_default=False)
]
BankOption = Annotated[
    str | None, typer.Option("--bank", help="Which bank, where the layer has several.", show_default=False)
]
BankArgument = Annotated[
    Path, typer.Argument(metavar="BANK", help="A bank's folder, or its run's.", show_default=False)
]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="The bank's run, where the bank does not lie in it.", show_default=False)
]
NeuronsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--neurons",
        "--neuron",
        help="Which, such as 0,35,100-199; by default the five whose concepts are told apart most clearly.",
        show_default=False,
    ),
]
ImageSize = Annotated[
    int | None, typer.Option(help="Short side of the model's input in pixels, in place of its own.", show_default=False)
]
Resize = Annotated[
    int | None,
    typer.Option(
        help="Short side in pixels to which pictures are brought before the centre crop, in place of the model's own.",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="A local state dict, a torchvision weights name, or 'none' for random weights.", show_default=False
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="The run's model, where its record is not enough to load it.", show_default=False),
]
ImagesArgument = Annotated[
    str,
    typer.Argument(
        metavar="IMAGES",
        help="A folder, glob, list file, tar shards, Parquet, hf:NAME, or patches: of any of these.",
        show_default=False,
    ),
]
ImagesOption = Annotated[
    str | None, typer.Option("--images", help="Where the images are now, if they have moved.", show_default=False)
]
Layouts = Annotated[
    list[str] | None,
    typer.Option(
        "--layout",
        metavar="LAYER=LAYOUT",
        help="State a layout (NCHW, NHWC, NLC, NC) that is not detected.",
        show_default=False,
    ),
]
PrefixTokens = Annotated[
    int | None, typer.Option(help="State how many tokens come before the patch tokens.", show_default=False)
]


class Stopped(Exception):
    """Ctrl-C; the message says what is safe and how to go on."""


def progress_for(quiet: bool, as_json: bool = False) -> Reporter:
    """Bars on a terminal, lines elsewhere, nothing when quiet or when a machine listens and there is no terminal."""
    return reporter(quiet or (as_json and not sys.stderr.isatty()))


def say(lines: Sequence[str], facts: dict[str, Any], as_json: bool) -> None:
    """Print lines for people, or the facts for machines."""
    print(json.dumps(facts, ensure_ascii=False) if as_json else "\n".join(lines))


def load(
    spec: str,
    image_size: int | None,
    weights: str | None,
    device: str,
    layouts: Sequence[str] | None,
    prefix_tokens: int | None,
    resize: int | None = None,
) -> Model:
    """A model from the options of a command line."""
    from ..models import Preprocess, load_model

    stated = {}
    for given in layouts or ():
        name, equals, layout = given.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--layout takes LAYER=LAYOUT, such as blocks.11=NLC, not {given!r}")
        stated[name] = layout
    model = load_model(
        spec, device=device, image_size=image_size, weights=weights, layouts=stated or None, prefix_tokens=prefix_tokens
    )
    if resize is None:
        return model
    if not isinstance(model.preprocess, Preprocess):
        raise UsageError(f"--resize cannot change {spec}: its preprocessing is a function of its own")
    return model.with_preprocess(replace(model.preprocess, resize=resize))


def stopped_at(out: Path, unit: str) -> Stopped:
    """What Ctrl-C has left of a run."""
    from ..runs import open_run

    try:
        half = open_run(out)
    except MonosemeError:
        return Stopped("stopped before the first commit; nothing is kept")
    return Stopped(
        f"stopped; {len(half):,} of {half.manifest.images['count']:,} {unit} are safe in {out}; run the same command again to go on"
    )


def set_aside_line(run: Run, out: Path) -> list[str]:
    """How many images could not be used, with the first; no line where there are none."""
    bad = run.quarantined()
    if not len(bad):
        return []
    first = bad.slice(0, 1).to_pylist()[0]
    return [
        f"{len(bad):,} of {run.manifest.images['count']:,} images could not be used and are set aside "
        f"(the first, {printable(first['uri'], 100)}: {printable(first['reason'], 200)}; all: monoseme info {quoted(out)})"
    ]


def numbers(text: str | Sequence[str], option: str = "--neurons") -> list[int]:
    """Neuron numbers from ``0,35,100-199``, or from several such texts one after the other.

    >>> numbers("0,35,100-102"), numbers(["7", "3-4"])
    ([0, 35, 100, 101, 102], [7, 3, 4])
    """
    if not isinstance(text, str):
        return [number for each in text for number in numbers(each, option)]
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if len(part) > 40 or not low.isdecimal() or (dash and not high.isdecimal()) or (dash and int(high) < int(low)):
            raise UsageError(f"{option} takes numbers and ranges such as 0,35,100-199, not {text!r}")
        if dash and int(high) - int(low) > 10_000_000:
            raise UsageError(f"the range {part.strip()} is too long")
        found += range(int(low), int(high or low) + 1)
    return found


def histogram_line(bank: ConceptBank) -> str:
    """The concepts per direction as the paper prints them: ``{0: 15, 1: 491, 2: 991}``."""
    return "{" + ", ".join(f"{concepts}: {count}" for concepts, count in bank.histogram().items()) + "}"


def annotated(said: Annotation | None) -> list[str]:
    """What people say of a concept, line by line."""
    if said is None:
        return []
    known = {"name": said.name, "tags": ", ".join(said.tags), "": "rejected" if said.rejected else ""}
    lines = [f"  {what:<12}{printable(value, 200)}" for what, value in known.items() if value]
    rows = enumerate(said.note.split("\n") if said.note else [])
    return lines + [f"  {'' if row else 'note':<12}{printable(text, 200)}" for row, text in rows]


def next_show(run: Path, bank: ConceptBank, name: str) -> str:
    """The command that shows the most telling direction of a bank, with the bank's name where the run has several."""
    from ..banks import list_banks

    example = next(iter(bank.most_split(1)), int(bank.directions[0]))
    choose = f" --layer {quoted(bank.layer)} --bank {name}" if len(list_banks(run)) > 1 else ""
    return f"next: monoseme show {quoted(run)} {example}{choose}"


def choice(layer: str | None, bank: str | None) -> str:
    """The options by which a bank was chosen, for the command that comes next.

    >>> choice(None, "published")
    ' --bank published'
    """
    return "".join(
        f" --{key} {quoted(value)}" for key, value in (("layer", layer), ("bank", bank)) if value is not None
    )


def quoted(path: Path | str) -> str:
    """A path as it can be pasted into a shell."""
    import shlex

    return shlex.quote(str(path))
