"""Divisions in two against explicit loops over the points, brute force, scikit-learn and known angles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from monoseme.splitting._bisect import Halves, _centre, _two_means, best_cut, bisect, leading, leave_one_out


def tensors(points: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Inner products (1, K, K) and weight (1, K) of one set."""
    held = torch.from_numpy(points[None])
    return held @ held.transpose(1, 2), torch.ones(1, len(points), dtype=torch.float64)


def unit(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def groups(seed: int, sizes: tuple[int, ...], far: float, width: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Points around orthogonal centres, and which centre each belongs to, in a random order."""
    random = np.random.default_rng(seed)
    label = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return far * np.eye(width)[label] + random.normal(size=(len(label), width)), label


def divide(points: np.ndarray, mask: np.ndarray | None = None, min_size: int = 2) -> Halves:
    """Divide one set whose layer has unit variance everywhere."""
    gram = tensors(unit(points))[0]
    inside = np.ones(len(points), dtype=bool) if mask is None else mask
    held = torch.from_numpy(points[None])
    return bisect(gram, held, torch.ones(points.shape[1]).double(), torch.from_numpy(inside[None]), min_size)


@given(st.integers(0, 10_000), st.integers(6, 30), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_scores_are_those_of_means_taken_again_without_the_point(seed, count, width):
    random = np.random.default_rng(seed)
    points, side = random.normal(size=(count, width)), random.random(count) < 0.4
    side[:2], side[2:4] = True, False  # two of each at least
    expected = np.zeros(count)
    for i in range(count):
        distance = []
        for which in (False, True):
            others = [points[j] for j in range(count) if j != i and side[j] == which]
            distance.append(((points[i] - np.mean(others, axis=0)) ** 2).sum())
        expected[i] = (distance[0] - distance[1]) / 2
    gram, weight = tensors(points)
    scores, _ = leave_one_out(gram, weight, torch.from_numpy(side[None]))
    np.testing.assert_allclose(scores[0], expected, rtol=1e-9, atol=1e-9)


def test_the_cosine_is_of_mean_products_of_different_points():
    points, label = groups(0, (7, 12), 3.0, width=4)
    products = {(a, b): [] for a in (0, 1) for b in (0, 1)}
    for i in range(19):
        for j in range(19):
            if i != j:
                products[label[i], label[j]].append(points[i] @ points[j])
    within = [np.mean(products[a, a]) for a in (0, 1)]
    gram, weight = tensors(points)
    cosine = leave_one_out(gram, weight, torch.from_numpy(label[None] == 1))[1]
    assert float(cosine[0]) == pytest.approx(np.mean(products[0, 1]) / np.sqrt(within[0] * within[1]), rel=1e-9)


@pytest.mark.parametrize("cosine", [-0.6, 0.0, 0.3, 0.8])
def test_the_cosine_of_noisy_sides_is_that_of_their_true_means(cosine):
    random = np.random.default_rng(1)
    centres = 3 * np.eye(60)[:2]
    centres[1] = 3 * (cosine * np.eye(60)[0] + np.sqrt(1 - cosine**2) * np.eye(60)[1])
    label = np.repeat([0, 1], [8, 20])
    points = centres[label] + random.normal(size=(600, 28, 60))
    held = torch.from_numpy(points)
    side = torch.from_numpy(label == 1).expand(600, 28)
    ours = leave_one_out(held @ held.transpose(1, 2), torch.ones(600, 28).double(), side)[1].numpy()
    means = [points[:, label == which].mean(1) for which in (0, 1)]
    plain = np.einsum("rc,rc->r", unit(means[0]), unit(means[1]))
    assert ours.mean() == pytest.approx(cosine, abs=0.02)
    if cosine != 0:  # the sample means' own cosine is drawn towards zero by the noise
        assert abs(plain.mean()) < 0.75 * abs(cosine)


def test_a_side_of_fewer_than_two_points_has_no_angle_of_its_own():
    gram, weight = tensors(groups(0, (6, 1), 9.0)[0])
    side = torch.zeros(1, 7, dtype=torch.bool)
    side[0, 3] = True
    scores, cosine = leave_one_out(gram, weight, side)
    assert cosine.tolist() == [1.0]
    assert torch.isfinite(scores).all()


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=25))
@settings(max_examples=200, deadline=None)
def test_the_best_cut_is_the_best_of_all_cuts(values):
    scores = np.array(values)
    ordered, best = np.sort(scores), 0.0
    for cut in range(1, len(ordered)):
        low, high = ordered[:cut], ordered[cut:]
        best = max(best, cut * (low.mean() - scores.mean()) ** 2 + len(high) * (high.mean() - scores.mean()) ** 2)
    total = ((scores - scores.mean()) ** 2).sum()
    side, share = best_cut(torch.from_numpy(scores[None]), torch.ones(1, len(scores)).double())
    if total > 1e-12:
        assert float(share[0]) == pytest.approx(best / total, rel=1e-6, abs=1e-9)
        mine = side[0].numpy()
        assert scores[mine].min() >= scores[~mine].max()
        between = sum(part.size * (part.mean() - scores.mean()) ** 2 for part in (scores[mine], scores[~mine]))
        assert between == pytest.approx(best, rel=1e-6, abs=1e-9)
    elif total == 0:
        assert share.tolist() == [0.0]


def test_a_gaussian_on_a_line_leaves_two_over_pi_between_its_halves():
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 200_000)))
    assert float(best_cut(scores, torch.ones(1, 200_000).double())[1][0]) == pytest.approx(2 / np.pi, abs=0.003)


def test_points_outside_the_mask_change_nothing():
    for sizes, far in (((20, 15), 5.0), ((30,), 0.0)):
        points, _ = groups(3, sizes, far)
        count = len(points)
        alone = divide(points)
        junk = 40 * np.random.default_rng(4).normal(size=(17, 12)) + 100
        behind = divide(np.concatenate([points, junk]), np.arange(count + 17) < count)
        np.testing.assert_array_equal(behind.side[0, :count], alone.side[0])
        assert not behind.side[0, count:].any()
        for name in ("bimodality", "cosine", "features", "possible"):
            np.testing.assert_allclose(getattr(behind, name), getattr(alone, name), rtol=1e-9, err_msg=name)


def test_points_outside_the_mask_may_lie_anywhere_among_the_others():
    points, label = groups(5, (20, 15), 6.0)
    junk = 40 * np.random.default_rng(4).normal(size=(20, 12)) + 100
    mixed = np.random.default_rng(5).permutation(55)
    mask = (np.arange(55) < 35)[mixed]
    alone, among = divide(points), divide(np.concatenate([points, junk])[mixed], mask)
    assert adjusted_rand_score(among.side[0].numpy()[mask], label[mixed[mask]]) == 1
    for name in ("bimodality", "cosine", "features"):
        np.testing.assert_allclose(getattr(among, name), getattr(alone, name), rtol=1e-2, err_msg=name)


def test_sets_of_one_batch_do_not_see_each_other():
    sets = [groups(seed, (14, 10), far)[0] for seed, far in enumerate((0.0, 2.0, 8.0))]
    held = torch.from_numpy(np.stack([unit(points) for points in sets]))
    raw = torch.from_numpy(np.stack(sets))
    together = bisect(held @ held.transpose(1, 2), raw, torch.ones(12).double(), torch.ones(3, 24) > 0, 2)
    for index, points in enumerate(sets):
        alone = divide(points)
        np.testing.assert_array_equal(together.side[index], alone.side[0])
        np.testing.assert_allclose(together.bimodality[index], alone.bimodality[0], rtol=1e-9)


@pytest.mark.parametrize("sizes", [(25, 25), (42, 8), (20, 18, 12)])
def test_the_first_partition_is_the_two_means_of_scikit_learn(sizes):
    inertia = np.zeros((10, 2))
    for seed, row in enumerate(inertia):
        points = unit(groups(seed, sizes, 6.0)[0])
        gram, weight = tensors(points)
        centred = _centre(gram, weight)
        side = _two_means(centred, weight, leading(centred, weight)[0])[0].numpy()
        row[0] = sum(((points[part] - points[part].mean(0)) ** 2).sum() for part in (side, ~side))
        row[1] = KMeans(2, n_init=20, random_state=0).fit(points).inertia_
    # Three groups have several local optima of nearly the same inertia; there the best but one may be taken.
    assert (inertia[:, 0] <= inertia[:, 1] * (1.000001 if len(sizes) == 2 else 1.01)).all()


def test_leading_eigenvalues_are_those_of_numpy_where_they_are_apart():
    points = np.random.default_rng(0).normal(size=(40, 10)) * np.array([9.0, 6, 4, *[1.0] * 7])
    gram, weight = tensors(points)
    centred = _centre(gram, weight)
    vectors, values = leading(centred, weight)
    exact = np.linalg.eigvalsh(np.cov(points.T, bias=True) * 40)[::-1]
    np.testing.assert_allclose(values[0], exact[:3], rtol=1e-6)
    basis = vectors[0].numpy()
    np.testing.assert_allclose(basis @ centred[0].numpy() @ basis.T, np.diag(exact[:3]), atol=1e-3 * exact[0])


def test_features_are_size_effective_dimension_leading_shares_and_mean_cosine():
    points = groups(6, (18, 12), 4.0)[0]
    eigenvalues = np.linalg.eigvalsh(np.cov(unit(points).T, bias=True))[::-1]
    shares = eigenvalues / eigenvalues.sum()
    products = unit(points) @ unit(points).T
    expected = [30, 1 / (shares**2).sum(), shares[0], shares[1], products[~np.eye(30, dtype=bool)].mean()]
    np.testing.assert_allclose(divide(points).features[0], expected, rtol=2e-3)


@pytest.mark.parametrize("sizes", [(25, 25), (8, 42), (5, 45)])
def test_clear_groups_are_divided_as_they_were_made(sizes):
    for seed in range(5):
        points, label = groups(seed, sizes, 9.0)
        halves = divide(points, min_size=5)
        assert adjusted_rand_score(halves.side[0].numpy(), label) == 1
        assert bool(halves.possible[0])
        assert float(halves.bimodality[0]) > 0.9
        assert abs(float(halves.cosine[0])) < 0.15


def test_a_side_below_the_least_size_makes_a_division_impossible():
    halves = divide(groups(0, (4, 40), 9.0)[0], min_size=5)
    assert not bool(halves.possible[0])


@pytest.mark.parametrize("points", [np.ones((12, 3)), np.zeros((12, 3)), np.eye(12, 3)])
def test_sets_without_two_sides_give_finite_numbers(points):
    held = torch.from_numpy(points[None])
    halves = bisect(held @ held.transpose(1, 2), held, torch.ones(3).double(), torch.ones(1, 12) > 0, 2)
    for name in ("bimodality", "cosine", "features"):
        assert torch.isfinite(getattr(halves, name)).all(), name
