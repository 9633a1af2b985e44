"""The manifest of a run: what was embedded with what, kept in the table's own metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from ..base import MonosemeError

FORMAT = 1
KEY = "monoseme"
IMPORTED = "imported embeddings"
"""What an imported run has in place of its model's spec."""


@dataclass(frozen=True)
class LayerColumn:
    """One layer and pooling, and the column of the table that holds it."""

    layer: str
    pooling: str
    channels: int
    layout: str

    @property
    def column(self) -> str:
        """Lance reads a dot in a column's name as a nested field, so dots become slashes; what could clash is escaped."""
        escaped = re.sub(r"[%/`\\]", lambda match: f"%{ord(match.group()):02x}", self.layer)
        return f"{escaped.replace('.', '/')}:{self.pooling}"


@dataclass(frozen=True)
class Manifest:
    """What a run was made from and how; two runs with equal manifests hold equal rows."""

    model: Mapping[str, Any]
    """`Model.describe()`: spec, weights digest, preprocessing, input size, versions."""
    images: Mapping[str, Any]
    """source (as the user wrote it), digest of the listing, count of entries; decoding, where JPEGs were decoded scaled."""
    layers: tuple[LayerColumn, ...]
    dtype: str
    batch_size: int
    """Kept for a resumed run: the last bits of an activation depend on the batch it was computed in."""
    thumbnails: Mapping[str, int] | None
    """size (longest side in pixels) and quality of the JPEG thumbnails, or None."""
    predictions: bool
    classes: tuple[str, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    acceleration: str = "off"
    """What computed the first pass: plain PyTorch ("off"), or a backend that agrees with it but for the last bits."""
    finished: bool = False
    """Whether every image of the listing is embedded (or set aside) for the layers of the first pass."""

    def encode(self) -> dict[str, str]:
        """As table metadata."""
        return {KEY: json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, ensure_ascii=False)}

    @classmethod
    def decode(cls, metadata: Mapping[bytes, bytes] | None, where: str) -> Self:
        """From table metadata.

        Raises
        ------
        MonosemeError
            There is none, it is damaged, or it is of a newer format.
        """
        text = (metadata or {}).get(KEY.encode())
        if text is None:
            raise MonosemeError(f"{where} is a Lance table, but not one of a monoseme run; choose another folder")
        try:
            content = json.loads(text)
            version = content.pop("format")
            if version != FORMAT:
                raise MonosemeError(
                    f"{where} has run format {version}, but this version reads format {FORMAT}; update monoseme"
                )
            content["layers"] = tuple(LayerColumn(**layer) for layer in content["layers"])
            content["classes"] = None if content["classes"] is None else tuple(content["classes"])
            manifest = cls(**content)
            manifest._check()
            return manifest
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise MonosemeError(
                f"the manifest of {where} is damaged ({error}); embed again with --overwrite"
            ) from error

    def _check(self) -> None:
        """What comes from elsewhere is not trusted."""
        sound = (
            isinstance(self.model, dict)
            and isinstance(self.imported_files, dict)
            and isinstance(self.images, dict)
            and isinstance(self.images["count"], int)
            and isinstance(self.images["source"], str)
            and isinstance(self.images["digest"], str)
            and self.dtype in ("float32", "float16")
            and isinstance(self.batch_size, int)
            and self.batch_size > 0
            and isinstance(self.acceleration, str)
            and len(self.layers) > 0
            and all(isinstance(each.layer, str) and isinstance(each.pooling, str) for each in self.layers)
            and all(isinstance(each.channels, int) and 0 < each.channels < 2**31 for each in self.layers)
        )
        if not sound:
            raise ValueError("its fields do not fit together")

    @property
    def imported(self) -> bool:
        """Whether the activations were computed elsewhere, so that no model belongs to them."""
        return self.model.get("spec") == IMPORTED

    @property
    def imported_files(self) -> dict[str, str]:
        """The name of the file that each layer was imported from; empty where a model computed them."""
        return {name: str(each["file"]) for name, each in self.model["layers"].items()} if self.imported else {}

    @property
    def command(self) -> str:
        """The command that makes such a run, and that goes on with it."""
        return "import" if self.imported else "embed"

    def find(self, layer: str, pooling: str) -> LayerColumn | None:
        """The column of a layer and pooling, if the run has it."""
        return next((known for known in self.layers if (known.layer, known.pooling) == (layer, pooling)), None)

    def with_layers(self, more: tuple[LayerColumn, ...]) -> Self:
        """The same with further layers."""
        return replace(self, layers=self.layers + more)


def differences(old: Manifest, new: Manifest, *, layers: bool) -> list[str]:
    """What another manifest would change, in words for people; `layers` says whether other layers count."""
    if old.imported != new.imported:  # then all else differs as well
        return [_differs("model", old.model.get("spec"), new.model.get("spec"))]
    found = []
    for name, key in (("model", "spec"), ("weights", "weights_digest"), ("preprocessing", "preprocess")):
        if old.model.get(key) != new.model.get(key):
            found.append(_differs(name, old.model.get(key), new.model.get(key)))
    if old.model.get("input_size") != new.model.get("input_size"):
        found.append(_differs("input size", old.model.get("input_size"), new.model.get("input_size")))
    if old.imported and new.imported:
        both = [name for name in new.model["layers"] if name in old.model["layers"]]
        changed = [name for name in both if old.model["layers"][name] != new.model["layers"][name]]
        found += [f"the file of layer {name} ({old.imported_files[name]})" for name in changed]
        if layers and old.images["source"] != new.images["source"]:  # half of the rows would be named by other images
            found.append(_differs("images", old.images["source"], new.images["source"]))
    if old.images["digest"] != new.images["digest"]:
        if old.images["source"] != new.images["source"]:
            found.append(_differs("images", old.images["source"], new.images["source"]))
        else:
            found.append(
                _differs(
                    "image list", f"{old.images['count']:,} images", f"{new.images['count']:,} images, names or sizes"
                )
            )
    if old.images.get("decoding") != new.images.get("decoding"):
        found.append(_differs("decoding", *(each.images.get("decoding", "full") for each in (old, new))))
    # A further layer brings neither thumbnails nor predictions, so how the first pass kept them does not matter to it.
    adding = not layers and any(old.find(column.layer, column.pooling) is None for column in new.layers)
    for name in ("dtype",) if adding else ("dtype", "thumbnails", "predictions"):
        if getattr(old, name) != getattr(new, name):
            found.append(_differs(name, getattr(old, name), getattr(new, name)))
    if layers and old.acceleration != new.acceleration:
        found.append(_differs("acceleration", old.acceleration, new.acceleration))
    mine, theirs = ({f"{column.layer} ({column.pooling})" for column in manifest.layers} for manifest in (old, new))
    if layers and mine != theirs:
        found.append(_differs("layers", ", ".join(sorted(mine)), ", ".join(sorted(theirs))))
    if not found and old.layers != new.layers:
        changed = [c.layer for c in new.layers if (known := old.find(c.layer, c.pooling)) is not None and known != c]
        found += [f"the layout of {name}" for name in changed]
    return found


def _differs(name: str, old: object, new: object) -> str:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        old, new = ({key: part.get(key) for key in keys} for part in (old, new))
    return f"the {name} ({_short(old)} there, {_short(new)} now)"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
