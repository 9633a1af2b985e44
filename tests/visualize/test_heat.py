"""Overlays and heatmap grids by what is in them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from tests.conftest import make_small_model

import monoseme as ms


@pytest.fixture(scope="module")
def bank(small_run) -> ms.ConceptBank:
    return ms.disentangle(small_run.activations("3"), "published", top=24, distance_threshold=1.0, min_size=3)


HEATS = arrays(np.float64, (12, 17), elements=st.one_of(st.floats(-5, 5), st.just(np.nan)))


@settings(deadline=None)  # the first picture loads what draws it
@given(HEATS, st.floats(0.05, 1), st.one_of(st.none(), st.floats(0.1, 10)))
def test_where_the_map_is_high_each_pixel_is_the_photographs_own(heat, level, peak):
    photo = Image.effect_noise((17, 12), 90).convert("RGB")
    shown = np.asarray(ms.overlay(photo, heat, level=level, peak=peak))
    highest = peak if peak is not None else max(np.nan_to_num(heat, nan=0.0).max(), 0)
    edge = level * highest * (1 + 1e-9)  # what rounding decides is left out
    inside = np.nan_to_num(heat, nan=-1) >= edge if highest > 0 else np.zeros(heat.shape, bool)
    np.testing.assert_array_equal(shown[inside], np.asarray(photo)[inside])


def colourfulness(pixels):
    return np.ptp(np.asarray(pixels, float), axis=-1)


def test_elsewhere_the_photograph_fades_the_more_the_lower_the_map_but_stays_to_be_seen():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 100, 3), dtype=np.uint8)
    ramp = np.tile(np.linspace(1, -0.2, 100), (40, 1))
    photo = Image.fromarray(pixels)
    shown = np.asarray(ms.overlay(photo, ramp, line=0)).astype(float)
    columns = [
        colourfulness(shown[:, band]).mean() / colourfulness(pixels[:, band]).mean()
        for band in np.split(np.arange(100), 10)
    ]
    assert columns[0] == 1
    assert columns[4:] == sorted(columns[4:], reverse=True)
    assert columns[-1] == pytest.approx(0.2, abs=0.01)
    luma = pixels @ [0.299, 0.587, 0.114]
    assert np.corrcoef(shown[:, 90:].mean(-1).ravel(), luma[:, 90:].ravel())[0, 1] > 0.95
    assert np.asarray(ms.overlay(photo, ramp, line=0, fade=0)).tobytes() == pixels.tobytes()


def test_a_line_in_colour_runs_round_the_place():
    heat = np.zeros((60, 60))
    heat[20:40, 20:40] = 1
    photo = Image.new("RGB", (60, 60), (90, 120, 60))
    shown = np.asarray(ms.overlay(photo, heat, colour="#0072B2", line=4)).astype(int)
    blue = (np.abs(shown - [0x00, 0x72, 0xB2]).max(-1) < 30).nonzero()
    assert {int(rows.min()) for rows in blue} <= {15, 16, 17, 18}
    assert {int(rows.max()) for rows in blue} <= {41, 42, 43, 44}
    assert not np.asarray(blue)[:, (blue[0] >= 20) & (blue[0] < 40) & (blue[1] >= 20) & (blue[1] < 40)].size


def test_a_concept_that_is_nowhere_leaves_all_faded():
    photo = Image.new("RGB", (8, 8), "red")
    for heat in (np.full((8, 8), -1.0), np.zeros((8, 8)), np.full((8, 8), np.nan)):
        shown = np.asarray(ms.overlay(photo, heat))
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 1
        assert colourfulness(shown).max() < 60
    shown = ms.overlay(photo, np.ones((8, 8)), peak=10.0)
    assert shown.getpixel((4, 4)) != (255, 0, 0)


def test_an_overlay_refuses_what_does_not_fit():
    photo = Image.new("RGB", (8, 6))
    for match, heat, options in [
        ("on_picture", np.zeros((8, 6)), {}),
        ("level", np.zeros((6, 8)), {"level": 0}),
        ("fading", np.zeros((6, 8)), {"fade": 2}),
        ("no colour", np.zeros((6, 8)), {"colour": "#12"}),
    ]:
        with pytest.raises(ms.UsageError, match=match):
            ms.overlay(photo, heat, **options)


def test_a_grid_shows_overlays_and_crops_of_the_exemplars_of_each_concept(bank, small_run, small_model):
    neuron = bank.most_split(1)[0]
    concepts = bank.for_direction(neuron)
    [axes] = ms.heatmap_grid(bank, small_run, neuron, model=small_model, columns=3, start=True).axes
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == f"neuron {neuron} of 3: where in the pictures the concepts are"
    assert len(axes.images) == 3 * len(concepts)
    for place, concept in enumerate(concepts):
        label, start, crops = texts[1 + 3 * place : 4 + 3 * place]
        assert label.startswith(f"concept {concept.number}\n{concept.size} images")
        assert (start, crops) == (f"neuron {neuron}\non the same", "what its\npeaks see")
    [plain] = ms.heatmap_grid(bank, small_run, concepts=[1, 0], model=small_model, columns=2, crops=False).axes
    assert [text.get_text().split("\n")[0] for text in plain.texts] == [
        "2 concepts of 3: where in the pictures the concepts are",
        "concept 1",
        "concept 0",
    ]
    assert len(plain.images) == 2


def test_the_first_picture_of_a_row_is_the_overlay_of_the_first_exemplar(bank, small_run, small_model):
    concept = bank[0]
    [axes] = ms.heatmap_grid(bank, small_run, concepts=[0], model=small_model, columns=1, crops=False).axes
    with ms.runs.originals(small_run) as source:
        [picture] = source.load(concept.image_ids[:1])
    maps = ms.heatmaps(bank, small_model, [picture], 0, centre=small_run.activations("3"))
    expected = ms.overlay(picture, maps.on_picture(0), colour="#0072B2", line=1)
    size = (150, round(150 * picture.height / picture.width))
    tile = Image.fromarray(np.asarray(axes.images[0].get_array())).resize((30, 25))
    assert tile.size[0] / tile.size[1] == pytest.approx(size[0] / size[1])
    difference = np.asarray(tile, float) - np.asarray(expected.resize((30, 25)), float)
    assert np.abs(difference).mean() < 12


def test_what_is_not_at_hand_is_named(bank, small_run, small_model, layer, photos, tmp_path):
    neuron = bank.most_split(1)[0]

    def refused(match, *arguments, **options):
        with pytest.raises(ms.UsageError, match=match):
            ms.heatmap_grid(*arguments, **options)

    refused("give that model", bank, small_run, neuron)
    refused("other weights", bank, small_run, neuron, model=make_small_model(seed=1))
    refused("was not made from", ms.disentangle(layer, "published", top=20), small_run, 0, model=small_model)
    refused("direction 99 was not split", bank, small_run, 99, model=small_model)
    refused("no concept 999", bank, small_run, concepts=[999], model=small_model)
    refused("no concept to show", bank, small_run, concepts=[], model=small_model)
    refused("either a direction or concepts", bank, small_run, model=small_model)
    refused("either a direction or concepts", bank, small_run, neuron, [0], model=small_model)
    refused("at least one exemplar", bank, small_run, neuron, model=small_model, columns=0)
    of_scores = replace(bank, info={**bank.info, "parameters": {**bank.info["parameters"], "directions": "scores"}})
    refused("are no directions", of_scores, small_run, neuron, model=small_model, start=True)
    moved = tmp_path / "photos"
    shutil.copytree(photos / "plain", moved / "plain")
    run = ms.embed(small_model, moved, ["3"], tmp_path / "run", workers=0)
    own = ms.disentangle(run.activations(), "published", top=10, distance_threshold=0.5, min_size=1)
    moved.rename(tmp_path / "elsewhere")
    refused("no longer where they were", own, run, concepts=[0], model=small_model)
    ms.heatmap_grid(own, run, concepts=[0], model=small_model, images=tmp_path / "elsewhere", columns=2)
