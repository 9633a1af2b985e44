"""The OpenAPI document: what the endpoints say of themselves, and how each of them refuses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

READS = {
    400: "What is asked for cannot be meant.",
    401: "It asks for the token.",
    403: "Not allowed: another site asks, or the explorer is read-only.",
    404: "There is no such thing.",
    409: "It is there already, or is not its turn.",
    421: "The host name is not the explorer's.",
    422: "A parameter is not right.",
    500: "Something went wrong inside.",
    503: "The run cannot be read or written at the moment.",
}
WRITES = {
    413: "The request is too large.",
    415: "The request is not of the right type.",
}
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of an application: an error is a sentence, as JSON for what asks for data, as a page for people."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path, operations in made["paths"].items():
            for method, operation in operations.items():
                reads = method == "get"
                page = reads and not path.startswith("/api/")
                content: dict[str, Any] = {"text/html": {}} if page else {"application/json": {"schema": ERROR}}
                for status, said in (READS if reads else READS | WRITES).items():
                    operation["responses"][str(status)] = {"description": said, "content": content}
        app.openapi_schema = made
    return app.openapi_schema
