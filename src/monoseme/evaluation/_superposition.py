"""Toy superposition: a small network with more features than neurons, trained on the spot, whose features are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..banks import ConceptBank
from ..base import UsageError
from ._grading import ENOUGH


@dataclass(frozen=True)
class Superposition:
    """A trained toy network and its activations.

    Attributes
    ----------
    activations : (N, C) float32
        Of the hidden neurons; ``inputs @ directions``.
    directions : (F, C) float32
        Where the network puts each feature: the hidden activations of an input of this feature alone.
    inputs : (N, F) float32
        How strongly each feature is there in each "image", 0 where it is not.
    loss : float
        Mean squared error of the reconstruction over that of always answering 0.
    """

    activations: npt.NDArray[np.float32]
    directions: npt.NDArray[np.float32]
    inputs: npt.NDArray[np.float32]
    loss: float

    @property
    def active(self) -> npt.NDArray[np.bool_]:
        """(N, F) which features are there."""
        return np.asarray(self.inputs > 0)

    def truth(self, neurons: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(D, K) the feature that adds most to each neuron (D,) in each of its images (D, K)."""
        return np.asarray((self.inputs[rows] * self.directions.T[neurons][:, None]).argmax(2))

    def truth_and_concepts(self, bank: ConceptBank) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(D, K) feature and (D, K) concept, -1 for none, of the exemplars of a bank of these neurons: for `grade_partition`."""
        neurons = len(bank.directions)
        rows, concepts = (bank.exemplars[name].fill_null(-1).to_numpy() for name in ("image_id", "concept"))
        truth = self.truth(bank.directions, rows.reshape(neurons, -1))
        return truth, concepts.reshape(neurons, -1).astype(np.int64)

    def matched(self, bank: ConceptBank) -> npt.NDArray[np.float64]:
        """(P,) greatest cosine of a neuron's concepts with the direction of each feature behind over 16 % of its exemplars.

        0 where the neuron has no concept.
        """
        truth, _ = self.truth_and_concepts(bank)
        unit = self.directions / np.linalg.norm(self.directions, axis=1, keepdims=True)
        cosine, owner = bank.vectors @ unit.T, bank.concepts["direction"].to_numpy()
        return np.array(
            [
                cosine[owner == neuron, feature].max(initial=0)
                for neuron, row in zip(bank.directions, truth, strict=True)
                for feature in np.flatnonzero(100 * np.bincount(row) > ENOUGH * len(row))
            ],
            dtype=np.float64,
        )


def toy_superposition(
    features: int = 60,
    neurons: int = 20,
    images: int = 4000,
    *,
    density: float = 0.03,
    steps: int = 3000,
    seed: int = 0,
) -> Superposition:
    """Train h = x W, x' = ReLU(h W^T + b) to give back sparse inputs through fewer neurons than features.

    Parameters
    ----------
    features, neurons, images : int
        F, C and N; more features than neurons.
    density : float
        Chance of each feature to be there in an image; where it is, its strength is drawn evenly from 0 to 1.
    steps : int
        Of Adam, on fresh batches of 1,024.
    seed : int
        The same seed gives the same network and images.

    Raises
    ------
    UsageError
        Not more features than neurons, or a density outside (0, 1).

    Notes
    -----
    Elhage et al., Toy Models of Superposition, 2022. With inputs this sparse the network keeps more features than it has
    neurons, at the price of interference, and each neuron fires for several.

    Examples
    --------
    >>> toy = toy_superposition(6, 3, 200, steps=50)
    >>> bool(np.allclose(toy.activations, toy.inputs @ toy.directions, atol=1e-5)), toy.directions.shape
    (True, (6, 3))
    """
    if not 1 <= neurons < features or images < 1 or steps < 1:
        raise UsageError(
            f"superposition needs more features than neurons, images and steps; not {features} features in {neurons} neurons, "
            f"{images} images and {steps} steps"
        )
    if not 0 < density < 1:
        raise UsageError(f"the density must lie between 0 and 1, not {density!r}")
    random = torch.Generator().manual_seed(seed)

    def draw(count: int) -> torch.Tensor:
        there = torch.rand(count, features, generator=random) < density
        return torch.where(there, torch.rand(count, features, generator=random), 0.0)

    weight = (torch.randn(features, neurons, generator=random) / neurons**0.5).requires_grad_()
    bias = torch.zeros(features, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        inputs = draw(1024)
        loss = (torch.relu(inputs @ weight @ weight.T + bias) - inputs).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        inputs = draw(images)
        hidden = inputs @ weight
        error = (torch.relu(hidden @ weight.T + bias) - inputs).square().mean() / inputs.square().mean()
    return Superposition(hidden.numpy(), weight.detach().numpy(), inputs.numpy(), float(error))
