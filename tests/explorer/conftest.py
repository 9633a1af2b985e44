"""A run with two banks, its application as a client, and an explorer that a browser can open."""

import re
import shutil
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from tests.browser import Watched

import monoseme as ms
from monoseme.base import bank_folder

HERE = "http://127.0.0.1:8642"
CALIBRATED, PUBLISHED = "/banks/3/calibrated", "/banks/3/published"


def make_run(source: ms.Run, target) -> ms.Run:
    """A copy of the small run with a bank of each method, one of them evaluated."""
    run = ms.open_run(shutil.copytree(source.path, target))
    acts = run.activations("3")
    bank = ms.disentangle(acts, top=24, bootstrap=2, min_size=3, granularity=0.97)
    folder = bank.save(bank_folder(run.path, "3", "calibrated"))
    ms.evaluate(bank, acts, labels=run.labels(), resamples=20).save(folder)
    ms.disentangle(acts, "published", top=24, min_size=3).save(bank_folder(run.path, "3", "published"))
    return run


@pytest.fixture(scope="session")
def made(small_run, tmp_path_factory) -> ms.Run:
    """Not to be changed by tests."""
    return make_run(small_run, tmp_path_factory.mktemp("explorer") / "run")


@pytest.fixture
def own(made, tmp_path) -> ms.Run:
    """One that tests may change."""
    return ms.open_run(shutil.copytree(made.path, tmp_path / "own"))


@pytest.fixture(scope="session")
def client(made) -> Iterator[TestClient]:
    with TestClient(ms.create_app(made.path), base_url=HERE, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="session")
def served(made) -> Iterator[str]:
    """The address of an explorer that answers, without the slash at its end."""
    with ms.Explorer(made.path, port=0).start() as explorer:
        yield explorer.url.rstrip("/")


@pytest.fixture(scope="session")
def seeing(made, small_model) -> Iterator[TestClient]:
    """As `client`, with the run's model and images at hand."""
    app = ms.create_app(made.path, model=small_model)
    with TestClient(app, base_url=HERE, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="session")
def watching(made, small_model) -> Iterator[str]:
    """As `served`, with the run's model and images at hand."""
    with ms.Explorer(made.path, port=0, model=small_model).start() as explorer:
        yield explorer.url.rstrip("/")


@pytest.fixture(scope="session")
def several(made, small_model, tmp_path_factory) -> ms.Run:
    """A run with banks of two layers, one of which is the calibrated one with two neurons split otherwise, and causal evidence.

    Not to be changed by tests.
    """
    run = ms.open_run(shutil.copytree(made.path, tmp_path_factory.mktemp("several") / "run"))
    ms.disentangle(run.activations("1"), top=24, bootstrap=0, min_size=3, granularity=0.97).save(
        bank_folder(run.path, "1", "first")
    )
    options = {"top": 24, "bootstrap": 0, "min_size": 3}
    ms.disentangle(run.activations("3"), granularity=0.9, **options).save(bank_folder(run.path, "3", "coarse"))
    ms.disentangle(run.activations("3"), "published", directions="svd", top=24, min_size=3).save(
        bank_folder(run.path, "3", "svd")
    )
    bank = ms.load_bank(run.path, layer="3", name="calibrated")
    ms.causal(bank, run, small_model, concepts=[0, 2], resamples=50).save(bank_folder(run.path, "3", "calibrated"))
    return run


@pytest.fixture
def watched(browser):
    """A page that may complain of nothing, and ask nobody but this machine."""
    watched = Watched(browser, viewport={"width": 1280, "height": 800})
    watched.page.set_default_timeout(60_000)
    yield watched
    assert watched.complaints == []
    assert {re.sub(r"^(data:|file:|http://127\.0\.0\.1:\d+/).*", r"\1", url)[:17] for url in watched.requests} <= {
        "data:",
        "file:",
        "http://127.0.0.1:",
    }
    watched.page.close()


def ready(page, address: str):
    """A page whose scripts have run."""
    page.goto(address)
    page.wait_for_selector("[data-ready=yes]")
    return page
