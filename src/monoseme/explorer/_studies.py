"""Studies as whoever runs them sees them: drawn from a bank, their link, what people have answered, as a page and as data."""

from __future__ import annotations

import hmac
import json
import threading
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from ..base import STUDIES, MonosemeError, counted, printable
from ..base.html import Html, element
from ..evaluation import Study, csv_of, list_studies, new_study, open_study
from ._images import opened
from ._jobs import Taken
from ._opened import NotFound, Opened
from ._page import HTML, PAGE, page
from ._study_results import figures_table, questions_list

router = APIRouter()


class Studies:
    """The studies of a run, each read once as long as it is the same."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._known: dict[str, tuple[tuple[int, int], Study]] = {}

    def all(self) -> list[str]:
        """Their names."""
        return list_studies(self._run)

    def named(self, name: str) -> Study:
        """One of them; the name is looked up in a listing of the folder.

        Raises
        ------
        NotFound
            There is none of that name.
        """
        if name not in self.all():
            raise NotFound(f"the run has no study {name[:60]!r}")
        file = (self._run / STUDIES / name / "study.json").stat()
        stamp = (file.st_mtime_ns, file.st_ino)
        with self._lock:
            held = self._known.get(name)
            if held is None or held[0] != stamp:
                held = self._known[name] = (stamp, open_study(self._run, name))
        return held[1]

    def of_link(self, link: str) -> Study:
        """The study that a link leads to, looked for in a time that does not depend on how much of it is right.

        Raises
        ------
        NotFound
            It leads to none.
        """
        found = None
        for name in self.all():
            try:
                study = self.named(name)
            except MonosemeError:  # a damaged one is told to whoever runs it
                continue
            if hmac.compare_digest(study.link.encode(), link.encode("utf-8", "replace")):
                found = study
        if found is None:
            raise NotFound("there is no study at this address; ask for the link again")
        return found


async def studies(request: Request) -> Studies:
    """The studies of the run that this application shows."""
    found = request.app.state.studies
    assert isinstance(found, Studies)
    return found


def _named(
    study: Annotated[str, PathParameter(max_length=100, description="name of the study")],
    known: Annotated[Studies, Depends(studies)],
) -> Study:
    return known.named(study)


Named = Annotated[Study, Depends(_named)]
Known = Annotated[Studies, Depends(studies)]
Run = Annotated[Opened, Depends(opened)]


class StudyRequest(BaseModel):
    """What to draw a study from."""

    model_config = {"extra": "forbid"}
    name: str = Field(max_length=100)
    layer: str = Field(max_length=600)
    bank: str = Field(max_length=100)
    tests: list[str] | None = Field(None, max_length=3)
    concepts: int = Field(10, ge=1, le=500)
    controls: int = Field(5, ge=0, le=500)
    shown: int = Field(5, ge=2, le=24)
    options: int = Field(4, ge=2, le=9)
    seed: int = Field(0, ge=0, le=2**32)
    note: str = Field("", max_length=2_000)


class FigureAnswer(BaseModel):
    """How often people were right in one kind of question, of one kind of set."""

    test: str
    against: str | None
    of: str
    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    more: float | None
    more_low: float | None
    more_high: float | None
    alpha: float | None
    seconds: float | None
    questions: int
    people: int
    answers: int
    unsure: int


class StudyAnswer(BaseModel):
    """A study and what people have answered so far."""

    name: str
    layer: str
    bank: str
    address: str
    seed: int
    questions: int
    people: int
    finished: int
    figures: list[FigureAnswer]


class StudiesAnswer(BaseModel):
    """The studies of a run, by name."""

    studies: list[str]


@router.get("/studies", **HTML)
def studies_page(known: Known, run: Run, request: Request) -> Response:
    """All studies of the run, and a form to draw another."""
    rows = [element("tr", *_row(known, name)) for name in known.all()]
    heads = [element("th", each, scope="col") for each in ("study", "bank", "questions", "people", "answers")]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    parts = [
        element("h1", "Studies with people"),
        element(
            "p",
            "Does what the splitting found look like one thing to people? Questions are drawn at random from a bank; whoever has "
            "a study's link can answer them, and sees nothing else of the run.",
            class_="lead",
        ),
        element("div", table, class_="scrolling") if rows else element("p", "There is none yet.", class_="faint"),
    ]
    if not request.app.state.guard.read_only:
        parts.append(element("section", element("h2", "Draw a new one"), _form(run)))
    return Response(page(run.place(), "studies", parts, scripts=["study.js"]), media_type=PAGE)


@router.get("/api/studies")
def studies_json(known: Known) -> StudiesAnswer:
    """The names of all studies."""
    return StudiesAnswer(studies=known.all())


@router.post("/api/studies", status_code=201)
def study_new(wanted: StudyRequest, known: Known, run: Run) -> StudyAnswer:
    """Draw a study from a bank."""
    run.bank(wanted.layer, wanted.bank)  # not there is 404
    if wanted.name in known.all():
        raise Taken(f"the run has a study {wanted.name!r} already; choose another name")
    return _answer(new_study(run.run, wanted.name, **wanted.model_dump(exclude={"name"})))


@router.get("/studies/{study}", **HTML)
def study_page(study: Named, run: Run, request: Request) -> Response:
    """One study: its link, and what people have answered so far."""
    score = study.score()
    address = str(request.base_url).rstrip("/") + study.address
    copied = element("button", "copy the link", type="button", data_copy=address)
    drawn = (
        f"{counted(len(study.questions), 'question')} about {printable(study.layer, 60)} / {study.bank}, drawn with the seed "
        f"{study.config.seed}"
    )
    data = f"/api/studies/{study.name}"
    exported = [
        element(
            "p", element("a", "all answers as CSV", href=f"{data}/answers.csv"), " ", element("a", "as JSON", href=data)
        )
    ]
    parts = [
        element("h1", f"Study {study.name}"),
        element("p", drawn, class_="lead"),
        element("p", "Send people this link: ", element("a", address, href=study.address, id="link"), " ", copied),
        element(
            "p",
            "It shows the study and nothing else. For people at other machines start the explorer with --host and an address "
            "that they can reach; they need nothing but the link.",
            class_="faint small",
        ),
        element("section", element("h2", "Results so far"), figures_table(study, score), *exported),
        element("section", element("h2", "Questions"), questions_list(study, run.run)),
    ]
    return Response(page(run.place(), f"study {study.name}", parts), media_type=PAGE)


@router.get("/api/studies/{study}")
def study_json(study: Named) -> StudyAnswer:
    """One study and its figures, as data."""
    return _answer(study)


@router.get(
    "/api/studies/{study}/answers.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}, "description": "A row an answer."}},
)
def study_csv(study: Named) -> Response:
    """Every answer of a study as CSV."""
    name = f'attachment; filename="{study.name}.csv"'
    return Response(
        csv_of(study.answers()), media_type="text/csv; charset=utf-8", headers={"content-disposition": name}
    )


def _row(known: Studies, name: str) -> list[Html]:
    """What the list says of a study."""
    head = element("th", element("a", name, href=f"/studies/{name}"), scope="row")
    try:
        study = known.named(name)
    except MonosemeError as error:
        return [head, element("td", error, colspan=4, class_="error")]
    counts = (len(study.questions), study.given.people(), len(study.given.all()))
    bank = element("td", f"{printable(study.layer, 60)} / {study.bank}")
    return [head, bank, *(element("td", f"{each:,}", class_="number") for each in counts)]


def _form(run: Opened) -> Html:
    banks = [
        element("option", f"{printable(layer, 60)} / {bank}", value=json.dumps({"layer": layer, "bank": bank}))
        for layer, bank in run.banks
    ]
    name = element("input", name="name", id="name", required="", pattern=r"[A-Za-z0-9][A-Za-z0-9._\-]*", maxlength="60")
    fields = [("name", "Name", name), ("bank", "Bank", element("select", *banks, name="bank", id="bank", required=""))]
    for key, label, value, least, most in (
        ("concepts", "Concepts for each kind of question", 10, 1, 500),
        ("controls", "Sets of the baseline for each", 5, 0, 500),
        ("shown", "Pictures of a set", 5, 2, 24),
        ("seed", "Seed", 0, 0, 2**32),
    ):
        number = element("input", type="number", name=key, id=key, value=value, min=least, max=most, required="")
        fields.append((key, label, number))
    note = element("textarea", name="note", id="note", rows="3", maxlength=2_000)
    fields.append(("note", "Note to those who take part: who asks, whom to write to", note))
    rows = [
        element("div", element("label", label, for_=key), control, class_="field") for key, label, control in fields
    ]
    return element(
        "form", *rows, element("p", element("button", "draw", type="submit"), class_="buttons"), element("p", id="drawn"),
        id="draw", class_="fields drawing", autocomplete="off",
    )  # fmt: skip


def _answer(study: Study) -> StudyAnswer:
    score = study.score()
    return StudyAnswer(
        name=study.name,
        layer=study.layer,
        bank=study.bank,
        address=study.address,
        seed=study.config.seed,
        questions=len(study.questions),
        people=score.people,
        finished=score.finished,
        figures=[FigureAnswer(**row) for row in score.figures.to_pylist()],
    )
