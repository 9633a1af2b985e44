"""A study as those see it who take part: a start, a question a page, an end, and nothing that gives anything away.

The link is all that they need, and it opens nothing else: these are the only pages that are answered without the token of the
explorer. Pictures are named by their place on the page alone, questions by how many there were before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from ..base import MonosemeError, UsageError, counted, printable
from ..base.html import Html, element
from ..evaluation import Answer, Question, Study
from ._images import opened, thumbnail_of
from ._jobs import Taken
from ._opened import NotFound, Opened
from ._page import HTML, PAGE, content, document
from ._studies import Known

router = APIRouter(prefix="/study/{link}")
ONWARD: dict[str, Any] = {"response_class": Response, "status_code": 303, "responses": {303: {"description": "onward"}}}
SECONDS = 8
"""What a question takes, for the promise on the first page."""

ASKED = {
    "intruder": "Which picture does not belong with the others?",
    "label": "Which word fits these pictures best?",
    "word": "What do these pictures have in common?",
}
TOLD = {
    "intruder": "All pictures but one have something in common. You choose the one that does not belong.",
    "label": "You see pictures that belong together, and choose the word that fits them best.",
    "word": "You see pictures that belong together, and say in a word or two what they have in common.",
}


def _study(link: Annotated[str, Path(max_length=100, description="from the study's link")], known: Known) -> Study:
    return known.of_link(link)


Linked = Annotated[Study, Depends(_study)]
Token = Annotated[str, Path(max_length=100, description="a random token, one for each person who takes part")]
Step = Annotated[int, Path(ge=1, le=10_000, description="which question, from 1")]


@dataclass(frozen=True)
class Person:
    """Somebody who takes part, and how far they are."""

    study: Study
    token: str
    number: int

    @property
    def base(self) -> str:
        """What their addresses begin with."""
        return f"{self.study.address}/{self.token}"

    @property
    def order(self) -> list[int]:
        """Their questions, in order."""
        return self.study.order(self.number)

    @property
    def answered(self) -> dict[int, Answer]:
        """What they have said, by question."""
        return self.study.given.of(self.number)

    def onward(self) -> str:
        """The address of the first question that is not answered, or of the end."""
        answered = self.answered
        left = (step for step, question in enumerate(self.order, 1) if question not in answered)
        return f"{self.base}/{next(left, 'end')}"

    def question(self, step: int) -> int:
        """The question of a step that is answered, or is next.

        Raises
        ------
        NotFound
            There is no such step.
        Taken
            It is not its turn yet.
        """
        if step > len(self.order):
            raise NotFound(f"there is no question {step}; the last is {len(self.order)}")
        answered = self.answered
        if any(before not in answered for before in self.order[: step - 1]):
            raise Taken("the questions before this one come first; open the study's link again")
        return self.order[step - 1]


def _person(study: Linked, person: Token) -> Person:
    number = study.given.person(person)
    if number is None:
        raise NotFound("nobody takes part under this address; open the study's link and begin")
    return Person(study, person, number)


Taking = Annotated[Person, Depends(_person)]
Here = Annotated[Opened, Depends(opened)]


class Onward(BaseModel):
    """Where to go on."""

    address: str


class Begin(BaseModel):
    """Nothing is asked of those who begin."""

    model_config = {"extra": "forbid"}


class Given(BaseModel):
    """An answer: a choice by its place on the page or a word, or neither for "cannot tell"."""

    model_config = {"extra": "forbid"}
    choice: int | None = Field(None, ge=0, le=100)
    word: str | None = Field(None, min_length=1, max_length=100)
    seconds: float = Field(ge=0, le=86_400, allow_inf_nan=False)


@router.get("", **HTML)
def start(study: Linked, request: Request) -> Response:
    """What it is about, what is kept, and a button to begin."""
    tests = list(dict.fromkeys(each.test for each in study.questions))
    count = len(study.questions)
    minutes = max(1, round(count * SECONDS / 60))
    lead = f"{counted(count, 'question')} about pictures, about {counted(minutes, 'minute')}."
    kept = (
        "Your answers and the time that each takes are saved under a random number; no name, no address, nothing about you or "
        "your machine. Taking part is voluntary: stop whenever you like by closing the page. What you have answered until then "
        "stays saved, and the same address goes on from there."
    )
    parts = [
        element("h1", "A study about pictures"),
        element("p", lead, class_="lead"),
        element("ul", *(element("li", TOLD[test]) for test in tests)),
        element("p", "There is no hint and no trick. Choose what seems right to you; if you cannot tell, say so."),
        element("h2", "What is saved"),
        element("p", kept),
    ]
    parts += [element("p", line, class_="note") for line in study.note.splitlines() if line.strip()]
    if request.app.state.guard.read_only:
        parts.append(element("p", "The study takes no answers at the moment.", class_="error"))
    else:
        begin = element("button", "I take part", type="button", id="begin", data_address=study.address)
        go_on = element("a", "go on where you were", id="go-on", hidden="")
        parts.append(element("p", begin, " ", go_on, class_="buttons"))
        parts.append(element("noscript", element("p", "The questions need JavaScript.", class_="error")))
        parts.append(element("p", id="wrong", class_="error"))
    return _page("start", parts)


@router.post("", status_code=201)
def begin(study: Linked, _: Begin) -> Onward:
    """Somebody begins, under a token of their own."""
    return Onward(address=f"{study.address}/{study.given.begin()}/1")


@router.get("/{person}", **ONWARD)
def go_on(person: Taking) -> Response:
    """To the first question that is not answered."""
    return RedirectResponse(person.onward(), 303)


@router.get("/{person}/end", **HTML)
def end(person: Taking) -> Response:
    """Thanks; or a way back to what is not answered."""
    left = len(person.order) - len(person.answered)
    if left:
        text = f"{counted(left, 'question')} {'is' if left == 1 else 'are'} not answered yet. "
        parts = [element("h1", "Not quite done"), element("p", text, element("a", "Go on", href=person.base))]
    else:
        parts = [element("h1", "Thank you"), element("p", "All your answers are saved. You can close this page now.")]
    return _page("end", parts)


@router.get(
    "/{person}/{step}",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}, 303: {"description": "not yet: to the question whose turn it is"}},
)
def ask(person: Taking, step: Step) -> Response:
    """One question; one that was answered as it was answered, for answers stay."""
    try:
        number = person.question(step)
    except Taken:
        return RedirectResponse(person.onward(), 303)
    question, given = person.study.questions[number], person.answered.get(number)
    images, options = person.study.shown(person.number, number)
    count = len(person.order)
    places = images if question.test == "intruder" else options
    chosen = None if given is None or given.choice is None else places.index(given.choice)
    bar = element("progress", value=len(person.answered), max=count, aria_label="answered")
    parts = [
        element("p", bar, f" question {step} of {count}", class_="faint progress"),
        element("h1", ASKED[question.test]),
        _form(person, step, question, options, chosen, given),
        element("p", id="wrong", class_="error"),
    ]
    return _page(f"question {step}", parts, given is not None)


@router.post("/{person}/{step}")
def answer(person: Taking, step: Step, given: Given) -> Onward:
    """Save an answer. The first to a question counts: the same again changes nothing, another is refused."""
    number = person.question(step)
    question = person.study.questions[number]
    if given.word is not None and (question.test != "word" or given.choice is not None or not given.word.strip()):
        raise UsageError("this question takes no such word")
    choice = None
    if given.choice is not None:
        if given.choice >= question.choices:
            raise UsageError(f"there is no choice {given.choice + 1} of {question.choices}")
        images, options = person.study.shown(person.number, number)
        choice = (images if question.test == "intruder" else options)[given.choice]
    saved = person.study.given.give(person.token, number, choice, given.word, given.seconds)
    if (saved.choice, saved.word) != (choice, given.word):
        raise Taken("you have answered this question before, and that answer counts")
    return Onward(address=person.onward())


@router.get(
    "/{person}/{step}/{place}.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "A picture of the question."}},
)
def picture(person: Taking, step: Step, place: Annotated[int, Path(ge=1, le=100)], run: Here) -> Response:
    """A picture by its place on the page of a question."""
    number = person.question(step)
    images, _ = person.study.shown(person.number, number)
    if place > len(images):
        raise NotFound("there is no such picture")
    now = run.run
    if now.manifest.images["digest"] != person.study.info.get("listing_digest"):
        raise MonosemeError("the pictures have been replaced since the study was drawn; tell whoever sent you the link")
    content_of = thumbnail_of(now, person.study.questions[number].images[images[place - 1]])
    return Response(content_of, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


def _form(
    person: Person, step: int, question: Question, options: list[int], chosen: int | None, given: Answer | None
) -> Html:
    count, here = len(question.images), f"{person.base}/{step}"
    done = None if given is None else ""
    pictures = [
        element("img", src=f"{here}/{place}.jpg", alt=f"picture {place} of {count}", width=160, height=160)
        for place in range(1, count + 1)
    ]

    def choice(place: int, *shown: object) -> Html:
        checked = "" if place == chosen else None
        box = element("input", type="radio", name="choice", value=place, checked=checked, disabled=done)
        return element("label", box, element("kbd", place + 1), " ", *shown, class_="choice")

    if question.test == "intruder":
        fields = [element("div", *(choice(place, each) for place, each in enumerate(pictures)), class_="pictures")]
    else:
        fields = [element("ul", *(element("li", each) for each in pictures), class_="plain pictures")]
    if question.test == "label":
        words = [printable(question.options[each], 60) for each in options]
        fields.append(element("div", *(choice(place, word) for place, word in enumerate(words)), class_="words"))
    if question.test == "word":
        word = "" if given is None else given.word or ""
        said = element("input", name="word", id="word", maxlength="100", value=word, disabled=done)
        fields.append(element("p", element("label", "In a word or two: ", said)))
    buttons: list[object] = []
    if given is None:
        zero = [] if question.test == "word" else [element("kbd", "0"), " "]
        buttons = [
            element("button", "next", type="submit", id="next", disabled=""),
            element("button", *zero, "I cannot tell", type="button", id="unsure"),
        ]
    else:
        told = "could not tell" if given.choice is None and given.word is None else "have answered this"
        buttons = [f"You {told}; answers stay as they are. ", element("a", "go on", href=person.base, id="next")]
    if step > 1:
        buttons.append(element("a", "back", href=f"{person.base}/{step - 1}", rel="prev"))
    legend = element("legend", ASKED[question.test], class_="hidden")
    return element(
        "form", element("fieldset", legend, *fields, disabled=None), element("p", *buttons, class_="buttons"),
        id="question", class_="question", data_address=here, data_onward=person.base, autocomplete="off",
    )  # fmt: skip


def _page(title: str, parts: list[Html], done: bool = False) -> Response:
    scripts = ("page.js",) if done else ("page.js", "study.js")
    made = document(f"{title} - study", content(parts), scripts=scripts)
    return Response(made, media_type=PAGE, headers={"cache-control": "no-store"})
