"""Every kind of picture by name: what it shows, of what, what it needs, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..banks import ConceptBank
from ..base import Reporter, Silent, UsageError, did_you_mean, join_words
from ..runs import Run, RunActivations
from ..splitting import NodeTests, svd_directions
from ..views import NeuronView, Projection, check_projection, require_run, view_neuron
from ._boxes import activation_boxes, alignment_boxes, distance_boxes
from ._dendrogram import dendrogram
from ._grids import concept_grid
from ._heat import Lens, heatmap_grid
from ._maps import concept_map, exemplar_map
from ._matrices import similarity_matrices
from ._vectors import concept_composition, concept_histogram, singular_similarity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..models import Model


class Pictures:
    """Draws the pictures of a bank and its run, by name; what several of them need is read once.

    Parameters
    ----------
    bank, run
        The bank, and the run it was made from.
    model, weights, device : optional
        The run's model as `monoseme.runs.model_of` takes it, for pictures that look through it; loaded when it is first needed.
    images : optional
        Where the images are now, as `embed` takes it, for pictures that look at them.
    projection : "tsne", "umap" or "pca"
        For maps.
    progress : Reporter, optional
        Where to tell progress; silent by default.

    Raises
    ------
    UsageError
        The run is not the one that the bank was made from, or there is no such projection.
    """

    def __init__(
        self,
        bank: ConceptBank,
        run: Run,
        *,
        model: Model | str | None = None,
        weights: str | None = None,
        device: str = "auto",
        images: object | None = None,
        projection: Projection = "tsne",
        progress: Reporter | None = None,
    ) -> None:
        require_run(bank, run)
        check_projection(projection)
        self.bank, self.run, self.images = bank, run, images
        self.projection: Projection = projection
        self.progress = progress or Silent()
        self._model, self._weights, self._device = model, weights, device
        self._view: NeuronView | None = None

    def draw(self, what: str, direction: int | None = None) -> Figure:
        """One picture: of a direction, or of the layer for those that are of a layer.

        Raises
        ------
        UsageError
            There is no such kind of picture or no such direction, or none is given for a picture of one.
        MonosemeError
            What it needs is missing: thumbnails, the model, the images.
        """
        kind = kind_of(what)
        if kind.of == "layer":
            return kind.draw(self, 0)
        if direction is None:
            raise UsageError(f"the picture {what} is of one neuron; name it")
        return kind.draw(self, direction)

    def view(self, direction: int) -> NeuronView:
        """The view of a direction; that of the last one is kept."""
        if self._view is None or self._view.direction != direction:
            self._view = view_neuron(self.bank, direction, self.run)
        return self._view

    @cached_property
    def acts(self) -> RunActivations:
        """The activations that the bank was made from."""
        return self.run.activations(self.bank.layer, self.bank.pooling)

    @cached_property
    def tests(self) -> NodeTests:
        """The calibrated test, fitted to the layer."""
        return NodeTests.of(self.bank, self.acts)

    @cached_property
    def singular(self) -> npt.NDArray[np.float32]:
        """The layer's singular directions."""
        return svd_directions(self.acts, frame=self.bank.frame)[1]

    @cached_property
    def model(self) -> Model:
        """The run's model.

        Raises
        ------
        UsageError
            It is not at hand.
        """
        from ..runs import model_of

        return model_of(self.run, self._model, weights=self._weights, device=self._device)

    @cached_property
    def lens(self) -> Lens:
        """What looks for concepts in the run's photographs.

        Raises
        ------
        UsageError
            The model or the images are not at hand.
        """
        return Lens(self.bank, self.run, model=self.model, images=self.images, progress=self.progress)


@dataclass(frozen=True)
class Kind:
    """A kind of picture."""

    of: Literal["neuron", "layer"]
    needs: Literal["run", "thumbnails", "model", "model and images"]
    meaning: str
    call: str
    """The function behind it, as it is called from Python."""
    draw: Callable[[Pictures, int], Figure]


FEATURES: dict[str, Any] = {"parametrisation": "maco", "steps": 128}
"""MaCo, which says by transparency what matters, and shows something also behind a ReLU6, where activations end at 6."""


