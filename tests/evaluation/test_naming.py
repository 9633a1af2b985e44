"""Names: the right kind at the right level, none where nothing fits, and answers of others that are not trusted."""

import sys
from types import FunctionType, ModuleType, SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import monoseme as ms
from monoseme.base import Labels
from monoseme.evaluation import Hierarchy, Proposal
from monoseme.evaluation._naming._asked import Asked
from monoseme.evaluation._naming._vocabulary import Nearness
from monoseme.evaluation.planted import Sources, grade_names, plant, true_source

KINDS = {"dog": ("pug", "beagle", "collie"), "cat": ("lion", "lynx"), "tree": ("oak", "elm", "fir", "yew", "ash")}
ABOVE = {each: kind for kind, members in KINDS.items() for each in members} | {"dog": "animal", "cat": "animal"}
BREEDS = list(ABOVE)[:10]


@pytest.fixture(scope="module")
def world():
    """1,000 images of ten classes, and neurons that fire for a class, for a kind, for two classes, and for nothing."""
    random = np.random.default_rng(0)
    label = random.integers(0, 10, 1000)
    fires = np.zeros((10, 5))
    fires[0, 0] = fires[[0, 1, 2], 1] = fires[[0, 1, 2, 3, 4], 2] = fires[[5, 9], 3] = 1
    acts = (8 * fires[label] + random.normal(size=(1000, 5))).astype(np.float32)
    bank = ms.disentangle(acts, "published", top=60, distance_threshold=1e3, outlier_threshold=1e9)
    assert len(bank) == 5
    return acts, bank, np.array(BREEDS)[label]


@pytest.mark.parametrize(
    "concept, name",
    [(0, "pug"), (1, "dog"), (2, "animal"), (4, None)],
    ids=["class", "kind", "kind of kinds", "nothing"],
)
def test_the_most_specific_kind_that_explains_the_exemplars_is_said(world, concept, name):
    acts, bank, labels = world
    names = ms.name_concepts(bank, acts, ms.LabelNamer(labels, ABOVE))
    assert names[concept] == name
    assert (names.of(concept)["reason"] is None) == (name is not None)
    assert names.of(concept)["source"] == "labels and hierarchy"


def test_without_a_hierarchy_a_kind_has_no_name_where_no_label_fits_half_of_it(world):
    acts, bank, labels = world
    names = ms.name_concepts(bank, acts, ms.LabelNamer(labels))
    assert names[0] == "pug"
    assert names[1] is None
    assert "no label fits enough" in names.of(1)["reason"]
    assert {each["name"] for each in names.of(1)["runners_up"]} <= set(BREEDS)
    generous = ms.name_concepts(bank, acts, ms.LabelNamer(labels, coverage=0.3))
    assert generous[1] in ("pug", "beagle", "collie")


def test_scores_and_tests_are_those_of_the_exemplars_that_the_name_was_not_chosen_on(world):
    acts, bank, labels = world
    row = ms.name_concepts(bank, acts, ms.LabelNamer(labels, ABOVE)).of(1)
    ids = bank[1].image_ids
    dog = np.isin(labels, KINDS["dog"])
    assert row["score"] == dog[ids[1::2]].mean()
    assert row["chance"] == pytest.approx(dog.mean())
    assert row["images"] == 30
    left = np.setdiff1d(np.arange(1000), ids[::2])
    hits = int(dog[ids[1::2]].sum())
    assert row["p_value"] == pytest.approx(stats.hypergeom.sf(hits - 1, len(left), dog[left].sum(), 30))


def test_the_choice_is_the_greatest_f_squared_log_f_over_b(world):
    """By a plain loop over every kind."""
    acts, bank, labels = world
    hierarchy = Hierarchy.of(ABOVE)
    names = ms.name_concepts(bank, acts, ms.LabelNamer(labels, ABOVE, coverage=0.01), q=0.999)
    kinds = [set(hierarchy.above(label)) for label in labels]
    for number in range(4):
        half = bank[number].image_ids[::2]
        score = {}
        for kind in set().union(*kinds):
            f = np.mean([kind in kinds[each] for each in half])
            b = np.mean([kind in each for each in kinds])
            score[kind] = f**2 * np.log2(f / b) if f else -1
        assert names[number] == max(score, key=score.get)


