"""``monoseme demo``: everything once, on photographs that are already on the machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..base import counted, duration
from ._common import Quiet, Stopped, histogram_line, progress_for, quoted

MODEL, IMAGE_SIZE = "bundled:efficientnet-lite0", 128
PATCHES = "patches:samples:?per_image=256&min=0.12&max=0.6"
TOP = 60
SHOWN = 5


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to put everything.")] = Path("demo"),
    images: Annotated[
        str | None, typer.Option(help="Your own images in place of the bundled photographs.", show_default=False)
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Embed photographs, split a layer's neurons and draw the most telling ones: under three minutes, no network."""
    from ..models import load_model
    from ..runs import embed

    begin = time.monotonic()
    progress = progress_for(quiet)
    run_folder, picture = out / "run", out / "neurons.png"
    what = images or "patches of the photographs inside scikit-image and scikit-learn"
    print(f"1 of 3  embedding {what} with {MODEL}", flush=True)
    model = load_model(MODEL, image_size=IMAGE_SIZE)
    try:
        run = embed(model, images or PATCHES, None, run_folder, progress=progress)
        acts = run.activations()
        from ..banks import bank_folder
        from ..splitting import disentangle

        print(f"2 of 3  splitting the {acts.shape[1]:,} neurons of {acts.name}", flush=True)
        top = TOP if images is None else min(100, max(10, len(run) // 10), len(run))
        # Of the few photographs none is held out: patches of one are on one side, and what it shows would be on no other.
        bank = disentangle(acts, top=top, holdout=0.0 if images is None else None, progress=progress)
        folder = bank.save(bank_folder(run.path, acts.name, "calibrated"), overwrite=True)
        from ..visualize import overview

        print("3 of 3  drawing", flush=True)
        chosen = bank.most_split(SHOWN) or [int(bank.directions[0])]
        overview(bank, run, chosen).savefig(picture)
    except KeyboardInterrupt:
        raise Stopped(f"stopped; what is done is in {out}, and the demo can be run again") from None
    neuron = chosen[0]
    print(
        f"\ndone in {duration(time.monotonic() - begin)}: {len(bank):,} concepts from {len(bank.directions):,} neurons"
    )
    print(f"neurons by number of concepts: {histogram_line(bank)}")
    sure = len(bank.polysemantic())
    print(f"with more than one at a false discovery rate of 5 %: {sure:,}")
    several = len(bank.for_direction(neuron)) > 1
    shown = counted(len(chosen), "neuron") + (
        ", split into the things that they fire for" if several else "; none was split"
    )
    print(f"  picture  {picture}  ({shown})")
    print(f"  run      {run.path}  (monoseme info {quoted(run.path)})")
    print(f"  bank     {folder}")
    print(f"next: monoseme show {quoted(run.path)} {neuron}, or your own images: monoseme demo --images DIR")
