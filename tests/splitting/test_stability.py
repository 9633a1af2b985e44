"""Stability: known stable and unstable concepts, a plain reference of the figures, independence of how work is divided."""

import numpy as np
import pytest

import monoseme as ms
from monoseme.base import ArrayActivations, Images
from monoseme.splitting import _work
from monoseme.splitting._stability import INCLUDED, Resampling

COLUMNS = ("stability", "stability_cosine", "halves_cosine", "across_k")


def figures(bank: ms.ConceptBank, *columns: str) -> np.ndarray:
    """(M, columns) of a bank's concepts."""
    return np.stack([bank.concepts[name].to_numpy(zero_copy_only=False) for name in columns or COLUMNS], 1)


@pytest.fixture(scope="module")
def stable() -> np.ndarray:
    """Neuron d of the first six fires for the two sources d and d + 1 of eight far apart, and for nothing else."""
    random = np.random.default_rng(0)
    label = np.arange(4000) % 10
    centres = np.concatenate([7 * np.eye(8), np.zeros((2, 8))])
    fires = np.maximum(centres[:, :6], centres[:, 1:7])
    acts = np.concatenate([fires, centres], 1)[label] + random.normal(size=(4000, 14))
    return np.concatenate([acts, random.normal(size=(4000, 30))], 1).astype(np.float32)


def cloud(count: int = 3000, width: int = 40) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, width)).astype(np.float32)


def test_planted_concepts_are_found_again_and_halves_of_one_cloud_are_not(stable):
    one = ms.disentangle(stable, select=range(6), top=100)
    other = ms.disentangle(cloud(), select=range(6), top=100, alpha=0.999, max_cosine=1.0)
    assert one.histogram() == {2: 6}
    assert len(other) > 6
    found, forced = figures(one), figures(other)
    assert (found[:, 0] > 0.95).all()
    assert (found[:, 1] > 0.97).all()
    assert (found[:, 2] > 0.9).all()
    assert (found[:, 3] > 0.95).all()
    assert np.median(forced[:, 0]) < 0.6
    assert np.median(forced[:, 3]) < 0.6
    assert (np.median(forced, axis=0) < found.min(0) - 0.1).all()
    for table in (found, forced):
        assert ((table >= -1) & (table <= 1 + 1e-9)).all()


def test_without_resampling_there_are_no_figures(stable):
    bank = ms.disentangle(stable, select=[0], top=50, bootstrap=0)
    for name in COLUMNS:
        assert bank.concepts[name].null_count == len(bank) > 0
    assert bank[0].stability is None
    assert bank.info["parameters"]["bootstrap"] == 0


def test_the_published_method_can_be_resampled_as_well(stable):
    options = {"select": range(3), "top": 100, "distance_threshold": 40.0}
    plain = ms.disentangle(stable, "published", **options)
    bank = ms.disentangle(stable, "published", bootstrap=5, **options)
    assert plain.concepts["stability"].null_count == len(plain)
    assert plain.exemplars.equals(bank.exemplars)
    assert (figures(bank)[:, 0] > 0.9).all()


def test_the_number_of_samples_is_the_one_asked_for(stable):
    few, many = (ms.disentangle(cloud(), select=[0, 1], top=60, bootstrap=n, alpha=0.9, max_cosine=1) for n in (1, 12))
    assert few.info["parameters"]["bootstrap"] == 1
    np.testing.assert_array_equal(figures(few, "halves_cosine", "across_k"), figures(many, "halves_cosine", "across_k"))
    assert not np.allclose(figures(few, "stability"), figures(many, "stability"))


def test_figures_do_not_depend_on_the_other_directions_or_on_how_many_are_in_work(stable, monkeypatch):
    options = {"top": 60, "bootstrap": 6, "alpha": 0.5}
    everything = ms.disentangle(stable, select=range(8), **options)
    alone = ms.disentangle(stable, select=[3], **options)
    monkeypatch.setattr(_work, "WORKING_BYTES", 4 * 120 * stable.shape[1] * 3)
    in_threes = ms.disentangle(stable, select=range(8), **options)
    assert in_threes.exemplars["cluster"].equals(everything.exemplars["cluster"])
    assert in_threes.concepts["key"].equals(everything.concepts["key"])
    np.testing.assert_allclose(figures(in_threes), figures(everything), atol=1e-5)
    mine = everything.concepts["direction"].to_numpy() == 3
    assert everything.concepts.filter(mine)["key"].equals(alone.concepts["key"])
    np.testing.assert_allclose(figures(everything)[mine], figures(alone), atol=1e-5)
    row = everything.divisions.filter(everything.divisions["direction"].to_numpy() == 3)
    assert row["p_value"][0].as_py() == pytest.approx(alone.divisions["p_value"][0].as_py(), rel=1e-6)


