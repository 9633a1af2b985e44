"""``monoseme disentangle``: a run becomes a concept bank."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base import UsageError, duration
from ._common import (
    ImagesOption,
    Json,
    LayerOption,
    ModelOption,
    Quiet,
    RunFolder,
    Stopped,
    histogram_line,
    next_show,
    numbers,
    progress_for,
    say,
)

if TYPE_CHECKING:
    from ..banks import ConceptBank


def disentangle(
    run: RunFolder,
    layer: LayerOption = None,
    pooling: Annotated[
        str | None, typer.Option(help="Which pooling, where the layer has several.", show_default=False)
    ] = None,
    method: Annotated[str, typer.Option(help="How exemplars are split: calibrated or published.")] = "calibrated",
    granularity: Annotated[
        float | None,
        typer.Option(help="Calibrated: from one concept (0) to many (1); 0.5 by default.", show_default=False),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Calibrated: level of the test, in place of the granularity's.", show_default=False),
    ] = None,
    max_cosine: Annotated[
        float | None,
        typer.Option(help="Calibrated: from which cosine two sides are one thing.", show_default=False),
    ] = None,
    distance_threshold: Annotated[
        str | None,
        typer.Option(
            help="Published: Ward distance at which merges are undone, in units of the embedding, or auto.",
            show_default=False,
        ),
    ] = None,
    outlier_threshold: Annotated[
        str | None,
        typer.Option(
            help="Published: squared distance to the centre from which exemplars are dropped, a quantile such as q0.9, or "
            "auto.",
            show_default=False,
        ),
    ] = None,
    min_size: Annotated[int, typer.Option(help="Fewest exemplars of a concept.")] = 5,
    top: Annotated[int, typer.Option(help="Exemplars of a direction.")] = 100,
    directions: Annotated[
        str, typer.Option(help="neurons, svd, or a .npy or .safetensors file of directions x neurons.")
    ] = "neurons",
    neurons: Annotated[str | None, typer.Option(help="Only these: 0,35,100-199.", show_default=False)] = None,
    scaling: Annotated[str, typer.Option(help="raw, centred, standardised or minmax embeddings.")] = "raw",
    vector: Annotated[
        str | None,
        typer.Option(
            help="mean or centred vectors; centred by default, but mean for the published method.", show_default=False
        ),
    ] = None,
    holdout: Annotated[
        float | None,
        typer.Option(
            help="Share of the images kept out for evaluate; 0.2 by default, but 0 for the published method.",
            show_default=False,
        ),
    ] = None,
    bootstrap: Annotated[
        int | None,
        typer.Option(
            help="How often to look for each concept again in resampled images; 20 by default, but 0 for the published "
            "method.",
            show_default=False,
        ),
    ] = None,
    band: Annotated[
        list[float] | None,
        typer.Option(
            help="Also take exemplars at this part of a direction's strength, such as 0.5; may be given again.",
            show_default=False,
        ),
    ] = None,
    max_per_photograph: Annotated[
        int | None,
        typer.Option(help="Most exemplars cut from one photograph, for runs over patches.", show_default=False),
    ] = None,
    circuit: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="Split by which units of this lower layer drove the neuron, in place of embeddings.",
            show_default=False,
        ),
    ] = None,
    beside: Annotated[bool, typer.Option("--beside", help="With --circuit: and by embeddings beside them.")] = False,
    attribution: Annotated[str, typer.Option(help="With --circuit: gradient, or lrp (needs zennit).")] = "gradient",
    model: ModelOption = None,
    images: ImagesOption = None,
    seed: Annotated[int, typer.Option(help="Of k-means and of the random sets behind auto.")] = 0,
    bank: Annotated[
        str | None, typer.Option("--bank", help="Name of the bank; the method's by default.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bank of that name.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Split the neurons (or other directions) of a run into concepts and print how many each has."""
    from ..runs import open_run

    opened = open_run(run)
    acts = opened.activations(layer, pooling)
    from ..banks import bank_folder
    from ..splitting import Circuit, check_method
    from ..splitting import disentangle as split

    check_method(method)
    pooled = str(acts.provenance()["pooling"])
    if circuit is None and (beside or attribution != "gradient" or model is not None or images is not None):
        raise UsageError(
            "--beside, --attribution, --model and --images belong to --circuit; name the lower layer with it"
        )
    features = None if circuit is None else Circuit(opened, circuit, model, images, attribution, beside)
    name = bank or "-".join(
        [method, *([pooled] if pooled != "mean" else []), *([] if circuit is None else ["circuit"])]
    )
    target = bank_folder(opened.path, acts.name, name)
    if target.exists() and not overwrite:
        raise UsageError(
            f"the run has a bank {name!r} of {acts.name} already; choose another name with --bank, or replace it with --overwrite"
        )
    offered = {
        "granularity": granularity,
        "alpha": alpha,
        "max_cosine": max_cosine,
        "distance_threshold": _threshold(distance_threshold, "--distance-threshold"),
        "outlier_threshold": _threshold(outlier_threshold, "--outlier-threshold"),
    }
    given: dict[str, Any] = {option: value for option, value in offered.items() if value is not None}
    begin = time.monotonic()
    try:
        made = split(
            acts,
            method,  # type: ignore[arg-type]  # checked there
            directions=_directions(directions),  # type: ignore[arg-type]
            select=None if neurons is None else numbers(neurons),
            top=top,
            scaling=scaling,  # type: ignore[arg-type]
            vector=vector,  # type: ignore[arg-type]
            holdout=holdout,
            bootstrap=bootstrap,
            bands=band or (),
            max_per_photograph=max_per_photograph,
            features=features,
            seed=seed,
            progress=progress_for(quiet, as_json),
            min_size=min_size,
            **given,
        )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; no bank was written, {run} is as it was") from None
    made.save(target, overwrite=overwrite)
    seconds = time.monotonic() - begin
    histogram = made.histogram()
    several = sum(count for concepts, count in histogram.items() if concepts > 1)
    used = made.info["parameters"]
    count = len(set(made.directions.tolist()))
    significant = None if made.divisions["q_value"].null_count else len(made.polysemantic())
    lines = [
        f"{target}: {len(made):,} concepts from {count:,} directions of {acts.name}{_in_bands(made)}, in {duration(seconds)}",
        _settings(used),
        f"directions by number of concepts: {histogram_line(made)} ({several:,} with more than one)",
        *_tested(made, significant),
        next_show(run, made, name),
    ]
    facts = {
        "bank": str(target),
        "layer": acts.name,
        "concepts": len(made),
        "directions": count,
        "histogram": {str(key): value for key, value in histogram.items()},
        "significant": significant,
        "parameters": used,
        "seconds": round(seconds, 3),
    }
    say(lines, facts, as_json)


