"""What a concept is called: the one place that chooses between what people, programs and labels say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from ..banks import Annotation, Annotations, Names
from ..base import printable
from ._layer import LayerView

LONGEST = 200
"""Letters of an automatic name, or of the reason why there is none, that are shown."""


class Title(NamedTuple):
    """What a concept is called.

    text : empty where nothing is known
    by : who says so: a person, a program, or the commonest label of its exemplars
    source : where it is from, such as "a person", "labels and hierarchy" or "commonest label"
    detail : the source with what the name is worth, and why there is no better one, to be read beside it
    """

    text: str = ""
    by: Literal["person", "automatic", "label"] = "label"
    source: str = ""
    detail: str = ""

    @property
    def given(self) -> str:
        """The text where it was given, by a person or a program; empty where it is a label's."""
        return "" if self.by == "label" else self.text


@dataclass(frozen=True, eq=False)
class Titles:
    """What concepts are called. What a person says comes before what a program says, and that before labels.

    All is found by the concepts' keys, so that names of another bank hold only for concepts that both banks have.

    annotations : of people
    names : that programs gave, None where there are none
    """

    annotations: Annotations = field(default_factory=Annotations)
    names: Names | None = None

    def of(self, key: str, labels: Sequence[tuple[str, int]] = ()) -> Title:
        """The title of a concept; `labels` are counts of its exemplars' labels, the commonest first.

        >>> said = Annotations({"a": Annotation("a", name="striped fur")})
        >>> Titles(said).of("a").text, Titles(said).of("b", [("tabby", 7), ("tiger", 2)]).text, Titles(said).of("c").text
        ('striped fur', 'tabby', '')
        """
        said = self.annotations.get(key)
        if said is not None and said.name:
            return Title(said.name, "person", "a person", "named by a person")
        row = self._row(key)
        if row is not None and row["name"]:
            return _automatic(row)
        text, source, detail = (
            (labels[0][0], "commonest label", "called by its commonest label") if labels else [""] * 3
        )
        reason = self.nameless(key)
        return Title(text, "label", source, "; ".join(filter(None, (detail, reason and f"no name: {reason}"))))

    def said(self, key: str) -> Annotation | None:
        """All that people say of a concept."""
        return self.annotations.get(key)

    def nameless(self, key: str) -> str | None:
        """Why a concept has no name, where it was to be named and is not."""
        said, row = self.said(key), self._row(key)
        if row is None or row["name"] or (said is not None and said.name):
            return None
        return printable(row["reason"] or "not known", LONGEST)

    def of_layer(self, layer: LayerView) -> list[Title]:
        """(M,) the titles of all concepts of a bank."""
        concepts = layer.bank.concepts
        owner = np.searchsorted(layer.directions["direction"].to_numpy(), concepts["direction"].to_numpy())
        labels = [iter(texts) for texts in layer.directions["labels"].to_pylist()]
        return [
            self.of(key, [(text, 1)] if (text := next(labels[place])) else [])
            for key, place in zip(concepts["key"].to_pylist(), owner.tolist(), strict=True)
        ]

    def _row(self, key: str) -> dict[str, Any] | None:
        return None if self.names is None else self.names.of_key(key)


def _automatic(row: dict[str, Any]) -> Title:
    source = printable(row["source"], 80)
    worth = "" if row["score"] is None else f", score {row['score']:.2f}"
    by_chance = "" if row["chance"] is None else f" ({row['chance']:.2f} by chance)"
    return Title(printable(row["name"], LONGEST), "automatic", source, f"name from {source}{worth}{by_chance}")
