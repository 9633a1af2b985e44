"""Write the reference pages from the program itself: ``docs/api.md`` from the docstrings, ``docs/cli.md`` from the help,
``docs/figures.md`` and ``docs/pictures.md`` from the catalogues of figures and pictures.

Run with ``--check`` to see whether they are up to date (exit status 1 if not).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

import monoseme as ms
from monoseme.cli import app
from monoseme.evaluation import BASELINES, CATALOGUE
from monoseme.visualize import PICTURES

DOCS = Path(__file__).parent
CLASSES_WITH_METHODS = (
    "Run",
    "Labels",
    "ConceptBank",
    "Concept",
    "LayerDictionary",
    "Activations",
    "Model",
    "Evaluation",
    "Causal",
    "ConceptScorer",
    "SplitChannels",
    "Matches",
    "Hierarchy",
    "ImageTextEncoder",
    "Names",
    "Study",
    "StudyScore",
    "Heatmaps",
    "ReceptiveField",
    "FeatureImages",
    "Explorer",
)
GROUPS = {
    "Models and images": ("load_model", "wrap", "Model", "Preprocess", "open_images"),
    "Runs": ("embed", "import_run", "open_run", "join_labels", "verify_run", "Run", "Labels", "Activations"),
    "Splitting": ("disentangle", "recut", "svd_directions", "Calibrated", "Published", "Circuit", "Splitter"),
    "Banks": ("load_bank", "ConceptBank", "Concept", "merge_concepts", "load_dictionary", "LayerDictionary"),
    "What people say": ("annotate", "load_annotations", "Annotation", "Annotations"),
    "Use": ("apply_bank", "Applied", "ConceptScorer", "ablate", "steer"),
    "Rewriting": ("split_channels", "SplitChannels", "load_split"),
    "Handing on": ("export_bank", "captum_concepts", "export_images"),
    "Names": (
        "name_concepts",
        "Names",
        "load_names",
        "LabelNamer",
        "Hierarchy",
        "VocabularyNamer",
        "TextSpace",
        "text_space",
        "load_encoder",
        "ImageTextEncoder",
        "CallableNamer",
        "ConceptMaterial",
    ),
    "Evaluation": ("evaluate", "Evaluation", "judge_run", "causal", "Causal", "match_concepts", "Matches"),
    "Studies with people": ("new_study", "open_study", "Study", "StudyScore"),
    "Where a concept is": (
        "heatmaps",
        "Heatmaps",
        "concept_crops",
        "Crop",
        "firing_pictures",
        "FiringPictures",
        "receptive_field",
        "ReceptiveField",
    ),
    "Views": ("view_layer", "view_neuron", "view_concept", "LayerView", "NeuronView", "ConceptView"),
    "Pictures": (
        "overview",
        "concept_grid",
        "dendrogram",
        "similarity_matrices",
        "activation_boxes",
        "distance_boxes",
        "alignment_boxes",
        "exemplar_map",
        "concept_composition",
        "singular_similarity",
        "concept_histogram",
        "concept_map",
        "heatmap_grid",
        "overlay",
        "save_figure",
    ),
    "Reports": ("report",),
    "Feature visualisation": ("feature_images", "FeatureConfig", "FeatureImages", "feature_grid", "magnitude_spectrum"),
    "Explorer": ("explore", "create_app", "Explorer", "export_pages", "Exported", "neuron_widget"),
    "Errors": ("MonosemeError", "UsageError"),
}


def api() -> str:
    """Every public name with its signature and docstring."""
    missing = set(ms.__all__) - {name for names in GROUPS.values() for name in names}
    if missing:
        raise SystemExit(f"add {sorted(missing)} to GROUPS")
    parts = ["# Python reference", "", "Written by `make docs` from the docstrings. `import monoseme as ms`.", ""]
    for group, names in GROUPS.items():
        parts += [f"## {group}", ""]
        for name in names:
            parts += _entry(f"ms.{name}", getattr(ms, name), "###")
            if name in CLASSES_WITH_METHODS:
                for method, member in inspect.getmembers(getattr(ms, name)):
                    if not method.startswith("_") and inspect.getdoc(member) and _is_own(getattr(ms, name), method):
                        parts += _entry(f"{name}.{method}", member, "####")
    return "\n".join(parts).rstrip() + "\n"


def cli() -> str:
    """The help of every command."""
    command = get_command(app)
    parts = ["# Command line reference", "", "Written by `make docs` from the program's own help.", ""]
    parts += [
        "Every command shows progress on a terminal and plain lines elsewhere. Exit status: 0 done, 1 failed, 2 bad usage,",
        "130 stopped by Ctrl-C.",
        "",
    ]
    for name, each in _commands(command.commands):
        with typer.Context(each, info_name=f"monoseme {name}") as context:
            parts += [f"## monoseme {name}", "", (each.help or "").strip(), "", "```", context.get_usage(), "```", ""]
            parts += ["| option | meaning |", "|---|---|"]
            for parameter in each.params:
                record = parameter.get_help_record(context)
                if record is not None:
                    shown = [text.replace("|", "\\|") for text in record]
                    parts.append(f"| `{shown[0]}` | {shown[1]} |")
            parts.append("")
    return "\n".join(part.rstrip() for part in parts).rstrip() + "\n"


def _commands(commands: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its whole name, those of groups included."""
    for name, each in commands.items():
        if hasattr(each, "commands"):
            yield from _commands(each.commands, f"{before}{name} ")
        else:
            yield before + name, each