def _features(pictures: Pictures, direction: int) -> Figure:
    """A row of images that drive the direction itself, then one for each of its concepts."""
    from .feature import feature_grid, feature_images

    view = pictures.view(direction)
    rows = [(f"concept {concept.number}", concept.vector) for concept in view.concepts]
    if view.start is not None:
        rows.insert(0, (view.name, view.start))
    if not rows:
        raise UsageError(f"{view.name} of {pictures.bank.layer} has no concept vector; choose another one")
    raw = pictures.bank.frame.fold(np.stack([vector for _, vector in rows]))
    made = feature_images(pictures.model, pictures.bank.layer, raw, progress=pictures.progress, **FEATURES)
    return feature_grid(made, [name for name, _ in rows])


PICTURES = {
    "concepts": Kind(
        "neuron",
        "thumbnails",
        "its exemplars, concept by concept, then those that were dropped",
        "ms.concept_grid(bank, run, 35)",
        lambda p, n: concept_grid(p.bank, p.run, n),
    ),
    "clusters": Kind(
        "neuron",
        "thumbnails",
        "the same before outliers and small clusters were dropped",
        "ms.concept_grid(bank, run, 35, before=True)",
        lambda p, n: concept_grid(p.bank, p.run, n, before=True),
    ),
    "dendrogram": Kind(
        "neuron",
        "run",
        "the tree of its exemplars, where it was cut, and how sure each split is",
        "ms.dendrogram(view, tests)",
        lambda p, n: dendrogram(p.view(n), p.tests),
    ),
    "similarity": Kind(
        "neuron",
        "run",
        "cosine, Pearson's correlation and distance of each two exemplars, also without the neuron's own coordinate",
        "ms.similarity_matrices(view)",
        lambda p, n: similarity_matrices(p.view(n)),
    ),
    "activations": Kind(
        "neuron",
        "run",
        "how strongly it fires for the exemplars of each concept",
        "ms.activation_boxes(view)",
        lambda p, n: activation_boxes(p.view(n)),
    ),
    "distances": Kind(
        "neuron",
        "run",
        "distances within and between its concepts (the paper's figure 4)",
        "ms.distance_boxes(view)",
        lambda p, n: distance_boxes(p.view(n)),
    ),
    "alignment": Kind(
        "neuron",
        "run",
        "projection and cosine on concept against neuron (the paper's figure 5)",
        "ms.alignment_boxes(view)",
        lambda p, n: alignment_boxes(p.view(n)),
    ),
    "map": Kind(
        "neuron",
        "thumbnails",
        "its exemplars in a plane, as thumbnails that do not cover each other",
        "ms.exemplar_map(view)",
        lambda p, n: exemplar_map(p.view(n), p.projection, dropped=True),
    ),
    "composition": Kind(
        "neuron",
        "run",
        "the neurons that its concept vectors are made of",
        "ms.concept_composition(view)",
        lambda p, n: concept_composition(p.view(n)),
    ),
    "singular": Kind(
        "neuron",
        "run",
        "cosine of its concept vectors with the layer's singular directions",
        "ms.singular_similarity(view, ms.svd_directions(acts)[1])",
        lambda p, n: singular_similarity(p.view(n), p.singular),
    ),
    "heatmaps": Kind(
        "neuron",
        "model and images",
        "where in its exemplars each concept is, and what is there",
        "ms.heatmap_grid(bank, run, 35)",
        lambda p, n: heatmap_grid(p.bank, p.run, n, lens=p.lens, start=p.view(n).start is not None),
    ),
    "features": Kind(
        "neuron",
        "model",
        "images that drive the neuron and each of its concept vectors",
        "ms.feature_images(model, layer, bank.vectors[[7, 8]])",
        _features,
    ),
    "histogram": Kind(
        "layer",
        "run",
        "how many neurons have how many concepts",
        "ms.concept_histogram(bank)",
        lambda p, _: concept_histogram(p.bank),
    ),
    "layer-map": Kind(
        "layer",
        "run",
        "all concepts of the layer in a plane",
        "ms.concept_map(bank, run)",
        lambda p, _: concept_map(p.bank, p.run, p.projection),
    ),
}
"""By the name that the command line takes."""


def kind_of(what: str) -> Kind:
    """The kind of picture of that name.

    Raises
    ------
    UsageError
        There is none.
    """
    if what not in PICTURES:
        raise UsageError(
            f"there is no picture {what!r}{did_you_mean(what, PICTURES)} (known: {join_words(list(PICTURES), 'and')})"
        )
    return PICTURES[what]


def needs_only_the_run(of: str) -> list[str]:
    """The names of the pictures of a neuron, or of a layer, for which a run is enough."""
    return [name for name, kind in PICTURES.items() if kind.of == of and kind.needs in ("run", "thumbnails")]
