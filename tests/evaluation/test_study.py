"""Studies with people: what is drawn, what is kept, and what the answers say."""

import csv
import io
import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import monoseme as ms
from monoseme.base import Labels, Lock, bank_folder
from monoseme.evaluation import StudyConfig
from monoseme.evaluation._study._answers import Answers
from monoseme.evaluation._study._draw import draw
from monoseme.evaluation._study._statistics import (
    Given,
    agreement,
    agreement_interval,
    alpha,
    crossed,
    crossed_difference,
    wilson,
)


@pytest.fixture(scope="module")
def bank(layer) -> ms.ConceptBank:
    """Of neurons with one to three classes each."""
    return ms.disentangle(layer, top=60, min_size=6, bootstrap=0)


@pytest.fixture(scope="module")
def labels(layer) -> Labels:
    random = np.random.default_rng(0)
    return Labels.of([f"class {number}" for number in random.integers(0, 6, len(layer))])


EVERY = StudyConfig(tests=("intruder", "label", "word"), concepts=6, controls=4, seed=3)


def test_the_draw_is_a_function_of_bank_labels_and_configuration(bank, labels):
    first = draw(bank, labels, EVERY)
    assert draw(bank, labels, EVERY) == first
    assert draw(bank, labels, StudyConfig(**{**vars(EVERY), "seed": 4})) != first
    asked = Counter((each.test, each.against, each.of) for each in first)
    assert asked == {
        ("intruder", "same neuron", "concepts"): 6,
        ("intruder", "same neuron", "random partitions"): 4,
        ("intruder", "another neuron", "concepts"): 6,
        ("intruder", "another neuron", "neurons"): 4,
        ("label", None, "concepts"): 6,
        ("label", None, "neurons"): 4,
        ("word", None, "concepts"): 6,
        ("word", None, "neurons"): 4,
    }


def test_pictures_are_of_the_concept_and_the_intruder_is_not(bank, labels):
    seen = set()
    for each in draw(bank, labels, EVERY):
        assert len(set(each.images)) == len(each.images) == 5 + (each.test == "intruder")
        kept = {concept.number: set(concept.image_ids.tolist()) for concept in bank.for_direction(each.direction)}
        intruder = each.images[each.answer] if each.test == "intruder" else None
        rest = set(each.images) - {intruder}
        if each.of == "concepts":
            own = kept[each.concept]
            assert rest <= own
            assert each.key == bank[each.concept].key
            assert intruder not in own
            if each.against == "same neuron":
                assert any(intruder in other for number, other in kept.items() if number != each.concept)
        else:
            assert len(kept) > 1 or each.of == "random partitions"
            assert rest <= set.union(*kept.values())
            if each.against == "same neuron":
                assert intruder in set.union(*kept.values())
        if each.test == "intruder":
            seen.add(each.answer)
    assert len(seen) > 3  # the intruder is anywhere


def test_the_random_partition_mixes_what_the_concepts_keep_apart(bank):
    config = StudyConfig(tests=("intruder",), concepts=1, controls=40)
    mixed = 0
    for each in draw(bank, Labels.none(600), config):
        if each.of == "random partitions":
            sets = [set(concept.image_ids.tolist()) for concept in bank.for_direction(each.direction)]
            rest = {image for place, image in enumerate(each.images) if place != each.answer}
            mixed += not any(rest <= own for own in sets)
    assert mixed > 5


def test_no_neuron_is_asked_about_again_before_all_have_been(bank, labels):
    config = StudyConfig(tests=("word",), concepts=500, controls=0)
    able = [concept for concept in bank if concept.size >= 5]
    questions = draw(bank, labels, config)
    assert sorted(each.concept for each in questions) == [concept.number for concept in able]
    first = [each.direction for each in questions][: len({concept.direction for concept in able})]
    assert len(set(first)) == len(first)


