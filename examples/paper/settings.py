"""The published settings, and those that stand in for them where ImageNet and its weights are not at hand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """Everything that the commands of `items` leave open."""

    name: str
    images: str
    """What to give as --images."""
    model: str
    layer: str
    size: int
    """Pictures are brought to this short side, then cropped to it from the centre."""
    top: int
    """Exemplars of a neuron."""
    distance: str
    """Ward distance from which on merges are undone."""
    outlier: str
    """Squared distance to the centroid from which on images are dropped."""
    min_size: int
    """Images of a concept at least."""
    split: int
    """A neuron with two unrelated concepts,"""
    single: int
    """one with a single concept,"""
    merging: int
    """and one whose concepts become one at a larger distance."""
    steps: int = 512
    """Of the optimiser behind a feature image."""
    sample: int = 1000
    """Images on which a neuron is ablated."""

    @property
    def neurons(self) -> str:
        """The three, as the commands take them."""
        return f"{self.split},{self.single},{self.merging}"


IMAGENET = Setting(
    name="imagenet",
    images="ImageNet's training images, a folder for each class (the paper used 128,117 of them)",
    model="torchvision:inception_v3",
    layer="Mixed_7b",
    size=299,
    top=100,
    distance="15",
    outlier="15",
    min_size=5,
    split=35,
    single=16,
    merging=1,
    sample=50_000,
)

# Thresholds in units of one layer of one model say nothing about another: at this layer random images are merged at about 52,
# so that 15 leaves every image alone. "auto" is 1.5 times that, and the farthest tenth of a neuron's images are outliers.
CALTECH = Setting(
    name="caltech",
    images="Caltech-101, as a folder for each class or a tar of these",
    model="bundled:efficientnet-lite0",
    layer="head",
    size=160,
    top=100,
    distance="auto",
    outlier="auto",
    min_size=5,
    split=744,
    single=782,
    merging=482,
    steps=32,
)

SETTINGS = {setting.name: setting for setting in (IMAGENET, CALTECH)}
