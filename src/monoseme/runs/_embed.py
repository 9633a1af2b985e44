"""Images and a model come in, a run goes out: batches, commits, resuming, further layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from ..base import MonosemeError, Reporter, Silent, UsageError
from ..images import Batch, ImageSource, Loader, Thumbnails, Work, default_workers, open_images
from . import _table
from ._commits import committing, finish, held, position, prepare
from ._forward import Forward
from ._manifest import LayerColumn, Manifest
from ._run import Run, open_run

if TYPE_CHECKING:
    from ..models import Acceleration, Model

Pooling = Literal["mean", "max", "cls"]


@dataclass(frozen=True)
class Options:
    """How to embed; all but `workers` and `commit_every` go into the manifest, of `accelerate` what it came to."""

    batch_size: int = 32
    dtype: Literal["float32", "float16"] = "float32"
    predictions: bool = True
    thumbnails: Thumbnails | None = None
    workers: int | None = None
    commit_every: int = 1024
    accelerate: str = "auto"
    scaled_decoding: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.batch_size < 1 or self.commit_every < 1 or (self.workers is not None and self.workers < 0):
            raise UsageError("the batch size and the number of images a commit must be at least 1, workers at least 0")
        if self.dtype not in ("float32", "float16"):
            raise UsageError(f"activations are kept as float32 or float16, not {self.dtype}")


def embed(
    model: Model | str,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ImageSource | object,
    layers: Sequence[str] | str | None = None,
    out: str | PathLike[str] = "run",
    *,
    pooling: Pooling | Sequence[Pooling] = "mean",
    dtype: Literal["float32", "float16"] = "float32",
    batch_size: int = 32,
    predictions: bool = True,
    thumbnails: bool = True,
    workers: int | None = None,
    commit_every: int = 1024,
    accelerate: Acceleration = "auto",
    scaled_decoding: bool = False,
    overwrite: bool = False,
    progress: Reporter | None = None,
) -> Run:
    """Embed images with one or more layers of a model, in one pass, into a run on disk.

    A run that was stopped goes on from its last commit when the same call is made again. To a finished run, further layers
    are added.

    Parameters
    ----------
    model : Model or str
        From `load_model` or `wrap`, or a spec such as "torchvision:inception_v3".
    images
        A folder, glob, list file, tar shards, Parquet, "hf:name", "patches:..." of any of these, a sequence of paths, or a
        data set with images.
    layers : sequence of str, optional
        Dotted names or globs; the model's last spatial layer by default.
    out : path
        The run's folder.
    pooling : "mean", "max", "cls" or several
        How positions become one vector.
    dtype : "float32" or "float16"
        As which activations are kept; a value too large for float16 is an error.
    batch_size : int
        Images a forward pass.
    predictions, thumbnails : bool
        Whether the five likeliest classes and a small picture of each image are kept. Without predictions the forward pass
        ends at the last wanted layer.
    workers : int, optional
        Decoding processes; 0 decodes in this process.
    commit_every : int
        Images a commit; what is not committed when the process is killed is computed again.
    accelerate : "auto", "off", "compile" or "openvino"
        What computes the forward pass. "off" is plain PyTorch with hooks. The others capture the same layers and poolings as a
        graph, for torch's compiler or for OpenVINO on a CPU; they are compared with plain PyTorch on the first batch and refused
        where they differ by more than 1e-4. "auto" takes OpenVINO where it is installed (the extra ``openvino``), for 2,000
        images and more.
    scaled_decoding : bool
        Decode JPEGs that are at least twice as large as the model needs at 1/2, 1/4 or 1/8 of their size: several times as fast
        for photographs of many megapixels, and the pixels differ slightly from those of a full decoding.
    overwrite : bool
        Replace a run made with something else, its banks included.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Returns
    -------
    Run
        Finished.

    Raises
    ------
    UsageError
        Wrong names or values; a folder that is no run; a run made with something else.
    MonosemeError
        No image can be used; activations that are not finite or do not fit float16; a disk that is full; an acceleration that
        does not take the model, or does not agree with plain PyTorch.
    """
    from ..models import Model as LoadedModel
    from ..models import Tap, Tapped, load_model

    small = Thumbnails() if thumbnails else None
    options = Options(batch_size, dtype, predictions, small, workers, commit_every, accelerate, scaled_decoding)
    if not isinstance(model, LoadedModel):
        model = load_model(model)
    poolings = [pooling] if isinstance(pooling, str) else list(dict.fromkeys(pooling))
    wanted = [layers] if isinstance(layers, str) else list(layers or [model.default_layer()])
    folder = Path(out)
    with open_images(images) as source, held(folder):
        manifest = _manifest(model, source, model.resolve(wanted), poolings, options)
        # What the model cannot give is refused before anything is written or replaced.
        Tapped(model, [Tap(column.layer, column.pooling) for column in manifest.layers], predictions=predictions)
        auto = options.accelerate == "auto"
        state = prepare(folder, manifest, overwrite, any_acceleration=auto)
        if not state.finished:
            _first_pass(folder, state, model, source, options, progress or Silent())
        elif new := tuple(column for column in manifest.layers if state.find(column.layer, column.pooling) is None):
            # A column that the manifest names is known to be missing until it is there and full.
            state = state.with_layers(new)
            _table.set_manifest(folder, state)
        _fill_in(folder, state, manifest.layers, model, source, options, progress or Silent())
    return open_run(folder)


def _manifest(
    model: Model, source: ImageSource, layers: Sequence[str], poolings: Sequence[str], options: Options
) -> Manifest:
    import lance
    import torch

    from ..models import chosen

    known = model.layers()
    columns = tuple(
        LayerColumn(name, pooling, known[name].channels, known[name].layout) for name in layers for pooling in poolings
    )
    described = model.describe()
    versions = {**described.pop("versions", {}), "torch": torch.__version__, "lance": lance.__version__}
    thumbnails = options.thumbnails
    return Manifest(
        model=described,
        images={"source": source.spec, "digest": source.digest(), "count": len(source)}
        | ({} if _at_least(model, options) is None else {"decoding": "scaled"}),
        layers=columns,
        dtype=options.dtype,
        acceleration=chosen(options.accelerate, model, len(source)),
        batch_size=options.batch_size,
        thumbnails=None if thumbnails is None else {"size": thumbnails.size, "quality": thumbnails.quality},
        predictions=options.predictions and model.outputs is not None,
        classes=model.classes if options.predictions else None,
        versions=versions,
    )


def _first_pass(
    folder: Path, manifest: Manifest, model: Model, source: ImageSource, options: Options, progress: Reporter
) -> None:
    """Embed what is not embedded yet, commit by commit, and mark the run finished."""
    done, rows = position(folder, manifest.batch_size)
    slices = [
        range(start, min(start + manifest.batch_size, len(source)))
        for start in range(done, len(source), manifest.batch_size)
    ]

    def embedded(acceleration: str) -> None:
        if acceleration != manifest.acceleration:
            _table.set_manifest(folder, replace(manifest, acceleration=acceleration))
        with (
            progress.task("embedding", len(source), "images", min(done, len(source))) as task,
            _forward(model, manifest, manifest.layers, acceleration, predictions=manifest.predictions) as forward,
            loader_of(source, model, slices, options.workers, options.thumbnails, _at_least(model, options)) as loader,
            committing(folder, options.commit_every, rows) as pending,
        ):
            for batch, result in forward(loader):
                pending.add(batch, result)
                task.advance(batch.count)

    if done:
        progress.note(f"going on from image {done:,} of {len(source):,}")
    used = _accelerated(embedded, manifest.acceleration, options.accelerate == "auto" and not rows, progress)
    finish(folder, replace(manifest, acceleration=used))


def _forward(
    model: Model, manifest: Manifest, columns: Sequence[LayerColumn], acceleration: str, *, predictions: bool
) -> Forward:
    return Forward(
        model,
        columns,
        manifest.dtype,
        predictions=predictions,
        acceleration=acceleration,
        batch_size=manifest.batch_size,
    )


def _accelerated(work: Callable[[str], None], acceleration: str, may_do_without: bool, progress: Reporter) -> str:
    """Do the work with a backend; where that turns out not to fit the model and nobody insisted on it, without. What was used."""
    from ..models import NotAccelerated

    try:
        work(acceleration)
    except NotAccelerated as error:
        if not may_do_without:
            raise
        progress.note(f"going on with plain PyTorch: {error.reason}")
        work("off")
        return "off"
    return acceleration


def _fill_in(
    folder: Path,
    manifest: Manifest,
    wanted: Sequence[LayerColumn],
    model: Model,
    source: ImageSource,
    options: Options,
    progress: Reporter,
) -> None:
    """Embed columns that were added to a finished run, a fragment of the table at a time, each with a commit of its own."""
    from ..models import chosen

    table = _table.add_columns(folder, wanted, manifest.dtype)
    columns = tuple(column for column in wanted if _table.unfilled(table, [column]))
    if not columns:
        return
    pending = _table.unfilled(table, columns)
    groups = {number: _batches(table.get_fragment(number), manifest.batch_size) for number in pending}
    slices = [entries for number in pending for entries in groups[number]]
    done = table.count_rows() - sum(map(len, slices))

    def embedded(acceleration: str) -> None:
        with (
            progress.task("embedding", table.count_rows(), "images", done) as task,
            _forward(model, manifest, columns, acceleration, predictions=False) as forward,
            loader_of(source, model, slices, options.workers, at_least=_at_least(model, options)) as loader,
        ):
            results = forward(loader)
            for number in pending:
                rows = table.get_fragment(number).to_table(columns=["image_id", "entry", "digest"]).to_pylist()
                known = {row["entry"]: row for row in rows}
                parts = []
                for batch, result in islice(results, len(groups[number])):
                    _same_images(batch, known)
                    parts.append(result.layers([known[fact["entry"]]["image_id"] for fact in batch.facts]))
                    task.advance(batch.count)
                _table.fill(folder, number, pa.concat_tables(parts))

    left = sum(map(len, slices))
    _accelerated(embedded, chosen(options.accelerate, model, left), options.accelerate == "auto", progress)
    _table.tidy(folder)


def _at_least(model: Model, options: Options) -> int | None:
    """Short side in pixels that decoding has to keep for the model's sake, None where it keeps all."""
    if not options.scaled_decoding:
        return None
    needed = model.preprocess.short_side()
    if needed is None:
        raise UsageError(
            f"the preprocessing of {model.spec} does not say how many pixels it needs, so that decoding cannot be scaled; "
            "leave scaled decoding off"
        )
    return needed


