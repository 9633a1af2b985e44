"""Other ways of splitting exemplars, as splitters, so that all go through the same call.

Euclidean methods get coordinates (K, K - 1) of the exemplars with the same distances as their embeddings, which is only faster.
Whatever they find, concepts of fewer than five exemplars are dropped. Each has one table of eight settings to be tuned over.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.cluster import HDBSCAN as SklearnHDBSCAN
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF as SklearnNMF
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from monoseme.splitting import Calibrated, Exemplars, Published, Split, set_beside, shares, ward_trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monoseme.base import Reporter
    from monoseme.evaluation.planted import Planted
    from monoseme.splitting import Layer, Starts

MOST, MIN_SIZE = 6, 5
SAE_CONCEPTS, SAE_EPOCHS = 512, 20


@dataclass(frozen=True)
class Rival:
    """Labels each direction's exemplars by itself, from their coordinates or their embeddings."""

    def fitted(self, layer: Any) -> Rival:
        return self

    def split(self, exemplars: Exemplars) -> Split:
        found = np.stack([self.labelled(exemplars, index) for index in range(len(exemplars.gram))]).astype(np.int32)
        sizes = (found[:, :, None] == found[:, None]).sum(2)
        kept = np.where(sizes < MIN_SIZE, -1, found)
        clusters = np.where(found < 0, found.max() + 1, found).astype(np.int32)
        return Split(ward_trees(exemplars.gram), clusters, np.zeros(found.shape), kept.astype(np.int32))

    def labelled(self, exemplars: Exemplars, index: int) -> np.ndarray:
        """(K,) cluster of each exemplar of one direction, -1 for none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self.clusters(coordinates(exemplars.gram[index].numpy()))

    def clusters(self, points: np.ndarray) -> np.ndarray:
        """The same from principal coordinates (K, K - 1), those of largest variance first."""
        raise NotImplementedError


def coordinates(gram: np.ndarray) -> np.ndarray:
    """(K, K - 1) points with these inner products about their mean, on their principal axes."""
    values, vectors = np.linalg.eigh(gram)
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, :0:-1]


@dataclass(frozen=True)
class PublishedScaled(Published):
    """The published method with a distance threshold in units of random sets' median root height (1.5 is "auto")."""

    factor: float = 1.5

    def fitted(self, layer: Any) -> PublishedScaled:
        auto = Published().fitted(layer).distance_threshold
        return replace(self, distance_threshold=float(auto) * self.factor / 1.5)


@dataclass(frozen=True)
class Silhouette(Rival):
    """k-means, the number of clusters by the largest mean silhouette; one cluster where that is below a floor."""

    floor: float = 0.1
    name = "k-means, silhouette"

    def clusters(self, points: np.ndarray) -> np.ndarray:
        best, labels = self.floor, np.zeros(len(points), dtype=int)
        for k in range(2, MOST + 1):
            found = KMeans(k, n_init=5, random_state=0).fit(points).labels_
            score = silhouette_score(points, found)
            if score > best:
                best, labels = score, found
        return labels


@dataclass(frozen=True)
class HDBSCAN(Rival):
    """HDBSCAN on some principal components; noise is dropped, a single cluster is allowed."""

    smallest: int = 5
    components: int = 5
    name = "HDBSCAN"

    def clusters(self, points: np.ndarray) -> np.ndarray:
        solver = SklearnHDBSCAN(min_cluster_size=self.smallest, min_samples=3, allow_single_cluster=True, copy=True)
        return solver.fit(points[:, : self.components]).labels_


@dataclass(frozen=True)
class Mixture(Rival):
    """Gaussian mixtures on some principal components, the number of them by the least BIC."""

    components: int = 4
    covariance: str = "diag"
    name = "Gaussian mixtures, BIC"

    def clusters(self, points: np.ndarray) -> np.ndarray:
        points = points[:, : self.components]
        fits = [
            GaussianMixture(k, covariance_type=self.covariance, n_init=2, reg_covar=1e-4 * points.var(), random_state=0)
            for k in range(1, MOST + 1)
        ]
        return min((fit.fit(points) for fit in fits), key=lambda fit: fit.bic(points)).predict(points)