def figures() -> str:
    """What every figure of an evaluation says, and what it is compared with."""
    parts = ["# Figures of an evaluation", "", "Written by `make docs` from the catalogue that the program uses.", ""]
    parts += [
        "`monoseme evaluate RUN` and `ms.evaluate` give these, each with the same of its baselines. Intervals (95 %) are",
        "percentiles of a bootstrap over neurons, because concepts of one neuron are not independent; for coverage and",
        "variance, over images. Retrieval is measured on held-out images where the bank has any, else on images that are no",
        "exemplars of the concept's neuron: that is harder on the neuron, which chose them, than on the concept.",
        "",
    ]
    for family in dict.fromkeys(each.family for each in CATALOGUE.values()):
        parts += [f"## {family.capitalize()}", "", "| figure | better | what it says |", "|---|---|---|"]
        mine = {name: each for name, each in CATALOGUE.items() if each.family == family}
        parts += [f"| {name} | {each.better or ''} | {each.meaning} |" for name, each in mine.items()]
        parts.append("")
    parts += ["## Baselines", "", "| baseline | what it is |", "|---|---|"]
    parts += [f"| {name} | {meaning} |" for name, meaning in BASELINES.items()]
    return "\n".join(parts) + "\n"


def pictures() -> str:
    """Every kind of picture, with one."""
    parts = ["# Pictures", "", "Written by `make docs` from the catalogue that the program uses.", ""]
    parts += [
        "`monoseme visualize RUN --neuron 35` draws all that need only the run, `--what NAME` one of them, as PNG, SVG or PDF.",
        "The functions return matplotlib figures, which notebooks show. `view` is `ms.view_neuron(bank, 35, run)`. Colours are",
        "those of Okabe and Ito, which colour-blind readers tell apart; with more than eight classes the markers differ too.",
        "",
        "The pictures below are of a neuron of the demo (`make demo`): patches of photographs that come with scikit-image and",
        "scikit-learn. `python docs/make_pictures.py demo/run` draws them anew.",
        "",
    ]
    for name, kind in PICTURES.items():
        parts += [
            f"## {name}",
            "",
            f"{kind.meaning[0].upper()}{kind.meaning[1:]}. Of a {kind.of}; needs the {kind.needs}.",
            "",
        ]
        parts += ["```text", f"monoseme visualize RUN --what {name}", kind.call, "```", ""]
        found = sorted((DOCS / "images" / "pictures").glob(f"{name}.*"))
        parts += [f"![{kind.meaning}](images/pictures/{path.name})\n" for path in found]
    return "\n".join(parts).rstrip() + "\n"


def _entry(name: str, thing: object, heading: str) -> list[str]:
    try:
        signature = str(inspect.signature(thing)) if callable(thing) else ""
    except (TypeError, ValueError):
        signature = ""
    text = inspect.getdoc(thing) or ""
    shown = [f"{heading} `{name}`", ""]
    if signature and not (inspect.isclass(thing) and signature == "(*args, **kwargs)"):
        shown += ["```python", f"{name}{signature.replace(chr(39), '')}", "```", ""]
    return [*shown, "```text", text, "```", ""]


def _is_own(owner: type, name: str) -> bool:
    return any(name in vars(base) for base in owner.__mro__ if base.__module__.startswith("monoseme"))


def main() -> None:
    """Write, or check."""
    stale = []
    for name, text in (("api.md", api()), ("cli.md", cli()), ("figures.md", figures()), ("pictures.md", pictures())):
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
                print(f"wrote docs/{name}")
    if stale and "--check" in sys.argv:
        raise SystemExit(f"{', '.join(stale)} in docs is out of date; run make docs")


if __name__ == "__main__":
    main()
