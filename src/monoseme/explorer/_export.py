"""The explorer written as files for any web host."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import Reporter, Silent, UsageError, whole_folder
from ._serve import needs_extra

if TYPE_CHECKING:
    from ..runs import Run

MARK = "monoseme-export.txt"
"""The file by which a folder is known as a former export."""
CUTS = 24
"""Clusters, at most, that the line of a copied neuron page parts the exemplars into."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    path : the folder, which ``index.html`` opens
    pages, images : how many of each
    size : bytes of all files
    """

    path: Path
    pages: int
    images: int
    size: int


def export_pages(
    run: Run | str | PathLike[str],
    folder: str | PathLike[str],
    *,
    overwrite: bool = False,
    cuts: int = CUTS,
    progress: Reporter | None = None,
) -> Exported:
    """Write the explorer's pages as files: for any web host, below any address, or opened from the disk.

    All layers, maps, neurons and concepts that have a bank are there. The line across a neuron's tree still moves, from cut
    to cut; what else has to be computed is only in the live explorer.

    Parameters
    ----------
    run : Run or path
        The run, with at least one bank.
    folder : path
        What to write; a former export there is replaced.
    overwrite : bool
        Whether to replace a folder that holds anything else.
    cuts : int
        Clusters, at most, that the line parts a neuron's exemplars into; 0 for a line that does not move. Each takes time and
        about 1 kB a neuron.
    progress : Reporter, optional
        Who is told how far it is.

    Raises
    ------
    UsageError
        The run has no bank, or the folder holds what is not to be replaced.
    MonosemeError
        The disk is full or not writable; then nothing is left behind.
    """
    with needs_extra():
        from ._app import make_app
        from ._inside import Inside
        from ._later import AtOnce
        from ._opened import Opened
        from ._safety import Guard
        from ._site import Site
    from ..runs import Run, open_run

    found = run if isinstance(run, Run) else open_run(run)
    target = Path(folder)
    if not 0 <= cuts <= 1_000:
        raise UsageError(f"cuts must be a whole number from 0 to 1000, not {cuts!r}")
    _check(target, found, overwrite)
    app = make_app(found, Guard(read_only=True))
    opened: Opened = app.state.opened
    opened.later = AtOnce()
    if not opened.banks:
        raise UsageError(f"the run {found.path} has no bank to show; make one with monoseme disentangle")
    with Inside(app) as inside, whole_folder(target, replace=True) as aside:
        (aside / MARK).write_text("Written by monoseme explore --export, which may replace this folder.\n")
        site = Site(aside, inside, opened)
        site.write(cuts, progress or Silent())
    return Exported(target, len(site.pages), len(site.images), site.size)


def _check(target: Path, run: Run, overwrite: bool) -> None:
    """Refuse a folder that must not be replaced."""
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file; choose a folder")
    precious = {Path.home(), Path.cwd(), run.path.absolute()}
    if any(each.resolve().is_relative_to(target.resolve()) for each in precious):
        raise UsageError(f"{target} holds the run or is where you are; choose another folder")
    if target.resolve().is_relative_to(run.path.resolve()):
        raise UsageError(f"{target} is part of the run; choose another folder")
    if any(target.iterdir()) and not (target / MARK).is_file() and not overwrite:
        raise UsageError(f"{target} is not empty and no former export; choose another folder, or add --overwrite")
