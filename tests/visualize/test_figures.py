"""Figures by the data that they draw, not by their pixels."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import monoseme as ms
from monoseme.base import as_activations
from monoseme.splitting import NodeTests
from monoseme.views import similarities, view_neuron
from monoseme.visualize import PICTURES, Pictures, kind_of, needs_only_the_run
from monoseme.visualize._maps import middle_of_cells
from monoseme.visualize._style import COLOURS, GREY, mark, rendered


@pytest.fixture(scope="module")
def bank(small_run) -> ms.ConceptBank:
    return ms.disentangle(
        small_run.activations("3"), "published", top=24, distance_threshold=1.0, outlier_threshold="q0.8", min_size=3
    )


@pytest.fixture(scope="module")
def view(bank, small_run):
    return view_neuron(bank, bank.most_split(1)[0], small_run)


def boxes_of(axes) -> list[np.ndarray]:
    """(least, median, greatest) of what each box was drawn from cannot be read back, but its median can."""
    return [line.get_ydata()[0] for line in axes.lines if line.get_linewidth() == 1.4]


def test_a_dendrogram_draws_every_branch_its_cut_and_its_leaves(view):
    figure = ms.dendrogram(view)
    tree, leaves = figure.axes
    [branches] = tree.collections
    tops = sorted(float(path.vertices[1][1]) for path in branches.get_paths())
    np.testing.assert_allclose(tops, np.sort(view.heights))
    [cut] = [line for line in tree.lines if line.get_linestyle() == "--"]
    assert cut.get_ydata()[0] == 1.0
    assert len(leaves.images) == len(view.image_ids)


def test_a_dendrogram_shows_how_sure_each_node_is(bank, small_run, view):
    tests = NodeTests.of(bank, small_run.activations("3"))
    tree = ms.dendrogram(view, tests).axes[0]
    p_value, cosine = tests(view.embeddings, view.merges)
    divides = (p_value <= tests.method.level) & (cosine < tests.method.widest_cosine)
    drawn = {line.get_label(): len(line.get_xdata()) for line in tree.lines}
    assert drawn["more than one concept below"] == divides.sum()
    assert drawn["one concept below"] == (np.isfinite(p_value) & ~divides).sum()
    assert f"p = {p_value[-1]:.2g}" in [text.get_text() for text in tree.texts]


def test_a_dendrogram_of_plain_arrays_has_no_leaves(layer):
    bank = ms.disentangle(layer, "published", top=20)
    assert len(ms.dendrogram(view_neuron(bank, 0, acts=layer)).axes) == 1


def test_matrices_are_in_the_order_of_the_concepts_with_and_without_the_neuron(view):
    figure = ms.similarity_matrices(view)
    matrices = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(matrices) == 6
    expected = similarities(view.embeddings, "cosine")[np.ix_(view.order, view.order)]
    np.testing.assert_allclose(matrices[0], expected)
    expected = similarities(view.embeddings, "euclidean", without=view.direction)[np.ix_(view.order, view.order)]
    np.testing.assert_allclose(matrices[5], expected)
    named = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert named == [*(str(concept.number) for concept in view.concepts), "dropped"]


def test_matrices_of_given_directions_leave_no_coordinate_out(layer):
    directions = np.random.default_rng(0).normal(size=(1, 24))
    view = view_neuron(ms.disentangle(layer, "published", top=20, directions=directions), 0, acts=layer)
    assert len([axes for axes in ms.similarity_matrices(view).axes if axes.images]) == 3


def test_boxes_have_the_medians_of_what_they_are_of(view):
    [axes] = ms.activation_boxes(view).axes
    expected = [np.median(view.activation[group.places]) for group in view.groups]
    np.testing.assert_allclose(boxes_of(axes), expected, rtol=1e-6)
    points = {c.number: view.embeddings[view.concept == c.number].astype(np.float64) for c in view.concepts}
    [axes] = ms.distance_boxes(view).axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    first = view.concepts[0].number
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(points[first]) for b in points[first][i + 1 :]]
    np.testing.assert_allclose(boxes_of(axes)[labels.index(f"within\n{first}")], np.median(gaps), rtol=1e-5)
    projection, cosine = ms.alignment_boxes(view).axes
    onto = points[first] @ view.concepts[0].vector
    np.testing.assert_allclose(boxes_of(projection)[0], np.median(onto), rtol=1e-5)
    np.testing.assert_allclose(boxes_of(projection)[1], np.median(points[first][:, view.direction]), rtol=1e-5)
    lengths = np.linalg.norm(points[first], axis=1)
    np.testing.assert_allclose(boxes_of(cosine)[0], np.median(onto / lengths), rtol=1e-5)


def test_scores_have_no_direction_to_compare_with(layer):
    scores = np.random.default_rng(0).random((600, 1))
    view = view_neuron(ms.disentangle(layer, "published", top=30, scores=scores), 0, acts=layer)
    assert len(boxes_of(ms.alignment_boxes(view).axes[0])) == len(view.concepts)


def test_components_are_those_of_the_vectors(view):
    axes = ms.concept_composition(view).axes
    for place, concept in enumerate(view.concepts):
        np.testing.assert_array_equal(axes[2 * place].lines[0].get_ydata(), concept.vector)
        widths = [bar.get_width() for bar in axes[2 * place + 1].patches]
        largest = np.argsort(-np.abs(concept.vector), kind="stable")[:12]
        np.testing.assert_array_equal(np.float32(widths), concept.vector[largest])


def test_singular_similarity_draws_the_cosines(view, small_run):
    singular = ms.svd_directions(small_run.activations("3"))[1]
    axes = ms.singular_similarity(view, singular).axes
    assert len(axes) == len(view.concepts) + 1
    for each, vector in zip(axes, [*(concept.vector for concept in view.concepts), view.start], strict=True):
        drawn = [
            path.vertices[:, 1].max(initial=0) + path.vertices[:, 1].min(initial=0)
            for path in each.collections[0].get_paths()
        ]
        np.testing.assert_allclose(drawn, singular @ vector, atol=1e-5)


def test_the_histogram_counts_as_the_bank_does(bank):
    [axes] = ms.concept_histogram(bank).axes
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in axes.patches}
    assert {number: count for number, count in heights.items() if count} == bank.histogram()


def test_no_thumbnail_of_a_map_covers_another(view):
    figure = ms.exemplar_map(view, "pca", dropped=True, tile=20)
    canvas = figure.axes[0].images[0].get_array()
    rows, columns = canvas.shape[0] // 22, canvas.shape[1] // 22
    edges = canvas[np.arange(rows) * 22][:, np.arange(columns) * 22]
    filled = (edges != 255).any(-1).sum()
    assert filled == len(view.image_ids)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[1].startswith(f"concept {view.concepts[0].number}: {view.concepts[0].size} images (")


def test_with_more_concepts_than_colours_each_thumbnail_shows_a_marker(view):
    many = 12
    concept = np.arange(len(view.image_ids)) % many
    crowded = replace(view, concept=concept, concepts=tuple(replace(view.concepts[0], number=n) for n in range(many)))
    [axes] = ms.exemplar_map(crowded, "pca", tile=30).axes
    drawn = [(line.get_marker(), line.get_color()) for line in axes.lines]
    assert len(drawn) == len(view.image_ids) + many  # one on each thumbnail, one in the legend for each concept
    assert len(set(drawn)) == many
    [few] = ms.exemplar_map(view, "pca", tile=30).axes
    assert len(few.lines) == len(view.concepts)


def test_a_map_of_concepts_has_a_point_each_and_pictures_beside_it(bank, small_run):
    points, atlas, *_ = ms.concept_map(bank, small_run, "pca").axes
    assert len(points.collections[0].get_offsets()) == len(bank)
    assert len(atlas.images) == 1
    assert len(ms.concept_map(bank, how="pca").axes[0].images) == 0


def test_a_cell_shows_the_point_nearest_to_its_middle():
    at = np.random.default_rng(0).random((200, 2))
    chosen, cells = middle_of_cells(at, 5)
    assert len(np.unique(cells, axis=0)) == len(cells)
    scaled = (at - at.min(0)) / np.ptp(at, axis=0) * 5
    for point, cell in zip(chosen, cells, strict=True):
        inside = (np.minimum(scaled.astype(int), 4) == cell).all(1)
        off = np.linalg.norm(scaled - cell - 0.5, axis=1)
        assert off[point] == off[inside].min()


def test_clusters_before_dropping_show_every_exemplar(bank, small_run, view):
    figure = ms.concept_grid(bank, small_run, view.direction, before=True)
    [axes] = figure.axes
    texts = [text.get_text() for text in axes.texts][1:]
    assert len(texts) == len(np.unique(view.cluster))
    assert sum(int(text.split("\n")[1].split()[0]) for text in texts) == len(view.image_ids)
    dropped = sum(int(text.split(", ")[1].split()[0]) for text in texts if "dropped" in text)
    assert dropped == (view.concept < 0).sum()


def simulated(colour: str, kind: str) -> np.ndarray:
    """What a dichromat sees, in linear light (Machado et al. 2009, severity 1.0)."""
    matrix = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        "none": np.eye(3),
    }[kind]
    rgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.clip(np.asarray(matrix) @ linear, 0, 1)


@pytest.mark.parametrize("kind", ["none", "protan", "deutan", "tritan"])
def test_colours_are_told_apart_by_colour_blind_readers(kind):
    from skimage.color import deltaE_ciede2000, xyz2lab

    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    lab = np.array([xyz2lab(to_xyz @ simulated(colour, kind)) for colour in COLOURS])
    gaps = deltaE_ciede2000(lab[:, None], lab[None])
    assert gaps[~np.eye(len(COLOURS), dtype=bool)].min() > 8


def test_more_than_fifty_classes_have_marks_of_their_own():
    assert len({mark(number) for number in range(60)}) == 60
    assert GREY not in COLOURS


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_file(view, suffix, tmp_path):
    one, other = (ms.save_figure(ms.dendrogram(view), tmp_path / f"{n}.{suffix}").read_bytes() for n in (1, 2))
    assert one == other
    assert one.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix])


def test_notebooks_can_ask_a_figure_for_its_picture(view):
    shown = Image.open(io.BytesIO(ms.activation_boxes(view)._repr_png_()))
    assert shown.format == "PNG"
    assert rendered(ms.activation_boxes(view), "png") == ms.activation_boxes(view)._repr_png_()


@pytest.mark.parametrize("what", list(PICTURES))
def test_every_kind_of_picture_can_be_drawn_by_name(bank, small_run, small_model, what, view):
    pictures = Pictures(bank, small_run, model=small_model, projection="pca")
    figure = pictures.draw(what, view.direction)
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_position()
        assert min(box.x0, box.y0) > -0.01
        assert max(box.x1, box.y1) < 1.01


def test_what_a_picture_needs_and_lacks_is_said(bank, small_run, view, tmp_path, photos, small_model):
    pictures = Pictures(bank, small_run)
    with pytest.raises(ms.UsageError, match="did you mean dendrogram"):
        kind_of("dendogram")
    with pytest.raises(ms.UsageError, match="of one neuron"):
        pictures.draw("dendrogram")
    with pytest.raises(ms.UsageError, match="no projection"):
        Pictures(bank, small_run, projection="pac")
    bare = ms.embed(small_model, photos, ["3"], tmp_path / "bare", thumbnails=False, workers=0)
    pictures = Pictures(bank, bare, projection="pca")
    for what in needs_only_the_run("neuron"):
        if PICTURES[what].needs == "thumbnails":
            with pytest.raises(ms.MonosemeError, match="no thumbnails"):
                pictures.draw(what, view.direction)
        else:
            assert pictures.draw(what, view.direction).axes
    assert pictures.draw("layer-map").axes


def test_neurons_without_concepts_and_other_suffixes_are_refused(layer, tmp_path):
    bank = ms.disentangle(layer, "published", top=20, distance_threshold=0.01)
    view = view_neuron(bank, 0, acts=layer)
    assert not view.concepts
    for draw in (ms.distance_boxes, ms.alignment_boxes, ms.concept_composition):
        with pytest.raises(ms.UsageError, match="has no concept"):
            draw(view)
    assert ms.dendrogram(view, NodeTests.of(bank, as_activations(layer))).axes
    assert ms.similarity_matrices(view).axes
    with pytest.raises(ms.UsageError, match="png, svg or pdf"):
        ms.save_figure(ms.dendrogram(view), tmp_path / "x.jpg")
    with pytest.raises(ms.UsageError, match="with the run"):
        ms.exemplar_map(view)
    with pytest.raises(ms.UsageError, match="no concepts to map"):
        ms.concept_map(bank)
