"""The calibrated method as a whole: known answers, levels, nestedness, invariance, degenerate input."""

import warnings
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import false_discovery_control, special_ortho_group
from sklearn.metrics import adjusted_rand_score

import monoseme as ms
from monoseme.base import ArrayActivations, Images, held_out, with_digests
from monoseme.splitting import Calibrated
from monoseme.splitting._calibrated import ALPHA

PLAIN = {"bootstrap": 0, "holdout": 0, "top_images": 1}
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


def column(bank: ms.ConceptBank, name: str) -> np.ndarray:
    """(D, K) of a column of exemplars."""
    return bank.exemplars[name].to_numpy(zero_copy_only=False).reshape(len(bank.directions), -1)


def divided(bank: ms.ConceptBank) -> np.ndarray:
    """(D,) whether the exemplars of a direction were divided at all."""
    return column(bank, "cluster").max(1) > 0


def gaussian(seed: int, spectrum: np.ndarray, count: int = 2500) -> np.ndarray:
    """A layer (N, C) of one Gaussian with this spectrum, turned at random."""
    random = np.random.default_rng(seed)
    turn = special_ortho_group.rvs(len(spectrum), random_state=seed)
    return ((random.normal(size=(count, len(spectrum))) * np.sqrt(spectrum)) @ turn + 1).astype(np.float32)


def only(rows: np.ndarray, count: int) -> np.ndarray:
    """Scores (N, 1) that make these rows the exemplars."""
    scores = np.zeros((count, 1), dtype=np.float32)
    scores[rows, 0] = 1 + np.arange(len(rows), 0, -1)
    return scores


