"""The run as pages read it: what is on disk now, and what is worth keeping of it between two requests."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..banks import Annotations, ConceptBank, load_annotations, load_bank, load_names
from ..base import (
    ANNOTATIONS,
    Labels,
    MonosemeError,
    UsageError,
    bank_folder,
    did_you_mean,
    held_out,
    join_words,
    list_banks,
)
from ..runs import Run, RunActivations, open_run
from ..views import LayerView, NeuronView, Titles, plane, view_layer, view_neuron
from ._later import Later, on_one_core
from ._page import Place
from ._planes import Planes

if TYPE_CHECKING:
    from ..evaluation import Causal, Evaluation
    from ..splitting import NodeTests, OneDirection

LOOK = 1.0
"""Seconds between two looks at whether another process has written to the run."""
PAUSE = 1.5
"""Seconds that a first page has for its thumbnails before torch is imported, which takes the processor for itself."""
NEURONS = 32
"""Neurons whose exemplars are kept in memory: 0.8 MB each for 100 exemplars of 2,048 components."""


Stamp = tuple[int, int, int]
"""Of a file: another one where it was written anew."""


class NotFound(UsageError):
    """What was asked for is not there."""


class Fact(NamedTuple):
    """What is said of an image: its name and its label."""

    uri: str
    label: str | None


def _stamp(path: Path) -> Stamp:
    try:
        file = path.stat()
    except OSError:
        return (0, 0, 0)
    return (file.st_mtime_ns, file.st_size, file.st_ino)


class Opened:
    """A run and its banks, seen anew when another process has written to them.

    Parameters
    ----------
    run : Run
        The run; its folder is read, the object itself is left alone.
    """

    def __init__(self, run: Run) -> None:
        self.path = run.path
        self._run, self._looked, self._lock = run, time.monotonic(), threading.Lock()
        self._banks: dict[tuple[str, str], OpenedBank] = {}
        self._annotations: tuple[Stamp, Annotations] | None = None
        self.later = Later()

    @property
    def run(self) -> Run:
        """The run as it is now. Where a look at the disk fails, for it is being written, the last one still holds."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK:
                self._looked = time.monotonic()
                try:
                    if self._run.stale:
                        self._run = open_run(self.path)
                except (MonosemeError, OSError, ValueError):
                    pass
            return self._run

    @property
    def banks(self) -> list[tuple[str, str]]:
        """(layer, name) of the banks that are there now."""
        return list_banks(self.path)

    @property
    def annotations(self) -> Annotations:
        """What people say of concepts now; the same object as long as nobody says anything new."""
        stamp = _stamp(self.path / ANNOTATIONS)
        with self._lock:
            if self._annotations is None or self._annotations[0] != stamp:
                self._annotations = (stamp, load_annotations(self.path))
            return self._annotations[1]

    def bank(self, layer: str, name: str) -> OpenedBank:
        """A bank that is there. The names are looked up in a listing of the folder; a path is never made from a request.

        Raises
        ------
        NotFound
            There is no such bank.
        """
        known = self.banks
        if (layer, name) not in known:
            there = join_words([f"{each}/{bank}" for each, bank in known], "and") or "none yet"
            hint = did_you_mean(name, {bank for _, bank in known})
            raise NotFound(f"the run has no bank {name[:60]!r} of {layer[:60]!r}, only {there}{hint}")
        folder, run = bank_folder(self.path, layer, name), self.run
        file = (folder / "bank.json").stat()
        stamp = (file.st_mtime_ns, file.st_ino)
        with self._lock:
            held = self._banks.get((layer, name))
            if held is None or held.stamp != stamp or held.run is not run:
                held = OpenedBank(self, run, folder, stamp, layer, name)
                self._banks[layer, name] = held
        return held

    def place(self, layer: str | None = None, bank: str | None = None) -> Place:
        """What the head of a page shows."""
        return Place(self.path.absolute().name, tuple(self.banks), layer, bank)


