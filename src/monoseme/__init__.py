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
        Annotation,
        Annotations,
        Concept,
        ConceptBank,
        LayerDictionary,
        annotate,
        load_annotations,
        load_bank,
        load_dictionary,
        merge_concepts,
    )
    from .base import Activations, Labels
    from .evaluation import (
        Causal,
        Evaluation,
        Matches,
        Study,
        StudyScore,
        causal,
        evaluate,
        judge_run,
        match_concepts,
        new_study,
        open_study,
    )
    from .explorer import Explorer, Exported, create_app, explore, export_pages, neuron_widget
    from .images import open_images
    from .models import Model, Preprocess, load_model, wrap
    from .reporting import report
    from .runs import Run, embed, import_run, join_labels, open_run, verify_run
    from .splitting import Calibrated, Circuit, Published, Splitter, disentangle, recut, svd_directions
    from .use import (
        Applied,
        ConceptScorer,
        Crop,
        Heatmaps,
        ReceptiveField,
        SplitChannels,
        ablate,
        apply_bank,
        captum_concepts,
        concept_crops,
        export_bank,
        export_images,
        heatmaps,
        load_split,
        receptive_field,
        split_channels,
        steer,
    )
    from .views import ConceptView, LayerView, NeuronView, view_concept, view_layer, view_neuron
    from .visualize import (
        activation_boxes,
        alignment_boxes,
        concept_composition,
        concept_grid,
        concept_histogram,
        concept_map,
        dendrogram,
        distance_boxes,
        exemplar_map,
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
    "Annotation",
    "Annotations",
    "Applied",
    "Calibrated",
    "Causal",
    "Circuit",
    "Concept",
    "ConceptBank",
    "ConceptScorer",
    "ConceptView",
    "Crop",
    "Evaluation",
    "Explorer",
    "Exported",
    "FeatureConfig",
    "FeatureImages",
    "Heatmaps",
    "Labels",
    "LayerDictionary",
    "LayerView",
    "Matches",
    "Model",
    "MonosemeError",
    "NeuronView",
    "Preprocess",
    "Published",
    "ReceptiveField",
    "Run",
    "SplitChannels",
    "Splitter",
    "Study",
    "StudyScore",
    "UsageError",
    "ablate",
    "activation_boxes",
    "alignment_boxes",
    "annotate",
    "apply_bank",
    "captum_concepts",
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
    "export_bank",
    "export_images",
    "export_pages",
    "feature_grid",
    "feature_images",
    "heatmap_grid",
    "heatmaps",
    "import_run",
    "join_labels",
    "judge_run",
    "load_annotations",
    "load_bank",
    "load_dictionary",
    "load_model",
    "load_split",
    "magnitude_spectrum",
    "match_concepts",
    "merge_concepts",
    "neuron_widget",
    "new_study",
    "open_images",
    "open_run",
    "open_study",
    "overlay",
    "overview",
    "receptive_field",
    "recut",
    "report",
    "save_figure",
    "similarity_matrices",
    "singular_similarity",
    "split_channels",
    "steer",
    "svd_directions",
    "verify_run",
    "view_concept",
    "view_layer",
    "view_neuron",
    "wrap",
]

_ROOMS = {
    "banks": (
        "Annotation",
        "Annotations",
        "Concept",
        "ConceptBank",
        "LayerDictionary",
        "annotate",
        "load_annotations",
        "load_bank",
        "load_dictionary",
        "merge_concepts",
    ),
    "base": ("Activations", "Labels"),
    "evaluation": (
        "Causal",
        "Evaluation",
        "Matches",
        "Study",
        "StudyScore",
        "causal",
        "evaluate",
        "judge_run",
        "match_concepts",
        "new_study",
        "open_study",
    ),
    "explorer": ("Explorer", "Exported", "create_app", "explore", "export_pages", "neuron_widget"),
    "images": ("open_images",),
    "models": ("Model", "Preprocess", "load_model", "wrap"),
    "runs": ("Run", "embed", "import_run", "join_labels", "open_run", "verify_run"),
    "splitting": ("Calibrated", "Circuit", "Published", "Splitter", "disentangle", "recut", "svd_directions"),
    "use": (
        "Applied",
        "ConceptScorer",
        "Crop",
        "Heatmaps",
        "ReceptiveField",
        "SplitChannels",
        "ablate",
        "apply_bank",
        "captum_concepts",
        "concept_crops",
        "export_bank",
        "export_images",
        "heatmaps",
        "load_split",
        "receptive_field",
        "split_channels",
        "steer",
    ),
    "reporting": ("report",),
    "views": ("ConceptView", "LayerView", "NeuronView", "view_concept", "view_layer", "view_neuron"),
    "visualize": (
        "activation_boxes",
        "alignment_boxes",
        "concept_composition",
        "concept_grid",
        "concept_histogram",
        "concept_map",
        "dendrogram",
        "distance_boxes",
        "exemplar_map",
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
