"""A bank as a folder: vectors.safetensors, concepts.parquet, exemplars.parquet, divisions.parquet, top_images.parquet and
bank.json; and annotations.jsonl where the bank is on its own, for in a run they are the run's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..base import (
    ANNOTATIONS,
    MonosemeError,
    UsageError,
    bank_folder,
    did_you_mean,
    first_line,
    join_words,
    list_banks,
    run_of,
    whole_folder,
)
from ._annotate import append
from ._annotations import Annotations, line_of, parsed, read
from ._bank import CONCEPTS, DIVISIONS, EXEMPLARS, TOP_IMAGES, ConceptBank
from ._frame import Frame

FORMAT = 2
_TABLES = {"concepts": CONCEPTS, "exemplars": EXEMPLARS, "divisions": DIVISIONS, "top_images": TOP_IMAGES}


def save_bank(bank: ConceptBank, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Write aside, sync, rename: a crash leaves the old bank or the new one. Equal banks give equal bytes."""
    target = Path(path)
    if target.is_dir() and not (target / "bank.json").is_file() and any(target.iterdir()):
        raise UsageError(f"{target} is not a bank and not empty; choose another folder")
    arrays = {
        "vectors": bank.vectors,
        "directions": bank.directions,
        "merges": bank.merges,
        "heights": bank.heights,
        "detectors": bank.detectors,
        "bands": bank.bands,
        "starts": bank.starts,
        "centre": bank.frame.centre,
        "scale": bank.frame.scale,
    }
    said, home = _said(bank), run_of(target)
    with whole_folder(target, replace=overwrite) as folder:
        save_file(
            {k: np.ascontiguousarray(v) for k, v in arrays.items() if v is not None}, folder / "vectors.safetensors"
        )
        tables = (bank.concepts, bank.exemplars, bank.divisions, bank.top)
        for name, table in zip(_TABLES, tables, strict=True):
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
        text = json.dumps(
            {"format": FORMAT, **bank.info}, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False
        )
        (folder / "bank.json").write_text(text + "\n", encoding="utf-8")
        if said and home is None:
            (folder / ANNOTATIONS).write_bytes(b"".join(map(line_of, said.values())))
    if said and home is not None and home != bank.run:
        append(home, lambda there: [each for key, each in said.items() if key not in there])
    return target


def _said(bank: ConceptBank) -> Annotations:
    """What people say of a bank's concepts: in its run now, or when it was loaded where the run is not at hand."""
    at_hand = bank.run is not None and bank.run.is_dir()
    said = parsed(read(bank.run / ANNOTATIONS)) if bank.run is not None and at_hand else bank.annotations
    return said.of(bank.concepts["key"].to_pylist())


def load_bank(path: str | PathLike[str], *, layer: str | None = None, name: str | None = None) -> ConceptBank:
    """Read a bank from its own folder, or from a run by layer and name (needed only where there are several).

    Raises
    ------
    UsageError
        There is no such bank, or there are several to choose from.
    MonosemeError
        The bank is damaged or was written by a newer version.
    """
    folder = Path(path)
    if not (folder / "bank.json").is_file():
        folder = bank_folder(folder, *choose_bank(folder, layer, name))
    with reading("bank", folder, "write it again with monoseme disentangle"):
        info = json.loads((folder / "bank.json").read_text(encoding="utf-8"))
        check_format(info.pop("format", None), FORMAT, "bank", folder)
        arrays = load_file(folder / "vectors.safetensors")
        tables = {table: read_table(folder / f"{table}.parquet", schema) for table, schema in _TABLES.items()}
        bank = ConceptBank(
            vectors=arrays["vectors"],
            concepts=tables["concepts"],
            exemplars=tables["exemplars"],
            top=tables["top_images"],
            directions=arrays["directions"],
            merges=arrays["merges"],
            heights=arrays["heights"],
            divisions=tables["divisions"],
            detectors=arrays.get("detectors"),
            bands=arrays.get("bands"),
            starts=arrays.get("starts"),
            frame=Frame(arrays.get("centre"), arrays.get("scale")),
            info=info,
            run=run_of(folder),
        )
        _check(bank)
    said = parsed(read((bank.run or folder) / ANNOTATIONS))
    return replace(bank, annotations=said.of(bank.concepts["key"].to_pylist()))


@contextmanager
def reading(what: str, folder: Path, remedy: str) -> Iterator[None]:
    """Turn whatever goes wrong while a folder of ours is read into a sentence."""
    try:
        yield
    except PermissionError as error:
        raise MonosemeError(f"the {what} {folder} may not be read: permission denied") from error
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        SafetensorError,
        pa.ArrowException,
    ) as error:
        raise MonosemeError(f"the {what} {folder} is damaged ({first_line(error, 200)}); {remedy}") from error


