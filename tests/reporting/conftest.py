"""A browser for all tests of reports."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from tests.browser import opened_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with opened_browser() as browser:
        yield browser
