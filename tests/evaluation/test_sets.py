"""Sets of images: those of a bank, and those that they are compared with."""

from dataclasses import replace

import numpy as np
import pytest

import monoseme as ms
from monoseme.evaluation._distances import pair_distances, pair_means, read
from monoseme.evaluation._sets import Sets


@pytest.fixture(scope="module")
def bank(layer):
    return ms.disentangle(layer, "published", top=40, distance_threshold=9.0, outlier_threshold="q0.9")


@pytest.fixture(scope="module")
def sets(bank) -> Sets:
    return Sets.of(bank)


def images_of(sets: Sets) -> list[list[int]]:
    return [sorted(row[row >= 0].tolist()) for row in sets.padded()]


def test_sets_of_a_bank_are_its_concepts(bank, sets):
    assert images_of(sets) == [sorted(concept.image_ids.tolist()) for concept in bank]
    assert bank.directions[sets.direction].tolist() == bank.concepts["direction"].to_pylist()
    assert sets.sizes.tolist() == bank.concepts["size"].to_pylist()
    dense = sets.matrix(600).toarray()
    assert [np.flatnonzero(row).tolist() for row in dense] == images_of(sets)


def test_sets_do_not_depend_on_the_order_of_directions_or_rows(bank, sets):
    order = np.random.default_rng(0).permutation(len(bank.exemplars))
    mixed = replace(bank, directions=bank.directions[::-1].copy(), exemplars=bank.exemplars.take(order))
    assert images_of(Sets.of(mixed)) == images_of(sets)
    assert (len(bank.directions) - 1 - Sets.of(mixed).direction).tolist() == sets.direction.tolist()


def test_random_partitions_have_the_same_sizes_and_the_same_images_of_each_direction(sets):
    mixed = sets.shuffled(np.random.default_rng(0))
    assert mixed.sizes.tolist() == sets.sizes.tolist()
    assert images_of(mixed.unsplit()) == images_of(sets.unsplit())
    assert images_of(mixed) != images_of(sets)
    assert mixed.direction.tolist() == sets.direction.tolist()


def test_random_sets_come_from_the_pool_and_hold_no_image_twice(sets):
    pool = np.arange(100, 200)
    drawn = sets.drawn(pool, np.random.default_rng(0))
    assert drawn.sizes.tolist() == sets.sizes.tolist()
    for row in drawn.rows:
        assert len(set(row.tolist())) == len(row)
        assert set(row.tolist()) <= set(pool.tolist())


def test_unknown_images_are_in_no_set_and_some_directions_keep_their_sets(sets):
    known = np.arange(600) % 3 > 0
    assert images_of(sets.within(known)) == [[i for i in row if known[i]] for row in images_of(sets)]
    some = sets.some(5)
    assert len(some.rows) == 5
    chosen = np.isin(sets.direction, np.linspace(0, len(sets.rows) - 1, 5).astype(int))
    assert images_of(some) == [row for row, kept in zip(images_of(sets), chosen, strict=True) if kept]


def test_distances_are_scipys():
    from scipy.spatial.distance import pdist

    points = np.random.default_rng(0).normal(size=(4, 9, 5)).astype(np.float32)
    points[2] = points[2, 0]
    assert np.allclose(pair_distances(points), [pdist(each) for each in points], atol=1e-5)
    assert not pair_distances(points)[2].any()


def test_mean_distances_within_and_between_are_those_of_loops(layer, sets):
    reading = read(sets.rows, {"concepts": sets}, lambda rows: layer[rows])
    found = pair_means(reading.distances, sets)
    points = layer.astype(np.float64)
    for direction in range(0, len(sets.rows), 5):
        within, between = [], []
        mine = [(i, m) for i, m in zip(sets.rows[direction], sets.member[direction], strict=True) if m >= 0]
        for place, (i, m) in enumerate(mine):
            for j, other in mine[place + 1 :]:
                (within if m == other else between).append(np.linalg.norm(points[i] - points[j]))
        assert found.within[direction] == pytest.approx(np.mean(within), rel=1e-5)
        if between:
            assert found.between[direction] == pytest.approx(np.mean(between), rel=1e-5)
        else:
            assert np.isnan(found.between[direction])
    for number, row in enumerate(images_of(sets)):
        raw, unit = points[row].mean(0), (points[row] / np.linalg.norm(points[row], axis=1, keepdims=True)).mean(0)
        assert np.allclose(reading.means["concepts"].raw[number], raw, atol=1e-5)
        assert np.allclose(reading.means["concepts"].unit[number], unit, atol=1e-6)