def test_shuffled_labels_and_random_images_name_nothing(world):
    acts, bank, labels = world
    shuffled = np.random.default_rng(1).permutation(labels)
    names = ms.name_concepts(bank, acts, ms.LabelNamer(shuffled, ABOVE))
    assert names.named == 0
    assert ms.name_concepts(bank, acts, ms.LabelNamer(labels, ABOVE)).info["by_chance"] == 0


def test_a_single_member_is_called_by_its_own_name_not_its_kinds(world):
    acts, bank, labels = world
    assert ms.name_concepts(bank, acts, ms.LabelNamer(labels, {"pug": "toy", "toy": "dog"}))[0] == "pug"


def test_compared_with_the_other_exemplars_of_the_layer(world):
    acts, bank, labels = world
    row = ms.name_concepts(bank, acts, ms.LabelNamer(labels, background="exemplars")).of(0)
    members = np.unique(bank.exemplars["image_id"].to_numpy())
    assert row["chance"] == pytest.approx((labels[members] == "pug").mean())


def test_of_a_photograph_only_one_patch_takes_part(world):
    from monoseme.base import ArrayActivations, Images

    acts, bank, labels = world
    groups = np.arange(1000)
    ids = bank[0].image_ids
    groups[ids] = groups[ids[0]]  # all exemplars of concept 0 were cut from one photograph
    patches = ArrayActivations(acts, images=Images(groups=groups))
    row = ms.name_concepts(bank, patches, ms.LabelNamer(labels)).of(0)
    assert row["name"] is None
    assert "too few of its exemplars have labels" in row["reason"]


def test_names_of_planted_units_are_right():
    random = np.random.default_rng(0)
    label = np.arange(1200) % 12
    sources = Sources.of(6 * np.eye(12)[label] + random.normal(size=(1200, 12)), label)
    units = plant(sources, 30, (1, 2, 3), top=50)
    bank = ms.disentangle(
        sources.embeddings, "published", scores=units.scores, top=50, distance_threshold=30.0, outlier_threshold=1e9
    )
    truth = [sources.names[each] for each in true_source(units, bank)]
    graded = grade_names(ms.name_concepts(bank, sources.embeddings, ms.LabelNamer(label)), truth)
    assert (graded.right, graded.named, graded.by_chance) == (1.0, 1.0, 0.0)
    mixed = ms.name_concepts(bank, sources.embeddings, ms.LabelNamer(random.permutation(label)))
    assert grade_names(mixed, truth).named <= 0.05


def made_up(labels, words, noise=1.0, width=64):
    """A space in which images and the text of their class share a direction; other texts share it with nothing."""
    random = np.random.default_rng(0)
    of = {word: random.normal(size=width) / width**0.5 for word in words}
    common = random.normal(size=width) / width**0.5
    images = (
        np.stack([of[each] for each in labels]) + common + noise * random.normal(size=(len(labels), width)) / width**0.5
    )
    return ms.TextSpace(images.astype(np.float32), lambda texts: np.stack([of[text] for text in texts]), "made up")


NOTHING = [f"nothing {number}" for number in range(40)]


def test_a_vocabulary_names_what_it_has_a_word_for_and_nothing_else(world):
    acts, bank, labels = world
    space = made_up(labels, BREEDS + NOTHING)
    names = ms.name_concepts(bank, acts, ms.VocabularyNamer(NOTHING + BREEDS, space, template="{}"))
    assert names[0] == "pug"
    assert names[1] is None  # a third of its images are of each breed, and there is no word for all
    assert "no text fits well enough" in names.of(1)["reason"]
    assert names[4] is None
    row = names.of(0)
    assert (row["source"], row["chance"], len(row["runners_up"])) == ("made up", 0.5, 3)
    assert row["score"] > 0.95
    without = ms.name_concepts(bank, acts, ms.VocabularyNamer(NOTHING, space, template="{}"))
    assert without.named == 0
    assert names.info["by_chance"] == 0


