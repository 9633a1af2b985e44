"""The application: all pages behind the guard, and errors as a sentence with the right status."""

from __future__ import annotations

import asyncio
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
from starlette.requests import ClientDisconnect

from ..base import MonosemeError, UsageError
from ..runs import Run
from . import (
    _beside,
    _concept,
    _elsewhere,
    _feature,
    _heat,
    _images,
    _jobs,
    _layer,
    _map,
    _marks,
    _network,
    _neuron,
    _save,
    _studies,
    _study,
    _try,
)
from ._distribution import Distributions
from ._document import document
from ._feature import Features
from ._jobs import Jobs, Taken
from ._network import Given, Network
from ._opened import NotFound, Opened
from ._page import asset, assets, error_page
from ._safety import HEADERS, READS, Guard, Safety, is_open
from ._sight import Sights
from ._studies import Studies

_PAGES = (
    *(_layer, _map, _neuron, _beside, _concept, _elsewhere, _marks, _images),
    *(_save, _jobs, _network, _heat, _feature, _try, _studies, _study),
)
THREADS = 12
"""Requests that are worked on at once; more only wait for each other, and each takes memory of its own."""
NOTHING = Given()
ABOUT = "Each page has a JSON twin: put /api before its path."


def make_app(run: Run, guard: Guard, given: Given = NOTHING) -> FastAPI:
    """The application that shows a run, with the model and the images that are given."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield
        app.state.network.close()
        app.state.distributions.close()
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
    app.state.studies = Studies(run.path)
    app.state.network, app.state.sights = Network(app.state.opened, given), Sights(given.images)
    app.state.features, app.state.distributions = Features(), Distributions()
    app.state.pictures = asyncio.Semaphore(_try.AT_ONCE)
    for each in _PAGES:
        app.include_router(each.router)

    @app.get("/assets/{name}", response_class=Response, include_in_schema=False)
    async def file(name: Annotated[str, Path(max_length=60)], v: str = "") -> Response:
        if name not in assets():
            raise NotFound(f"there is no asset {name[:60]!r}")
        content, kind = assets()[name]
        kept = "private, max-age=31536000, immutable" if asset(name).endswith(f"?v={v}") else "private, no-cache"
        return Response(content, media_type=kind, headers={"cache-control": kept})

    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # FastAPI asks for it in this way
    app.add_exception_handler(MonosemeError, _failed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _cut_off)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(Safety, guard=guard)
    return app


def _said(request: Request, status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """An error as JSON for what asks for data, and as a page for people."""
    if request.url.path.startswith("/api/") or request.method not in READS:
        return JSONResponse({"error": sentence}, status, headers)
    page = error_page(status, sentence, alone=is_open(request.url.path))
    return Response(page, status, headers, media_type="text/html; charset=utf-8")


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


async def _cut_off(request: Request, error: Exception) -> Response:
    return _said(request, 413, "the request was cut off, or is longer than it may be")


async def _broken(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("%s", type(error).__name__, exc_info=error)
    sentence = "something went wrong inside the explorer; the terminal that it runs in says what"
    return _said(request, 500, sentence, dict(HEADERS))  # it is answered outside the guard
