"""Trees laid out flat, and the test at each node."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import dendrogram as scipy_dendrogram

import monoseme as ms
from monoseme.base import as_activations
from monoseme.splitting import NodeTests, Trees, leaves_below
from monoseme.views import leaf_order, view_neuron, view_tree


@pytest.fixture(scope="module")
def bank(layer) -> ms.ConceptBank:
    return ms.disentangle(layer, "published", top=40, distance_threshold=6.0)


def test_branches_stand_where_scipy_draws_them(bank, layer):
    view = view_neuron(bank, 2, acts=layer)
    tree = view_tree(view)
    linkage = Trees(view.merges[None], view.heights[None]).linkage(0)
    drawn = scipy_dendrogram(linkage, no_plot=True)
    np.testing.assert_allclose(np.sort([d[1] for d in drawn["dcoord"]]), tree.heights)
    # The order of two siblings is free; scipy's branches, given our leaves, are ours.
    place = dict(zip(tree.leaves.tolist(), range(40), strict=True))
    for step, (one, other) in enumerate(view.merges.tolist()):
        place[40 + step] = (place[one] + place[other]) / 2
        legs = {tuple(tree.left[step]), tuple(tree.right[step])}
        heights = [0.0 if child < 40 else view.heights[child - 40] for child in (one, other)]
        assert legs == {(place[one], heights[0]), (place[other], heights[1])}
    np.testing.assert_array_equal(np.sort(tree.leaves), np.arange(40))


def test_no_two_branches_cross(bank, layer):
    for neuron in range(6):
        view = view_neuron(bank, neuron, acts=layer)
        place = np.argsort(leaf_order(view.merges))
        for below in leaves_below(view.merges):
            spots = np.sort(place[below])
            assert spots[-1] - spots[0] + 1 == len(spots)


def test_the_cut_and_the_concepts_of_branches_agree(bank, layer):
    view = view_neuron(bank, bank.most_split(1)[0], acts=layer)
    tree = view_tree(view)
    assert tree.cut == 6.0
    kept = view.concept >= 0
    for below, concept in zip(leaves_below(view.merges), tree.concept, strict=True):
        present = set(view.concept[below & kept].tolist())
        assert present == {concept} if concept >= 0 else len(present) != 1


def test_a_node_of_two_planted_groups_divides_and_nodes_of_one_do_not():
    random = np.random.default_rng(0)
    centres = np.array([[9.0, 9, 0, 0], [9, 0, 9, 0], [0, 0, 0, 9], [0, 0, 0, 0]])  # neuron 0 fires for two things
    fires = (centres[np.arange(400) % 4] + random.normal(size=(400, 4))).astype(np.float32)
    bank = ms.disentangle(fires, select=[0], top=60, bootstrap=0, holdout=0.0)
    view = view_neuron(bank, 0, acts=fires)
    tests = NodeTests.of(bank, as_activations(fires))
    tree = view_tree(view, tests)
    assert tree.divides[-1]
    assert tree.divides.sum() == 1
    assert tree.p_value[-1] == pytest.approx(bank.divisions["p_value"][0].as_py(), rel=1e-3)
    small = leaves_below(view.merges).sum(1) < tests.method.testable
    assert np.isnan(tree.p_value[small]).all()


def test_p_values_never_fall_on_the_way_down(bank, layer):
    view = view_neuron(bank, 3, acts=layer)
    p_value, _ = NodeTests.of(bank, as_activations(layer))(view.embeddings, view.merges)
    points = len(view.image_ids)
    for node, children in enumerate(view.merges):
        for child in children:
            if child >= points and np.isfinite(p_value[child - points]):
                assert p_value[child - points] >= p_value[node]