def test_nearness_is_that_of_a_plain_loop(world):
    acts, bank, labels = world
    space = made_up(labels, BREEDS)
    asked = Asked.of(bank, ms.base.as_activations(acts), None, range(5))
    near = Nearness.of(space, asked)
    texts = space.encoded(BREEDS, near.width)
    units = space.images / np.linalg.norm(space.images, axis=1, keepdims=True)
    cosine = units.astype(np.float64) @ texts.T
    kept, chosen = asked.kept[0], asked.chosen[0]
    np.testing.assert_allclose(near.above(texts, kept), cosine[kept].mean(0) - cosine.mean(0), atol=1e-5)
    rest = np.setdiff1d(np.arange(1000), np.concatenate([kept, chosen]))
    area, p_value = near.told(texts[3], kept, chosen)
    wins = cosine[kept, 3][:, None] > cosine[rest, 3]
    assert area == pytest.approx(wins.mean(), abs=1e-3)
    assert p_value == pytest.approx(
        stats.mannwhitneyu(cosine[kept, 3], cosine[rest, 3], alternative="greater", method="asymptotic").pvalue,
        rel=0.05,
    )


def test_a_function_is_given_the_material_and_its_answer_is_scored_on_images_it_did_not_see(world):
    acts, bank, labels = world
    seen = []

    def answer(material):
        seen.append(material)
        return material.labels[0][0]

    namer = ms.CallableNamer(
        answer, source="a counter", labels=Labels.of(labels), space=made_up(labels, BREEDS), pictures=8
    )
    names = ms.name_concepts(bank, acts, namer)
    assert names[0] == "pug"
    assert names.of(0)["source"] == "a counter"
    assert names.of(0)["score"] > 0.95
    assert names[4] is None
    assert "does not fit" in names.of(4)["reason"]
    first = seen[0]
    np.testing.assert_array_equal(first.image_ids, bank[0].image_ids[::2][:8])
    assert not np.isin(first.contrast_ids, bank[0].image_ids).any()
    assert len(first.contrast_ids) == 12
    assert "neuron 0" in first.prompt
    assert f"pug ({dict(first.labels)['pug']})" in first.prompt


@pytest.mark.parametrize(
    "answer, reason",
    [
        (None, "gave no name"),
        ("", "gave no name"),
        (7, "no text but of type int"),
        (b"dog", "no text but of type bytes"),
        ("word " * 40, "no name: 199 letters"),
        ("a dog\nignore all else", "is no name"),
        (ValueError("quota\nexceeded"), "ValueError: quota"),
    ],
)
def test_rubbish_leaves_one_concept_unnamed_and_the_others_go_on(world, answer, reason):
    acts, bank, _ = world

    def function(material):
        if material.concept.number != 2:
            return f" thing {material.concept.number}\u202e "
        if isinstance(answer, Exception):
            raise answer
        return answer

    names = ms.name_concepts(bank, acts, ms.CallableNamer(function))
    assert names[2] is None
    assert reason in names.of(2)["reason"]
    assert names[1] == "thing 1\ufffd"
    assert (names.named, names.of(1)["score"]) == (4, None)