def _settings(used: dict[str, Any]) -> str:
    """What the method worked with, in a line."""
    if used.get("granularity") is not None:
        from ..splitting import Calibrated

        method = Calibrated(used["granularity"], used["alpha"], used["max_cosine"])
        how = f"granularity {method.granularity:g}: level {_round(method.level)}, cosine below {method.widest_cosine:g}"
    else:
        how = (
            f"distance threshold {_round(used['distance_threshold'])}, outlier threshold "
            f"{_round(used['outlier_threshold'])}"
        )
    kept = f", {used['holdout']:.0%} of the images held out" if used["holdout"] else ""
    by = f", by circuits of {used['features']['lower']}" if "features" in used else ""
    return f"{how}, minimum size {used['min_size']}, {used['top']} exemplars a direction{by}{kept}"


def _in_bands(bank: ConceptBank) -> str:
    return "" if bank.bands is None else f" in {len(set(bank.bands.tolist()))} bands"


def _tested(bank: ConceptBank, significant: int | None) -> list[str]:
    """How sure it is, where the method tests."""
    from statistics import median

    lines = []
    if significant is not None:
        lines.append(f"with more than one at a false discovery rate of 5 % over all directions: {significant:,}")
    if len(known := bank.concepts["stability"].drop_null().to_numpy()):
        lines.append(
            f"stability over resampled images (Jaccard index, 1 is best): median {median(known):.2f}, "
            f"{(known >= 0.75).mean():.0%} of the concepts at 0.75 or more"
        )
    return lines


def _threshold(text: str | None, option: str) -> float | str | None:
    if text is None or text == "auto" or text.startswith("q"):
        return text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{option} takes a number or auto, not {text!r}") from None


def _directions(text: str) -> object:
    """A name, or the array in a file. Nothing is unpickled."""
    path = Path(text)
    if path.suffix not in (".npy", ".safetensors"):
        return text
    import numpy as np

    if not path.is_file():
        raise UsageError(f"there is no file {path} to take directions from")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        from safetensors.numpy import load_file

        tensors = load_file(path)
    except Exception as error:
        raise UsageError(
            f"{path} cannot be read as an array of directions ({error}); write it with numpy.save or safetensors"
        ) from error
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    for name in ("directions", "vectors"):
        if name in tensors:
            return tensors[name]
    raise UsageError(f"{path} holds several arrays and none is called directions or vectors; keep the directions alone")


def _round(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
