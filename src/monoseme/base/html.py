"""HTML that stands alone and is safe by construction: whatever is not `Html` yet is text, and escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ._text import printable

LINE = "1px solid rgba(128,128,128,.35)"
FAINT = "opacity:.65"
BLUE = "#3b8fc4"
"""Readable on white and on black, as all colours here must be: a page's own colours are not known."""

_VOID = ("img", "br", "input", "link", "meta")


class Html(str):
    """Text that is HTML already. Joined with anything else by ``+`` or formatting it is plain text again, and escaped."""

    __slots__ = ()


def text(content: object, limit: int = 2000) -> Html:
    """Text from anywhere as HTML: escaped, without control or direction marks, of bounded length.

    >>> text("<b>"), text(Html("<b>"))
    ('&lt;b&gt;', '<b>')
    """
    return content if isinstance(content, Html) else Html(escape(printable(str(content), limit)))


def element(tag: str, *content: object, **attributes: object) -> Html:
    """An element. Attributes are written as Python allows, ``class_`` and ``text_anchor``; those that are None are left out.

    >>> element("p", "1 < 2 ", element("b", "yes"), title='"')
    '<p title="&quot;">1 &lt; 2 <b>yes</b></p>'
    """
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not None}
    opening = tag + "".join(f' {name}="{text(value)}"' for name, value in given.items())
    return Html(f"<{opening}>" if tag in _VOID else f"<{opening}>{joined(content)}</{tag}>")


def joined(content: Iterable[object]) -> Html:
    """Pieces one after the other."""
    return Html("".join(map(text, content)))


def data_uri(content: bytes, media_type: str) -> Html:
    """Content inside the page itself, for the ``src`` of a picture.

    >>> data_uri(b"abc", "image/png")
    'data:image/png;base64,YWJj'
    """
    return Html(f"data:{text(media_type)};base64,{base64.b64encode(content).decode()}")


def card(title: object, *content: object) -> Html:
    """A box with a heading, as a notebook shows it."""
    heading = element("div", title, style="font-weight:600;margin-bottom:4px")
    style = f"border:{LINE};border-radius:6px;padding:8px 12px;max-width:880px;line-height:1.5;overflow-wrap:anywhere"
    return element("div", heading, *content, style=style)


def facts(rows: Mapping[str, object]) -> Html:
    """Names and values, a line each; those without a value are left out."""
    name = f"{FAINT};flex:0 0 8em"
    lines = [
        element("div", element("span", key, style=name), element("span", value), style="display:flex;gap:8px")
        for key, value in rows.items()
        if value not in (None, "")
    ]
    return element("div", *lines) if lines else Html()


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """A table whose last column takes what is left of the width."""
    cell = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;border:0;background:transparent"
    head = element("tr", *(element("th", name, style=f"{cell};{FAINT};font-weight:400") for name in header))
    kept = f"{cell};white-space:nowrap"
    body = [
        element("tr", *(element("td", value, style=kept) for value in row[:-1]), element("td", row[-1], style=cell))
        for row in rows
    ]
    style = "border-collapse:collapse;border:0;margin:4px 0;font-size:inherit"
    return element("table", element("thead", head, style="border:0"), element("tbody", *body), style=style)


def code(line: str) -> Html:
    """A line to run next."""
    style = "background:rgba(128,128,128,.15);padding:1px 5px;border-radius:4px;color:inherit"
    return element("code", line, style=style)


def bars(counts: Mapping[int, int], what: str) -> Html:
    """A small bar chart of counts by number, each bar with its count above and its number below.

    >>> bars({1: 3, 2: 0}, "neurons by number of concepts").startswith('<svg role="img"')
    True
    """
    wide, tall, top = 44, 60, 14
    most = max(counts.values(), default=0)
    pieces: list[object] = [element("title", what)]
    style = "font:11px sans-serif"
    for place, (number, count) in enumerate(counts.items()):
        height = round(tall * count / most, 1) if most else 0
        middle = place * wide + wide / 2
        pieces += [
            element("rect", x=place * wide + 6, y=top + tall - height, width=wide - 12, height=height, fill=BLUE),
            element("text", f"{count:,}", x=middle, y=top + tall - height - 3, text_anchor="middle", style=style),
            element("text", number, x=middle, y=top + tall + 13, text_anchor="middle", style=style),
        ]
    width, height = wide * len(counts), top + tall + 18
    box = {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    return element("svg", *pieces, role="img", aria_label=what, fill="currentColor", style="max-width:100%", **box)
