"""What people say of a concept: the form that takes it, what keeps it, and how it is shown."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from ..banks import NAME, NOTE, TAG, TAGS, Annotation, annotate
from ..base import UsageError, printable
from ..base.html import Html, element, joined, text
from ..views import ConceptView, Title, Titles
from ._bank import Bank, Number
from ._opened import OpenedBank

router = APIRouter()

KEYS = (("n", "name"), ("x", "reject or keep"), ("j", "next"), ("k", "previous"))
KNOWN = 12
"""Tags of other concepts that the form offers."""


class NameAnswer(BaseModel):
    """What a concept is called, who says so, where that is from, and what it is worth; empty where nothing is known."""

    text: str
    by: Literal["person", "automatic", "label"]
    source: str
    detail: str


class AnnotationAnswer(BaseModel):
    """All that people say of a concept."""

    name: str
    tags: list[str]
    note: str
    rejected: bool
    time: str


class Said(BaseModel):
    """What is to be said of a concept; what is left out stays as it is."""

    model_config = {"extra": "forbid", "strict": True}
    name: str | None = None
    tags: list[str] | None = None
    note: str | None = None
    rejected: bool | None = None


class SaidAnswer(BaseModel):
    """What a concept is called now, and all that people say of it."""

    name: NameAnswer
    annotation: AnnotationAnswer


@router.post("/api/banks/{layer}/{bank}/concept/{concept}/annotation")
def say(bank: Bank, concept: Number, said: Said) -> SaidAnswer:
    """Name a concept, tag it, note something or reject it; kept in the run under the concept's key."""
    bank.require(concept)
    given = said.model_dump(exclude_none=True)
    if not given:
        raise UsageError("say a name, tags, a note, or whether it is rejected")
    kept = annotate(bank.run, bank.bank, concept, **given)
    labels = bank.labels.counts(bank.bank[concept].image_ids)
    return SaidAnswer(name=name_answer(bank.titles.of(kept.key, labels)), annotation=answer_of(kept))


def name_answer(title: Title) -> NameAnswer:
    """A title as JSON."""
    return NameAnswer(**title._asdict())


def answer_of(said: Annotation) -> AnnotationAnswer:
    """What is said, as JSON."""
    known = {name: getattr(said, name) for name in AnnotationAnswer.model_fields}
    return AnnotationAnswer(**known | {"tags": list(said.tags)})


def called(title: Title, **attributes: object) -> Html:
    """A title; one that nobody gave is faint."""
    kind = {"person": "called", "automatic": "called automatic", "label": "faint"}[title.by]
    return element("span", printable(title.text, NAME), class_=kind, title=title.detail or None, **attributes)


def form(bank: OpenedBank, view: ConceptView, read_only: bool) -> Html:
    """The fields for what people say of a concept; where nothing may be changed they only show it."""
    said = view.annotation or Annotation(view.concept.key)
    note = Html("\n".join(text(row, NOTE) for row in said.note.split("\n")))
    offered = f"such as {printable(view.title.text, 40)}" if view.title.by != "person" and view.title.text else None
    name = element("input", name="name", id="name", value=said.name, placeholder=offered, autocomplete="off")
    tags = element(
        "input", name="tags", id="tags", value=", ".join(said.tags), autocomplete="off", aria_describedby="limits"
    )
    fields = [
        _field("name", "Name", name),
        _field("tags", "Tags", tags),
        _field("note", "Note", element("textarea", note, name="note", id="note", rows="3", aria_describedby="limits")),
        element(
            "label",
            element("input", type="checkbox", name="rejected", id="rejected", checked="" if said.rejected else None),
            " rejected: no concept worth having",
        ),
    ]
    limits = element(
        "p",
        f"Several tags with commas between them. A name has at most {NAME} letters, a concept {TAGS} tags of {TAG} letters, a "
        f"note {NOTE:,}. It stays with the concept in every bank that finds it again.",
        id="limits",
        class_="faint small",
        data_live="",
    )
    if read_only:
        why = "The explorer was started with --read-only: what is said is shown and cannot be changed."
        end = [element("p", why, data_live="")]
    else:
        keys = [joined([element("kbd", key), f" {what} "]) for key, what in KEYS]
        end = [
            _known(bank.titles),
            element("p", element("button", "keep", type="submit"), " ", element("output", id="kept")),
            element("noscript", element("p", "Keeping it needs scripts; or use monoseme annotate in a terminal.")),
            element("p", *keys, class_="faint small keys"),
        ]
    address = f"/api{bank.place().base}/concept/{view.concept.number}/annotation"
    inside = element(
        "fieldset",
        element("legend", "Name, tags and note", class_="hidden"),
        *fields,
        limits,
        *end,
        disabled="" if read_only else None,
    )
    return element("form", inside, id="mark", data_address=address, autocomplete="off")


def _field(name: str, label: str, content: Html) -> Html:
    return element("div", element("label", label, for_=name), content, class_="line")


def _known(titles: Titles) -> Html:
    """The commonest tags of the run, to be put on this concept too."""
    counts = Counter(tag for each in titles.annotations.values() for tag in each.tags)
    ordered = sorted(counts, key=lambda tag: (-counts[tag], tag))[:KNOWN]
    buttons = [joined([element("button", tag, type="button", class_="tag", data_tag=tag), " "]) for tag in ordered]
    return element("p", "tags so far: ", *buttons, class_="small") if buttons else Html()
