"""What a concept is called: the one place that chooses between what people, programs and labels say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from ..banks import Annotation, Annotations, ConceptBank
from ._layer import LayerView


class Name(NamedTuple):
    """What a concept is called.

    text : empty where nothing is known
    by : who says so: a person, a program, or the commonest label of its exemplars
    """

    text: str = ""
    by: Literal["person", "automatic", "label"] = "label"

    @property
    def given(self) -> str:
        """The name where it was given, by a person or a program; empty where it is a label's."""
        return "" if self.by == "label" else self.text


@dataclass(frozen=True, eq=False)
class Names:
    """What concepts are called. What a person says comes before what a program says, and that before labels.

    annotations : of people, by key
    automatic : names that a program gives, by key
    """

    annotations: Annotations = field(default_factory=Annotations)
    automatic: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_bank(cls, bank: ConceptBank) -> Names:
        """Those that a bank was loaded with."""
        return cls(bank.annotations)

    def of(self, key: str, labels: Sequence[tuple[str, int]] = ()) -> Name:
        """The name of a concept; `labels` are counts of its exemplars' labels, the commonest first.

        >>> names = Names(automatic={"a": "striped fur"})
        >>> names.of("a").text, names.of("b", [("tabby", 7), ("tiger", 2)]).text, names.of("c").text
        ('striped fur', 'tabby', '')
        """
        said = self.annotations.get(key)
        if said is not None and said.name:
            return Name(said.name, "person")
        if self.automatic.get(key):
            return Name(self.automatic[key], "automatic")
        return Name(labels[0][0] if labels else "", "label")

    def said(self, key: str) -> Annotation | None:
        """All that people say of a concept."""
        return self.annotations.get(key)

    def of_layer(self, layer: LayerView) -> list[Name]:
        """(M,) the names of all concepts of a bank."""
        concepts = layer.bank.concepts
        owner = np.searchsorted(layer.directions["direction"].to_numpy(), concepts["direction"].to_numpy())
        labels = [iter(texts) for texts in layer.directions["labels"].to_pylist()]
        return [
            self.of(key, [(text, 1)] if (text := next(labels[place])) else [])
            for key, place in zip(concepts["key"].to_pylist(), owner.tolist(), strict=True)
        ]
