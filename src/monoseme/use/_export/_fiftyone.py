"""The exemplars of concepts as a data set that FiftyOne imports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._folders import short
from .._sets import named
from ._job import Job

DATA, LABELS, EMBEDDINGS = "data", "labels.json", "embeddings.npy"


def write_fiftyone(partial: Path, job: Job) -> None:
    """``data/`` with each image once, ``labels.json`` with its concepts, ``embeddings.npy`` in the order of the names.

    The format is FiftyOne's ``FiftyOneImageClassificationDataset`` with several labels an image; what else is known of a label
    is among its attributes.
    """
    assert job.source is not None
    bank, run = job.bank, job.run
    folders = [named(bank, concept, job.most) for concept in job.concepts]
    wanted = sorted({image for each in folders for image in each.images})
    facts = run.images(wanted, ["image_id", "uri", "digest", "label"]).to_pylist()
    digits = max(6, len(str(len(run) - 1)))
    names = {
        fact["image_id"]: f"{fact['image_id']:0{digits}d}_{short(fact['label'] or '')}".rstrip("_") for fact in facts
    }
    embeddings = np.asarray(run.activations(bank.layer, bank.pooling)[wanted], dtype=np.float32)
    projections = bank.project(embeddings)
    labels: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    rows = {image: row for row, image in enumerate(wanted)}
    for each in folders:
        for rank, image in enumerate(each.images):
            attributes = {
                "direction": each.direction,
                "concept": each.concept,
                "key": each.key,
                "rank": rank,
                "projection": float(projections[rows[image], each.concept]),
                "image_id": image,
            }
            labels[names[image]].append({"label": each.folder, "attributes": attributes})
    (partial / DATA).mkdir()
    files = []
    with job.progress.task("copying images", len(wanted), "images") as task:
        for fact, (content, suffix) in zip(facts, job.source.files(wanted), strict=True):
            file = f"{names[fact['image_id']]}{suffix}"
            (partial / DATA / file).write_bytes(content)
            files.append({"file": file, **fact})
            task.advance()
    listed = {"classes": sorted({each.folder for each in folders}), "labels": labels}
    text = json.dumps(listed, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (partial / LABELS).write_text(text + "\n", encoding="utf-8")
    np.save(partial / EMBEDDINGS, embeddings, allow_pickle=False)
    job.write(partial, "fiftyone", [], {"files": files})
