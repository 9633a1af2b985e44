"""Planted units: grades of known answers, boundaries, truth, determinism, refusals."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import monoseme as ms
from monoseme.evaluation.planted import Sources, grade, grade_partition, plant, toy_superposition
from monoseme.splitting import Split, ward_trees


@dataclass(frozen=True)
class Known:
    """A splitter that is told the partition: labels (D, K) as nested tuples."""

    labels: tuple = ()
    name = "known"

    def fitted(self, random_sets):
        return self

    def split(self, exemplars):
        given = np.array(self.labels, dtype=np.int32)[exemplars.numbers]
        return Split(ward_trees(exemplars.gram), given, np.zeros(given.shape), given)


@pytest.fixture(scope="module")
def sources():
    """Ten clear classes of 100 images in 24 dimensions."""
    random = np.random.default_rng(0)
    labels = np.arange(1000) % 10
    centres = 6 * np.linalg.qr(random.normal(size=(24, 10)))[0].T
    return Sources.of(centres[labels] + random.normal(size=(1000, 24)), labels)


def exemplars(units):
    """(U, K) rows by a plain sort."""
    return np.argsort(-units.scores, axis=0, kind="stable")[: units.top].T


def known(labels):
    return Known(tuple(map(tuple, np.asarray(labels).tolist())))


def bank_of(units, labels, **options):
    options = {"top": units.top, "holdout": 0.0, "bootstrap": 0, **options}
    return ms.disentangle(units.sources.embeddings, known(labels), scores=units.scores, **options)


def test_scores_are_projections_on_class_means_standardised(sources):
    points = sources.embeddings.astype(np.float64)
    direction = points[sources.labels == 3].mean(0) - points.mean(0)
    direction /= np.linalg.norm(direction)
    np.testing.assert_allclose(sources.directions[3], direction, atol=1e-6)
    projected = points @ direction
    np.testing.assert_allclose(sources.scores[:, 3], (projected - projected.mean()) / projected.std(), atol=1e-5)


@pytest.mark.parametrize("mixing", ["max", "sum", "rotated"])
def test_a_unit_responds_as_its_mixing_says(sources, mixing):
    units = plant(sources, 12, mixing=mixing, weakest=0.7)
    assert units.m.tolist() == [1, 2, 3, 4, 5, 6] * 2
    for unit, m in enumerate(units.m):
        mine, share = units.chosen[unit, :m], units.shares[unit, :m]
        assert len(set(mine.tolist())) == m
        parts = sources.scores[:, mine] * share
        seen = units.seen[:, unit]
        expected = parts.max(1) if mixing == "max" else parts.sum(1)
        np.testing.assert_allclose(units.scores[seen, unit], expected[seen], rtol=1e-5, atol=1e-5)
        assert (units.scores[~seen, unit] < expected.min()).all()
        assert seen[np.isin(sources.labels, mine)].all()
        assert 0.6 < seen[~np.isin(sources.labels, mine)].mean() < 0.8
        rows = exemplars(units)
        np.testing.assert_array_equal(units.truth(rows)[unit], parts[rows[unit]].argmax(1))
        if mixing == "rotated":
            assert np.linalg.norm(share) == pytest.approx(1)
            assert share[np.abs(share).argmax()] > 0
        else:
            assert (share >= 0.7).all()


def test_overlapping_sources_are_drawn_among_the_nearest(sources):
    cosine = sources.directions @ sources.directions.T
    units = plant(sources, 30, m=3, nearest=3)
    for first, *others in units.chosen:
        nearest = np.argsort(-np.where(np.arange(10) == first, -2, cosine[first]))[:3]
        assert set(others) <= set(nearest.tolist())


def test_halves_are_apart_and_units_keep_to_theirs(sources):
    develop, report = sources.half("development"), sources.half("report")
    assert sorted([*develop, *report]) == list(range(10))
    units = plant(sources, 40, m=[1, 3], classes=report)
    assert set(units.chosen[units.chosen >= 0].tolist()) <= set(report.tolist())


@pytest.mark.parametrize("mixing", ["max", "sum", "rotated"])
def test_the_truth_grades_as_right_whatever_its_labels(sources, mixing):
    units = plant(sources, 60, mixing=mixing, weakest=0.8)
    truth = units.truth(exemplars(units))
    counts = np.stack([np.bincount(row, minlength=6) for row in truth])
    demanded = np.where(np.take_along_axis(counts, truth, 1) >= 5, truth, -1)
    for labels in (demanded, np.where(demanded < 0, -1, 5 - demanded)):
        found = grade(units, bank_of(units, labels))
        figures = found.figures()
        assert figures["number right"].value == figures["ARI"].value == 1
        assert figures["false split"].value == figures["none found"].value == 0
        assert found.partition.right.all()
        if mixing == "max":
            assert figures["relative precision@50, vectors"].value > 0.95


def test_one_that_never_splits_has_no_false_split_and_is_never_right_on_clear_sources(sources):
    units = plant(sources, 40, m=[1, 2], top=50)
    found = grade(units, bank_of(units, np.zeros((40, 50))))
    figures = found.figures()
    assert figures["false split"].value == 0
    assert figures["number right"].value == figures["ARI"].value == 0
    assert figures["too few"].value == 1
    assert figures["kept"].value == 1


def test_one_that_drops_all_finds_none(sources):
    units = plant(sources, 10, m=[1, 2])
    figures = grade(units, bank_of(units, np.full((10, 50), -1))).figures()
    assert figures["none found"].value == 1
    assert figures["number right"].value == figures["ARI"].value == figures["kept"].value == 0
    assert np.isnan(figures["relative precision@50, vectors"].value)


@pytest.mark.parametrize(
    ("small", "least", "most"), [(4, 1, 1), (5, 1, 2), (8, 1, 2), (9, 2, 2)], ids=["<10 %", "10 %", "16 %", ">16 %"]
)
def test_small_sources_count_either_way_from_10_to_16_per_cent(small, least, most):
    truth = np.repeat([0, 1], [50 - small, small])[None]
    graded = grade_partition(truth, np.zeros((1, 50), dtype=int))
    assert (graded.least[0], graded.most[0]) == (least, most)
    assert graded.right[0] == (least == 1)
    assert grade_partition(truth, truth).right[0] == (most == 2)


def test_ari_is_over_kept_exemplars_of_sources_that_count():
    random = np.random.default_rng(0)
    truth = random.choice(4, size=(30, 50), p=[0.5, 0.3, 0.12, 0.08])
    concept = np.where(random.random((30, 50)) < 0.2, -1, (truth + (random.random((30, 50)) < 0.2)) % 3)
    graded = grade_partition(truth, concept)
    for row, given, ari, kept in zip(truth, concept, graded.ari, graded.kept, strict=True):
        take = [i for i in range(50) if given[i] >= 0 and (row == row[i]).sum() >= 5]
        assert ari == pytest.approx(adjusted_rand_score(row[take], given[take]))
        assert kept == np.mean(given >= 0)
    shuffled = np.array([3, 0, 2, 1])[truth]
    np.testing.assert_allclose(grade_partition(shuffled, concept).ari, graded.ari)


def test_precision_is_that_of_a_plain_loop(sources):
    units = plant(sources, 6, m=2, mixing="sum")
    bank = bank_of(units, np.arange(50)[None] // 25 * np.ones((6, 1), int), scaling="centred")
    found = grade(units, bank, at=20)
    points = sources.embeddings - sources.embeddings.mean(0)
    for concept, own, precision in zip(bank, found.own, found.precision["vectors"], strict=True):
        unit = concept.direction
        rows = concept.image_ids
        counts = [(sources.scores[rows][:, units.chosen[unit]].argmax(1) == j).sum() for j in range(2)]
        source = units.chosen[unit, int(np.argmax(counts))]
        seen = np.flatnonzero(units.seen[:, unit])
        for direction, value in ((concept.vector, precision), (sources.directions[source], own)):
            best = seen[np.argsort(-(points[seen] @ direction))][:20]
            assert value == pytest.approx((sources.labels[best] == source).mean())


def test_intervals_hold_their_figures_and_widen_with_what_classes_share(sources):
    units = plant(sources, 200, m=[1], top=40)
    bad = units.chosen[:, 0] < 3  # three classes are always split, the others never
    labels = np.where(bad[:, None] & (np.arange(40) % 2 == 1), 1, 0)
    split = grade(units, bank_of(units, labels)).figures()["false split"]
    assert split.value == bad.mean()
    assert split.low < 0.1 < 0.55 < split.high  # ten classes, not 200 units
    mixed = grade(units, bank_of(units, np.arange(200)[:, None] % 2 * (np.arange(40) % 2))).figures()["false split"]
    assert mixed.low > 0.35


def test_equal_seeds_plant_equal_units(sources):
    one, same, other = (plant(sources, 10, seed=seed) for seed in (3, 3, 4))
    for name in ("chosen", "shares", "scores", "seen"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert (one.scores != other.scores).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"top": 51}, "at most 50"),
        ({"m": 11}, "cannot be drawn from 10"),
        ({"m": 3, "nearest": 1}, "cannot be drawn from 2"),
        ({"m": 0}, "at least one source"),
        ({"mixing": "som"}, "did you mean"),
        ({"classes": [10]}, "from 0 to 9"),
        ({"weakest": 0}, "weakest"),
        ({"left_out": 1}, "left out"),
    ],
)
def test_what_cannot_be_planted_is_refused(sources, change, said):
    with pytest.raises(ms.UsageError, match=said):
        plant(sources, **{"units": 5, **change})


def test_a_bank_of_something_else_is_refused(sources):
    units = plant(sources, 5)
    with pytest.raises(ms.UsageError, match="not of the 4 planted units"):
        grade(replace(units, chosen=units.chosen[:4]), bank_of(units, np.zeros((5, 50))))


def test_labels_that_make_no_sources_are_refused():
    with pytest.raises(ms.UsageError, match="two classes"):
        Sources.of(np.eye(4), [0, 0, 0, 0])
    with pytest.raises(ms.UsageError, match="label for each image"):
        Sources.of(np.eye(4), [0, 1])
    with pytest.raises(ms.UsageError, match="mean embedding"):
        Sources.of([[1.0], [-1.0], [1.0], [-1.0], [0.0]], [0, 0, 1, 1, 2])


def test_on_real_embeddings_the_tuned_method_finds_most_and_the_papers_threshold_nothing(shared):
    with np.load(shared / "data" / "planted_embeddings.npz") as data:
        sources = Sources.of(data["embeddings"], data["labels"])
    units = plant(sources, 60, classes=sources.half("development"), seed=1)
    labels = sources.labels[exemplars(units)]
    chosen = np.take_along_axis(units.chosen, units.truth(exemplars(units)), 1)
    assert (labels == chosen).mean() > 0.8  # mostly, images fire for the class they are of
    found = grade(units, ms.disentangle(sources.embeddings, "published", scores=units.scores, top=50)).figures()
    assert found["number right"].value > 0.5
    assert found["ARI"].value > 0.85
    paper = ms.disentangle(sources.embeddings, "published", scores=units.scores, top=50, distance_threshold=15.0)
    assert grade(units, paper).figures()["number right"].value == 0


@pytest.fixture(scope="module")
def toy():
    return toy_superposition(24, 8, 1500, steps=500)


def test_a_toy_network_superposes_features_whose_directions_explain_its_neurons(toy):
    np.testing.assert_allclose(toy.inputs @ toy.directions, toy.activations, atol=1e-5)
    assert (np.linalg.norm(toy.directions, axis=1) > 0.5).sum() > 8  # more features kept than there are neurons
    assert toy.loss < 0.6
    assert toy.active.mean() == pytest.approx(0.03, abs=0.005)
    best = toy.activations[:, 0].argsort()[::-1][:20]
    contribution = toy.inputs[best] * toy.directions[:, 0]
    np.testing.assert_array_equal(toy.truth(np.array([0]), best[None])[0], contribution.argmax(1))


def test_equal_seeds_train_equal_toy_networks():
    one, same, other = (toy_superposition(6, 3, 50, steps=10, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.activations, same.activations)
    np.testing.assert_array_equal(one.directions, same.directions)
    assert (one.directions != other.directions).any()


def test_a_splitter_that_knows_the_features_of_a_toy_network_recovers_them(toy):
    rows = np.argsort(-toy.activations, axis=0, kind="stable")[:50].T
    truth = toy.truth(np.arange(8), rows)
    counts = np.take_along_axis(np.stack([np.bincount(row, minlength=24) for row in truth]), truth, 1)
    options = {"top": 50, "holdout": 0.0, "bootstrap": 0}
    bank = ms.disentangle(toy.activations, known(np.where(counts >= 5, truth, -1)), **options)
    assert grade_partition(*toy.truth_and_concepts(bank)).right.all()
    knowing = toy.matched(bank)
    assert len(knowing) == sum((np.bincount(row) > 8).sum() for row in truth)
    assert np.median(knowing) > 0.9
    none = ms.disentangle(toy.activations, known(np.full((8, 50), -1)), **options)
    assert (toy.matched(none) == 0).all()


def test_superposition_needs_more_features_than_neurons():
    with pytest.raises(ms.UsageError, match="more features than neurons"):
        toy_superposition(5, 5)
    with pytest.raises(ms.UsageError, match="density"):
        toy_superposition(density=1.5)
