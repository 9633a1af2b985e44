"""What people have answered, as parts of a study's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..base import counted, printable
from ..base.html import Html, element, joined
from ..evaluation import Study, StudyScore
from ..runs import Run
from ._images import thumbnails
from ._opened import Fact
from ._page import bank_address

WORDS = 12
"""Words of a question that are shown."""


def figures_table(study: Study, score: StudyScore) -> Html:
    """The figures, with what they are compared with."""
    heads, *rows = score.rows()
    head = element("tr", *(element("th", each, scope="col") for each in heads))
    body = [
        element("tr", element("th", name, scope="row"), *(element("td", each) for each in cells))
        for name, *cells in rows
    ]
    table = element("table", element("thead", head), element("tbody", *body), id="figures")
    about = (
        "Intervals (95 %) are for other people and other questions. Agreement is Krippendorff's alpha: 1 where people choose the "
        "same, 0 as by chance. Who could not tell counts as wrong."
    )
    begun = f"{score.people:,} began, {score.finished:,} finished all {counted(len(study.questions), 'question')}."
    return element(
        "div",
        element("p", begun, id="begun"),
        element("div", table, class_="scrolling", tabindex="0", role="region", aria_label="figures"),
        element("p", about, class_="faint small"),
    )


def questions_list(study: Study, run: Run) -> Html:
    """Every question with its pictures, folded away: what is right, and what people said."""
    said: dict[int, list[str]] = {}
    right: Counter[int] = Counter()
    for row in study.answers().to_pylist():
        text = row["word"] if row["chosen"] is None else row["chosen"]
        said.setdefault(row["question"], []).append("cannot tell" if text is None else text)
        right[row["question"]] += bool(row["right"])
    items = [_question(study, place, run, said.get(place, []), right[place]) for place in range(len(study.questions))]
    summary = element("summary", "Show the questions with their answers")
    return element("details", summary, element("ol", *items, class_="plain questions"), id="questions")


def _question(study: Study, place: int, run: Run, said: Sequence[str], right: int) -> Html:
    asked = study.questions[place]
    base = bank_address(study.layer, study.bank)
    of = (
        f"{asked.of} of {asked.direction}"
        if asked.concept is None
        else element("a", f"concept {asked.concept}", href=f"{base}/concept/{asked.concept}")
    )
    words: list[object] = [f"{place}. {asked.test}, ", of, f": {counted(len(said), 'answer')}"]
    if said and asked.answer is not None:
        words.append(f", {right:,} right")
    counts = (
        ""
        if asked.test == "intruder"
        else ", ".join(f"{printable(word, 40)} {count}" for word, count in Counter(said).most_common(WORDS))
    )
    marks = [
        "intruder" if asked.test == "intruder" and each == asked.answer else None for each in range(len(asked.images))
    ]
    facts = [Fact(row["uri"], row["label"]) for row in run.images(asked.images, ["uri", "label"]).to_pylist()]
    own = f"its own label: {printable(asked.options[asked.answer or 0], 60)}" if asked.test == "label" else ""
    lines = [element("p", joined(words)), thumbnails(run, asked.images, facts, marks=marks)]
    lines += [element("p", text, class_="faint small") for text in (own, counts) if text]
    return element("li", *lines)