def test_every_concept_is_equally_likely_to_be_the_first(bank, labels):
    counts = Counter(
        draw(bank, labels, StudyConfig(tests=("word",), concepts=1, controls=0, seed=seed))[0].concept
        for seed in range(600)
    )
    able = [concept.number for concept in bank if concept.size >= 5]
    expected = 600 / len(able)
    statistic = sum((counts[number] - expected) ** 2 / expected for number in able)
    from scipy.stats import chi2

    assert chi2.sf(statistic, len(able) - 1) > 1e-4


def test_labels_to_choose_from_hold_the_concepts_own_and_none_of_another_picture_that_is_shown(bank, labels):
    for each in draw(bank, labels, EVERY):
        if each.test != "label":
            continue
        assert len(set(each.options)) == len(each.options) <= 4
        shown = {name for name, _ in labels.counts(each.images)}
        wrong = set(each.options) - {each.options[each.answer]}
        assert not wrong & shown
        if each.of == "concepts":
            assert each.options[each.answer] == labels.counts(bank[each.concept].image_ids)[0][0]


def test_where_there_is_nothing_to_ask_it_says_so(bank, labels):
    with pytest.raises(ms.UsageError, match="show fewer of each"):
        draw(ms.disentangle(np.eye(30, dtype=np.float32), top=10, bootstrap=0), Labels.none(30), StudyConfig(shown=24))
    with pytest.raises(ms.UsageError, match="no labels to choose from"):
        draw(bank, Labels.none(600), StudyConfig(tests=("label",)))
    with pytest.raises(ms.UsageError, match="the tests are any of"):
        StudyConfig(tests=("guess",))
    with pytest.raises(ms.UsageError, match="seed must be a whole number"):
        StudyConfig(seed=-1)


def test_wilsons_interval_is_that_of_scipy():
    from scipy.stats import binomtest

    for right, trials in ((0, 5), (3, 5), (5, 5), (70, 100)):
        expected = binomtest(right, trials).proportion_ci(method="wilson")
        assert wilson(right, trials)[1:] == pytest.approx((expected.low, expected.high))
    assert np.isnan(wilson(0, 0)).all()


def test_alpha_is_that_of_krippendorffs_example():
    # Four observers, twelve units, values missing: the table of Krippendorff 1980, alpha 0.743 for nominal data.
    gone = None
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gone, gone, gone],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gone, 3],
        [gone, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gone],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gone],
    ]
    said = [(unit, value) for row in table for unit, value in enumerate(row) if value is not gone]
    unit = np.array([each for each, _ in said])
    assert alpha(unit, [value for _, value in said]) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_where_people_agree_near_nought_where_they_guess_and_unknown_alone():
    random = np.random.default_rng(0)
    unit = np.repeat(np.arange(200), 4)
    assert alpha(unit, (unit % 5).tolist()) == 1
    guessed = random.integers(0, 6, 800).tolist()
    assert abs(alpha(unit, guessed)) < 0.05
    observed, expected = agreement(unit, guessed)
    assert observed == pytest.approx(1 / 6, abs=0.03)
    assert expected == pytest.approx(1 / 6, abs=0.01)
    low, high = agreement_interval(unit, guessed)[1:]
    assert low < observed < high
    assert np.isnan(alpha(np.arange(3), [1, 1, 2]))


def answers_of(random, people, questions, *, spread) -> Given:
    """Chances of a right answer differ by person and by question."""
    chance = 0.6 + spread * random.normal(size=(people, 1)) + spread * random.normal(size=(1, questions))
    right = random.random((people, questions)) < chance
    person, question = np.indices(right.shape)
    return Given(right.astype(float).ravel(), person.ravel(), question.ravel())


def test_the_interval_holds_the_truth_where_people_and_questions_differ():
    random = np.random.default_rng(0)
    inside = alone = 0
    for seed in range(120):
        given = answers_of(random, 8, 20, spread=0.15)
        interval = crossed(given, resamples=300, seed=seed)
        inside += interval.low <= 0.6 <= interval.high
        low, high = wilson(given.right.sum(), len(given.right))[1:]
        alone += low <= 0.6 <= high
    assert inside >= 108  # 90 % of 120
    assert alone < inside  # answers that are taken for independent promise too much