def test_ctrl_c_in_a_function_is_not_swallowed(world):
    acts, bank, _ = world

    def stopped(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ms.name_concepts(bank, acts, ms.CallableNamer(stopped))


def test_pictures_crops_and_siblings_come_from_the_run(small_run, small_model):
    bank = ms.disentangle(
        small_run.activations("3"), "published", select=range(4), top=24, distance_threshold=1.0, outlier_threshold=1e9
    )
    several = next(direction for direction in range(4) if len(bank.for_direction(direction)) > 1)
    seen = []
    namer = ms.CallableNamer(
        lambda material: seen.append(material), crops=True, model=small_model, pictures=3, contrast=2
    )
    numbers = [concept.number for concept in bank.for_direction(several)]
    names = ms.name_concepts(bank, small_run, namer, concepts=numbers)
    assert names.table["concept"].to_pylist() == numbers
    for material in seen:
        shown = len(material.image_ids)
        assert len(material.pictures) == len(material.crops) == len(material.uris) == shown <= 3
        assert all(crop.width <= 48 and crop.height <= 40 for crop in material.crops)
        assert len(material.contrast) == 2
        assert {each.concept for each in material.siblings} == set(numbers) - {material.concept.number}
        assert all(len(each.pictures) == len(each.image_ids) for each in material.siblings)


def test_labels_of_the_run_are_the_default(small_run):
    bank = ms.disentangle(
        small_run.activations("3"), "published", top=24, distance_threshold=8.0, outlier_threshold=1e9
    )
    names = ms.name_concepts(bank, small_run)
    assert {name for name in names.table["name"].to_pylist() if name} <= {"plain", "ramp", "stripes"}
    assert names.info["source"] == "labels"


def test_hierarchies_are_read_from_files(tmp_path):
    (tmp_path / "kinds.csv").write_text("pug,dog\nbeagle, dog\n\ndog,animal\n")
    (tmp_path / "kinds.tsv").write_text("pug\tsmall dog, or so\n")
    (tmp_path / "kinds.json").write_text('{"pug": ["dog", "pet"], "dog": "animal"}')
    assert Hierarchy.read(tmp_path / "kinds.csv").above("beagle") == ("beagle", "dog", "animal")
    assert Hierarchy.read(tmp_path / "kinds.tsv").above("pug") == ("pug", "small dog, or so")
    assert Hierarchy.read(tmp_path / "kinds.json").above("pug") == ("pug", "dog", "pet", "animal")


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("a.csv", "pug,dog\ndog,animal\nanimal,dog\n", "goes round in a circle"),
        ("a.csv", "pug\n", "row 1 does not hold two names"),
        ("a.csv", "", "not empty"),
        ("a.json", "[1]", "a mapping"),
        ("a.json", '{"pug": 3}', "maps text to text"),
        ("a.json", "{", "holds no hierarchy"),
        ("a.csv", b"\xff\xfe\x00", "holds no hierarchy"),
        ("a.csv", None, "there is no file"),
    ],
)
def test_files_that_hold_no_hierarchy_are_refused(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ms.UsageError, match=said):
        Hierarchy.read(tmp_path / name)


class Synset(SimpleNamespace):
    def name(self):
        return self.called

    def lemma_names(self):
        return [self.called.partition(".")[0]]

    def hypernyms(self):
        return self.above

    def instance_hypernyms(self):
        return []


def test_wordnet_is_read_by_offset_and_by_word(monkeypatch):
    """As nltk's reader answers; the data themselves are too large to come along."""
    animal = Synset(called="animal.n.01", above=[])
    dog = Synset(called="domestic_dog.n.01", above=[animal])

    def offset(part, number):
        if number != 2084071:
            raise ValueError("no such synset")
        return dog

    module = ModuleType("nltk.corpus")
    module.wordnet = SimpleNamespace(
        synset_from_pos_and_offset=offset, synsets=lambda word, pos: [dog] if word == "guide_dog" else []
    )
    monkeypatch.setitem(sys.modules, "nltk", ModuleType("nltk"))
    monkeypatch.setitem(sys.modules, "nltk.corpus", module)
    found = Hierarchy.wordnet(["n02084071", "n00000000", "guide dog", "xyz"])
    assert found.above("n02084071") == ("n02084071", "animal.n.01")
    nodes = found.nodes(("guide dog", "xyz"))
    assert set(nodes.names) == {"domestic dog", "animal", "xyz"}
    with pytest.raises(ms.MonosemeError, match="knows none of the labels"):
        Hierarchy.wordnet(["xyz"])

    def missing(*_, **__):
        raise LookupError("no data")

    module.wordnet.synsets = missing
    with pytest.raises(ms.MonosemeError, match="nothing is downloaded unasked"):
        Hierarchy.wordnet(["dog"])
    monkeypatch.setitem(sys.modules, "nltk.corpus", None)
    with pytest.raises(ms.MonosemeError, match="pip install 'monoseme\\[wordnet\\]'"):
        Hierarchy.wordnet(["dog"])


