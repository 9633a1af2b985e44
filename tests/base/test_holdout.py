"""Held-out images: their share, that it is their content that decides, and what the bank says of it."""

import hashlib

import numpy as np
import pytest

import monoseme as ms
from monoseme.base import ArrayActivations, Images, held_out, with_digests


def digests_of(count: int, salt: str = "") -> np.ndarray:
    return np.array(
        [hashlib.sha256(f"{salt}{number}".encode()).hexdigest() for number in range(count)], dtype=np.bytes_
    )


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
def test_about_the_wanted_share_is_held_out(share):
    out = held_out(Images(digests_of(20_000)), share)
    assert out.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 20_000))


def test_nothing_is_held_out_when_nothing_is_wanted():
    assert not held_out(Images(digests_of(500)), 0).any()


def test_more_images_in_another_order_move_none():
    digests, more = digests_of(400), digests_of(600, "more")
    before = held_out(Images(digests), 0.2)
    order = np.random.default_rng(0).permutation(1000)
    after = held_out(Images(np.concatenate([digests, more])[order]), 0.2)
    np.testing.assert_array_equal(after[np.argsort(order)][:400], before)
    assert 0 < before.sum() < 400


def test_a_larger_share_holds_out_what_a_smaller_one_did():
    images = Images(digests_of(2000))
    small, large = held_out(images, 0.1), held_out(images, 0.3)
    assert small.any()
    assert (large | ~small).all()
    assert large.sum() > small.sum()


def test_copies_are_on_one_side():
    digests = digests_of(300)
    out = held_out(Images(np.concatenate([digests, digests[::-1]])), 0.4)
    np.testing.assert_array_equal(out[:300], out[:299:-1])
    assert 0 < out.sum() < 600


def test_patches_of_one_photograph_are_on_one_side_whatever_the_photographs_are_called():
    digests, groups = digests_of(1200), np.random.default_rng(0).permutation(1200) // 6
    out = held_out(Images(digests, groups), 0.3)
    shares = [out[groups == group].mean() for group in range(200)]
    assert set(shares) == {0.0, 1.0}
    assert np.mean(shares) == pytest.approx(0.3, abs=0.1)
    renamed = np.random.default_rng(1).permutation(5000)[groups]
    np.testing.assert_array_equal(held_out(Images(digests, renamed), 0.3), out)


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, "some", None, True, float("nan"), float("inf")])
def test_a_share_that_cannot_be_meant_is_refused(share):
    with pytest.raises(ms.UsageError, match="must be a number from 0 up to below 1"):
        held_out(Images(digests_of(10)), share)


def test_images_without_content_are_refused():
    with pytest.raises(ms.UsageError, match="without digests"):
        held_out(Images(), 0.2)


def test_digests_that_are_known_are_kept():
    images = Images(digests_of(7))
    assert with_digests(ArrayActivations(np.zeros((7, 2), np.float32), images=images)) is images


def test_rows_are_known_by_their_numbers_whatever_the_blocks_the_precision_and_the_sign_of_zero():
    rows = np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float16)
    rows[4000], rows[7] = rows[1], [0.0, 1.0, 2.0]
    groups = np.arange(5000) // 10
    images = with_digests(ArrayActivations(rows, images=Images(groups=groups)))
    assert images.groups is groups
    _, expected = np.unique(rows, axis=0, return_inverse=True)
    _, found = np.unique(images.digests, return_inverse=True)
    assert len(set(zip(expected.tolist(), found.tolist(), strict=True))) == expected.max() + 1 == found.max() + 1
    negative = rows.astype(np.float64)
    negative[7, 0] = -0.0
    np.testing.assert_array_equal(with_digests(ArrayActivations(negative)).digests, images.digests)


@pytest.fixture(scope="module")
def named(layer) -> ArrayActivations:
    return ArrayActivations(layer, images=Images(digests_of(len(layer))))


OPTIONS = {"top": 40, "bootstrap": 0, "select": range(6)}


def test_images_held_out_are_nobodys_exemplars_but_may_be_top_images(named):
    out = held_out(named.images(), 0.2)
    bank = ms.disentangle(named, **OPTIONS)
    assert not out[bank.exemplars["image_id"].to_numpy()].any()
    assert out[bank.top["image_id"].to_numpy()].any()
    whole = ms.disentangle(named, holdout=0, **OPTIONS)
    assert out[whole.exemplars["image_id"].to_numpy()].any()


def test_exemplars_are_the_best_of_those_that_are_left(named, layer):
    out = held_out(named.images(), 0.35)
    bank = ms.disentangle(named, holdout=0.35, **OPTIONS)
    left = np.flatnonzero(~out)
    for direction in range(6):
        expected = left[np.argsort(-layer[left, direction], kind="stable")[:40]]
        np.testing.assert_array_equal(bank.exemplars_of(direction)["image_id"], expected)


def test_what_is_held_out_teaches_the_method_nothing(named, layer):
    out = held_out(named.images(), 0.2)
    changed = layer.copy()
    changed[out] = 50 + 100 * np.random.default_rng(0).random((int(out.sum()), 24), dtype=np.float32)
    one = ms.disentangle(named, **OPTIONS)
    other = ms.disentangle(ArrayActivations(changed, images=named.images()), **OPTIONS)
    assert one.exemplars.equals(other.exemplars)
    assert one.concepts.equals(other.concepts)
    np.testing.assert_array_equal(one.detectors, other.detectors)


def test_the_bank_says_how_much_was_held_out(named):
    assert ms.disentangle(named, **OPTIONS).info["parameters"]["holdout"] == 0.2
    assert ms.disentangle(named, holdout=0.5, **OPTIONS).info["parameters"]["holdout"] == 0.5
    published = ms.disentangle(named, "published", distance_threshold=12.0, top=40)
    assert published.info["parameters"]["holdout"] == 0
    everything = np.argsort(-np.asarray(named)[:, 0], kind="stable")[:40]
    np.testing.assert_array_equal(published.exemplars_of(0)["image_id"], everything)


def test_too_few_images_left_is_a_sentence(named):
    with pytest.raises(ms.UsageError, match="with those held out"):
        ms.disentangle(named, top=550)


@pytest.mark.parametrize("share", [1.0, -0.2, "0.2"])
def test_a_wrong_share_is_refused_before_anything_is_read(named, share):
    with pytest.raises(ms.UsageError, match="share of images held out"):
        ms.disentangle(named, holdout=share, **OPTIONS)
