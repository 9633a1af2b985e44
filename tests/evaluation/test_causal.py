"""Causal evidence: a planted cause is found, a planted idle direction is said to do nothing, and both are told apart."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

import monoseme as ms
from monoseme.evaluation import load_causal
from monoseme.evaluation._bootstrap import Interval
from monoseme.evaluation._causal._directions import Spectrum
from monoseme.evaluation._causal._summary import verdict

WIDTH = 12


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Red and green images that a direction fires for alike; the model's classes depend on red alone.

    Red and green come in as two orthonormal directions of 12 neurons; the head reads the first of them.
    """
    folder, random = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    for number in range(120):
        level = random.integers(10, 60, 3)
        level[number % 3] = random.integers(180, 250)
        pixels = np.clip(level + random.integers(-9, 10, (16, 16, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    columns = np.linalg.qr(random.normal(size=(WIDTH, 3)))[0]
    module = nn.Sequential(
        nn.Conv2d(3, WIDTH, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 3)
    )
    with torch.no_grad():
        module[0].weight.copy_(torch.from_numpy(columns)[:, :, None, None])
        module[3].weight.zero_()
        module[3].weight[0] = 2.0 * torch.from_numpy(columns[:, 0])
        module[3].bias.zero_()
    names = ["red", "one", "two"]
    model = ms.wrap(module, ms.Preprocess.imagenet(16), device="cpu", name="planted", classes=names)
    run = ms.embed(model, folder, "0", tmp_path_factory.mktemp("run") / "run", workers=0)
    both = (columns[:, 0] + columns[:, 1]).astype(np.float32)[None]
    options = {"top": 40, "distance_threshold": 6.0, "outlier_threshold": 1e9}
    bank = ms.disentangle(run.activations("0"), "published", directions=both, **options)
    assert len(bank) == 2
    colour = [Image.open(folder / run.images([c.image_ids[0]])["uri"][0].as_py()).getpixel((8, 8)) for c in bank]
    vectors = np.stack([columns[:, int(np.argmax(each))] for each in colour]).astype(np.float32)
    red = int(np.argmax([each[0] for each in colour]))
    return model, run, replace(bank, vectors=vectors), red


@pytest.fixture(scope="module")
def found(planted):
    model, run, bank, _ = planted
    return ms.causal(bank, run, model, per_set=10, directions=6, batch_size=16)


def test_a_planted_cause_is_found_and_a_planted_idle_direction_does_nothing(planted, found):
    red = planted[3]
    verdicts = found.concepts["verdict"].to_pylist()
    assert verdicts[red] == "acts"
    assert verdicts[1 - red] == "does nothing"
    row, idle = found.of(red), found.of(1 - red)
    assert row["ablated_low"] > 0.1
    assert row["ablated_excess_low"] > 0
    assert idle["ablated_high"] < 1e-5
    assert idle["steered_high"] < 1e-5


def test_effects_are_those_of_the_known_head(planted, found):
    """With logits (2 r, 0, 0) of the red projection r, what moves follows from r alone."""
    _, run, bank, red = planted
    acts = np.asarray(run.activations("0")[:], dtype=np.float64)
    projected = acts @ bank.vectors[red].astype(np.float64)
    own = bank[red].image_ids[:10]

    def share(r):
        return np.exp(2 * r) / (np.exp(2 * r) + 2)

    moved = np.abs(share(projected[own]) - share(projected.mean()))
    assert found.of(red)["ablated"] == pytest.approx(moved.mean(), rel=1e-4)
    amount = float(bank.concepts["mean_projection"][red].as_py()) - projected.mean()
    assert found.of(red)["amount"] == pytest.approx(amount, rel=1e-4)


def test_the_class_that_the_cause_supports_goes_down_without_it_and_up_with_it(planted, found):
    red = planted[3]
    rows = [row for row in found.classes.to_pylist() if row["concept"] == red]
    down = next(row for row in rows if row["change"] == "ablated")
    up = next(row for row in rows if row["change"] == "steered")
    assert (down["name"], up["name"]) == ("red", "red")
    assert down["difference"] < -0.1
    assert up["difference"] > 0.05
    assert not [row for row in found.classes.to_pylist() if row["concept"] != red]


def test_every_effect_has_its_comparisons(found):
    rows = found.effects.to_pylist()
    assert {row["of"] for row in rows} == {"concept", "neuron", "random directions", "equal variance"}
    assert {row["on"] for row in rows} == {"own", "siblings", "random"}
    assert len(rows) == 2 * 2 * 4 * 3
    for row in rows:
        assert 0 <= row["low"] <= row["moved"] + 1e-9
        assert row["moved"] <= row["high"] + 1e-9


def test_it_is_kept_and_read_again(found, planted, tmp_path):
    path = found.save(tmp_path)
    again = load_causal(tmp_path)
    assert again.concepts.equals(found.concepts)
    assert again.effects.equals(found.effects)
    assert again.classes.equals(found.classes)
    assert again.is_of(planted[2])
    assert "2 concepts" in repr(again)
    assert load_causal(tmp_path / "none") is None
    pq.write_table(found.effects, tmp_path / "causal.parquet")
    with pytest.raises(ms.MonosemeError, match="damaged"):
        load_causal(tmp_path)
    path.write_text('{"format": 99}')
    with pytest.raises(ms.MonosemeError, match="another version"):
        load_causal(tmp_path)


def test_views_and_reports_show_it_as_evidence(found, planted, tmp_path):
    _, run, bank, red = planted
    seen = {each.name: each.value for each in ms.view_concept(bank, red, run, causal=found).evidence}
    assert seen["moved when taken out"] == pytest.approx(found.of(red)["ablated"])
    assert not any("moved" in each.name for each in ms.view_concept(bank, red, run).evidence)
    folder = bank.save(run.path / "banks" / "0" / "planted")
    found.save(folder)
    ms.report(run, tmp_path / "out.html")
    assert "moved when taken out" in (tmp_path / "out.html").read_text()


def test_the_same_seed_gives_the_same(planted, found):
    model, run, bank, _ = planted
    again = ms.causal(bank, run, model, per_set=10, directions=6, batch_size=16)
    assert again.concepts.equals(found.concepts)


def test_batches_do_not_matter(planted, found):
    model, run, bank, _ = planted
    other = ms.causal(bank, run, model, per_set=10, directions=6, batch_size=7)
    for name in ("ablated", "steered", "ablated_excess"):
        np.testing.assert_allclose(other.concepts[name].to_numpy(), found.concepts[name].to_numpy(), atol=1e-5)


@pytest.mark.parametrize("scaling", ["raw", "standardised"])
def test_banks_in_a_frame_and_maximum_pooling_are_tried_too(tmp_path, photos, small_model, scaling):
    run = ms.embed(small_model, photos, "3", tmp_path / "run", workers=0, pooling="max")
    bank = ms.disentangle(
        run.activations("3"),
        "published",
        select=[0, 3],
        top=20,
        distance_threshold=6.0,
        outlier_threshold=1e9,
        scaling=scaling,
    )
    result = ms.causal(bank, run, small_model, per_set=4, directions=2, concepts=[1, 0])
    assert result.concepts["concept"].to_pylist() == [1, 0]
    assert np.isfinite(result.concepts["ablated"].to_numpy()).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95, 1.0])
def test_random_directions_capture_the_variance_that_is_asked_for(share):
    random = np.random.default_rng(0)
    points = random.normal(size=(400, 20)) * np.geomspace(0.01, 10, 20)
    spectrum = Spectrum.of(points.astype(np.float32))
    wanted = spectrum.variances[0] ** (1 - share) * spectrum.variances[-1] ** share
    drawn = spectrum.random_of(wanted, 5, random)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    np.testing.assert_allclose(np.var(points @ drawn.T, axis=0), wanted, rtol=1e-3)
    cosine = drawn @ drawn.T - np.eye(5)
    if 0.1 <= share <= 0.5:
        assert np.abs(cosine).max() < 0.999


def test_the_verdict_follows_its_rule():
    none, some = Interval(0.0, 0.0, 0.005), Interval(0.2, 0.1, 0.3)
    more, same = Interval(0.1, 0.05, 0.2), Interval(0.0, -0.1, 0.1)
    unknown = Interval(0.2, np.nan, np.nan)
    assert verdict((some, more), (none, same)) == "acts"
    assert verdict((none, same), (some, more)) == "acts"
    assert verdict((none, more), (none, more)) == "does nothing"  # more than random, but next to nothing
    assert verdict((some, same), (none, same)) == "like random"
    assert verdict((unknown, unknown), (none, same)) == "unknown"


def test_what_does_not_fit_is_refused(planted, small_run, small_model):
    model, run, bank, _ = planted

    def refused(match, *arguments, **options):
        with pytest.raises(ms.UsageError, match=match):
            ms.causal(*arguments, **options)

    refused("holds no layer '0'", bank, small_run, small_model)
    refused("no concept 7", bank, run, model, concepts=[7])
    refused("at least one concept", bank, run, model, concepts=[])
    refused("per_set must be", bank, run, model, per_set=0)
    refused("other weights", bank, run, small_model)
    refused("is a module that was wrapped", bank, run)
    other = ms.disentangle(
        small_run.activations("3"), "published", top=20, distance_threshold=6.0, outlier_threshold=1e9
    )
    refused("activations with images 61, not 120", replace(bank, info={**other.info, "layer": "0"}), run, model)
    refused(
        "holds no concepts",
        ms.disentangle(run.activations("0"), "published", select=[0], min_size=99, top=20),
        run,
        model,
    )
