"""What the formats with pictures are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...banks import Concept, ConceptBank
from ...base import Reporter
from ...runs import Originals, Run
from .._folders import write_folders, write_manifest
from .._sets import Folder


@dataclass(frozen=True)
class Job:
    """A bank and its run, the directions and concepts to export, and the images, None where none are wanted."""

    bank: ConceptBank
    run: Run
    directions: list[int]
    concepts: list[Concept]
    source: Originals | None
    random_sets: int
    most: int | None
    seed: int
    progress: Reporter

    def write(self, partial: Path, format_: str, folders: list[Folder], more: dict[str, Any] | None = None) -> None:
        """Folders of images, and the manifest that says what all is."""
        about = {
            "export": format_,
            "random_sets": self.random_sets,
            "most": self.most,
            "seed": self.seed,
            **(more or {}),
        }
        if self.source is None or not folders:
            write_manifest(partial, self.bank, {"folders": [], **about})
        else:
            write_folders(partial, folders, self.bank, self.run, self.source, about, self.progress)