def test_an_interval_has_a_width_even_where_all_answers_are_right_or_one_person_gave_them():
    questions = np.tile(np.arange(4), 8)
    people = np.repeat(np.arange(8), 4)
    same = crossed(Given(np.ones(32), people, questions))
    assert same == pytest.approx(wilson(4, 4))
    assert 0.5 < same.low < 0.52
    alone = crossed(Given(np.array([1.0, 1, 0, 1]), np.zeros(4, np.int64), np.arange(4)))
    assert alone == pytest.approx(wilson(3, 4))
    assert np.isnan(crossed(Given(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)))).all()


def test_a_difference_is_surer_than_two_intervals_for_the_same_people_gave_both():
    random = np.random.default_rng(1)
    people, questions = 12, 30
    ease = random.normal(size=(people, 1)) * 0.2
    pair = []
    for level in (0.7, 0.4):
        right = random.random((people, questions)) < level + ease
        person, question = np.indices(right.shape)
        pair.append(Given(right.astype(float).ravel(), person.ravel(), question.ravel()))
    difference = crossed_difference(*pair, seed=0)
    apart = [crossed(each, seed=0) for each in pair]
    assert difference.value == pytest.approx(pair[0].mean - pair[1].mean)
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < sum(each.high - each.low for each in apart)
    nothing = Given(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))
    assert np.isnan(crossed_difference(pair[0], nothing)).all()


@pytest.fixture(scope="module")
def source(small_run, tmp_path_factory) -> ms.Run:
    run = ms.open_run(shutil.copytree(small_run.path, tmp_path_factory.mktemp("study") / "run"))
    bank = ms.disentangle(run.activations("3"), top=24, bootstrap=0, min_size=3, granularity=0.97)
    bank.save(bank_folder(run.path, "3", "calibrated"))
    return run


@pytest.fixture
def run(source, tmp_path) -> ms.Run:
    return ms.open_run(shutil.copytree(source.path, tmp_path / "run"))


def test_a_study_is_kept_as_it_was_drawn_even_when_its_bank_is_replaced(run):
    made = ms.new_study(
        run, "first", tests=("intruder", "label"), concepts=3, controls=2, shown=3, seed=1, note="write to me"
    )
    ms.disentangle(run.activations("3"), "published", top=24, min_size=3).save(
        bank_folder(run.path, "3", "calibrated"), overwrite=True
    )
    found = ms.open_study(run.path)
    assert found.questions == made.questions
    assert (found.link, found.config, found.note, found.name) == (made.link, made.config, "write to me", "first")
    assert len(made.link) == 32
    assert made.link not in repr(made)
    assert ms.new_study(run, "second", shown=3).link != made.link
    with pytest.raises(ms.UsageError, match="name one of first or second"):
        ms.open_study(run)
    with pytest.raises(ms.UsageError, match="did you mean second"):
        ms.open_study(run, "secon")
    with pytest.raises(ms.UsageError, match="already"):
        ms.new_study(run, "first")
    for name in ("../x", "a/b", ".x", ""):
        with pytest.raises(ms.UsageError, match="no name for a study"):
            ms.new_study(run, name)


def test_a_study_needs_thumbnails(small_model, photos, tmp_path):
    run = ms.embed(small_model, photos, ["3"], tmp_path / "run", thumbnails=False, workers=0)
    ms.disentangle(run.activations(), top=24, bootstrap=0).save(bank_folder(run.path, "3", "calibrated"))
    with pytest.raises(ms.UsageError, match="no thumbnails"):
        ms.new_study(run, "x")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 9},
        {"link": "short"},
        {"questions": []},
        {"questions": [{"test": "intruder"}]},
        {"config": {"tests": None, "seed": "x"}},
        {"layer": None, "questions": 3},
    ],
)
def test_a_damaged_study_is_one_sentence(run, change):
    made = ms.new_study(run, "x", shown=3)
    path = made.folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ms.MonosemeError, match="draw the study anew"):
        ms.open_study(run)