class OpenedBank:
    """One bank as it is on disk at one moment, with what pages ask of it more than once."""

    def __init__(self, opened: Opened, run: Run, folder: Path, stamp: tuple[int, int], layer: str, name: str) -> None:
        self.run, self.folder, self.stamp, self.layer, self.name = run, folder, stamp, layer, name
        self.later = opened.later
        self._opened = opened
        self.neuron = lru_cache(NEURONS)(self._neuron)
        self.one = lru_cache(2 * NEURONS)(self._one)
        self.facts = lru_cache(NEURONS)(self._facts)
        self.plane = lru_cache(NEURONS)(self._plane)
        self.ranking = lru_cache(8)(self._ranking)
        self._titles: tuple[Stamp, Titles] | None = None
        self._tests: Future[NodeTests] | None = None
        self._node_tests: dict[Any, Future[Any]] = {}
        self._lock, self._prepared = threading.RLock(), False
        self.planes = Planes(lambda: self.bank.vectors)

    def place(self) -> Place:
        """What the heads of its pages show."""
        return self._opened.place(self.layer, self.name)

    @cached_property
    def bank(self) -> ConceptBank:
        """The bank."""
        return load_bank(self.folder)

    @property
    def titles(self) -> Titles:
        """What its concepts are called now; the same object as long as no person and no program says anything new."""
        annotations, stamp = self._opened.annotations, _stamp(self.folder / "names.json")
        with self._lock:
            if self._titles is None or self._titles[0] != stamp or self._titles[1].annotations is not annotations:
                self._titles = (stamp, Titles(annotations, load_names(self.folder)))
            return self._titles[1]

    def require(self, concept: int) -> None:
        """Refuse a number that no concept has.

        Raises
        ------
        NotFound
            There is no such concept.
        """
        if concept >= len(self.bank):
            raise NotFound(f"there is no concept {concept}; the bank holds {len(self.bank):,}, numbered from 0")

    @cached_property
    def acts(self) -> RunActivations:
        """The activations that it was made from."""
        return self.run.activations(self.layer, self.bank.pooling)

    @cached_property
    def labels(self) -> Labels:
        """Those to show."""
        return self.run.shown_labels()

    @cached_property
    def view(self) -> LayerView:
        """All its directions."""
        return view_layer(self.bank, self.run, labels=self.labels)

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """Its figures, where it was evaluated."""
        from ..evaluation import load_evaluation

        return load_evaluation(self.folder)

    @property
    def evaluated(self) -> bool:
        """Whether there are figures; asking imports nothing."""
        return (self.folder / "evaluation.json").is_file()

    @property
    def causal(self) -> Causal | None:
        """What the model's predictions do without its concepts, where that was tried; asking imports nothing where it was not."""
        if not (self.folder / "causal.json").is_file():
            return None
        from ..evaluation import load_causal

        return load_causal(self.folder)

    @cached_property
    def held_out(self) -> npt.NDArray[np.bool_] | None:
        """(N,) images that splitting never saw, None where it saw all."""
        share = float(self.bank.info["parameters"].get("holdout") or 0.0)
        images = self.acts.images()
        return None if share == 0 or images.digests is None else held_out(images, share)

    @property
    def tests(self) -> Future[NodeTests]:
        """What tests the nodes of trees; it reads the layer once, in the background."""

        def fit() -> NodeTests:
            from ..splitting import NodeTests

            return NodeTests.of(self.bank, self.acts)

        with self._lock:
            if self._tests is None:
                self._tests = self.later(fit)
            return self._tests

    def prepare(self) -> None:
        """Begin what a neuron's page will need, once the page that is asked for now has had its turn."""
        with self._lock:
            if not self._prepared:
                self._prepared = True
                self.later.after(PAUSE, lambda: self.tests)

    def node_tests(self, key: tuple[object, ...], view: NeuronView) -> tuple[Any, Any] | None:
        """p-values and cosines of the nodes of a tree, None as long as they are being computed."""
        with self._lock:
            waiting = self._node_tests.get(key)
            if waiting is None:
                tests = self.tests
                waiting = self.later(lambda: tests.result()(view.embeddings, view.merges))
                while len(self._node_tests) > 8 * NEURONS:
                    self._node_tests.pop(next(iter(self._node_tests)))
                self._node_tests[key] = waiting
        return waiting.result() if waiting.done() else None

    @cached_property
    def auto_threshold(self) -> float:
        """The published method's distance threshold for this layer, for a bank that has none."""
        from ..splitting import Layer, Published

        layer = Layer.behind(self.bank, self.acts)
        return on_one_core(lambda: float(Published().fitted(layer).distance_threshold))

    def direction(self, number: int, band: float = 1.0) -> NeuronView:
        """A direction of the bank.

        Raises
        ------
        NotFound
            There is no such direction or band.
        """
        try:
            return self.neuron(number, band)
        except UsageError as error:
            raise NotFound(str(error)) from error

    def _neuron(self, number: int, band: float) -> NeuronView:
        return view_neuron(self.bank, number, self.run, acts=self.acts, labels=self.labels, band=band)

    def _one(self, number: int, band: float, top: int, tree: str) -> OneDirection:
        """The strongest `top` exemplars of a direction with the tree of the bank, of raw embeddings or of whitened ones."""
        from ..splitting import OneDirection, Trees

        view = self.direction(number, band)
        known = Trees(view.merges[None], view.heights[None]) if tree == "bank" else None
        whitening = self.tests.result().method.whitening if tree == "whitened" else None
        return on_one_core(lambda: OneDirection.of(view.embeddings[:top], number, known, whitening))

    def _facts(self, number: int, band: float) -> list[Fact]:
        rows = self.run.images(self.direction(number, band).image_ids, ["uri", "label"]).to_pylist()
        return [Fact(row["uri"], row["label"]) for row in rows]

    def _plane(self, number: int, band: float, top: int) -> npt.NDArray[np.float64]:
        """(top, 2) where the exemplars of a direction lie on its map."""
        return plane(self.direction(number, band).embeddings[:top])

    def _ranking(self, concept: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """All images by their projection on a concept, those first that the bank keeps; copies are left out."""
        bank, acts = self.bank, self.acts
        found = np.empty(len(acts), dtype=np.float32)
        for first, block in acts.blocks():
            found[first : first + len(block)] = bank.frame(np.asarray(block, np.float32)) @ bank.vectors[concept]
        kept = bank.top_images(concept, bank.images_kept)["image_id"].to_numpy()
        later = acts.images().first_copies
        later = np.ones(len(acts), dtype=np.bool_) if later is None else later.copy()
        later[kept] = False
        rest = np.flatnonzero(later)
        order = np.concatenate([kept, rest[np.argsort(-found[rest], kind="stable")]])
        return order.astype(np.int32), found[order]
