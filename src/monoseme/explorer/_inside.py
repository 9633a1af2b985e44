"""The application asked from inside its process, without a port: an address comes in, what a browser would get goes out."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI


class Answer(NamedTuple):
    """What was answered."""

    status: int
    body: bytes


class Inside:
    """An application that can be asked from any thread, one with a running event loop as well; ends by `close`."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._entered = start_blocking_portal()
        self._portal: BlockingPortal = self._entered.__enter__()

    def get(self, address: str) -> Answer:
        """The answer to a path with its query, quoted as in a link."""
        return self._portal.call(self._ask, address)

    def close(self) -> None:
        """Ask nothing more."""
        self._entered.__exit__(None, None, None)
        self._app.state.opened.later.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    async def _ask(self, address: str) -> Answer:
        path, _, query = address.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1")],
            "client": None,
            "server": ("127.0.0.1", 80),
        }
        status, parts = 500, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await self._app(scope, receive, send)  # type: ignore[arg-type]  # a scope is any mapping
        return Answer(status, b"".join(parts))
