"""Draw the pictures of docs/pictures.md anew, from the run that `monoseme demo` makes: python docs/make_pictures.py demo/run.

Photographs in them come with scikit-image and scikit-learn.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

import monoseme as ms
from monoseme.visualize import PICTURES, Pictures, rendered

FOLDER = Path(__file__).parent / "images" / "pictures"
WIDEST = 900
PHOTOGRAPHIC = ("thumbnails", "model and images")


def main(folder: str, neuron: str = "694") -> None:
    """One file for each kind of picture, small enough for a page."""
    run = ms.open_run(folder)
    bank = ms.load_bank(run.path)
    pictures = Pictures(bank, run)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, kind in PICTURES.items():
        drawn = Image.open(io.BytesIO(rendered(pictures.draw(name, int(neuron)), "png"))).convert("RGB")
        if drawn.width > WIDEST:
            drawn = drawn.resize((WIDEST, round(drawn.height * WIDEST / drawn.width)), Image.Resampling.LANCZOS)
        if kind.needs in PHOTOGRAPHIC or name in ("dendrogram", "layer-map"):
            target = FOLDER / f"{name}.jpg"
            drawn.save(target, quality=72, optimize=True)
        else:
            target = FOLDER / f"{name}.png"
            drawn.quantize(64).save(target, optimize=True)
        print(f"{target.stat().st_size / 1e3:6.0f} kB  {target.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
