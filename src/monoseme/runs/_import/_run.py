"""Files of embeddings come in, a run goes out: commit by commit, so that a kill leaves what can be gone on from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...base import MonosemeError, Reporter, Silent, UsageError, digest_text
from ...images import Thumbnails, open_images, shown
from .. import _table
from .._commits import committing, finish, held, position, prepare
from .._forward import Result, as_kept
from .._manifest import IMPORTED, LayerColumn, Manifest
from .._run import Run, open_run
from ._arrays import LayerArray, Layout, open_layer
from ._names import image_labels, image_names, rows_in
from ._pictures import Images, Rows, rows_of

COMMIT_ROWS = 4096
COMMIT_BYTES = 64 << 20
REMEDY = "mend the file"

Source = str | PathLike[str] | npt.NDArray[Any] | tuple[str | PathLike[str], str]


def import_run(
    embeddings: Source | Mapping[str, Source],
    out: str | PathLike[str] = "run",
    *,
    layer: str | None = None,
    key: str | None = None,
    ids: str | PathLike[str] | Iterable[object] | None = None,
    labels: str | PathLike[str] | Iterable[object] | None = None,
    images: Images = None,
    in_order: bool = False,
    pooling: Literal["mean", "max"] | None = None,
    layout: Layout | None = None,
    dtype: Literal["float32", "float16"] | None = None,
    thumbnails: bool = True,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Reporter | None = None,
) -> Run:
    """Make a run of embeddings that were computed elsewhere.

    Files are told by their content: npy (never unpickled), safetensors, Parquet (a column of lists) and HDF5 (extra ``hdf5``).
    They are read a slice at a time and may be larger than memory. An import that was stopped goes on from its last commit when
    the same call is made again, and until it is finished the run says that it is not. To a finished run further layers are
    added, if their rows are of the same images in the same order.

    Parameters
    ----------
    embeddings
        A file; a folder or pattern whose files follow each other, in the order of the numbers in their names; an array (N, C);
        or for several layers a mapping from their names to such, or to (file, key).
    out : path
        The run's folder.
    layer : str, optional
        The layer's name, for a single one; by default its key, or the file's name without suffix.
    key : str, optional
        Which tensor, data set or column of the file, where it holds several that could be meant.
    ids : path, column or list, optional
        The name of each row's image: a column of the file (of every layer's file then), a text file with a line a row, an npy
        of text, or a list. By default a column with a usual name (image_id, uri, path, file, filename, ...), where there is
        one; else rows are called ``row-0``, ``row-1``, ...
    labels : path, column or list, optional
        A label a row, likewise; by default the images' class folders. Tables of labels are joined later (`join_labels`).
    images : optional
        Where the images are, as `embed` takes it. Each row's image is found by its name: the path in full, its end, or the path
        without suffix. From them come thumbnails and content digests, by which exact copies are known. Images without a row
        are left out; a row's image that cannot be decoded is set aside with its row.
    in_order : bool
        The rows are in the order in which `images` lists its images (of their names); there are no ids then.
    pooling : "mean" or "max", optional
        How the positions of maps (N, C, H, W) or tokens (N, L, C) become one vector; without it such arrays are refused.
    layout : "NCHW", "NHWC" or "NLC", optional
        Of maps and tokens; by default NCHW and NLC.
    dtype : "float32" or "float16", optional
        As which activations are kept; by default as they are (float64 and bfloat16 become float32).
    thumbnails : bool
        Whether a small picture of each image is kept.
    workers : int, optional
        Decoding processes; 0 decodes in this process.
    overwrite : bool
        Replace a run made with something else, its banks included.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Returns
    -------
    Run
        Finished. It has no model, so what passes images through one (heatmaps, `apply_bank`, `causal`) is refused.

    Raises
    ------
    UsageError
        There is no such file, key or column; shapes, numbers of rows or names do not fit; a folder that is no run; a run made
        with something else.
    MonosemeError
        A file is damaged, a value is not finite or does not fit float16, no image can be used, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> import monoseme as ms
    >>> embeddings = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = ms.import_run(embeddings, f"{folder}/run", layer="fc", labels=["cat", "dog"] * 100)
    ...     run.activations("fc"), run.labels()
    (<activations of fc: 200 images x 16 neurons, float32>, <2 labels on 200 of 200 images>)
    """
    if dtype not in (None, "float32", "float16"):
        raise UsageError(f"activations are kept as float32 or float16, not {dtype}")
    if in_order and ids is not None:
        raise UsageError("rows are named by ids or are in the order of the images, not both; leave one out")
    arrays = _opened(embeddings, layer, key, pooling, layout)
    count, folder, progress = rows_in(arrays), Path(out), progress or Silent()
    with ExitStack() as stack:
        source = None if images is None else stack.enter_context(open_images(images))
        names = None if in_order else image_names(arrays, ids)
        rows = rows_of(names, image_labels(arrays, labels), count, source, in_order)
        if source is not None and len(source) > count:
            progress.note(f"{len(source) - count:,} of the {len(source):,} images of {shown(source.spec)} have no row")
        stack.enter_context(held(folder))
        there = _manifest_of(folder, overwrite)
        manifest = _manifest(arrays, rows, names, dtype or _dtype(arrays, there), thumbnails)
        state = prepare(folder, manifest, overwrite)
        if not state.finished:
            _first_pass(folder, state, arrays, rows, workers, progress)
        elif new := tuple(column for column in manifest.layers if state.find(column.layer, column.pooling) is None):
            made_from = {**state.model["layers"], **manifest.model["layers"]}
            state = replace(state.with_layers(new), model={**state.model, "layers": made_from})
            _table.set_manifest(folder, state)
        _fill_in(folder, state, manifest.layers, arrays, rows, progress)
    return open_run(folder)


def _opened(
    embeddings: Source | Mapping[str, Source],
    layer: str | None,
    key: str | None,
    pooling: str | None,
    layout: str | None,
) -> dict[str, LayerArray]:
    """The array of each layer, by the layer's name."""
    if not isinstance(embeddings, Mapping):
        source, key = embeddings if isinstance(embeddings, tuple) else (embeddings, key)
        found = open_layer(source, key, pooling, layout)
        return {_named(layer or found.key or _stem(found.spec)): found}
    if layer is not None or key is not None:
        raise UsageError("several layers have their names and keys in the mapping; leave out layer and key")
    if not embeddings:
        raise UsageError("no embeddings are named; give a file or a mapping from layers to files")
    pairs = {name: each if isinstance(each, tuple) else (each, None) for name, each in embeddings.items()}
    return {_named(name): open_layer(source, its_key, pooling, layout) for name, (source, its_key) in pairs.items()}


