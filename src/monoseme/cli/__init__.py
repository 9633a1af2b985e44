"""The command line: a file for each command, thin over the same functions that the library offers."""

from ._app import app, main

__all__ = ["app", "main"]