def test_what_does_not_fit_is_refused(world, tmp_path, small_run):
    acts, bank, labels = world
    space = made_up(labels, BREEDS)

    def refused(said, namer=None, data=acts, which=bank, **options):
        with pytest.raises(ms.UsageError, match=said):
            ms.name_concepts(which, data, namer() if isinstance(namer, FunctionType) else namer, **options)

    refused("give labels, or the run")
    refused("no image has a label", ms.LabelNamer([None] * 1000))
    refused("labels for 3 images", ms.LabelNamer(["a"] * 3))
    refused("knows none of the labels", ms.LabelNamer(labels, {"spoon": "cutlery"}))
    refused("pug is a kind of dog is a kind of pug", ms.LabelNamer(labels, {"pug": "dog", "dog": "pug"}))
    refused("not empty", ms.LabelNamer(labels, {}))
    refused("coverage is a share", lambda: ms.LabelNamer(labels, coverage=0))
    refused("background is", lambda: ms.LabelNamer(labels, background="all"))
    refused("holds 0 texts", lambda: ms.VocabularyNamer([], space))
    refused("holds 1 text;", lambda: ms.VocabularyNamer(["dog", " dog "], space))
    refused("list of texts", lambda: ms.VocabularyNamer(["dog", 3], space))
    refused("cannot be read", lambda: ms.VocabularyNamer(tmp_path / "none.txt", space))
    refused("where the text goes", lambda: ms.VocabularyNamer(["dog", "cat"], space, template="a photo"))
    refused("area under the curve", lambda: ms.VocabularyNamer(["dog", "cat"], space, least=2))
    refused("made up cannot encode the texts", ms.VocabularyNamer(["unknown", "words"], space))
    narrow = ms.TextSpace(space.images, lambda texts: np.ones((len(texts), 3)), "narrow")
    refused("give both sides of one encoder", ms.VocabularyNamer(["dog", "cat"], narrow))
    short = ms.TextSpace(space.images[:10], space.texts, "short")
    refused("has 10 rows", ms.VocabularyNamer(["dog", "cat"], short))
    refused("must be callable", lambda: ms.CallableNamer("model"))
    refused("show at least one picture", lambda: ms.CallableNamer(print, pictures=0))
    refused("crops are cut from images", ms.CallableNamer(print, crops=True))
    refused("false discovery rate", ms.LabelNamer(labels), q=0)
    refused("no concept 9", ms.LabelNamer(labels), concepts=[9])
    refused("at least one concept", ms.LabelNamer(labels), concepts=[])
    refused("made from activations with", ms.LabelNamer(labels[:9]), data=acts[:9])
    refused("holds no layer", ms.LabelNamer(labels), data=small_run)
    none = ms.disentangle(acts, "published", select=[0], top=20, min_size=99)
    refused("holds no concepts", ms.LabelNamer(labels), which=none)


def test_namers_of_ones_own_are_asked(world):
    acts, bank, _ = world

    class Same:
        source, scored_by, tests = "me", "nothing", False

        def __call__(self, asked):
            return [Proposal("thing", score=1.0)] * len(asked.concepts)

    assert ms.name_concepts(bank, acts, Same()).table["name"].to_pylist() == ["thing"] * 5
