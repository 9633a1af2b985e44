"""Fit the null of the bimodality that `splitting/_null.py` holds, and print its coefficients.

Single Gaussians of many sizes, dimensions and spectra are divided in two as exemplars are; the statistic's mean and spread
are fitted by a quadratic in the logarithms of what can be seen of a set: its size, effective dimension and leading shares.

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
    """(S, 4) features and (S,) bimodality of single Gaussians: power-law spectra with up to three spikes."""
    random = np.random.default_rng(seed)
    features, statistic = [], []
    for _ in range(batches):
        size = int(np.exp(random.uniform(np.log(10), np.log(300))))
        count = max(8, min(400, int(4e6 / size**2)))
        spectra = np.zeros((count, 128))
        for row in spectra:
            width = int(np.exp(random.uniform(0, np.log(129))))
            row[:width] = np.arange(1, width + 1.0) ** -random.uniform(0, 2.5)
            spikes = min(random.integers(0, 4), width)
            row[:spikes] *= np.exp(random.uniform(0, np.log(20), spikes))
        points = torch.from_numpy(random.normal(size=(count, size, 128)) * np.sqrt(spectra)[:, None])
        everything = torch.ones(count, size, dtype=torch.bool)
        halves = bisect(points @ points.transpose(1, 2), points[:, :, :1], torch.ones(1).double(), everything, 2)
        features.append(halves.features.numpy())
        statistic.append(halves.bimodality.numpy())
    return np.concatenate(features), np.concatenate(statistic)


def main() -> None:
    """Fit on one simulation, check on another."""
    batches = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    features, statistic = simulate(batches, 1)
    design = terms(features)
    mean = np.linalg.lstsq(design, logit(statistic), rcond=None)[0]
    error = logit(statistic) - design @ mean
    spread = np.linalg.lstsq(design, np.log(error**2 + 1e-4), rcond=None)[0]
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
