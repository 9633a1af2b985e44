"""A run's images to look into: the originals where they are at hand, else the thumbnails."""

from __future__ import annotations

from typing import Literal

from PIL import Image

from ..base import MonosemeError
from ..runs import Originals, Run, originals

Source = Literal["original", "thumbnail"]


class Photographs:
    """Loads images of a run, one at a time and by one thread.

    Parameters
    ----------
    images : optional
        Where the images are, as `originals` takes it; by default where they were, unless that is somewhere on the network.
    """

    def __init__(self, images: object | None) -> None:
        self._images = images
        self._of: Run | None = None
        self._originals: Originals | None = None

    def __call__(self, run: Run, image_id: int) -> tuple[Image.Image, Source]:
        """An image, and what it is.

        Raises
        ------
        MonosemeError
            Neither the original nor a thumbnail is at hand.
        """
        found = self._opened(run)
        if found is not None:
            try:
                return found.load([image_id])[0], "original"
            except MonosemeError:  # it is gone, or another one now
                pass
        if run.manifest.thumbnails is None:
            raise MonosemeError(
                f"image {image_id} is not where it was and the run holds no thumbnails; start the explorer with --images"
            )
        return run.thumbnails([image_id])[0], "thumbnail"

    def _opened(self, run: Run) -> Originals | None:
        if self._of is not run:
            self.close()
            self._of = run
            if self._images is not None or "hf:" not in str(run.manifest.images["source"]):
                try:
                    self._originals = originals(run, self._images)
                except MonosemeError:
                    self._originals = None
        return self._originals

    def close(self) -> None:
        """Let go of open files."""
        if self._originals is not None:
            self._originals.close()
        self._of = self._originals = None
