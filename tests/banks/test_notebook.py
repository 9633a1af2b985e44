"""How runs, banks and concepts show themselves in a notebook."""

import base64
import io
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.html_reader import Page

import monoseme as ms

MOST = 200_000


@pytest.fixture
def kept(small_run, tmp_path) -> ms.Run:
    """A run with a bank in it, to be changed."""
    run = ms.open_run(shutil.copytree(small_run.path, tmp_path / "made"))
    bank = ms.disentangle(run.activations("3"), "published", top=16, distance_threshold=1.0, min_size=3)
    bank.save(run.path / "banks" / "3" / "published")
    return run


def pixels(picture: dict[str, str]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2]))))


def test_a_run_says_what_is_in_it_and_what_comes_next(small_run, kept):
    page = Page(small_run._repr_html_())
    for text in ("61 of 61", "3: 20 neurons, mean of NCHW", "folder", "none yet"):
        assert text in page.text
    assert len(page.pictures) == 12
    assert [picture["alt"].split(":")[0] for picture in page.pictures][::11] == ["image 0", "image 60"]
    assert small_run._repr_html_() == ms.open_run(small_run.path)._repr_html_()
    assert f"ms.load_bank('{kept.path}')" in Page(kept._repr_html_()).text
    assert "published of 3" in Page(kept._repr_html_()).text


def test_the_next_line_of_a_run_runs(small_run, kept):
    for run in (small_run, kept):
        texts = Page(run._repr_html_()).texts
        line = texts[texts.index("next") + 1].replace(
            "run.activations('1')", "run.activations('3'), 'published', top=16"
        )
        assert isinstance(eval(line, {"ms": ms, "run": run}), ms.ConceptBank)


def test_a_bank_of_a_run_shows_its_counts_and_its_most_telling_concepts_with_pictures(kept):
    bank = ms.load_bank(kept.path)
    page = Page(bank._repr_html_())
    assert page.tags.count("rect") == len(bank.histogram())
    shown = [concept for direction in bank.most_split(3) for concept in bank.for_direction(direction)[:3]]
    assert len(page.pictures) == sum(min(concept.size, 4) for concept in shown) > 4
    for concept in shown:
        assert f"concept {concept.number}" in page.texts
    assert len(bank._repr_html_()) < MOST


def test_a_concept_shows_its_exemplars_their_labels_and_how_sure_it_is(kept):
    bank = ms.load_bank(kept.path / "banks" / "3" / "published")
    concept = bank.for_direction(bank.most_split(1)[0])[0]
    page = Page(concept._repr_html_())
    ids = concept.image_ids[:12]
    assert [picture["alt"].split(":")[0] for picture in page.pictures] == [f"image {number}" for number in ids]
    for picture, thumbnail in zip(page.pictures, kept.thumbnails(ids), strict=True):
        assert pixels(picture).shape == (64, 64, 3)
        assert np.abs(pixels(picture).mean((0, 1)) - np.asarray(thumbnail).mean((0, 1))).max() < 12
    labels = kept.images(concept.image_ids, ["label"])["label"].to_pylist()
    commonest = max(set(labels), key=labels.count)
    assert f"{commonest} {labels.count(commonest)}" in page.text
    assert f"{concept.size} exemplars, separation {concept.separation:.3g}" in page.text


def test_a_concept_shows_what_people_say_of_it(kept):
    ms.annotate(kept, ms.load_bank(kept.path), 1, name="<b>red</b>", tags=["thin", "old"], note="a\nb", rejected=True)
    page = Page(ms.load_bank(kept.path)[1]._repr_html_())
    for name, value in {"name": "<b>red</b>", "tags": "thin, old", "note": "a b"}.items():
        assert page.texts[page.texts.index(name) + 1] == value
    assert "no concept worth having" in page.texts
    assert "rejected" not in Page(ms.load_bank(kept.path)[0]._repr_html_()).texts


def test_a_bank_that_was_just_made_knows_its_run(kept):
    bank = ms.disentangle(kept.activations("3"), "published", top=16, distance_threshold=1.0)
    assert bank.run == kept.path
    assert Page(bank[0]._repr_html_()).pictures


def test_tests_and_stability_are_shown_where_there_are_any(layer):
    bank = ms.disentangle(layer, top=40, bootstrap=3, select=[1, 2])
    concept = next(concept for concept in bank if concept.p_value is not None)
    text = Page(concept._repr_html_()).text
    assert f"p {concept.p_value:.2g}" in text
    assert f"stability {concept.stability:.2f}" in text
    assert f"{len(bank.polysemantic())} at a false discovery rate of 5 %" in Page(bank._repr_html_()).text


