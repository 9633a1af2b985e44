"""Exemplar grids by what is in them, not by their pixels."""

from dataclasses import replace

import numpy as np
import pytest

import monoseme as ms
from monoseme.banks import Annotations
from monoseme.base import printable


@pytest.fixture(scope="module")
def bank(small_run) -> ms.ConceptBank:
    return ms.disentangle(small_run.activations("3"), "published", top=24, distance_threshold=1.0, min_size=3)


def test_a_grid_has_a_row_of_pictures_and_a_label_for_each_concept_and_the_dropped(bank, small_run):
    neuron = bank.most_split(1)[0]
    figure = ms.concept_grid(bank, small_run, neuron)
    [axes] = figure.axes
    concepts = bank.for_direction(neuron)
    dropped = bank.exemplars_of(neuron)["concept"].null_count
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == f"neuron {neuron} of 3: {len(concepts)} concepts"
    for concept in concepts:
        assert any(text.startswith(f"concept {concept.number}\n{concept.size} images") for text in texts)
    assert any(text.startswith(f"dropped\n{dropped} image") for text in texts) == (dropped > 0)
    assert len(axes.images) == len(concepts) + (dropped > 0)


def test_figures_call_a_concept_by_the_name_that_it_was_given_and_the_others_by_their_labels(bank, small_run):
    neuron = bank.most_split(1)[0]
    first, *others = bank.for_direction(neuron)
    named = replace(bank, annotations=Annotations({first.key: ms.Annotation(first.key, name="my stripes")}))
    view = ms.view_neuron(named, neuron, small_run)
    for figure in (ms.concept_grid(named, small_run, neuron), ms.exemplar_map(view, "pca", tile=20)):
        texts = [text.get_text() for text in figure.axes[0].texts]
        [own] = [text for text in texts if "my stripes" in text]
        assert own.startswith(f"concept {first.number}")
        assert small_run.labels().counts(first.image_ids)[0][0] not in own
        for other in others:
            label = small_run.labels().counts(other.image_ids)[0][0]
            assert any(text.startswith(f"concept {other.number}") and label in text for text in texts)


def test_pictures_of_a_row_are_the_thumbnails_of_its_images(bank, small_run):
    neuron = bank.most_split(1)[0]
    [axes] = ms.overview(bank, small_run, [neuron], columns=4).axes
    strip = axes.images[0].get_array()
    ids = bank.exemplars_of(neuron)["image_id"].to_numpy()[:4]
    for place, thumbnail in enumerate(small_run.thumbnails(ids)):
        tile = strip[:, place * 94 : place * 94 + 88]
        expected = np.asarray(thumbnail).mean((0, 1))
        np.testing.assert_allclose(tile.mean((0, 1)), expected, atol=12)


def test_a_bank_of_another_run_and_unknown_directions_are_refused(bank, small_run, layer):
    with pytest.raises(ms.UsageError, match="was not made from"):
        ms.concept_grid(ms.disentangle(layer, "published", top=20), small_run, 0)
    with pytest.raises(ms.UsageError, match="direction 99 was not split"):
        ms.concept_grid(bank, small_run, 99)
    with pytest.raises(ms.UsageError, match="at least one direction"):
        ms.overview(bank, small_run, [])


def test_commonest_labels_are_counted_and_sorted(small_run):
    facts = small_run.images()
    plain = [row["image_id"] for row in facts.to_pylist() if row["label"] == "plain"]
    ramp = [row["image_id"] for row in facts.to_pylist() if row["label"] == "ramp"]
    labels = small_run.labels()
    assert labels.commonest(plain[:3] + ramp[:5]) == "ramp 5, plain 3"
    assert labels.commonest(plain[:2], limit=0) == ""


def test_control_marks_and_long_names_are_made_harmless():
    assert printable("a\x1b[0m\u202eb\n") == "a\ufffd[0m\ufffdb\ufffd"
    assert len(printable("x" * 10_000)) == 60


def test_a_label_that_looks_like_mathematics_is_drawn_as_it_is(tmp_path, photos, small_model):
    import shutil

    shutil.copytree(photos / "plain", tmp_path / "photos" / "$\\frac{1}{$")
    shutil.copytree(photos / "ramp", tmp_path / "photos" / "b")
    run = ms.embed(small_model, tmp_path / "photos", ["3"], tmp_path / "run", workers=0)
    bank = ms.disentangle(run.activations(), "published", top=20, distance_threshold=0.5)
    ms.concept_grid(bank, run, bank.most_split(1)[0]).savefig(tmp_path / "grid.png")
    assert (tmp_path / "grid.png").stat().st_size > 10_000
