"""Fit the null of the bimodality that `splitting/_null.py` holds, and print its coefficients.

Single Gaussians of many sizes, dimensions and spectra are divided in two as exemplars are; the statistic's mean and spread
are fitted by a quadratic in the logarithms of what can be seen of a set: its size, effective dimension, leading shares and
one minus the mean cosine of its points.

    python benchmarks/fit_null.py [batches]
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from monoseme.splitting import _null
from monoseme.splitting._bisect import bisect
from monoseme.splitting._null import QUANTILES, logit, terms


def simulate(batches: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(S, 5) features and (S,) bimodality of single Gaussians: power-law spectra with up to three spikes, their mean at up to
    twice their spread from the layer's, scaled to unit length as exemplars are.
    """
    random = np.random.default_rng(seed)
    features, statistic = [], []
    for _ in range(batches):
        size = int(np.exp(random.uniform(np.log(10), np.log(300))))
        count = max(8, min(400, int(4e6 / size**2)))
        spectra, means = np.zeros((count, 128)), np.zeros((count, 128))
        for row, mean in zip(spectra, means, strict=True):
            width = int(np.exp(random.uniform(np.log(3), np.log(129))))
            row[:width] = np.arange(1, width + 1.0) ** -(random.uniform(0, 2) if random.random() < 0.6 else 0)
            spikes = min(random.integers(0, 4), width) if random.random() < 0.7 else 0
            row[:spikes] *= np.exp(random.uniform(0, np.log(20), spikes))
            towards = random.normal(size=width) * np.sqrt(row[:width]) ** random.integers(0, 2)
            far = 0 if random.random() < 0.3 else random.uniform(0, 2)
            mean[:width] = far * np.sqrt(row.sum()) * towards / np.linalg.norm(towards)
        points = random.normal(size=(count, size, 128)) * np.sqrt(spectra)[:, None] + means[:, None]
        unit = torch.from_numpy(points / np.linalg.norm(points, axis=2, keepdims=True))
        everything = torch.ones(count, size, dtype=torch.bool)
        halves = bisect(unit @ unit.transpose(1, 2), unit[:, :, :1], torch.ones(1).double(), everything, 2)
        features.append(halves.features.numpy())
        statistic.append(halves.bimodality.numpy())
    return np.concatenate(features), np.concatenate(statistic)


def main() -> None:
    """Fit on one simulation, check on another."""
    batches = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    features, statistic = simulate(batches, 1)
    design = terms(features)
    mean = np.linalg.lstsq(design, logit(statistic), rcond=None)[0]
    for _ in range(4):  # weighted by the spread, which is very unlike between few dimensions and many
        error = logit(statistic) - design @ mean
        spread = np.linalg.lstsq(design, np.log(error**2 + 1e-4), rcond=None)[0]
        weight = np.exp(-0.5 * design @ spread)
        mean = np.linalg.lstsq(design * weight[:, None], logit(statistic) * weight, rcond=None)[0]
    error = logit(statistic) - design @ mean
    scaled = error / np.exp(0.5 * design @ spread)
    spread[0] += np.log(np.mean(scaled**2))
    scaled = error / np.exp(0.5 * design @ spread)
    knots = np.quantile(scaled, 1 - QUANTILES)
    for name, values in (("MEAN", mean), ("LOG_VARIANCE", spread), ("KNOTS", knots)):
        print(f"{name} =", np.array2string(values, separator=", ", precision=6, max_line_width=110))
    _null.MEAN, _null.LOG_VARIANCE, _null.KNOTS = mean, spread, knots
    p = _null.p_values(*simulate(max(batches // 2, 1), 2))
    for level in (0.1, 0.05, 0.01, 0.001):
        print(f"share of p-values up to {level}: {(p <= level).mean():.4f}")


if __name__ == "__main__":
    main()