def sources(
    seed: int, sizes: tuple[int, ...], *, far: float = 10.0, width: int = 64, background: int = 2000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A layer, scores that choose the images of some sources alone, and the source of each image (-1: background)."""
    random = np.random.default_rng(seed)
    label = np.concatenate([np.full(background, -1), np.repeat(np.arange(len(sizes)), sizes)])
    acts = random.normal(size=(len(label), width)) * np.linspace(2, 0.5, width)
    centres = special_ortho_group.rvs(width, random_state=seed)[: len(sizes)] * np.linspace(2, 0.5, width)
    acts[label >= 0] += far * centres[label[label >= 0]]
    order = random.permutation(len(label))
    acts, label = acts[order].astype(np.float32), label[order]
    return acts, only(random.permutation(np.flatnonzero(label >= 0)), len(label)), label


# Known answers


@pytest.mark.parametrize("sizes", [(50,), (25, 25), (42, 8), (20, 18, 12), (30, 10, 10), (15, 13, 12, 10)])
def test_clear_sources_are_found_each_as_one_concept(sizes):
    for seed in range(4):
        acts, scores, label = sources(seed, sizes)
        bank = ms.disentangle(acts, scores=scores, top=50, **PLAIN)
        truth = label[column(bank, "image_id")[0]]
        assert adjusted_rand_score(truth, column(bank, "cluster")[0]) == 1
        assert len(bank) == len(sizes)
        assert sorted(concept.size for concept in bank) >= sorted(int(0.9 * size) for size in sizes)
        p_value = bank.divisions["p_value"][0].as_py()
        assert (p_value < 0.01) == (len(sizes) > 1)
        for concept in bank:
            assert (concept.p_value is None) == (len(sizes) == 1)
            assert concept.p_value is None or p_value <= concept.p_value <= ALPHA


def test_a_source_of_fewer_images_than_a_concept_may_have_is_none():
    acts, scores, label = sources(0, (47, 3))
    bank = ms.disentangle(acts, scores=scores, top=50, **PLAIN)
    assert [set(label[concept.image_ids].tolist()) for concept in bank] in ([{0}], [{0, 1}])


def test_variants_of_one_thing_are_divided_at_a_finer_level_only():
    random = np.random.default_rng(0)
    acts = random.normal(size=(8050, 40))
    acts[:50, 0] += 9
    acts[:25, 1] += 3
    acts[25:50, 1] -= 3
    variances = acts.var(0)
    along, across = 81 / variances[0], 9 / variances[1]
    acts = acts.astype(np.float32)
    options = {"scores": only(np.arange(50), 8050), "top": 50, **PLAIN}
    coarse, fine = ms.disentangle(acts, **options), ms.disentangle(acts, granularity=0.85, **options)
    assert coarse.histogram() == {1: 1}
    assert fine.histogram() == {2: 1}
    cosine = (along - across) / (along + across)
    assert cosine > 0.65
    assert fine.divisions["cosine"][0].as_py() == pytest.approx(cosine, abs=0.08)
    # A division that the angle forbids is no evidence of two concepts, however bimodal.
    assert coarse.divisions["p_value"][0].as_py() == 1
    assert fine.divisions["p_value"][0].as_py() < 0.01


@pytest.mark.parametrize("offset", [3.0, 6.0])
def test_one_source_with_heavy_tails_is_seldom_divided(offset):
    """Multivariate t with 3 degrees of freedom about a source in a Gaussian layer."""
    random = np.random.default_rng(2)
    acts = random.normal(size=(2000 + 100 * 50, 48))
    cloud = random.normal(size=(100, 50, 48)) / np.sqrt(random.chisquare(3, size=(100, 50, 1)) / 3)
    acts[2000:] = (cloud + offset * np.eye(48)[np.arange(100) % 48][:, None]).reshape(-1, 48)
    scores = np.zeros((7000, 100), dtype=np.float32)
    for direction in range(100):
        scores[2000 + 50 * direction : 2050 + 50 * direction, direction] = 1 + random.random(50)
    bank = ms.disentangle(acts.astype(np.float32), scores=scores, top=50, **PLAIN)
    assert divided(bank).mean() <= 0.1


# Levels


# The levels are 0.0055, 0.05 and 0.214; added are 0.02, at granularity 0.3 0.01, and two standard errors of 400 sets.
# Shares of 1,500 other sets of each layer at granularity 0.3, 0.5 and 0.7:
#   round, 8       0.001  0.031  0.157
#   round, 16      0.004  0.049  0.218
#   falling, 32    0.003  0.067  0.247
#   round, 64      0.003  0.057  0.233
#   round, 200     0.001  0.039  0.215
#   falling, 200   0.001  0.041  0.193
#   spike, 100     0.001  0.041  0.212
# Of 100 and 200 images in place of 50 the bound fails at 0.7 on one layer, of 750 sets: falling, 32 has 0.001, 0.056 and 0.276
# of 100 images, and 0.001, 0.068 and 0.325 of 200. Round layers of 16 and 64 hold it (at most 0.001, 0.047 and 0.259).
BOUND = {0.3: 0.023, 0.5: 0.092, 0.7: 0.275}
NULL_LAYERS = {
    "round, 64": np.ones(64),
    "round, 200": np.ones(200),
    "falling, 200": np.arange(1, 201.0) ** -1,
    "spike, 100": np.array([50.0] + [1.0] * 99),
    "falling, 32": np.arange(1, 33.0) ** -1,
    "round, 8": np.ones(8),
}
# In the table the shares of layers of width 64 and more are alike within 0.018 at 0.5 and 0.040 at 0.7, those of all layers
# within 0.036 and 0.090, because sets of 8 dimensions are divided less often than the level says. What misses 0.02 is added.
APART = {0.3: 0.0, 0.5: 0.016, 0.7: 0.07}


@pytest.fixture(scope="module")
def null_sets() -> dict[str, dict[float, ms.ConceptBank]]:
    """Banks of 400 random sets of 50 images of single Gaussians at three levels of granularity."""
    banks = {}
    for seed, (name, spectrum) in enumerate(NULL_LAYERS.items()):
        acts = gaussian(seed, spectrum, 3000)
        scores = np.random.default_rng(seed).random((3000, 400), dtype=np.float32)
        banks[name] = {
            level: ms.disentangle(acts, scores=scores, top=50, granularity=level, **PLAIN) for level in (0.3, 0.5, 0.7)
        }
    return banks


def test_null_sets_are_divided_as_seldom_on_one_layer_as_on_another(null_sets):
    for level in (0.3, 0.5, 0.7):
        shares = {name: divided(banks[level]).mean() for name, banks in null_sets.items()}
        wide = [each for name, each in shares.items() if len(NULL_LAYERS[name]) >= 64]
        for some, more in ((wide, 0.0), (list(shares.values()), APART[level])):
            error = np.sqrt(2 * np.mean(some) * (1 - np.mean(some)) / 400)
            assert max(some) - min(some) <= 0.02 + more + error


def test_a_finer_level_divides_more_null_sets(null_sets):
    for banks in null_sets.values():
        shares = [divided(banks[level]).mean() for level in (0.3, 0.5, 0.7)]
        assert shares == sorted(shares)
        assert shares[0] < 0.03
        assert shares[2] > 0.1


@pytest.mark.parametrize("name", NULL_LAYERS)
def test_null_sets_are_seldom_divided(null_sets, name):
    for level, alpha in ((0.3, 0.0055), (0.5, 0.05), (0.7, 0.2141)):
        bank = null_sets[name][level]
        assert Calibrated(level).level == pytest.approx(alpha, abs=1e-4)
        assert divided(bank).mean() <= BOUND[level]
        assert not (divided(bank) & (bank.divisions["p_value"].to_numpy() > alpha)).any()


@pytest.mark.parametrize("spectrum", ["falling, 200", "spike, 100"])
def test_neurons_of_gaussian_layers_are_seldom_split(spectrum):
    bank = ms.disentangle(gaussian(7, NULL_LAYERS[spectrum]), top=50, bootstrap=0)
    assert len(bank.directions) >= 100
    assert (bank.divisions["concepts"].to_numpy() > 1).mean() <= 0.06
    assert divided(bank).mean() <= 0.06


# Levels are nested


def assert_nested(banks: list[ms.ConceptBank]) -> int:
    """Each cluster of a finer level lies in one of the coarser; returns how often a level divides further."""
    further = 0
    for coarse, fine in pairwise(banks):
        np.testing.assert_array_equal(column(coarse, "image_id"), column(fine, "image_id"))
        for ours, theirs in zip(column(coarse, "cluster"), column(fine, "cluster"), strict=True):
            pairs = set(zip(theirs.tolist(), ours.tolist(), strict=True))
            assert len(pairs) == len(set(theirs.tolist()))
            further += len(set(theirs.tolist())) > len(set(ours.tolist()))
    return further


def test_a_finer_level_only_divides_what_a_coarser_one_had_on_real_embeddings(shared):
    acts = np.load(shared / "data" / "planted_embeddings.npz")["embeddings"][:, :400].astype(np.float32)
    options = {"select": range(0, 400, 5), "top": 50, "bootstrap": 0, "top_images": 1}
    assert assert_nested([ms.disentangle(acts, granularity=level, **options) for level in LEVELS]) > 40


def test_a_finer_level_only_divides_what_a_coarser_one_had_on_made_up_layers(layer):
    options = {"top": 60, "bootstrap": 0, "top_images": 1}
    assert assert_nested([ms.disentangle(layer, granularity=level, **options) for level in LEVELS]) > 10
    acts = gaussian(1, np.ones(48))
    assert assert_nested([ms.disentangle(acts, granularity=level, **options) for level in LEVELS]) > 10


def test_the_level_and_the_angle_follow_from_the_granularity():
    assert Calibrated().level == pytest.approx(0.05)
    assert Calibrated().widest_cosine == 0.5
    for value in (0.1, 0.25, 0.9):
        assert Calibrated(value).level == pytest.approx(0.05 ** (np.log(value) / np.log(0.5)))
        assert Calibrated(value).widest_cosine == value
    given = Calibrated(0.3, alpha=0.2, max_cosine=-0.1)
    assert (given.level, given.widest_cosine) == (0.2, -0.1)


# What must not matter


@pytest.fixture(scope="module")
def named(layer) -> ArrayActivations:
    """The made-up layer with images that are known by a digest, so that changed numbers change no image."""
    return ArrayActivations(layer, images=with_digests(ArrayActivations(layer)))


SOME = {"top": 60, "bootstrap": 3}


@pytest.fixture(scope="module")
def made(named) -> ms.ConceptBank:
    return ms.disentangle(named, **SOME)


def assert_same(one: ms.ConceptBank, other: ms.ConceptBank, rows: np.ndarray | None = None) -> None:
    """The same partition, figures and images; `rows` says which image of `one` each of `other` is."""
    images = column(other, "image_id")
    np.testing.assert_array_equal(column(one, "image_id"), images if rows is None else rows[images])
    np.testing.assert_array_equal(column(one, "cluster"), column(other, "cluster"))
    np.testing.assert_array_equal(column(one, "concept"), column(other, "concept"))
    for name in ("p_value", "q_value", "cosine"):
        mine, theirs = (bank.divisions[name].to_numpy(zero_copy_only=False) for bank in (one, other))
        np.testing.assert_allclose(mine, theirs, rtol=0.02, atol=1e-4, err_msg=name)
    for name in ("p_value", "stability", "stability_cosine", "halves_cosine", "across_k"):
        mine, theirs = (bank.concepts[name].to_numpy(zero_copy_only=False) for bank in (one, other))
        np.testing.assert_allclose(mine, theirs, rtol=0.02, atol=1e-3, err_msg=name)


def test_there_is_something_to_compare(made):
    histogram = made.histogram()
    assert histogram[1] >= 5
    assert sum(count for number, count in histogram.items() if number > 1) >= 5


@pytest.mark.parametrize("factor", [1e-6, 0.37, 1e5])
def test_the_units_of_the_layer_do_not_matter(named, made, factor):
    scaled = ArrayActivations((np.asarray(named) * factor).astype(np.float32), images=named.images())
    assert_same(made, ms.disentangle(scaled, **SOME))


def test_a_rotation_of_the_layer_does_not_matter(named, layer):
    rotation = special_ortho_group.rvs(24, random_state=0)
    turned = ArrayActivations((layer @ rotation + 5).astype(np.float32), images=named.images())
    one, other = (ms.disentangle(acts, scores=layer, **SOME) for acts in (named, turned))
    assert_same(one, other)
    np.testing.assert_allclose(other.vectors, one.vectors @ rotation, atol=1e-3)
    np.testing.assert_allclose(other.detectors, one.detectors @ rotation, atol=1e-3)


def test_the_order_of_the_images_does_not_matter(layer):
    order = np.random.default_rng(0).permutation(len(layer))
    alive = layer[:, (layer > 0).sum(0) > 200]  # ties at zero are broken by the place of an image
    one, other = ms.disentangle(alive, **SOME), ms.disentangle(alive[order], **SOME)
    assert_same(one, other, order)
    assert one.concepts["key"].equals(other.concepts["key"])


def test_images_that_are_there_twice_count_once(layer, made):
    one, other = made, ms.disentangle(np.repeat(layer, 2, axis=0), **SOME)
    assert_same(one, other, np.repeat(np.arange(len(layer)), 2))
    np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-6)
    out = held_out(with_digests(ArrayActivations(layer)), 0.2)
    twice = held_out(with_digests(ArrayActivations(np.repeat(layer, 2, axis=0))), 0.2)
    np.testing.assert_array_equal(np.repeat(out, 2), twice)


def test_the_other_directions_and_the_size_of_batches_do_not_matter(layer, made, monkeypatch):
    everything, alone = made, ms.disentangle(layer, select=[3], **SOME)
    np.testing.assert_array_equal(column(everything, "cluster")[3], column(alone, "cluster")[0])
    np.testing.assert_allclose(
        everything.divisions["p_value"][3].as_py(), alone.divisions["p_value"][0].as_py(), rtol=1e-3
    )
    monkeypatch.setattr("monoseme.splitting._work.WORKING_BYTES", 4 * 120 * layer.shape[1] * 5)
    assert_same(everything, ms.disentangle(layer, **SOME))


def test_clusters_are_numbered_by_their_strongest_image(layer):
    bank = ms.disentangle(layer, granularity=0.7, **SOME)
    for row in column(bank, "cluster"):
        first = [int(np.flatnonzero(row == number)[0]) for number in range(row.max() + 1)]
        assert first == sorted(first)
    for direction in bank.directions:
        assert [concept.number for concept in bank.for_direction(int(direction))] == sorted(
            {number for number in column(bank, "concept")[direction].tolist() if number == number}
        )


def test_equal_inputs_give_equal_banks(layer, made):
    one, other = made, ms.disentangle(layer.copy(), **SOME)
    for name in ("concepts", "exemplars", "top", "divisions"):
        assert getattr(one, name).equals(getattr(other, name)), name
    np.testing.assert_array_equal(one.vectors, other.vectors)


# p-values


def test_q_values_are_those_of_scipy_and_name_the_polysemantic_directions(made):
    bank = made
    p_value, q_value = (bank.divisions[name].to_numpy() for name in ("p_value", "q_value"))
    np.testing.assert_allclose(q_value, false_discovery_control(p_value), rtol=1e-12)
    several = bank.divisions["concepts"].to_numpy() > 1
    for q in (0.001, 0.05, 1.0):
        assert bank.polysemantic(q).tolist() == np.flatnonzero((q_value <= q) & several).tolist()
    assert len(bank.polysemantic()) >= 5
    np.testing.assert_array_equal(bank.divisions["direction"], bank.directions)
    counts = np.bincount(bank.concepts["direction"].to_numpy(), minlength=24)
    np.testing.assert_array_equal(bank.divisions["concepts"], counts)


def test_a_method_that_does_not_test_names_no_polysemantic_directions(layer):
    bank = ms.disentangle(layer, "published", top=60, distance_threshold=12.0)
    with pytest.raises(ms.UsageError, match="does not test"):
        bank.polysemantic()
    for name in ("p_value", "q_value", "cosine"):
        assert bank.divisions[name].null_count == 24
    assert bank.concepts["p_value"].null_count == len(bank)


def test_a_later_division_is_never_surer_than_the_first(layer):
    bank = ms.disentangle(layer, granularity=0.7, **SOME)
    first = dict(zip(bank.directions.tolist(), bank.divisions["p_value"].to_pylist(), strict=True))
    seen = 0
    for row in bank.concepts.to_pylist():
        if row["p_value"] is not None:
            assert first[row["direction"]] <= row["p_value"] <= Calibrated(0.7).level
            seen += 1
    assert seen > 10


# Degenerate input


def assert_defined(bank: ms.ConceptBank) -> None:
    """No NaN and no infinity anywhere; null is allowed."""
    for name in ("concepts", "exemplars", "top", "divisions"):
        for field in getattr(bank, name).schema:
            if pa.types.is_floating(field.type):
                values = getattr(bank, name)[field.name].drop_null().to_numpy()
                assert np.isfinite(values).all(), (name, field.name)
    for array in (bank.vectors, bank.detectors, bank.heights):
        assert np.isfinite(array).all()
    p_value = bank.divisions["p_value"].to_numpy()
    assert ((p_value >= 0) & (p_value <= 1)).all()


def degenerate() -> dict[str, tuple[np.ndarray, dict[str, object]]]:
    random = np.random.default_rng(0)
    plain = random.normal(size=(300, 6)).astype(np.float32)
    constant, dead = plain.copy(), np.maximum(plain, 0)
    constant[:, 2], dead[:, 3] = 5, 0
    same = plain.copy()
    same[:40] = [9, 9, 9, 9, 9, 9]
    copies = Images(np.array([f"{number:032x}" for number in range(300)], dtype=np.bytes_))
    return {
        "a constant neuron": (constant, {}),
        "a dead neuron": (dead, {}),
        "a layer of zeros": (np.zeros((120, 4), np.float32), {"images": copies.digests[:120]}),
        "a layer of ones": (np.ones((120, 4), np.float32), {"images": copies.digests[:120]}),
        "exemplars that are all the same": (same, {"images": copies.digests, "top": 20, "holdout": 0}),
        "two identical groups": (
            np.repeat(np.eye(6, dtype=np.float32)[[0, 1, 2]], 100, axis=0),
            {"images": copies.digests},
        ),
        "fewer exemplars than two concepts need": (plain, {"top": 9}),
        "two exemplars": (plain, {"top": 2}),
        "one exemplar": (plain, {"top": 1}),
        "one neuron": (plain[:, :1], {}),
        "two neurons": (plain[:, :2], {}),
        "fewer images than dimensions": (random.normal(size=(40, 90)).astype(np.float32), {"top": 20}),
        "hardly any images": (plain[:12], {"top": 8}),
        "tiny numbers": (plain * np.float32(1e-30), {}),
        "huge numbers": (plain * np.float32(1e17), {}),
        "far from zero": (plain + np.float32(1e5), {}),
        "a concept of two images": (plain, {"min_size": 2}),
    }


@pytest.mark.parametrize("bands", [(), (0.5,)])
@pytest.mark.parametrize("what", degenerate())
def test_degenerate_input_gives_a_defined_answer(what, bands):
    acts, options = degenerate()[what]
    images = options.pop("images", None)
    held = ArrayActivations(acts, images=None if images is None else Images(images))
    options = {"top": 30, "bootstrap": 2, "bands": bands} | options
    if bands and len(acts) < 100:
        options["bootstrap"] = 0
        options["top"] = 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bank = ms.disentangle(held, **options)
    assert len(bank.directions) == acts.shape[1] * (1 + len(bands))
    assert_defined(bank)
    repr(bank), bank.histogram(), list(bank), bank.polysemantic(), bank.most_split()


def test_what_cannot_be_divided_has_a_p_value_of_1():
    for what in ("a layer of zeros", "fewer exemplars than two concepts need", "two exemplars", "a layer of ones"):
        acts, options = degenerate()[what]
        images = options.pop("images", None)
        held = ArrayActivations(acts, images=None if images is None else Images(images))
        bank = ms.disentangle(held, **({"top": 30} | options))
        assert set(bank.divisions["p_value"].to_pylist()) == {1.0}, what
        assert not divided(bank).any()


def test_identical_groups_are_told_apart():
    groups = np.repeat(np.eye(6, dtype=np.float32)[[0, 1, 2]], 100, axis=0)
    digests = np.array([f"{number:032x}" for number in range(300)], dtype=np.bytes_)
    held = ArrayActivations(groups, images=Images(digests))
    bank = ms.disentangle(held, scores=only(np.r_[0:25, 100:125], 300), top=50, **PLAIN)
    assert bank.histogram() == {2: 1}
    assert sorted(concept.size for concept in bank) == [25, 25]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"granularity": 0}, "granularity must be a number between 0 and 1, not 0"),
        ({"granularity": 1.0}, "granularity must be"),
        ({"granularity": "fine"}, "granularity must be"),
        ({"granularity": True}, "granularity must be"),
        ({"granularity": float("nan")}, "granularity must be"),
        ({"alpha": 0.0}, "alpha must be a number between 0 and 1"),
        ({"alpha": 1}, "alpha must be a number between 0 and 1"),
        ({"max_cosine": 1.1}, "max_cosine must be a number from -1 to 1"),
        ({"max_cosine": "wide"}, "max_cosine must be"),
        ({"dimensions": 0}, "dimensions must be a whole number of at least 1"),
        ({"dimensions": 2.5}, "dimensions must be"),
        ({"min_size": 1}, "minimum size of a concept must be a whole number of at least 2"),
        ({"granularty": 0.3}, "did you mean granularity"),
        ({"whitening": None}, "no parameter 'whitening'"),
        ({"vector": "median"}, "mean or centred"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(layer, options, sentence):
    with pytest.raises(ms.UsageError, match=sentence):
        ms.disentangle(layer, **options)


def test_the_bank_says_how_it_was_made(layer):
    bank = ms.disentangle(layer, granularity=0.4, min_size=6, **SOME)
    assert bank.info["method"] == "calibrated"
    expected = {"granularity": 0.4, "alpha": None, "max_cosine": None, "dimensions": 128, "min_size": 6}
    assert expected.items() <= bank.info["parameters"].items()
    assert "whitening" not in bank.info["parameters"]
    assert all(concept.size >= 6 for concept in bank)