def test_a_question_with_an_answer_that_is_none_is_refused(run):
    made = ms.new_study(run, "x", shown=3)
    path = made.folder / "study.json"
    facts = json.loads(path.read_text())
    for change in ({"answer": 9}, {"images": [-1]}, {"answer": None}, {"options": [3]}, {"test": "x"}, {"more": 1}):
        path.write_text(json.dumps({**facts, "questions": [facts["questions"][0] | change]}))
        with pytest.raises(ms.MonosemeError, match="damaged"):
            ms.open_study(run)


def test_each_person_gets_the_questions_and_the_pictures_in_an_order_of_their_own(run):
    study = ms.new_study(run, "x", tests=("intruder", "word"), shown=3)
    orders = [study.order(person) for person in range(20)]
    assert all(sorted(order) == list(range(len(study.questions))) for order in orders)
    assert len(set(map(tuple, orders))) > 10
    kinds = [[study.questions[each].test for each in order] for order in orders]
    assert all(each == sorted(each) for each in kinds)  # one kind after the other
    places = {study.shown(person, 0)[0].index(study.questions[0].answer) for person in range(60)}
    assert places == {0, 1, 2, 3}
    assert study.shown(7, 0) == study.shown(7, 0)


def test_answers_are_counted_beside_chance_and_baseline(run):
    study = ms.new_study(run, "x", concepts=4, controls=3, shown=3, seed=2)
    for _ in range(5):
        token = study.given.begin()
        for number, each in enumerate(study.questions):
            right = each.of == "concepts"
            choice = each.answer if right else (each.answer + 1) % each.choices
            study.given.give(token, number, choice, None, 2.5)
    study.given.begin()  # and one who never answers
    score = ms.open_study(run).score()
    assert (score.people, score.finished) == (6, 5)
    for row in score.figures.to_pylist():
        own = row["of"] == "concepts"
        assert row["value"] == (1.0 if own else 0.0)
        assert row["chance"] == pytest.approx(0.25 if row["test"] == "intruder" else row["chance"])
        assert row["alpha"] is None or row["alpha"] == pytest.approx(1)
        assert row["more"] == (1.0 if own else None)
        assert (row["people"], row["answers"], row["seconds"]) == (5, 5 * row["questions"], 2.5)
    assert score.value("intruder", against="another neuron") == 1
    assert score.value("intruder", "neurons") == 0
    assert score.value("nothing") is None
    assert any("intruder of the same neuron found" in line for line in score.lines())
    assert "5 finished" in score._repr_html_()


def test_who_cannot_tell_counts_as_wrong_but_not_as_disagreeing(run):
    study = ms.new_study(run, "x", tests=["intruder"], concepts=4, controls=0, shown=3)
    for unsure in (False, True):
        token = study.given.begin()
        for number, each in enumerate(study.questions):
            study.given.give(token, number, None if unsure else each.answer, None, 1)
    row = study.score().figures.to_pylist()[0]
    assert (row["value"], row["unsure"], row["answers"]) == (0.5, row["questions"], 2 * row["questions"])


def test_words_count_by_how_often_two_people_say_the_same(run):
    study = ms.new_study(run, "x", tests=["word"], concepts=3, controls=0, shown=3)
    for words in (("Dog", "cat", "sky"), ("dog ", "CAT", "puppy"), ("puppy", "cat", "sky")):
        token = study.given.begin()
        for number, word in enumerate(words):
            study.given.give(token, number, None, word, 1)
    row = study.score().figures.to_pylist()[0]
    assert row["value"] == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    said = Counter(["dog", "dog", "puppy", "cat", "cat", "cat", "sky", "sky", "puppy"])
    assert row["chance"] == pytest.approx(sum(n * (n - 1) for n in said.values()) / (9 * 8))
    merged = study.score({"puppies": "x", "PUPPY": "dog"}).value("word")
    assert merged == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_without_answers_the_score_says_nothing(run):
    score = ms.new_study(run, "x", shown=3).score()
    assert (score.people, score.finished) == (0, 0)
    assert {row["value"] for row in score.figures.to_pylist()} == {None}
    assert "0 began, 0 finished" in score.lines()[0]


