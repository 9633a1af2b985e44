"""Every figure and table of the paper and of its authors' notebooks: which command makes it, and what they found."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from settings import Setting


@dataclass(frozen=True)
class Item:
    """One figure, table or step."""

    name: str
    what: str
    command: str
    """With {places} that a `Setting`, the run and the output folder fill."""
    found: str = ""
    """On ImageNet with Inception V3's Mixed_7b, by the authors; empty where they give no figure."""
    needs: tuple[str, ...] = ("neurons",)
    """What must be there first."""

    def argv(self, setting: Setting, **places: str) -> list[str]:
        """The command as a list of arguments; `places` are run, out and images."""
        values: Mapping[str, object] = {**asdict(setting), "neurons": setting.neurons, **places}
        return [word.format_map(values) for word in shlex.split(self.command)]


_SPLIT = (
    "monoseme disentangle {run} --method published --top {top} --distance-threshold {distance} "
    "--outlier-threshold {outlier} --min-size {min_size}"
)
_SCALED = "monoseme disentangle {run} --method published --top {top} --min-size {min_size} --scaling"
_DRAW = "monoseme visualize {run} --bank published --neuron {neurons} --out {out}/pictures --what"

ITEMS = (
    Item(
        "embeddings",
        "step 0: layer output averaged over positions, and predictions",
        "monoseme embed {model} {images} --layer {layer} --image-size {size} --resize {size} --out {run}",
        "128,117 images x 2,048 neurons",
        needs=(),
    ),
    Item(
        "neurons",
        "steps 1 to 5 from every neuron; histogram of concepts",
        f"{_SPLIT} --bank published --overwrite",
        "4,232 concepts, {0: 15, 1: 491, 2: 991, 3: 456, 4: 85, 5: 9, 6: 1}",
        needs=("embeddings",),
    ),
    Item(
        "svd",
        "the same from every singular direction",
        f"{_SPLIT} --directions svd --bank published-svd --overwrite",
        "1,292 concepts, {0: 1260, 1: 488, 2: 157, 3: 99, 4: 30, 5: 11, 6: 3}",
        needs=("embeddings",),
    ),
    Item(
        "standardised",
        "the same on standardised embeddings",
        f"{_SCALED} standardised --bank published-standardised --overwrite",
        needs=("embeddings",),
    ),
    Item(
        "minmax",
        "the same on embeddings scaled to 0 to 1",
        f"{_SCALED} minmax --bank published-minmax --overwrite",
        needs=("embeddings",),
    ),
    Item(
        "histogram",
        "histogram over neurons",
        "monoseme visualize {run} --bank published --what histogram --out {out}/pictures/neurons",
        "most neurons have 2 concepts",
    ),
    Item(
        "histogram-svd",
        "histogram over singular directions",
        "monoseme visualize {run} --bank published-svd --what histogram --out {out}/pictures/svd",
        "most directions have none",
        needs=("svd",),
    ),
    Item(
        "counts",
        "concepts of each neuron",
        "python examples/paper/counts.py {run} --bank published --out {out}/counts.csv",
    ),
    Item(
        "split-neuron",
        "a neuron with two unrelated concepts (35) and their strongest images",
        "monoseme show {run} {split} --bank published",
        "3 clusters, 2 concepts (apples, sports fields), 52 of 100 images kept",
    ),
    Item(
        "single-neuron",
        "a neuron with one concept (16)",
        "monoseme show {run} {single} --bank published",
        "1 concept (ellipses)",
    ),
    Item(
        "merging-neuron",
        "a neuron whose concepts merge at a larger threshold (1)",
        "monoseme show {run} {merging} --bank published",
        "2 concepts (underwater, divers)",
    ),
    Item(
        "thresholds",
        "where clusters merge",
        "python examples/paper/thresholds.py {run} --neuron {neurons} --out {out}/thresholds.csv",
        "those of neuron 1 at a larger threshold",
    ),
    Item("clusters", "exemplars by cluster before outliers are removed", f"{_DRAW} clusters"),
    Item("concepts", "and after", f"{_DRAW} concepts"),
    Item("dendrogram", "the tree, with the cut", f"{_DRAW} dendrogram"),
    Item("similarity", "cosine, Pearson, Euclidean; without own coordinate", f"{_DRAW} similarity"),
    Item("activations", "box plots of activations", f"{_DRAW} activations"),
    Item("distances", "figure 4: distances within and between clusters", f"{_DRAW} distances"),
    Item("alignment", "figure 5: projection and cosine, concept against neuron", f"{_DRAW} alignment"),
    Item(
        "medians",
        "figures 4 and 5 in numbers",
        "python examples/paper/medians.py {run} --neuron {neurons} --out {out}/medians.csv",
        "neuron 35: projection 4.2 against 1.25, cosine 0.86 against 0.26, distance 2 to 4 within, 5 to 6.5 between",
    ),
    Item("map", "UMAP of exemplars with thumbnails", f"{_DRAW} map --projection umap"),
    Item("composition", "components of concept vectors", f"{_DRAW} composition"),
    Item("singular", "concept vectors against singular directions", f"{_DRAW} singular"),
    Item(
        "cosines",
        "concept vectors against each other",
        "python examples/paper/cosines.py {run} --neuron {neurons} --out {out}/pictures/cosines.png",
    ),
    Item(
        "feature-images",
        "feature visualisation, plain and with jitter and diversity",
        "python examples/paper/feature_images.py {run} --neuron {neurons} --steps {steps} --out {out}/feature",
    ),
    Item(
        "human-study",
        "five random images of each concept",
        "python examples/paper/human_study.py {run} --neuron {neurons} --out {out}/study",
        "intruder found in 100 % (4 questions, 8 people); labels agree in 97 %",
    ),
    Item(
        "tcav",
        "folders for TCAV: each concept's images, and random ones",
        "monoseme export-images {run} --bank published --neurons {neurons} --no-dropped --out {out}/tcav --overwrite",
    ),
    Item(
        "ablation",
        "accuracy with one neuron set to zero",
        "python examples/paper/ablation.py {run} --neuron {neurons} --sample {sample} --out {out}/ablation.csv",
        "0.9198 before, 0.9195 without neuron 27",
    ),
    Item(
        "predictions",
        "the model's predictions",
        "python examples/paper/predictions.py {run} --out {out}/predictions.csv",
    ),
)
BY_NAME = {item.name: item for item in ITEMS}