def _stem(spec: str) -> str:
    return re.sub(r"[*?\[\]]", "", Path(spec).name.split(".")[0]) or "layer"


def _named(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > 200:
        raise UsageError(f"{shown(name[:100])} is no name for a layer; use up to 200 characters that can be printed")
    return name


def _manifest_of(folder: Path, overwrite: bool) -> Manifest | None:
    """The manifest of the imported run that is there; of anything else, `prepare` says what is wrong."""
    try:
        table = _table.open_table(folder)
        there = None if table is None else Manifest.decode(table.schema.metadata, str(folder))
    except MonosemeError:
        if overwrite:
            return None
        raise
    return there if there is not None and there.imported else None


def _dtype(arrays: Mapping[str, LayerArray], there: Manifest | None) -> Literal["float32", "float16"]:
    """As the arrays are; a run that keeps float32 takes float16 as well."""
    half = all(array.dtype == "float16" for array in arrays.values())
    return "float16" if half and (there is None or there.dtype == "float16") else "float32"


def _manifest(
    arrays: Mapping[str, LayerArray], rows: Rows, names: list[str] | None, dtype: str, thumbnails: bool
) -> Manifest:
    import lance

    kept = Thumbnails() if thumbnails and rows.source is not None else None
    columns = tuple(LayerColumn(name, array.pooling, array.channels, array.layout) for name, array in arrays.items())
    return Manifest(
        model={"spec": IMPORTED, "layers": {name: array.describe() for name, array in arrays.items()}},
        images={
            "source": "" if rows.source is None else rows.source.spec,
            "digest": digest_text(*(rows.uris if names is None else names)),
            "count": len(rows.uris),
        },
        layers=columns,
        dtype=dtype,
        batch_size=1,
        thumbnails=None if kept is None else {"size": kept.size, "quality": kept.quality},
        predictions=False,
        versions={"lance": lance.__version__, "numpy": np.__version__},
    )


def _first_pass(
    folder: Path,
    manifest: Manifest,
    arrays: Mapping[str, LayerArray],
    rows: Rows,
    workers: int | None,
    progress: Reporter,
) -> None:
    """Copy the rows that are not there yet, commit by commit, and mark the run finished."""
    done, committed = position(folder, manifest.batch_size)
    kept = None if manifest.thumbnails is None else Thumbnails(**manifest.thumbnails)
    with progress.task("importing", len(rows.uris), "rows", done) as task:
        if done:
            progress.note(f"going on from row {done:,} of {len(rows.uris):,}")
        with committing(folder, _rows_a_commit(arrays), committed) as pending:
            for batch in rows.batches(done, kept, workers):
                wanted = [fact["entry"] for fact in batch.facts]
                uris = [fact["uri"] for fact in batch.facts]
                columns = {}
                for column in manifest.layers if wanted else ():
                    matrix = arrays[column.layer].take(wanted)
                    matrix = as_kept(matrix, column, manifest.dtype, uris, REMEDY)
                    columns[column.column] = (_table.layer_field(column, manifest.dtype), matrix)
                pending.add(batch, Result(columns, None))
                task.advance(batch.count)
    finish(folder, manifest)


def _fill_in(
    folder: Path,
    manifest: Manifest,
    wanted: Sequence[LayerColumn],
    arrays: Mapping[str, LayerArray],
    rows: Rows,
    progress: Reporter,
) -> None:
    """Copy columns that were added to a finished run, a fragment of the table at a time, each with a commit of its own."""
    table = _table.add_columns(folder, wanted, manifest.dtype)
    columns = tuple(column for column in wanted if _table.unfilled(table, [column]))
    if not columns:
        return
    with progress.task("importing", table.count_rows(), "rows") as task:
        for number in _table.unfilled(table, columns):
            facts = table.get_fragment(number).to_table(columns=["image_id", "entry", "uri"])
            uris = facts["uri"].to_pylist()
            matrices = {}
            for column in columns:
                matrix = arrays[column.layer].take(facts["entry"].to_pylist())
                matrix = as_kept(matrix, column, manifest.dtype, uris, REMEDY)
                matrices[column.column] = (_table.layer_field(column, manifest.dtype), matrix)
            _table.fill(folder, number, Result(matrices, None).layers(facts["image_id"].to_pylist()))
            task.advance(len(facts))
    _table.tidy(folder)


def _rows_a_commit(arrays: Mapping[str, LayerArray]) -> int:
    per_row: int = 4 * sum(array.channels for array in arrays.values())
    return max(1, min(COMMIT_ROWS, COMMIT_BYTES // per_row))
