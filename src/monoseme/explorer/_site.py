"""The explorer as files: each page asked of the application, its links made relative, its answers kept beside it as scripts."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from ..base import MonosemeError, Reporter
from ..base.html import Html, element
from ._choice import Asked, Choice
from ._cut import cut
from ._dendrogram import top_of
from ._images import image_of
from ._inside import Inside
from ._opened import Opened, OpenedBank
from ._page import assets, bank_address, page
from ._rewrite import rewritten, without_pictures

_POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data:; base-uri 'none'; "
    "form-action 'none'"
)
"""What a copied page may load: its own files, wherever they lie."""
_TOGETHER = 512
"""Thumbnails that are read at once."""


@dataclass
class Site:
    """A folder that fills with pages.

    pages : addresses of all pages that it will hold
    images : numbers of all images that they show
    size : bytes so far
    """

    folder: Path
    inside: Inside
    opened: Opened
    pages: set[str] = field(default_factory=set)
    images: set[int] = field(default_factory=set)
    size: int = 0

    def write(self, cuts: int, progress: Reporter) -> None:
        """All of it."""
        banks = [self.opened.bank(*each) for each in self.opened.banks]
        self.pages = {address for bank in banks for address in _pages(bank)}
        for name, (content, _) in assets().items():
            self._file(f"/assets/{name}", content)
        self._file("/index.html", self._rewritten(_index(self.opened, banks), "/index").encode())
        with progress.task("writing pages", len(self.pages), "pages") as task:
            for bank in banks:
                bank.planes.whole()
                for address in _pages(bank):
                    self._file(f"{address}.html", self._rewritten(self._asked(address), address).encode())
                    task.advance()
                    if "/neuron/" in address:
                        self._keep(f"{address}/charts", [""])
                        self._keep(f"{address}/cut", _cuts(bank, int(address.rpartition("/")[2]), cuts))
                self._keep(f"/api{bank.place().base}/map", [""])
                self._keep(f"{bank.place().base}/figures", [""])
        self._thumbnails(progress)

    def _thumbnails(self, progress: Reporter) -> None:
        run, numbers = self.opened.run, sorted(self.images)
        with progress.task("writing thumbnails", len(numbers), "images") as task:
            for first in range(0, len(numbers), _TOGETHER):
                some = numbers[first : first + _TOGETHER]
                for number, content in zip(some, run.images(some, ["thumbnail"])["thumbnail"].to_pylist(), strict=True):
                    self._file(f"/image/{number}.jpg", content or b"")
                    task.advance()

    def _asked(self, address: str) -> str:
        answer = self.inside.get(address)
        if answer.status != 200:
            raise MonosemeError(f"the page {address} could not be made (status {answer.status})")
        return answer.body.decode()

    def _rewritten(self, text: str, address: str) -> str:
        root = "../" * (address.count("/") - 1)

        def link(other: str) -> str | None:
            if other == "?":
                return address.rpartition("/")[2] + ".html"
            path, mark, fragment = other.partition("#")
            if (image := image_of(path)) is not None:
                self.images.add(image)
                return f"{root}image/{image}.jpg"
            if path.startswith("/assets/"):
                return root + path[1:]
            if path == "/":
                return f"{root}index.html"
            return f"{root}{path[1:]}.html{mark}{fragment}" if path in self.pages else None

        note = element(
            "p", "A copy: what has to be computed is only in the live explorer, ", element("code", "monoseme explore"), ".",
            class_="faint small copied",
        )  # fmt: skip
        policy = element("meta", http_equiv="Content-Security-Policy", content=_POLICY)
        made = rewritten(text, link, root=root, here=address)
        return made.replace("<head>", f"<head>{policy}", 1).replace("</main>", f"{note}</main>", 1)

    def _keep(self, address: str, queries: Sequence[str]) -> None:
        """What the server answers to an address, by its query, as a script: from the disk no page may read anything else."""
        held, beside = {}, address.rpartition("/")[0]  # the page that takes it in
        for query in queries:
            text = self._asked(f"{address}?{query}")
            text = text if address.startswith("/api/") else self._rewritten(text, beside)
            text = without_pictures(text) if query else text  # the page has the pictures already
            held[query] = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
        content = f"held({json.dumps(address)}, {json.dumps(held, separators=(',', ':'))});\n"
        self._file(f"{address}.js", content.encode())

    def _file(self, address: str, content: bytes) -> None:
        path = self.folder / unquote(address)[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.size += len(content)


def _pages(bank: OpenedBank) -> Iterator[str]:
    """The addresses of a bank's pages."""
    base = bank.place().base
    yield base
    yield f"{base}/map"
    for direction in np.unique(bank.bank.directions).tolist():
        yield f"{base}/neuron/{direction}"
    for concept in range(len(bank.bank)):
        yield f"{base}/concept/{concept}"


def _cuts(bank: OpenedBank, direction: int, most: int) -> list[str]:
    """A query for each number of clusters that the line can part a neuron's exemplars into, from one up."""
    if not most:
        return []
    asked = Asked(method="published")
    heights = np.sort(cut(bank, direction, Choice.of(bank, asked)).view.heights)
    edges = np.concatenate([[0.0], heights, [top_of(heights)]])
    middles = ((edges[:-1] + edges[1:]) / 2)[::-1][:most]
    apart = (np.diff(edges)[::-1][:most]) > 1e-6 * top_of(heights)
    return [f"method=published&threshold={each:.7g}" for each in middles[apart].tolist()]


def _index(opened: Opened, banks: Sequence[OpenedBank]) -> str:
    place = opened.place()
    rows = [
        element("li", element("a", f"{bank.layer} / {bank.name}", href=bank_address(bank.layer, bank.name)))
        for bank in banks
    ]
    parts: list[Html] = [element("h1", place.run), element("ul", *rows)]
    return page(place, place.run, parts).decode()
