"""The page around the parts: head, banks to choose from, and assets that the package brings along."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, unquote

from fastapi import Response

from ..base import printable
from ..base.html import Html, element, joined
from ..views import charts

SCRIPTS = ("page.js", "layer.js", "neuron.js", "concept.js", "map.js", "study.js", "heat.js", "feature.js", "try.js")
LIVE = ("concept.js", "study.js", "heat.js", "feature.js", "try.js")
"""Scripts that have nothing to do without a server."""
TOOLS = (("try", "try an image"),)
"""Further pages of a bank, by the end of their address."""
PAGE = "text/html; charset=utf-8"
HTML: dict[str, Any] = {"response_class": Response, "responses": {200: {"content": {"text/html": {}}}}}
"""What a route says of itself that answers with HTML."""
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """Content and media type of each asset by its name; no other name is ever looked up."""
    folder = files(__package__) / "assets"
    found = {name: (folder / name).read_bytes() for name in (*SCRIPTS, "icon.svg")}
    found["explorer.css"] = (charts.style() + (folder / "explorer.css").read_text(encoding="utf-8")).encode()
    return {name: (content, KINDS[name[name.rindex(".") :]]) for name, content in found.items()}


@cache
def asset(name: str) -> str:
    """The address of an asset, which changes with its content."""
    return f"/assets/{name}?v={hashlib.sha256(assets()[name][0]).hexdigest()[:12]}"


@dataclass(frozen=True)
class Place:
    """Where a page is: what its head shows and its links begin with.

    run : name of the run
    banks : (layer, name) of all banks
    layer, bank : those of the page, None where it belongs to none
    """

    run: str
    banks: tuple[tuple[str, str], ...] = ()
    layer: str | None = None
    bank: str | None = None

    @property
    def base(self) -> str:
        """The address of the layer page."""
        return "/" if self.layer is None or self.bank is None else bank_address(self.layer, self.bank)


def bank_address(layer: str, bank: str) -> str:
    """The address of a bank's page. A layer's name is quoted twice, for a slash in it is no slash of the address.

    >>> bank_address("features.0", "calibrated"), bank_address("a/b", "x")
    ('/banks/features.0/calibrated', '/banks/a%252Fb/x')
    """
    return f"/banks/{quote(quote(layer, safe=''), safe='')}/{quote(bank, safe='')}"


def layer_of(segment: str) -> str:
    """The layer that a segment of an address names, once the server has unquoted it."""
    return unquote(segment)


def page(
    place: Place, title: str, parts: Sequence[Html], *, scripts: Sequence[str] = (), data: dict[str, Any] | None = None
) -> bytes:
    """A whole HTML document. Its scripts and styles are files of ours; `data` goes along as JSON, which nothing runs.

    An element that only a server can bring to life is marked ``data-live``: a copy as files, or in a notebook, leaves it out.
    """
    inside = [element("a", "to the content", href="#content", class_="skip"), _header(place), *content(parts)]
    return document(f"{printable(title, 80)} - monoseme", inside, scripts=("page.js", *scripts), data=data)


def document(
    title: str, inside: Sequence[Html], *, scripts: Sequence[str], data: dict[str, Any] | None = None
) -> bytes:
    """A whole HTML document of what is inside its body, with nothing around that."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href=asset("icon.svg")),
        element("link", rel="stylesheet", href=asset("explorer.css")),
        *(element("script", src=asset(name), defer="", data_live="" if name in LIVE else None) for name in scripts),
    )
    body = [*inside]
    if data is not None:
        body.append(element("script", json_text(data), type="application/json", id="data"))
    whole = element("html", head, element("body", *body), lang="en")
    return joined([Html("<!doctype html>\n"), whole, Html("\n")]).encode("utf-8", "replace")


def content(parts: Sequence[Html]) -> list[Html]:
    """The content of a page, and the line that screen readers speak."""
    return [
        element("main", *parts, id="content", tabindex="-1"),
        element("p", id="said", role="status", class_="said"),
    ]


def error_page(status: int, sentence: str, place: Place | None = None, *, alone: bool = False) -> bytes:
    """A page that says what is wrong, and what to do; with no way to other pages where it stands alone."""
    parts = [
        element("h1", _NAMES.get(status, "That did not work")),
        element("p", f"{sentence[:1].upper()}{sentence[1:]}.", class_="lead"),
    ]
    if place is not None:
        parts.append(element("p", element("a", "Back to the layer", href=place.base)))
    if alone:
        return document(_NAMES.get(status, "error"), content(parts), scripts=())
    return page(place or Place(""), _NAMES.get(status, "error"), parts)


_NAMES = {
    400: "That cannot be asked",
    401: "Who is there?",
    403: "Not allowed",
    404: "Not there",
    409: "Already there",
    421: "Wrong host",
}


def json_text(data: object) -> Html:
    """JSON inside a page: no character of it can end the element that it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _header(place: Place) -> Html:
    links = []
    for layer, bank in place.banks:
        here = "page" if (layer, bank) == (place.layer, place.bank) else None
        layers = {each for each, _ in place.banks}
        text = f"{printable(layer, 40)} / {bank}" if len(layers) > 1 else bank
        links.append(element("a", text, href=bank_address(layer, bank), aria_current=here))
    nav = element("nav", element("span", "banks ", class_="faint"), *links, aria_label="banks") if links else Html()
    home = element("a", "monoseme", href="/", class_="home")
    name = element("span", printable(place.run, 40), class_="run") if place.run else Html()
    tools = []
    if place.bank is not None:
        tools += [element("a", text, href=f"{place.base}/{end}") for end, text in TOOLS]
    if place.run:
        tools.append(element("a", "studies", href="/studies"))
    more = element("nav", *tools, aria_label="more", class_="tools", data_live="") if tools else Html()
    return element("header", home, name, nav, more, class_="top")
