"""Pictures inside a page: rows of thumbnails, as data."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..banks import Concept
from ..base.html import Html, data_uri, element
from ..runs import Run
from ..visualize import Lens, overlaid, strip

TILE, GAP, HEAT = 80, 4, 110


@dataclass(frozen=True)
class Pictures:
    """Draws rows of a run's images.

    run : whose thumbnails are shown
    columns : images a row
    quality : of the pictures, 1 to 100
    lens : where heatmaps are wanted
    """

    run: Run
    columns: int
    quality: int
    lens: Lens | None = None

    def row(self, image_ids: npt.NDArray[np.int64], alt: str) -> Html:
        """Thumbnails as one picture; nothing where the run has none."""
        if self.run.manifest.thumbnails is None or len(image_ids) == 0:
            return Html()
        shown = image_ids[: self.columns]
        return self._picture(strip(self.run, shown, len(shown), size=TILE, gap=GAP), alt)

    def heat(self, concept: Concept, colour: str) -> Html:
        """The strongest exemplars of a concept with the place where it is; nothing where that is not wanted."""
        if self.lens is None:
            return Html()
        maps, photographs = self.lens.look(concept.image_ids[: self.columns], concept.vector[None])
        made = overlaid(maps, photographs, 0, colour, HEAT)
        tall = max(each.height for each in made)
        canvas = Image.new("RGB", (sum(each.width + GAP for each in made) - GAP, tall), "white")
        across = 0
        for each in made:
            canvas.paste(each, (across, (tall - each.height) // 2))
            across += each.width + GAP
        return self._picture(canvas, f"where in its exemplars concept {concept.number} is")

    def _picture(self, made: Image.Image, alt: str) -> Html:
        buffer = io.BytesIO()
        made.save(buffer, "WEBP", quality=self.quality, method=2)
        source = data_uri(buffer.getvalue(), "image/webp")
        return element(
            "img", src=source, alt=alt, width=made.width, height=made.height, class_="strip", decoding="async"
        )
