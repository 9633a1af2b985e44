"""monoseme splits the polysemantic neurons of a vision model into concept vectors.

    import monoseme as ms
    model = ms.load_model("bundled:efficientnet-lite0")
    run = ms.embed(model, "photos/", out="runs/photos")
    bank = ms.disentangle(run.activations())
    bank.save("bank")

Importing this is quick: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .base import MonosemeError, UsageError

if TYPE_CHECKING:
    from .banks import (
        Concept,
        ConceptBank,
        LayerDictionary,
        Names,
        load_bank,
        load_dictionary,
        load_names,
        merge_concepts,
    )
    from .base import Activations, Labels
    from .evaluation import (
        CallableNamer,
        Causal,
        ConceptMaterial,
        Evaluation,
        Hierarchy,
        LabelNamer,
        Matches,
        TextSpace,
        VocabularyNamer,
        causal,
        evaluate,
        judge_run,
        match_concepts,
        name_concepts,
        text_space,
    )
    from .explorer import Explorer, create_app, explore
    from .images import open_images
    from .models import ImageTextEncoder, Model, Preprocess, load_encoder, load_model, wrap
    from .reporting import report
    from .runs import Run, embed, join_labels, open_run, verify_run
    from .splitting import Calibrated, Published, Splitter, disentangle, recut, svd_directions
    from .use import (
        Applied,
        ConceptScorer,
        Crop,
        Heatmaps,
        ReceptiveField,
        ablate,
        apply_bank,
        concept_crops,
        export_images,
        heatmaps,
        receptive_field,
        steer,
    )
    from .views import ConceptView, LayerView, NeuronView, view_concept, view_layer, view_neuron
    from .visualize import (
        FiringPictures,
        activation_boxes,
        alignment_boxes,
        concept_composition,
        concept_grid,
        concept_histogram,
        concept_map,
        dendrogram,
        distance_boxes,
        exemplar_map,
        firing_pictures,
        heatmap_grid,
        overlay,
        overview,
        save_figure,
        similarity_matrices,
        singular_similarity,
    )
    from .visualize.feature import FeatureConfig, FeatureImages, feature_grid, feature_images, magnitude_spectrum

__all__ = [
    "Activations",
    "Applied",
    "Calibrated",
    "CallableNamer",
    "Causal",
    "Concept",
    "ConceptBank",
    "ConceptMaterial",
    "ConceptScorer",
    "ConceptView",
    "Crop",
    "Evaluation",
    "Explorer",
    "FeatureConfig",
    "FeatureImages",
    "FiringPictures",
    "Heatmaps",
    "Hierarchy",
    "ImageTextEncoder",
    "LabelNamer",
    "Labels",
    "LayerDictionary",
    "LayerView",
    "Matches",
    "Model",
    "MonosemeError",
    "Names",
    "NeuronView",
    "Preprocess",
    "Published",
    "ReceptiveField",
    "Run",
    "Splitter",
    "TextSpace",
    "UsageError",
    "VocabularyNamer",
    "ablate",
    "activation_boxes",
    "alignment_boxes",
    "apply_bank",
    "causal",
    "concept_composition",
    "concept_crops",
    "concept_grid",
    "concept_histogram",
    "concept_map",
    "create_app",
    "dendrogram",
    "disentangle",
    "distance_boxes",
    "embed",
    "evaluate",
    "exemplar_map",
    "explore",
    "export_images",
    "feature_grid",
    "feature_images",
    "firing_pictures",
    "heatmap_grid",
    "heatmaps",
    "join_labels",
    "judge_run",
    "load_bank",
    "load_dictionary",
    "load_encoder",
    "load_model",
    "load_names",
    "magnitude_spectrum",
    "match_concepts",
    "merge_concepts",
    "name_concepts",
    "open_images",
    "open_run",
    "overlay",
    "overview",
    "receptive_field",
    "recut",
    "report",
    "save_figure",
    "similarity_matrices",
    "singular_similarity",
    "steer",
    "svd_directions",
    "text_space",
    "verify_run",
    "view_concept",
    "view_layer",
    "view_neuron",
    "wrap",
]

_ROOMS = {
    "banks": (
        "Concept",
        "ConceptBank",
        "LayerDictionary",
        "Names",
        "load_bank",
        "load_dictionary",
        "load_names",
        "merge_concepts",
    ),
    "base": ("Activations", "Labels"),
    "evaluation": (
        "CallableNamer",
        "Causal",
        "ConceptMaterial",
        "Evaluation",
        "Hierarchy",
        "LabelNamer",
        "Matches",
        "TextSpace",
        "VocabularyNamer",
        "causal",
        "evaluate",
        "judge_run",
        "match_concepts",
        "name_concepts",
        "text_space",
    ),
    "explorer": ("Explorer", "create_app", "explore"),
    "images": ("open_images",),
    "models": ("ImageTextEncoder", "Model", "Preprocess", "load_encoder", "load_model", "wrap"),
    "runs": ("Run", "embed", "join_labels", "open_run", "verify_run"),
    "splitting": ("Calibrated", "Published", "Splitter", "disentangle", "recut", "svd_directions"),
    "use": (
        "Applied",
        "ConceptScorer",
        "Crop",
        "Heatmaps",
        "ReceptiveField",
        "ablate",
        "apply_bank",
        "concept_crops",
        "export_images",
        "heatmaps",
        "receptive_field",
        "steer",
    ),
    "reporting": ("report",),
    "views": ("ConceptView", "LayerView", "NeuronView", "view_concept", "view_layer", "view_neuron"),
    "visualize": (
        "FiringPictures",
        "activation_boxes",
        "alignment_boxes",
        "concept_composition",
        "concept_grid",
        "concept_histogram",
        "concept_map",
        "dendrogram",
        "distance_boxes",
        "exemplar_map",
        "firing_pictures",
        "heatmap_grid",
        "overlay",
        "overview",
        "save_figure",
        "similarity_matrices",
        "singular_similarity",
    ),
    "visualize.feature": ("FeatureConfig", "FeatureImages", "feature_grid", "feature_images", "magnitude_spectrum"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'monoseme' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOM_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