def test_the_csv_holds_every_answer_no_token_and_no_formula(run, tmp_path):
    study = ms.new_study(run, "x", tests=["word"], concepts=3, controls=0, shown=3)
    token = study.given.begin()
    hostile = ('=HYPERLINK("http://evil.example")', '"; drop\n, "', "\u202eevil")
    for number, word in enumerate(hostile):
        study.given.give(token, number, None, word, 1.25)
    text = study.save_csv(tmp_path / "out.csv").read_bytes().decode()
    assert token not in text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["word"] for row in rows] == ["'" + hostile[0], *hostile[1:]]
    table = study.answers().to_pylist()
    for row, given in zip(rows, table, strict=True):
        assert row["person"] == "0"
        assert [int(each) for each in row["images"].split()] == given["images"]
        assert (row["seconds"], row["right"], row["chosen"]) == ("1.25", "", "")
        assert int(row["concept"]) == given["concept"]


def test_the_first_answer_counts_and_survives_a_line_that_a_crash_cut_off(tmp_path):
    path = tmp_path / "answers.jsonl"
    answers = Answers(path)
    token = answers.begin()
    assert answers.give(token, 0, 1, None, 2).choice == 1
    assert answers.give(token, 0, 2, None, 2).choice == 1
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"person":0,"question":1,"cho')  # and the power goes
    again = Answers(path)
    assert [each.question for each in again.all()] == [0]
    assert again.person(token) == 0
    again.give(token, 1, 3, None, 4)
    assert path.read_bytes().startswith(whole)
    assert [each.choice for each in Answers(path).all()] == [1, 3]
    assert [each.choice for each in answers.all()] == [1, 3]  # what another process has written is seen


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", "{}", '{"person":-1,"question":0,"choice":0,"word":null,"seconds":1,"at":1}', '"x"', "[" * 9999],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "answers.jsonl"
    Answers(path).begin()
    with path.open("a") as file:
        file.write(line + "\n")
    for _ in range(2):
        with pytest.raises(ms.MonosemeError, match=r"line 2 of .* is damaged"):
            Answers(path).all()


def test_a_token_that_was_never_given_out_saves_nothing(tmp_path):
    answers = Answers(tmp_path / "answers.jsonl")
    with pytest.raises(ms.UsageError, match="nobody takes part"):
        answers.give("x", 0, 1, None, 1)
    assert answers.people() == 0


def test_so_many_people_are_no_people(tmp_path, monkeypatch):
    monkeypatch.setattr("monoseme.evaluation._study._answers.PEOPLE", 2)
    answers = Answers(tmp_path / "answers.jsonl")
    answers.begin()
    answers.begin()
    with pytest.raises(ms.UsageError, match="no more people"):
        answers.begin()


def test_writers_that_know_nothing_of_each_other_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "answers.jsonl"
    tokens = [Answers(path).begin() for _ in range(3)]

    def answer_many(token: str) -> None:
        answers = Answers(path)  # with files of its own: the system's lock is all that they share
        for question in range(15):
            answers.give(token, question, 0, None, 1)
        answers.begin()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(answer_many, tokens))
    answers = Answers(path)
    assert answers.people() == 6
    assert Counter(each.person for each in answers.all()) == {0: 15, 1: 15, 2: 15}


def test_a_writer_that_never_lets_go_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("monoseme.evaluation._study._answers.WAIT", 0.05)
    path = tmp_path / "answers.jsonl"
    with Lock(path.with_suffix(".lock"), ""), pytest.raises(ms.MonosemeError, match="being written; try again"):
        Answers(path).begin()
