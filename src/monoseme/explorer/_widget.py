"""The widget itself: a page that stands alone, and messages that are requests of its scripts."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import anywidget
import traitlets

from ..banks import ConceptBank
from ..base.html import data_uri
from ..runs import Run
from ._app import make_app
from ._images import image_of, thumbnail_of
from ._inside import Inside
from ._opened import NotFound, Opened, OpenedBank
from ._page import assets
from ._rewrite import rewritten, without_pictures
from ._safety import Guard

NAME = "bank"
"""What the bank is called in addresses, which nobody sees."""
LONGEST = 4_000
"""Letters of an address that is answered."""


class OneBank(Opened):
    """A run with one bank, which need not be saved."""

    def __init__(self, run: Run, bank: ConceptBank) -> None:
        super().__init__(run)
        self._only = OpenedBank(self, run, run.path, (0, 0), bank.layer, NAME)
        self._only.__dict__["bank"] = bank  # in place of the one that it would load

    @property
    def banks(self) -> list[tuple[str, str]]:
        """The one."""
        return [(self._only.layer, NAME)]

    def bank(self, layer: str, name: str) -> OpenedBank:
        """The one."""
        if (layer, name) != (self._only.layer, NAME):
            raise NotFound("there is no other bank here")
        return self._only


class NeuronWidget(anywidget.AnyWidget):  # type: ignore[misc]  # it has no types
    """The page of one neuron, live in a notebook; ends with `close`.

    page : the page as HTML that needs nothing else but answers to its requests
    title, height : of its frame, in words and pixels
    """

    _esm = (files(__package__) / "assets" / "widget.js").read_text(encoding="utf-8")
    page = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(760).tag(sync=True)

    def __init__(self, run: Run, bank: ConceptBank, direction: int, height: int) -> None:
        app = make_app(run, Guard(read_only=True))
        app.state.opened = OneBank(run, bank)
        self._run, self._inside = run, Inside(app)
        self._place = app.state.opened.place(bank.layer, NAME).base
        self._direction = direction
        title = f"{bank.start_name} {direction} of {bank.layer}"
        super().__init__(page=self._whole(), title=title, height=height)
        self.on_msg(self._asked)

    def close(self) -> None:
        """Let go of it."""
        self._inside.close()
        super().close()

    def _asked(self, _: object, content: Any, buffers: object) -> None:
        """Answer a request of the page; what is no request is not answered."""
        if not isinstance(content, dict) or not isinstance(ask := content.get("ask"), str):
            return
        address = content.get("address")
        if not isinstance(address, str) or not address.startswith("/") or len(address) > LONGEST:
            self.send({"ask": ask, "status": 400, "text": ""})
            return
        status, body = self._inside.get(address)
        text = body.decode("utf-8", "replace")
        if status == 200 and not address.startswith("/api/"):
            text = text if address.partition("?")[0].endswith("/charts") else without_pictures(text)
            text = rewritten(text, self._link)
        self.send({"ask": ask, "status": status, "text": text})

    def _whole(self) -> str:
        """The page with its pictures, styles and scripts inside."""
        here = f"{self._place}/neuron/{self._direction}"
        wanted: list[str] = []

        def link(address: str) -> str | None:
            if address.startswith("/assets/"):
                wanted.append(address.removeprefix("/assets/").partition("?")[0])
                return None
            return self._link(address)

        text = rewritten(self._inside.get(here).body.decode(), link, here=here)
        content = {name: assets()[name][0].decode() for name in wanted}
        styles = "".join(f"<style>{content[name]}</style>" for name in wanted if name.endswith(".css"))
        scripts = "".join(f"<script>{content[name]}</script>" for name in wanted if name.endswith(".js"))
        return text.replace("</head>", f"{styles}</head>", 1).replace("</body>", f"{scripts}</body>", 1)

    def _link(self, address: str) -> str | None:
        """A picture as itself, the way back to the bank's own split; there is nothing else to go to."""
        if address == "?":
            return "#own"
        image = image_of(address)
        return None if image is None else data_uri(thumbnail_of(self._run, image), "image/jpeg")
