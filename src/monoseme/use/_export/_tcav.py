"""Folders of concepts and of random images, as the original TCAV looks for them."""

from __future__ import annotations

from pathlib import Path

from .._sets import planned_for_tcav
from ._job import Job


def write_tcav(partial: Path, job: Job) -> None:
    """A ``source_dir``: a folder a concept, and ``random500_0``, ``random500_1``, ...

    Kim et al., Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation Vectors (TCAV), ICML
    2018; the names of random sets are those of its code (``process_what_to_run_expand``).
    """
    job.write(partial, "tcav", planned_for_tcav(job.bank, job.run, job.concepts, job.random_sets, job.most, job.seed))