def check_format(version: object, known: int, what: str, folder: Path) -> None:
    """Refuse what a newer version has written."""
    if isinstance(version, int) and version < known:
        raise MonosemeError(f"the {what} {folder} was made by an older version of monoseme; make it again")
    if version != known:
        raise MonosemeError(
            f"{folder} has {what} format {version}, but this version reads format {known}; update monoseme"
        )


def choose_bank(run: Path, layer: str | None, name: str | None) -> tuple[str, str]:
    """(layer, name) of the one bank of a run that fits what is given.

    Raises
    ------
    UsageError
        There is none, or there are several to choose from.
    """
    if not run.is_dir():
        raise UsageError(f"there is no folder {run}")
    banks = list_banks(run)
    if not banks:
        raise UsageError(f"there is no bank in {run}; make one with monoseme disentangle")
    fitting = [bank for bank in banks if layer in (None, bank[0]) and name in (None, bank[1])]
    known = [f"{known_layer}/{known_name}" for known_layer, known_name in banks]
    if not fitting:
        wanted = name if name is not None else layer or ""
        hint = did_you_mean(wanted, {bank[1] if name is not None else bank[0] for bank in banks})
        raise UsageError(f"no bank {wanted!r} in {run}, which holds {join_words(known, 'and')}{hint}")
    if len(fitting) > 1:
        several = join_words([f"{known_layer}/{known_name}" for known_layer, known_name in fitting], "and")
        raise UsageError(f"{run} holds several banks ({several}); name the layer and the bank")
    return fitting[0]


def find_keys(run: str | PathLike[str], keys: Iterable[str]) -> dict[str, list[tuple[str, str, int]]]:
    """Where the concepts of some keys are in a run: (layer, bank, concept) of each, bank by bank; banks that are damaged have none."""
    wanted, found = set(keys), dict[str, list[tuple[str, str, int]]]()
    for layer, name in list_banks(Path(run)) if wanted else ():
        try:
            table = pq.read_table(bank_folder(Path(run), layer, name) / "concepts.parquet", columns=["key"])
        except (OSError, ValueError, pa.ArrowException):
            continue
        for concept, key in enumerate(table["key"].to_pylist()):
            if key in wanted:
                found.setdefault(key, []).append((layer, name, concept))
    return found


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of a schema from a Parquet file."""
    table = pq.read_table(path)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise ValueError(f"{path.name} lacks the column {missing[0]}")
    return table.select(schema.names).cast(schema)


def _check(bank: ConceptBank) -> None:
    """Shapes that belong together do, and numbers point at something: what comes from elsewhere is not trusted."""
    arrays: list[tuple[str, Any, int, str]] = [
        ("vectors", bank.vectors, 2, "f"),
        ("directions", bank.directions, 1, "i"),
        ("merges", bank.merges, 3, "i"),
        ("heights", bank.heights, 2, "f"),
    ]
    if bank.detectors is not None:
        arrays.append(("detectors", bank.detectors, 2, "f"))
    if bank.bands is not None:
        arrays.append(("bands", bank.bands, 1, "f"))
    for name, array, dimensions, kind in arrays:
        if array.ndim != dimensions or array.dtype.kind != kind:
            raise ValueError(f"{name} has shape {array.shape} and type {array.dtype}")
        if kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    width, count, concepts = bank.vectors.shape[1], len(bank.directions), len(bank.vectors)
    for name, array in (("centre", bank.frame.centre), ("scale", bank.frame.scale)):
        if array is not None and array.shape != (width,):
            raise ValueError(f"{name} has shape {array.shape}")
    per_direction = bank.heights.shape[1] + 1
    fits = (
        len(bank.concepts) == concepts
        and bank.merges.shape == (count, per_direction - 1, 2)
        and len(bank.heights) == count
        and len(bank.exemplars) == count * per_direction
        and (len(bank.top) % concepts == 0 if concepts else len(bank.top) == 0)
        and len(bank.divisions) in (0, count)
        and (bank.detectors is None or bank.detectors.shape == bank.vectors.shape)
        and (bank.bands is None or len(bank.bands) == count)
        and (bank.starts is None or bank.starts.shape == (count, width))
        and np.array_equal(bank.concepts["concept"].to_numpy(), np.arange(concepts))
        and bool(np.isin(bank.concepts["direction"].to_numpy(), bank.directions).all())
        and bool(np.isin(bank.exemplars["concept"].drop_null().to_numpy(), np.arange(concepts)).all())
        and isinstance(bank.info.get("parameters"), dict)
        and isinstance(bank.info.get("activations"), dict)
    )
    if not fits:
        raise ValueError("its files do not belong together")