def no_run(kept, bank):
    shutil.rmtree(kept.path / "activations.lance")


def damaged(kept, bank):
    for file in (kept.path / "activations.lance" / "data").iterdir():
        file.write_bytes(b"x" * 200)


def other_run(kept, bank):
    bank.info["activations"]["listing_digest"] = "another"


def moved_away(kept, bank):
    kept.path.rename(kept.path.with_name("elsewhere"))


@pytest.mark.parametrize("what", [no_run, damaged, other_run, moved_away])
def test_without_its_run_a_bank_has_no_pictures_and_no_trouble(kept, what):
    bank = ms.load_bank(kept.path)
    what(kept, bank)
    for shown in (bank, bank[0]):
        page = Page(shown._repr_html_())
        assert not page.pictures
        assert "exemplar" in page.text or not bank.most_split(1)


def test_a_bank_of_an_array_or_on_its_own_or_empty_has_no_pictures(layer, kept, tmp_path):
    bank = ms.disentangle(layer, "published", top=20, distance_threshold=4.0)
    alone = ms.load_bank(ms.load_bank(kept.path).save(tmp_path / "alone"))
    empty = ms.disentangle(layer, "published", top=20, distance_threshold=1e-9)
    assert (bank.run, alone.run, len(empty)) == (None, None, 0)
    for shown in (bank, bank[0], alone, alone[0], empty):
        assert not Page(shown._repr_html_()).pictures


def test_a_run_without_thumbnails_shows_the_rest(photos, small_model, tmp_path):
    run = ms.embed(small_model, photos / "ramp", ["3"], tmp_path / "run", workers=0, thumbnails=False)
    page = Page(run._repr_html_())
    assert not page.pictures
    assert "20 of 20" in page.text


def test_hostile_names_and_noise_stay_harmless_and_small(small_model, tmp_path):
    hostile = "<script>alert(1)</script>\u202e\x00\"' onerror=x " + "x" * 10_000

    class Noise:
        classes = (hostile, "</div><b>")

        def __len__(self):
            return 64

        def __getitem__(self, number):
            random = np.random.default_rng(number)
            return Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)), number % 2

    folder = tmp_path / "<b>run"
    run = ms.embed(small_model, Noise(), ["3"], folder, workers=0)
    bank = ms.disentangle(
        run.activations(), "published", top=24, distance_threshold=0.03, outlier_threshold=99.0, min_size=2
    )
    bank.save(folder / "banks" / "%3Cscript%3E" / "published")
    shown = [run, bank, *list(bank)[:5], ms.merge_concepts(bank)]
    for each in shown:
        drawn = each._repr_html_()
        page = Page(drawn)
        assert len(drawn) < MOST
        assert "script" not in page.tags
        assert not {"\u202e", "\x00"} & set(drawn)
    assert "published of <script>" in Page(run._repr_html_()).text
    assert len(Page(bank._repr_html_()).pictures) > 20


def test_a_run_with_many_banks_lists_a_few(kept):
    for number in range(40):
        shutil.copytree(kept.path / "banks" / "3" / "published", kept.path / "banks" / "3" / f"b{number:02d}")
    page = Page(kept._repr_html_())
    assert "b07 of 3" in page.texts
    assert "and 33 more" in page.texts


def test_a_dictionary_and_an_evaluation_are_tables(kept):
    bank = ms.load_bank(kept.path)
    dictionary = ms.merge_concepts(bank)
    page = Page(dictionary._repr_html_())
    assert page.tags.count("tr") == 1 + min(len(dictionary), 10)
    result = ms.evaluate(bank, kept.activations("3"))
    page = Page(result._repr_html_())
    figures = set(result.figures["figure"].to_pylist())
    assert figures <= set(page.texts)
    assert len(result._repr_html_()) < MOST


def test_the_plain_forms_are_as_they_were_and_loading_a_bank_loads_neither_torch_nor_lance(kept):
    assert repr(ms.load_bank(kept.path)).startswith("<concept bank of 3:")
    code = (
        f"import sys, monoseme as ms; bank = ms.load_bank({str(kept.path)!r}); repr(bank[0]); "
        "print(sorted({'torch', 'lance'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
