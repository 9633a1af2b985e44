"""How a run and its images show themselves in a notebook."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..base import counted, html, list_banks, printable
from ..base.html import Html

if TYPE_CHECKING:
    from PIL import Image

    from ._run import Run

STRIP, SIDE = 12, 64
"""Thumbnails in a strip at most, and their side in pixels."""
LISTED = 8
"""Layers and banks that are listed before the rest is counted."""


def run_html(run: Run) -> Html:
    """What is in a run: images, layers, label sets and banks, some thumbnails, and the line to run next."""
    manifest, banks = run.manifest, list_banks(run.path)
    source = manifest.images["source"]
    images = f"{len(run):,} of {manifest.images['count']:,}" + (f" from {source}" if source else "")
    size = " x ".join(map(str, manifest.model.get("input_size") or []))
    layers = [
        f"{column.layer}: {counted(column.channels, 'neuron')}, {column.pooling} of {column.layout}"
        for column in run.columns()
    ]
    return html.card(
        f"run {run.path}",
        html.facts(
            {
                "state": None if run.finished else f"not finished; run its {manifest.command} line again to go on",
                "images": images,
                "model": f"{manifest.model.get('spec')}" + (f", input {size}" if size else ""),
                "layers": _listed(layers),
                "label sets": ", ".join(run.label_sets),
                "banks": _listed([f"{name} of {layer}" for layer, name in banks]) or "none yet",
                "next": html.code(_next_line(run, banks)) if run.finished else None,
            }
        ),
        strip(run, np.unique(np.linspace(0, max(len(run) - 1, 0), STRIP).astype(np.int64))),
    )


def strip(run: Run, image_ids: npt.ArrayLike, most: int = STRIP) -> Html:
    """The first thumbnails of some images in a row, each with its name; nothing where the run has none that can be read."""
    ids = np.asarray(image_ids, dtype=np.int64).reshape(-1)[:most]
    if run.manifest.thumbnails is None or not len(ids) or not len(run):
        return Html()
    try:
        facts_of = run.images(ids, ["image_id", "uri", "label"]).to_pylist()
        pictures = run.thumbnails(ids)
    except Exception:  # Lance and Pillow have many errors for damaged files; a notebook shows what there is
        return Html()
    style = "display:inline-block;margin:0;border-radius:3px"
    tiles = []
    for fact, picture in zip(facts_of, pictures, strict=True):
        label = f" ({printable(fact['label'], 40)})" if fact["label"] else ""
        name = f"image {fact['image_id']}: {printable(fact['uri'], 80)}{label}"
        tiles.append(
            html.element("img", src=_tile(picture), alt=name, title=name, width=SIDE, height=SIDE, style=style)
        )
    return html.element("div", *tiles, style="display:flex;flex-wrap:wrap;gap:3px;margin:6px 0 2px")


def _tile(picture: Image.Image) -> Html:
    """A square JPEG of a few kilobytes, whatever the thumbnail was."""
    from PIL import Image, ImageOps

    file = io.BytesIO()
    ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.LANCZOS).save(file, "JPEG", quality=75)
    return html.data_uri(file.getvalue(), "image/jpeg")


def _listed(lines: list[str]) -> Html:
    """Lines below each other, the first few of many."""
    more = len(lines) - LISTED
    rest = [html.element("div", f"and {more:,} more", style=html.FAINT)] if more > 0 else []
    return html.joined([*(html.element("div", line) for line in lines[:LISTED]), *rest])


def _next_line(run: Run, banks: list[tuple[str, str]]) -> str:
    if banks:
        layer, name = banks[0]
        choose = f", layer={layer!r}, name={name!r}" if len(banks) > 1 else ""
        return f"ms.load_bank({str(run.path)!r}{choose})"
    choose = repr(run.layers[0]) if len(run.layers) > 1 else ""
    return f"ms.disentangle(run.activations({choose}))"