def _batches(fragment: Any, batch_size: int) -> list[list[int]]:
    """The entries of a fragment in the batches of the first pass, those that were set aside left out."""
    batches: dict[int, list[int]] = {}
    for entry in fragment.to_table(columns=["entry"])["entry"].to_pylist():
        batches.setdefault(entry // batch_size, []).append(entry)
    return list(batches.values())


def _same_images(batch: Batch, known: dict[int, dict[str, Any]]) -> None:
    for bad in batch.bad:
        raise MonosemeError(
            f"image {bad['uri']} can no longer be used ({bad['reason']}), so the layer cannot be added; restore it"
        )
    for fact in batch.facts:
        if fact["digest"] != known[fact["entry"]]["digest"]:
            raise MonosemeError(f"image {fact['uri']} has changed since the run was made; embed into a new run")


def loader_of(
    source: ImageSource,
    model: Model,
    slices: Sequence[Sequence[int]],
    workers: int | None,
    thumbnails: Thumbnails | None = None,
    at_least: int | None = None,
) -> Loader:
    """Batches of a source, prepared for a model."""
    here = source.in_process or not getattr(model.preprocess, "picklable", True)
    wanted = 0 if here else default_workers() if workers is None else workers
    return Loader(Work(source, model.preprocess, thumbnails, at_least), slices, min(wanted, len(slices)))
