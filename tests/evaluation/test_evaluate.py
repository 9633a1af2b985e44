"""A whole evaluation: figures where they must be, baselines at chance, defined answers for degenerate input."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

import monoseme as ms
from monoseme.base import ArrayActivations, Images, held_out, with_digests
from monoseme.evaluation._catalogue import CATALOGUE

LABELS = ["plane", "ship", "owl", "fox", "cup", "hat"]


@pytest.fixture(scope="module")
def planted():
    """(900, 24) activations of six kinds of images, their labels, and how a judge that knows the kinds sees them."""
    random = np.random.default_rng(1)
    pattern = np.zeros((6, 24), dtype=np.float32)
    for neuron in range(24):
        pattern[random.choice(6, size=1 + neuron % 3, replace=False), neuron] = random.uniform(3, 4)
    kind = random.integers(0, 6, 900)
    acts = np.maximum(pattern[kind] * random.uniform(0.7, 1.3, (900, 1)) + 0.4 * random.normal(size=(900, 24)), 0)
    judge = np.eye(6)[kind] + 0.2 * random.normal(size=(900, 6))
    return acts.astype(np.float32), [LABELS[each] for each in kind], judge.astype(np.float32)


@pytest.fixture(scope="module")
def bank(planted):
    return ms.disentangle(planted[0], "published", top=60, distance_threshold=12.0, outlier_threshold="q0.95")


@pytest.fixture(scope="module")
def found(bank, planted):
    acts, labels, judge = planted
    return ms.evaluate(bank, acts, labels=labels, judge=judge)


def row(found, figure, of="concepts"):
    [one] = [each for each in found.figures.to_pylist() if (each["figure"], each["of"]) == (figure, of)]
    return one


def sound(found):
    """No table holds NaN or infinity, and intervals hold their estimates."""
    for table in (found.figures, found.concepts, found.enriched):
        for column in table.columns:
            if pa.types.is_floating(column.type):
                assert np.isfinite(column.drop_null().to_numpy()).all()
    for each in found.figures.to_pylist():
        if each["low"] is not None:
            assert each["low"] - 1e-9 <= each["value"] <= each["high"] + 1e-9
    json.dumps(found.to_json(), allow_nan=False)
    assert found.lines() is not None


def test_every_figure_of_the_catalogue_is_there_with_a_baseline(found):
    sound(found)
    figures = found.figures.to_pylist()
    for name in CATALOGUE:
        kinds = {each["of"] for each in figures if each["figure"] == name}
        assert "concepts" in kinds, name
        if name not in ("concepts per neuron", "exemplars kept"):
            assert len(kinds) > 1, name
    assert {each["family"] for each in figures} == {"paper", "separation", "judge", "dictionary"}


def test_concepts_of_planted_kinds_are_found_and_their_baselines_are_at_chance(found):
    assert found.value("label purity") > 0.98
    assert row(found, "label purity, split neurons", "random partitions")["high"] < 0.7
    assert found.value("average precision", "centred vectors") > 0.95
    share = np.mean([each == "owl" for each in LABELS])
    assert found.value("average precision", "shuffled labels") == pytest.approx(share, abs=0.1)
    assert found.value("judge's distance between - within") > 0.5
    assert abs(found.value("judge's distance between - within", "random partitions")) < 0.05
    assert found.value("clarity") > 0.8
    chance = row(found, "intruder of the same neuron found", "random partitions")
    assert chance["low"] <= found.value("intruder of the same neuron found", "chance") <= chance["high"]
    assert found.value("intruder of the same neuron found") > 0.95
    assert found.value("with an enriched label", "shuffled labels") < 0.1


def test_the_table_of_concepts_names_the_label_and_counts_what_loops_count(found, bank, planted):
    acts, labels, _ = planted
    for concept, each in zip(bank, found.concepts.to_pylist(), strict=True):
        mine = [labels[i] for i in concept.image_ids]
        assert each["label"] == max(set(mine), key=mine.count)
        assert each["purity"] == pytest.approx(max(map(mine.count, mine)) / len(mine))
        points = acts[concept.image_ids].astype(np.float64)
        assert each["projection"] == pytest.approx((points @ concept.vector).mean(), rel=1e-4)
        assert each["projection_neuron"] == pytest.approx(points[:, concept.direction].mean(), rel=1e-4)
        cosines = points @ concept.vector / np.linalg.norm(points, axis=1)
        assert each["cosine"] == pytest.approx(cosines.mean(), rel=1e-4)
        neuron = bank.exemplars_of(concept.direction)["image_id"].to_numpy()
        others = np.setdiff1d(np.arange(900), neuron)
        order = others[np.argsort(-(acts[others] @ concept.vector))]
        assert each["precision_10"] == pytest.approx(np.mean([labels[i] == each["label"] for i in order[:10]]))


def test_figures_are_means_over_concepts_and_kept_shares_over_neurons(found, bank):
    table = found.concepts
    assert row(found, "cosine")["value"] == pytest.approx(np.mean(table["cosine"].to_numpy()))
    assert row(found, "clarity")["count"] == len(bank)
    kept = 1 - bank.exemplars["concept"].null_count / len(bank.exemplars)
    assert found.value("exemplars kept") == pytest.approx(kept)
    assert found.value("concepts per neuron") == pytest.approx(len(bank) / len(bank.directions))


def test_coverage_and_duplicates_are_those_of_loops(found, bank):
    vectors, direction = bank.vectors, bank.concepts["direction"].to_numpy()
    alike = [max(v @ w for w in vectors[direction != d]) >= 0.9 for v, d in zip(vectors, direction, strict=True)]
    assert found.value("near-duplicates") == pytest.approx(np.mean(alike))
    members = {i for concept in bank for i in concept.image_ids}
    assert found.value("images among exemplars") == pytest.approx(len(members) / 900)
    assert found.value("variance explained") == pytest.approx(1, abs=1e-5) or len(bank) < 24


def test_equal_seeds_give_equal_figures_and_another_only_moves_what_is_random(found, bank, planted):
    acts, labels, judge = planted
    assert ms.evaluate(bank, acts, labels=labels, judge=judge).figures.equals(found.figures)
    other = ms.evaluate(bank, acts, labels=labels, judge=judge, seed=1)
    for figure in ("label purity", "average precision", "clarity", "distance between", "near-duplicates"):
        assert other.value(figure) == pytest.approx(found.value(figure), abs=1e-9)


def test_a_judge_that_is_rotated_scaled_or_moved_says_the_same_of_distances(found, bank, planted):
    acts, _, judge = planted
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    other = ms.evaluate(bank, acts, judge=(3 * judge @ turn + 5).astype(np.float32))
    gap = "judge's distance between - within"
    assert other.value(gap) == pytest.approx(3 * found.value(gap), rel=1e-3)
    for figure in ("distances correlated with the judge's", "gaps correlated with the judge's"):
        assert other.value(figure) == pytest.approx(found.value(figure), abs=1e-3)


def test_detectors_of_a_bank_are_ranked_beside_its_vectors(bank, planted, monkeypatch):
    acts, labels, _ = planted
    monkeypatch.setattr(type(bank), "detectors", property(lambda self: -self.vectors), raising=False)
    other = ms.evaluate(bank, acts, labels=labels)
    assert other.value("average precision", "detectors") < 0.2
    assert other.concepts["average_precision_detector"].null_count == 0


def test_held_out_images_alone_are_ranked_where_the_bank_has_them(bank, planted):
    acts, labels, _ = planted
    info = {**bank.info, "parameters": {**bank.info["parameters"], "holdout": 0.3}}
    found = ms.evaluate(replace(bank, info=info), acts, labels=labels)
    out = held_out(with_digests(ArrayActivations(acts)), 0.3)
    assert found.info["ranked"] == {"images": int(out.sum()), "of": "held-out images (30%)", "held_out": True}
    first, concept = found.concepts.slice(0, 1).to_pylist()[0], bank[0]
    rows = np.flatnonzero(out)
    order = rows[np.argsort(-(acts[rows] @ concept.vector))]
    assert first["precision_10"] == pytest.approx(np.mean([labels[i] == first["label"] for i in order[:10]]))
    assert not any("held-out" in note for note in found.info["notes"])
    assert any("no held-out images" in note for note in ms.evaluate(bank, acts, labels=labels).info["notes"])


def test_neither_copies_nor_patches_of_exemplars_photographs_are_ranked(planted):
    acts, labels, _ = planted
    copied = np.concatenate([acts, acts])
    digests = np.array([f"{i:032x}" for i in range(900)] * 2, dtype=np.bytes_)
    mine = ArrayActivations(copied, images=Images(digests))
    bank = ms.disentangle(mine, "published", top=60, distance_threshold=12.0, outlier_threshold="q0.95")
    twice = ms.evaluate(bank, mine, labels=labels * 2)
    once = ms.evaluate(
        ms.disentangle(acts, "published", top=60, distance_threshold=12.0, outlier_threshold="q0.95"),
        acts,
        labels=labels,
    )
    assert twice.info["ranked"]["images"] == 900
    for figure in ("average precision", "label purity", "precision@10", "with an enriched label"):
        assert twice.value(figure) == pytest.approx(once.value(figure), abs=1e-6)
    photographs = ArrayActivations(acts, images=Images(digests[:900], np.arange(900) // 3))
    cut = ms.evaluate(replace(bank, info={**bank.info, "activations": {}}), photographs, labels=labels)
    assert cut.info["ranked"]["images"] == 900
    concept = bank[0]
    touched = np.unique(bank.exemplars_of(concept.direction)["image_id"].to_numpy() // 3)
    left = np.setdiff1d(np.arange(300), touched)
    rows = np.flatnonzero(np.isin(np.arange(900) // 3, left))
    first = cut.concepts.slice(0, 1).to_pylist()[0]
    order = rows[np.argsort(-(acts[rows] @ concept.vector))]
    assert first["average_precision"] == pytest.approx(
        average_precision_score([labels[i] == first["label"] for i in order], -np.arange(len(order)))
    )


def test_many_images_are_sampled(bank, planted):
    acts, labels, judge = planted
    found = ms.evaluate(bank, acts, labels=labels, judge=judge, max_images=200)
    assert found.info["ranked"]["images"] == 200
    assert "a sample of 200" in found.info["ranked"]["of"]
    sound(found)


def test_judges_rows_are_matched_by_digest(bank, planted):
    acts, _, judge = planted
    digests = np.array([f"{i:032x}" for i in range(900)], dtype=np.bytes_)
    mine = ArrayActivations(acts, images=Images(digests))
    bank = replace(bank, info={**bank.info, "activations": {}})
    straight = ms.evaluate(bank, mine, judge=judge)
    order = np.random.default_rng(0).permutation(900)
    mixed = ms.evaluate(bank, mine, judge=ArrayActivations(judge[order], images=Images(digests[order])))
    assert mixed.figures.equals(straight.figures)
    part = ms.evaluate(bank, mine, judge=ArrayActivations(judge[:600], images=Images(digests[:600])))
    assert part.info["judge"]["matched"] == 600
    sound(part)
    with pytest.raises(ms.UsageError, match="knows none of the images"):
        ms.evaluate(bank, mine, judge=ArrayActivations(judge[:2], images=Images(np.array([b"x", b"y"]))))


def test_directions_other_than_neurons_are_compared_with_themselves(planted):
    acts, labels, judge = planted
    svd = ms.disentangle(acts, "published", directions="svd", select=range(6), top=60, distance_threshold=12.0)
    found = ms.evaluate(svd, acts, labels=labels, judge=judge)
    assert found.value("projection", "neurons") is not None
    scores = ms.disentangle(acts, "published", scores=acts[:, :5], top=60, distance_threshold=12.0)
    found = ms.evaluate(scores, acts, labels=labels, judge=judge)
    assert found.value("projection", "neurons") is None
    sound(found)


@pytest.mark.parametrize("scaling", ["centred", "standardised", "minmax"])
def test_banks_in_other_frames_are_evaluated_in_theirs(planted, scaling):
    acts, labels, _ = planted
    bank = ms.disentangle(acts, "published", top=60, scaling=scaling)
    found = ms.evaluate(bank, acts, labels=labels)
    sound(found)
    mean = bank.project(acts[bank[0].image_ids])[:, 0].mean()
    assert found.concepts["projection"][0].as_py() == pytest.approx(mean, rel=1e-3)


def constant(acts):
    out = acts.copy()
    out[:, 0] = 1
    return out


@pytest.mark.parametrize(
    ("change", "select", "threshold", "min_size"),
    [
        (constant, [0, 1], 12.0, 5),
        (lambda acts: np.repeat(acts[:1], 900, axis=0), [3, 4], 12.0, 5),
        (lambda acts: np.zeros_like(acts), [0, 1], 12.0, 5),
        (lambda acts: acts, [7], 1e9, 5),
        (lambda acts: acts, [7], 12.0, 61),
        (lambda acts: acts, [5, 6, 7], 0.01, 1),
        (lambda acts: acts[:, :1], [0], 1.0, 5),
    ],
    ids=["constant neuron", "equal images", "all zero", "one concept", "no concept", "single images", "one channel"],
)
@pytest.mark.parametrize("labelled", ["none", "one", "all", "few"])
def test_degenerate_input_has_a_defined_answer(planted, change, select, threshold, min_size, labelled):
    acts, labels, judge = planted
    acts = change(acts)
    bank = ms.disentangle(
        acts, "published", select=select, top=60, distance_threshold=threshold, outlier_threshold=1e9, min_size=min_size
    )
    given = {"none": [None] * 900, "one": ["same"] * 900, "all": labels, "few": ["x"] + [None] * 899}[labelled]
    found = ms.evaluate(bank, acts, labels=given, judge=judge, resamples=50)
    sound(found)
    assert len(found.concepts) == len(bank)


def test_several_labels_an_image_and_the_most_enriched_is_the_concepts(bank, planted):
    acts, labels, _ = planted
    several = [["photo", each] for each in labels]  # every image is a photo, which says nothing
    found = ms.evaluate(bank, acts, labels=several)
    assert set(found.concepts["label"].to_pylist()) <= set(LABELS)
    assert found.value("label purity") == 1
    assert "photo" not in found.enriched["label"].to_pylist()


def test_what_is_absent_is_said(bank, planted):
    found = ms.evaluate(bank, planted[0])
    assert [note.split(":")[0] for note in found.info["notes"]] == ["no labels", "no judge"]
    assert set(found.figures["family"].to_pylist()) == {"paper", "dictionary"}
    assert "label" not in found.concepts.column_names
    assert len(found.enriched) == 0
    sound(found)


def test_what_does_not_fit_is_refused(bank, planted):
    acts, labels, judge = planted
    for arguments, sentence in [
        ({"labels": labels[:5]}, "labels for 5 images"),
        ({"judge": judge[:5]}, "the judge has 5 rows"),
        ({"judge": np.full_like(judge, np.nan)}, "not all finite"),
        ({"max_images": 0}, "max_images must be"),
        ({"resamples": 0}, "resamples must be"),
    ]:
        with pytest.raises(ms.UsageError, match=sentence):
            ms.evaluate(bank, acts, **arguments)
    with pytest.raises(ms.UsageError, match="give those it was made from"):
        ms.evaluate(bank, acts[:500])


def test_it_is_saved_whole_and_reads_as_plain_tables(found, tmp_path):
    path = found.save(tmp_path)
    content = json.loads(path.read_text())
    assert content["figures"] == found.figures.to_pylist()
    assert content["judge"]["independence"] == "not known"
    assert pq.read_table(tmp_path / "evaluation.parquet").equals(found.concepts)
    assert pq.read_table(tmp_path / "enriched.parquet").equals(found.enriched)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "enriched.parquet",
        "evaluation.json",
        "evaluation.parquet",
    ]


def test_the_text_has_a_line_for_each_figure_with_its_baselines(found):
    lines = found.lines()
    for name in CATALOGUE:
        [line] = [each for each in lines if each.startswith(f"{name}  ") and "[" in each]
        if name == "average precision":
            assert "neurons" in line
            assert "shuffled labels" in line
