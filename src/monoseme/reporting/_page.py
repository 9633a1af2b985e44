"""The page around the parts: head, style, script, and a policy that lets in nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from ..base.html import Html, element, joined
from ..views import charts


def page(title: str, parts: Sequence[Html]) -> bytes:
    """A whole HTML document. It loads nothing, and runs no script and no style but its own two, which are named by hash."""
    style, script = charts.style() + _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )
    body = element("body", element("main", *parts), element("script", Html(script)))
    return joined([Html("<!doctype html>\n"), element("html", head, body, lang="en"), Html("\n")]).encode()


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