def number_of_components(points: np.ndarray, share: float) -> int:
    """1 and as many as there are principal components with more than that share of the variance, six at most."""
    variance = points.var(0)
    return min(1 + int((variance > share * variance.sum()).sum()), MOST)


@dataclass(frozen=True)
class NMF(Rival):
    """Non-negative factors of the embeddings (negative parts cut off); an exemplar goes with its largest factor.

    Each factor is scaled to a mean of 1 over the exemplars. Their number is `number_of_components`.
    """

    share: float = 0.1
    name = "NMF"

    def labelled(self, exemplars: Exemplars, index: int) -> np.ndarray:
        k = number_of_components(coordinates(exemplars.gram[index].numpy()), self.share)
        if k == 1:
            return np.zeros(exemplars.gram.shape[1], dtype=int)
        points = np.maximum((exemplars.points[index] + exemplars.mean[index]).numpy(), 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            factors = SklearnNMF(k, init="nndsvd", max_iter=200).fit_transform(points)
        return (factors / np.maximum(factors.mean(0), 1e-12)).argmax(1)


@dataclass(frozen=True)
class ICA(Rival):
    """Independent components, turned so that their skewness is positive; an exemplar goes with its largest.

    Their number is `number_of_components`.
    """

    share: float = 0.1
    name = "ICA"

    def clusters(self, points: np.ndarray) -> np.ndarray:
        k = number_of_components(points, self.share)
        if k == 1:
            return np.zeros(len(points), dtype=int)
        found = FastICA(k, whiten="unit-variance", random_state=0).fit_transform(points)
        return (found * np.sign((found**3).mean(0))).argmax(1)


@dataclass(frozen=True)
class SparseAutoencoder(Rival):
    """overcomplete's TopK SAE, trained on the whole layer; an exemplar goes with its largest code.

    Codes are taken over their mean on the layer. Only those count that are the largest of at least `share` of the exemplars; the
    others' exemplars go with the largest of those that count.
    """

    top_k: int = 8
    share: float = 0.16
    trained: Any = field(default=None, repr=False, compare=False, metadata={"recorded": False})
    name = "TopK SAE"

    def fitted(self, layer: Any) -> SparseAutoencoder:
        return replace(self, trained=trained(Points(layer.take(layer.rows)), self.top_k))

    def labelled(self, exemplars: Exemplars, index: int) -> np.ndarray:
        codes = self.trained(exemplars.points[index] + exemplars.mean[index])
        largest = np.bincount(codes.argmax(1), minlength=codes.shape[1])
        counted = np.flatnonzero(largest >= self.share * len(codes))
        return codes[:, counted].argmax(1) if len(counted) else np.zeros(len(codes), dtype=int)


class Points:
    """Embeddings that are equal when their bytes are, to train on them once."""

    def __init__(self, points: np.ndarray) -> None:
        self.points, self._hash = points, hash(points.tobytes())

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return hash(self) == hash(other)


@cache
def trained(layer: Points, top_k: int) -> Any:
    """Embeddings -> codes of a TopK SAE, over each code's mean on the layer."""
    make, train = overcomplete()
    torch.manual_seed(0)
    points = torch.from_numpy(layer.points)
    mean, scale = points.mean(0), points.std()
    data = (points - mean) / scale
    model = make(data.shape[1], SAE_CONCEPTS, top_k=top_k, device="cpu")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data), 256, shuffle=True)
    train(
        model,
        loader,
        lambda x, seen, pre, z, dictionary: (x - seen).square().mean(),
        torch.optim.Adam(model.parameters(), lr=1e-3),
        nb_epochs=SAE_EPOCHS,
        monitoring=0,
    )
    model.eval()

    def encode(rows: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return model.encode((rows - mean) / scale)[1].numpy()

    usual = np.maximum(encode(points).mean(0), 1e-6)
    return lambda rows: encode(rows) / usual


def overcomplete() -> tuple[Any, Any]:
    """TopKSAE and train_sae of overcomplete, or ImportError with the reason.

    Version 0.3.0 reads colour maps by a function that matplotlib 3.9 took away; it is given back while the package loads.
    """
    import matplotlib as mpl
    import matplotlib.cm

    if not hasattr(mpl.cm, "get_cmap"):
        mpl.cm.get_cmap = lambda name: mpl.colormaps[name]
    try:
        from overcomplete.sae import TopKSAE, train_sae
    except Exception as error:  # it loads torchvision, which fails in many ways
        raise ImportError(f"overcomplete cannot be imported: {error}") from error
    return TopKSAE, train_sae


@dataclass(frozen=True)
class TwoMeans(Rival):
    """k-means with two clusters, always: what PURE does with circuits."""

    name = "2-means"

    def clusters(self, points: np.ndarray) -> np.ndarray:
        return KMeans(2, n_init=10, random_state=0).fit(points).labels_


@dataclass(frozen=True)
class PlantedCircuit:
    """The circuits of planted units, whose lower layer is the embedding: activation times the gradient of the response.

    The gradient is that of the largest source where the largest counts, which says of which source an exemplar is.
    """

    units: Planted
    mixing: str
    beside: bool = False

    def describe(self, layer: Layer, starts: Starts, rows: np.ndarray, progress: Reporter) -> np.ndarray:
        sources, chosen = self.units.sources, self.units.chosen[starts.numbers]
        spread = ((sources.embeddings - sources.embeddings.mean(0)) @ sources.directions.T).std(0)
        gradients = (sources.directions / spread[:, None])[chosen] * self.units.shares[starts.numbers][:, :, None]
        gradients *= (chosen >= 0)[:, :, None]
        embeddings = sources.embeddings[rows]
        if self.mixing == "sum":
            gradient = np.broadcast_to(gradients.sum(1)[:, None], embeddings.shape)
        else:
            scores = np.where(chosen[:, None] >= 0, np.einsum("dkc,dmc->dkm", embeddings, gradients), -np.inf)
            scores -= np.einsum("c,dmc->dm", sources.embeddings.mean(0), gradients)[:, None]
            gradient = np.take_along_axis(gradients, scores.argmax(2)[:, :, None], axis=1)
        found = shares(embeddings * gradient)
        if self.beside:
            lower = found.shape[2]
            found = np.concatenate([found, np.zeros_like(embeddings)], 2)
            set_beside(found, lower, layer, rows)
        return found

    def recorded(self) -> dict[str, Any]:
        return {"kind": "planted circuit"}


IN_CIRCUITS: dict[str, tuple[Any, bool]] = {
    "PURE: circuit, 2-means": (TwoMeans(), False),
    "circuit, calibrated, untuned": (Calibrated(), False),
    "circuit beside embedding, calibrated, untuned": (Calibrated(), True),
}
"""Those that see circuits, and whether embeddings beside."""

SETTINGS: dict[str, Sequence[Any]] = {
    "published, tuned": [PublishedScaled(factor=each) for each in (0.9, 1.1, 1.25, 1.4, 1.5, 1.65, 1.8, 2.1)],
    "k-means, silhouette": [Silhouette(each) for each in (0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2)],
    "HDBSCAN": [HDBSCAN(smallest, components) for smallest in (4, 5, 7, 10) for components in (3, 6)],
    "Gaussian mixtures, BIC": [Mixture(each, kind) for each in (2, 3, 5, 8) for kind in ("diag", "full")],
    "NMF": [NMF(each) for each in (0.07, 0.09, 0.11, 0.13, 0.15, 0.18, 0.22, 0.3)],
    "ICA": [ICA(each) for each in (0.07, 0.09, 0.11, 0.13, 0.15, 0.18, 0.22, 0.3)],
    "TopK SAE": [SparseAutoencoder(k, share) for k in (4, 16) for share in (0.06, 0.1, 0.16, 0.24)],
}
"""What each is tuned over."""
