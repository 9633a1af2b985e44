"""The bank that an address names, and what of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path

from ._images import LARGEST, opened
from ._opened import Opened, OpenedBank
from ._page import layer_of


def _named(
    layer: Annotated[str, Path(max_length=600, description="layer, percent-encoded")],
    bank: Annotated[str, Path(max_length=100, description="name of the bank")],
    run: Annotated[Opened, Depends(opened)],
) -> OpenedBank:
    return run.bank(layer_of(layer), bank)


Bank = Annotated[OpenedBank, Depends(_named)]
Number = Annotated[int, Path(ge=0, le=LARGEST, description="its row in the bank's vectors")]
Direction = Annotated[int, Path(ge=0, le=LARGEST, description="neuron number, or row of the directions")]
