"""``monoseme layers``: what can be studied in a model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ._common import Device, ImageSize, Json, Layouts, PrefixTokens, Weights, load, say


def layers(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Such as torchvision:resnet50 or bundled:efficientnet-lite0.")
    ],
    image_size: ImageSize = None,
    weights: Weights = None,
    device: Device = "auto",
    layout: Layouts = None,
    prefix_tokens: PrefixTokens = None,
    as_json: Json = False,
) -> None:
    """List the layers of a model: dotted name, kind, output shape, channels, stride."""
    loaded = load(model, image_size, weights, device, layout, prefix_tokens)
    default = loaded.default_layer()
    found = loaded.layers()
    facts: list[dict[str, Any]] = [
        {
            "layer": info.name,
            "kind": info.kind,
            "shape": list(info.shape),
            "channels": info.channels,
            "stride": None if info.stride is None else list(info.stride),
            "layout": info.layout or None,
            "unusable": info.unusable,
            "default": info.name == default,
        }
        for info in found.values()
    ]
    rows = [("layer", "kind", "shape", "channels", "stride", "layout")]
    for info in found.values():
        shape = " x ".join(map(str, info.shape))
        stride = (
            ""
            if info.stride is None
            else str(info.stride[0])
            if len(set(info.stride)) == 1
            else f"{info.stride[0]}, {info.stride[1]}"
        )
        name = f"{info.name} (default)" if info.name == default else info.name
        if info.unusable:
            rows.append((name, info.kind, f"cannot be read: {info.unusable}", "", "", ""))
        else:
            rows.append((name, info.kind, shape, str(info.channels), stride, info.layout))
    aligned = [row for row in rows if not row[2].startswith("cannot")]
    widths = [max(len(row[column]) for row in (rows if column < 2 else aligned)) for column in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    size = "x".join(map(str, loaded.input_size))
    lines += [
        "",
        f"{len(found)} layers, input {size}; read one with: monoseme embed {model} IMAGES --layer {default} --out RUN",
    ]
    say(lines, {"model": model, "input_size": list(loaded.input_size), "layers": facts}, as_json)