def test_figures_do_not_depend_on_the_order_of_the_images(stable):
    digests = np.array([f"{number * 0x9E3779B97F4A7C15 % 2**64:032x}"[::-1] for number in range(4000)], dtype=np.bytes_)
    order = np.random.default_rng(0).permutation(4000)
    options = {"select": range(4), "top": 60, "bootstrap": 5}
    one = ms.disentangle(ArrayActivations(stable, images=Images(digests)), **options)
    other = ms.disentangle(ArrayActivations(stable[order], images=Images(digests[order])), **options)
    assert one.concepts["key"].equals(other.concepts["key"])
    np.testing.assert_allclose(figures(one), figures(other), atol=1e-5)


def reference(bank: ms.ConceptBank, acts: np.ndarray, direction: int, draws: int) -> np.ndarray:
    """(m, 2) mean Jaccard index and cosine over bootstrap samples, each split from scratch by the public function."""
    top, keys = 40, ms.base.with_digests(ArrayActivations(acts))
    resampling = Resampling(Resampling.keys_of(keys, len(acts)), top, draws, np.zeros(acts.shape[1]))
    everything = np.arange(len(acts))
    centre = acts.astype(np.float64).mean(0)
    best = everything[np.argsort(-acts[:, direction], kind="stable")]
    concepts = [set(concept.image_ids.tolist()) for concept in bank.for_direction(direction)]
    figures = np.zeros((len(concepts), 2))
    for draw in range(draws):
        inside = resampling.uniform(everything, draw) < INCLUDED
        drawn = np.array([row for row in best[: 2 * top] if inside[row]])[:top]
        scores = np.zeros((len(acts), 1), dtype=np.float32)
        scores[drawn, 0] = 1 + np.arange(len(drawn), 0, -1)
        again = ms.disentangle(acts, scores=scores, top=len(drawn), bootstrap=0, holdout=0, top_images=1)
        common = set(best[:top].tolist()) & set(drawn.tolist())
        for number, mine in enumerate(concepts):
            pairs = []
            for found in again:
                theirs = set(found.image_ids.tolist())
                one, other = mine & common, theirs & common
                jaccard = len(one & other) / max(len(one | other), 1)
                a, b = (acts[sorted(each)].mean(0) - centre for each in (mine, theirs))
                pairs.append((jaccard, a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
            figures[number] += max(pairs, default=(0.0, 0.0)) if max(pairs, default=(0.0,))[0] > 0 else (0.0, 0.0)
    return figures / draws


def test_figures_are_those_of_splitting_each_sample_from_scratch():
    random = np.random.default_rng(3)
    label = np.arange(1500) % 12
    acts = random.normal(size=(1500, 16))
    acts[label == 0, :2] += [6, 3.5]
    acts[label == 1, 0] += 6
    acts[label == 1, 2] += 3.5
    acts = acts.astype(np.float32)
    bank = ms.disentangle(acts, select=[0, 1], top=40, bootstrap=6, holdout=0)
    assert len(bank.for_direction(0)) == 2
    for direction in (0, 1):
        mine = bank.concepts["direction"].to_numpy() == direction
        expected = reference(bank, acts, direction, 6)
        np.testing.assert_allclose(figures(bank, "stability", "stability_cosine")[mine], expected, atol=2e-3)


def test_numbers_of_images_and_draws_are_uniform_and_independent():
    keys = np.random.default_rng(0).integers(0, 2**63, 4000).astype(np.uint64)
    for mine in (keys, np.arange(4000, dtype=np.uint64)):
        resampling = Resampling(mine, 50, 20, np.zeros(3))
        draws = np.stack([resampling.uniform(np.arange(4000), draw) for draw in (-2, *range(10))])
        assert ((draws >= 0) & (draws < 1)).all()
        np.testing.assert_allclose(draws.mean(1), 0.5, atol=0.025)
        np.testing.assert_allclose((draws < INCLUDED).mean(1), INCLUDED, atol=0.03)
        correlations = np.corrcoef(draws) - np.eye(11)
        assert np.abs(correlations).max() < 0.07
        np.testing.assert_array_equal(resampling.uniform(np.array([7, 3]), 2), draws[3, [7, 3]])


def test_keys_are_the_heads_of_digests_or_the_rows():
    digests = np.array([b"00000000000000ff" + b"a" * 16, b"f" * 32, b"0" * 32])
    assert Resampling.keys_of(Images(digests), 3).tolist() == [255, 2**64 - 1, 0]
    assert Resampling.keys_of(Images(), 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("bootstrap", [-1, 2.5, "many", True])
def test_a_number_of_samples_that_cannot_be_meant_is_refused(stable, bootstrap):
    with pytest.raises(ms.UsageError, match="bootstrap must be a whole number of at least 0"):
        ms.disentangle(stable, bootstrap=bootstrap)


def test_fewer_images_than_twice_the_exemplars_are_enough(stable):
    bank = ms.disentangle(stable[:70], select=range(3), top=50, bootstrap=4, holdout=0)
    assert np.isfinite(figures(bank)).all()
