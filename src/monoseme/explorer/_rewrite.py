"""A page made to live without its server: links lead to files or nowhere, and what only a server can do is left out.

It relies on what `base.html.element` guarantees: tags are closed, and neither text nor attributes hold a bare ``<``, ``>`` or ``"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape

_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)([^>]*)>")
_LINK = re.compile(r' (href|src)="([^"]*)"')
_VOID = ("img", "br", "input", "link", "meta")
_TILE = re.compile(r'(<li data-place="\d+">)<img [^>]*>')
_LIVE = re.compile(r" data-live(?:=|$|\s)")


def rewritten(page: str, link: Callable[[str], str | None], **root: str) -> str:
    """A page with other links, without what is marked ``data-live``.

    Parameters
    ----------
    page : str
        HTML from `base.html.element`, whole or a part.
    link : callable
        An address as the explorer writes it -> another in its place, None where it leads nowhere any more. A link in a ``nav``
        then goes with its text; elsewhere its text stays.
    root : str
        Attributes of the root element.

    >>> rewritten('<p data-live="">x<b>y</b></p><nav><a href="/b">b</a></nav><a href="/c">c</a>', lambda address: None)
    '<nav></nav><a>c</a>'
    >>> rewritten('<a href="/b">b</a>', lambda address: "b.html")
    '<a href="b.html">b</a>'
    """
    made: list[str] = []
    leaving: list[str] = []
    kept = inside = 0
    for tag in _TAG.finditer(page):
        closing, name, attributes = tag[1] == "/", tag[2], tag[3]
        if leaving:  # until the element that is left out ends
            if closing:
                leaving.pop()
                kept = tag.end()
            elif name not in _VOID:
                leaving.append(name)
            continue
        if closing:
            inside -= name == "nav"
            continue
        inside += name == "nav"
        changed = _LINK.sub(lambda found: _linked(found, link), attributes)
        lost = name == "a" and "href=" in attributes and "href=" not in changed
        if _LIVE.search(attributes) or (lost and inside):
            made.append(page[kept : tag.start()])
            kept = tag.end()
            if name not in _VOID:
                leaving.append(name)
        elif changed != attributes or name == "html":
            more = "".join(f' data-{key}="{escape(value)}"' for key, value in root.items()) if name == "html" else ""
            made += [page[kept : tag.start()], f"<{name}{changed}{more}>"]
            kept = tag.end()
    return "".join([*made, page[kept:]])


def _linked(found: re.Match[str], link: Callable[[str], str | None]) -> str:
    address = unescape(found[2])
    if address.startswith(("#", "data:")):
        return found[0]
    other = link(address)
    return "" if other is None else f' {found[1]}="{escape(other)}"'


def without_pictures(part: str) -> str:
    """A part of a neuron's page whose exemplars are places only: the page has their pictures already.

    >>> without_pictures('<li data-place="3"><img src="/image/7.jpg"></li>')
    '<li data-place="3"><img></li>'
    """
    return _TILE.sub(r"\1<img>", part)
