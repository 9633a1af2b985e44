"""The application: all pages behind the guard, and errors as a sentence with the right status."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated

import anyio
from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..base import MonosemeError, UsageError
from ..runs import Run
from . import _concept, _images, _jobs, _layer, _map, _neuron
from ._jobs import Jobs, Taken
from ._opened import NotFound, Opened
from ._page import asset, assets, error_page
from ._safety import HEADERS, Guard, Safety

THREADS = 12
"""Requests that are worked on at once; more only wait for each other, and each takes memory of its own."""
ABOUT = "Each page has a JSON twin: put /api before its path."


def make_app(run: Run, guard: Guard) -> FastAPI:
    """The application that shows a run."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield
        app.state.opened.later.close()

    app = FastAPI(
        title="monoseme explorer",
        description=ABOUT,
        version="1",
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    app.state.opened, app.state.jobs, app.state.guard = Opened(run), Jobs(), guard
    for each in (_layer, _map, _neuron, _concept, _images, _jobs):
        app.include_router(each.router)

    @app.get("/assets/{name}", response_class=Response, include_in_schema=False)
    async def file(name: Annotated[str, Path(max_length=60)], v: str = "") -> Response:
        if name not in assets():
            raise NotFound(f"there is no asset {name[:60]!r}")
        content, kind = assets()[name]
        kept = "private, max-age=31536000, immutable" if asset(name).endswith(f"?v={v}") else "private, no-cache"
        return Response(content, media_type=kind, headers={"cache-control": kept})

    app.add_exception_handler(MonosemeError, _failed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(Safety, guard=guard)
    return app


def _said(request: Request, status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """An error as JSON for what asks for data, and as a page for people."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": sentence}, status, headers)
    return Response(error_page(status, sentence), status, headers, media_type="text/html; charset=utf-8")


async def _failed(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NotFound) else 409 if isinstance(error, Taken) else 400
    return _said(request, status if isinstance(error, UsageError) else 503, str(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "there is no page at this address; begin at /", 405: "this address only answers to other methods"}
    sentence = sentences.get(error.status_code, HTTPStatus(error.status_code).phrase.lower())
    return _said(request, error.status_code, sentence, dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = str(first["loc"][-1])[:60]
    return _said(request, 422, f"{where} is not right: {str(first['msg']).lower()[:200]}")


async def _broken(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("%s", type(error).__name__, exc_info=error)
    sentence = "something went wrong inside the explorer; the terminal that it runs in says what"
    return _said(request, 500, sentence, dict(HEADERS))  # it is answered outside the guard
