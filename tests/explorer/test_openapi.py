"""The OpenAPI document against the server: whatever is asked of any endpoint, the answer is one that the document names."""

import shutil
import time

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

import monoseme as ms

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
BOUNDED = settings(
    max_examples=6, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
"""Requests to each endpoint in each way: valid ones of anything, valid and invalid ones of what is there."""


@pytest.fixture(scope="module")
def explorer(made, small_model, tmp_path_factory):
    run = ms.open_run(shutil.copytree(made.path, tmp_path_factory.mktemp("openapi") / "run"))
    ms.new_study(run, "first", layer="3", bank="calibrated", shown=3, concepts=2, controls=1)
    with ms.Explorer(run.path, port=0, model=small_model).start() as explorer:
        yield explorer, ms.open_study(run, "first")


def conforms(document: dict, case, answer: requests.Response) -> None:
    """The answer has the shape that the document gives. Schemathesis turns away lists of pairs, which are right as they are."""
    operation = document["paths"][case.operation.path][case.operation.method]
    content = operation["responses"][str(answer.status_code)].get("content", {})
    shape = content.get("application/json", {}).get("schema")
    if shape is not None:
        Draft202012Validator({**shape, "components": document["components"]}).validate(answer.json())


def test_every_answer_is_one_that_the_document_names(explorer, monkeypatch):
    server, study = explorer

    def nothing(*_):
        raise ms.MonosemeError("no bank is written here")

    monkeypatch.setattr("monoseme.explorer._save.make", nothing)
    job = requests.post(f"{server.url}api/banks/3/published/feature", json={"concept": 0}, timeout=20).json()["job"]
    while requests.get(f"{server.url}api/jobs/{job}", timeout=20).json()["state"] == "running":
        time.sleep(0.1)
    known = {"layer": "3", "bank": "published", "direction": 3, "concept": 0, "image_id": 0, "job": job, "place": 1}
    known |= {"study": "first", "link": study.link, "person": study.given.begin(), "step": 1}
    schema = schemathesis.openapi.from_url(f"{server.url}api/openapi.json")
    statuses: dict[str, set[int]] = {}
    with requests.Session() as session:

        def check(case) -> None:
            answer = case.call(session=session, timeout=20, allow_redirects=False)
            statuses.setdefault(case.operation.label, set()).add(answer.status_code)
            case.validate_response(answer, checks=CHECKS)
            conforms(schema.raw_schema, case, answer)

        picture = requests.get(f"{server.url}image/0.jpg", timeout=20).content
        in_banks = {"layer": "3", "bank": "published"}
        for label, path, body in (  # chance finds no name of a bank
            ("POST /api/banks/{layer}/{bank}/save", in_banks, {"name": "new", "threshold": 0.5}),
            ("POST /api/studies", {}, {"name": "second", "shown": 3, **in_banks}),
            ("POST /api/banks/{layer}/{bank}/try", in_banks, picture),
            ("POST /api/banks/{layer}/{bank}/feature", in_banks, {"direction": 3}),
            (
                "POST /api/banks/{layer}/{bank}/concept/{concept}/annotation",
                in_banks | {"concept": 0},
                {"name": "stripes"},
            ),
            ("POST /api/jobs/{job}/stop", {"job": job}, {}),
        ):
            named = schema.find_operation_by_label(label)
            kind = "image/jpeg" if body is picture else "application/json"
            check(named.Case(path_parameters=path, body=body, media_type=kind))
        for found in schema.get_all_operations():
            operation = found.ok()
            there = {each.name: known[each.name] for each in operation.path_parameters if each.name in known}
            ways = [(GenerationMode.POSITIVE, None), (GenerationMode.POSITIVE, there)]
            if operation.query or operation.body or operation.path_parameters:
                more = bool(operation.query or operation.body)  # else the path is all that can be wrong
                ways.append((GenerationMode.NEGATIVE, there if more else None))
            for mode, path in ways:
                strategy = operation.as_strategy(mode, path_parameters=path or None)
                seed(0)(BOUNDED(given(strategy)(check)))()
    assert len(statuses) == sum(len(each) for each in schema.raw_schema["paths"].values())
    fine = {label for label, seen in statuses.items() if any(status < 400 for status in seen)}
    assert set(statuses) - fine == set(), "no request to these was ever answered"
