"""Writing a choice into a bank: the whole layer split as one neuron was, as a job."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from ..banks import ConceptBank
from ..base import UsageError, bank_folder, list_banks
from ._bank import Bank
from ._choice import LARGEST as LARGEST_THRESHOLD
from ._choice import Asked, Choice, Method
from ._images import opened
from ._jobs import Job, JobAnswer, Taken, TheJobs
from ._opened import Opened, OpenedBank
from ._page import bank_address

router = APIRouter()


class Save(BaseModel):
    """A choice and the name of the bank to make of it."""

    model_config = {"extra": "forbid"}
    name: str = Field(max_length=100)
    method: Method | None = None
    top: int | None = Field(None, ge=2, le=100_000)
    min_size: int | None = Field(None, ge=1, le=100_000)
    threshold: float | None = Field(None, gt=0, le=LARGEST_THRESHOLD, allow_inf_nan=False)
    outlier: str | None = Field(None, max_length=24)
    granularity: float | None = Field(None, gt=0, lt=1)


@router.post("/api/banks/{layer}/{bank}/save", status_code=202)
def save(bank: Bank, choice: Save, run: Annotated[Opened, Depends(opened)], jobs: TheJobs) -> JobAnswer:
    """Split every direction of the layer as was chosen for one, and keep the result as a bank of the run."""
    folder = bank_folder(run.path, bank.layer, choice.name)
    if (bank.layer, choice.name) in list_banks(run.path) or folder.exists():
        raise Taken(f"the run has a bank {choice.name!r} of {bank.layer} already; choose another name")
    asked = Asked(**{name: getattr(choice, name) for name in Save.model_fields if name != "name"})
    wanted = Choice.of(bank, asked)
    if wanted.own:
        raise UsageError("this is the bank as it is; move the line or change a parameter first")
    kind = bank.bank.info["parameters"].get("directions")
    if kind == "scores":
        raise UsageError("the bank was made from scores that the run does not keep; split them again in Python")

    def work(job: Job) -> str:
        found = make(bank, wanted, job)
        job.check()  # from here on it is too late
        found.save(folder)
        return bank_address(bank.layer, choice.name)

    return jobs.begin("bank", work).answer()


def make(bank: OpenedBank, choice: Choice, progress: Job) -> ConceptBank:
    """The whole layer split as was chosen: the bank's own trees cut anew where that is all, else from the start."""
    from ..splitting import disentangle, recut

    known, old = bank.bank.info["parameters"], bank.bank
    parameters = choice.parameters(bank)
    if "features" in known:
        raise UsageError("the bank was split by circuit, for which the model is needed; split it anew with --circuit")
    same_trees = old.info.get("method") == choice.method == "published" and choice.top == old.heights.shape[1] + 1
    if same_trees:
        names = ("distance_threshold", "outlier_threshold", "min_size")
        return recut(old, bank.acts, progress=progress, **{name: parameters[name] for name in names})
    kind = known.get("directions", "neurons")
    rows = old.directions if old.bands is None else old.directions[old.bands == 1]
    first = {} if old.starts is None or kind == "svd" else {"directions": old.starts[: len(rows)]}
    seed = parameters.pop("seed", known["seed"])
    return disentangle(
        bank.acts,
        choice.method,  # type: ignore[arg-type]  # one of the two by now
        **({"directions": kind} | first),
        select=rows.tolist(),
        top=choice.top,
        bands=known.get("bands") or (),
        scaling=known["scaling"],
        vector=known["vector"],
        holdout=known["holdout"],
        bootstrap=known["bootstrap"] if choice.method == "calibrated" else 0,
        max_per_photograph=known.get("max_per_photograph"),
        seed=seed,
        progress=progress,
        **parameters,
    )
