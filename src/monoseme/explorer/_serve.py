"""Serving the explorer: a socket first, so that it listens at once; everything heavy is imported while a browser opens."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..base import MissingExtraError, MonosemeError, UsageError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from ..models import Model
    from ..runs import Run

PORT = 8642
LOOPBACK = "127.0.0.1"


def create_app(
    run: Run | str | PathLike[str],
    *,
    host: str = LOOPBACK,
    token: str | None = None,
    read_only: bool = False,
    model: Model | str | None = None,
    weights: str | None = None,
    device: str = "auto",
    images: object | None = None,
) -> FastAPI:
    """The explorer as an ASGI application, to be served by whatever serves such.

    Parameters
    ----------
    run : Run or path
        The run.
    host : str
        The address that it will listen on: what Host headers may name.
    token : str, optional
        What every request has to show; needed where `host` is not this machine alone.
    read_only : bool
        Whether writes are refused.
    model : Model or str, optional
        The run's model, to see where in images concepts are, to make images that drive them, and to try images of your own;
        loaded when it is first needed. By default the one that the run records, unless that is code or a module of yours.
    weights, device : str, optional
        As `load_model` takes them.
    images : optional
        Where the run's images are now, as `embed` takes it. By default where they were.

    Raises
    ------
    UsageError
        There is no such run, or other machines could reach it and there is no token.
    MissingExtraError
        FastAPI is not installed.
    """
    with needs_extra():
        from ._app import make_app
        from ._network import Given
        from ._safety import Guard, is_loopback
    from ..runs import Run, open_run

    if token is None and not is_loopback(host):
        raise UsageError(f"{host} can be reached from other machines; give a token")
    given = Given(model, weights, device, images)
    return make_app(run if isinstance(run, Run) else open_run(run), Guard(host, token, read_only), given)


class Explorer:
    """An explorer that listens; ends with its ``with`` block, or by `close`. It is started with what `explore` takes.

    url : where it is, with the token where one is needed
    """

    def __init__(
        self,
        run: Run | str | PathLike[str],
        *,
        port: int = PORT,
        host: str = LOOPBACK,
        read_only: bool = False,
        model: Model | str | None = None,
        weights: str | None = None,
        device: str = "auto",
        images: object | None = None,
    ) -> None:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
            raise UsageError(f"the port must be a whole number from 0 to 65535, not {port!r}")
        self._run, self._host = run, host
        self._options: dict[str, Any] = {"read_only": read_only, "model": model, "weights": weights}
        self._options |= {"device": device, "images": images}
        self._socket = listen(host, port)
        local = self._socket.getsockname()[0] in ("127.0.0.1", "::1")
        self._token = None if local else secrets.token_urlsafe(24)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        address, port = self._socket.getsockname()[:2]
        if address in ("0.0.0.0", "::"):
            address = socket.gethostname()
        shown = f"[{address}]" if ":" in address else address
        return f"http://{shown}:{port}/" + (f"?token={self._token}" if self._token else "")

    def serve(self) -> None:
        """Answer until Ctrl-C, or until `close` is called from elsewhere."""
        try:
            self._prepare().run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass
        finally:
            self._socket.close()

    def start(self) -> Self:
        """Answer in a thread of its own; return once it does."""
        server = self._prepare()
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not server.started and self._thread.is_alive():
            self._thread.join(0.01)
        return self

    def close(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        from ..base.html import element

        return element("a", "the explorer", href=self.url, target="_blank", rel="noopener")

    def _prepare(self) -> uvicorn.Server:
        with needs_extra():
            import uvicorn
        app = create_app(self._run, host=self._host, token=self._token, **self._options)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses would be written with their token
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        return self._server


def explore(
    run: Run | str | PathLike[str],
    *,
    port: int = PORT,
    host: str = LOOPBACK,
    browser: bool = True,
    read_only: bool = False,
    block: bool = True,
    model: Model | str | None = None,
    weights: str | None = None,
    device: str = "auto",
    images: object | None = None,
) -> Explorer | None:
    """Look at a run in a browser: its layers, neurons and concepts, split live as a line is moved.

    Parameters
    ----------
    run : Run or path
        The run, with at least one bank to see anything of its concepts.
    port : int
        Where to listen; 0 for any that is free.
    host : str
        The address to listen on. Other than this machine's own, each request needs a token, which is in the address that is
        printed.
    browser : bool
        Whether to open a browser.
    read_only : bool
        Whether to refuse all that changes the run. Looking through the model changes nothing and goes on.
    block : bool
        Whether to return only when Ctrl-C ends it. Otherwise it goes on in the background, as a notebook wants it, until the
        `Explorer` that is returned is closed.
    model : Model or str, optional
        The run's model, to see where in images concepts are, to make images that drive them, and to try images of your own;
        loaded when it is first needed. By default the one that the run records, unless that is code or a module of yours.
    weights, device : str, optional
        As `load_model` takes them.
    images : optional
        Where the run's images are now, as `embed` takes it. By default where they were.

    Raises
    ------
    UsageError
        There is no such run, or the port or the address cannot be used.
    MissingExtraError
        FastAPI or uvicorn is not installed.

    Examples
    --------
    It answers until Ctrl-C::

        ms.explore("runs/iv3")  # exploring runs/iv3 at http://127.0.0.1:8642/ (Ctrl-C ends it)
    """
    explorer = Explorer(
        run, port=port, host=host, read_only=read_only, model=model, weights=weights, device=device, images=images
    )
    try:
        with needs_extra():
            import fastapi  # noqa: F401  # so that a lacking one is told before an address is
        if not block:
            explorer.start()
        name = getattr(run, "path", run)
        print(f"exploring {name} at {explorer.url}" + (" (Ctrl-C ends it)" if block else ""), flush=True)
        if browser:
            _open_browser(explorer.url)
        if not block:
            return explorer
        explorer.serve()
    except BaseException:
        explorer.close()
        raise
    return None


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises
    ------
    UsageError
        The port is taken or not allowed, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"there is no address {host!r} to listen on; use {LOOPBACK}, or 0.0.0.0 for all") from error
    try:
        if os.name == "posix":  # elsewhere it would share a port that is taken
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} is in use already; choose another with --port, or any free one with --port 0"
            ) from error
        if error.errno == errno.EACCES:
            raise UsageError(f"port {port} may not be used; choose one from 1024 up with --port") from error
        raise MonosemeError(
            f"cannot listen on {host}, port {port}: {(error.strerror or str(error)).lower()}"
        ) from error
    return made


def _open_browser(url: str) -> None:
    import webbrowser

    with contextlib.suppress(webbrowser.Error):
        threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()


@contextlib.contextmanager
def needs_extra() -> Iterator[None]:
    """Say which extra to install where something of it is lacking."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("fastapi", "uvicorn", "starlette", "pydantic"):
            raise
        raise MissingExtraError("the explorer", package=error.name, extra="explorer") from error
