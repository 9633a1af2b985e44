"""A real browser for tests of pages: the system's Chromium, else the one that Playwright has fetched."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Chromium without a window; fails in CI, and skips elsewhere, where there is none."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    root = hasattr(os, "getuid") and os.getuid() == 0
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=path, args=[*QUIET, *(["--no-sandbox"] if root else [])]
            )
        except BrowserError as error:
            message = f"no browser: {str(error).splitlines()[0]}; run make test, or install Chromium"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        yield browser
        browser.close()


class Watched:
    """A page whose complaints are written down: errors, console messages, and whatever it asks of the network."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.page: Page = browser.new_page(**options)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path) -> Page:
        """A file in the browser."""
        self.page.goto(path.absolute().as_uri())
        return self.page
