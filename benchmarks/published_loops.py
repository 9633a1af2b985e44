"""The published method as plain loops, to be timed against: O'Mahony et al., CVPR Workshops 2023.

Written anew from the description of the method's steps, with what the authors' public code spends its time on: embeddings in
float64; for each neuron, scikit-learn's Ward clustering and k-means on its exemplars; then, image by image and concept by
concept, a dot product and a cosine, with both norms computed each time. Exemplars of a neuron come from sorting its column;
for a direction that is no neuron they come from the same loop of dot products and cosines (`looped_exemplars`), as the
public code has it for SVD directions. Pictures, which it also draws of each neuron, are left out, and so is its mistake
in the cosine (the norm of another image), which costs the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import AgglomerativeClustering, KMeans


@dataclass(frozen=True)
class Found:
    """What a neuron splits into.

    exemplars : (K,) images, best first
    kept : (K,) cluster of each, -1 where dropped
    vectors : (m, C) unit concept vectors, in the order of the clusters' numbers
    top : m lists of the K images that project highest on each
    """

    exemplars: np.ndarray
    kept: np.ndarray
    vectors: np.ndarray
    top: list[np.ndarray]


@dataclass(frozen=True)
class Settings:
    """Thresholds as in the paper, but for a layer of another scale."""

    distance_threshold: float
    outlier_threshold: float
    min_size: int = 5
    top: int = 100


def published_loops(embeddings: np.ndarray, neuron: int, settings: Settings, looped_exemplars: bool = False) -> Found:
    """Split one neuron of (N, C) embeddings."""
    if looped_exemplars:
        direction = np.zeros(embeddings.shape[1], dtype=embeddings.dtype)
        direction[neuron] = 1
        scores = looped_projections(embeddings, [direction])[:, 0]
    else:
        scores = embeddings[:, neuron]
    exemplars = scores.argsort()[-settings.top :][::-1]
    kept, vectors = split(embeddings[exemplars], settings)
    projections = looped_projections(embeddings, vectors)
    top = [projections[:, concept].argsort()[-settings.top :][::-1] for concept in range(len(vectors))]
    return Found(exemplars, kept, vectors, top)


def split(points: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Steps 2 to 4: cluster of each of (K, C) exemplars, -1 where dropped, and the unit concept vectors."""
    tree = AgglomerativeClustering(n_clusters=None, distance_threshold=settings.distance_threshold, linkage="ward")
    clusters = tree.fit(points).n_clusters_
    means = KMeans(n_clusters=clusters, n_init=5, max_iter=1000, random_state=0).fit(points)
    squared = means.transform(points)[np.arange(len(points)), means.labels_] ** 2
    kept = np.where(squared < settings.outlier_threshold, means.labels_, -1)
    vectors = []
    for cluster in range(clusters):
        members = kept == cluster
        if members.sum() < settings.min_size:
            kept[members] = -1
            continue
        mean = points[members].mean(0)
        vectors.append(mean / np.linalg.norm(mean))
    return kept, np.array(vectors).reshape(-1, points.shape[1])


def looped_projections(embeddings: np.ndarray, directions: list[np.ndarray] | np.ndarray) -> np.ndarray:
    """(N, m) dot products of images and directions, one by one, each with the cosine that the public code computes too."""
    projections = np.empty((len(embeddings), len(directions)))
    cosines = np.empty_like(projections)
    for image in range(len(embeddings)):
        for number in range(len(directions)):
            projections[image, number] = np.dot(embeddings[image], directions[number])
            lengths = np.linalg.norm(embeddings[image]) * np.linalg.norm(directions[number])
            cosines[image, number] = projections[image, number] / lengths if lengths else 0.0
    return projections
