"""A short form of `scripts/fuzz`, and schemathesis on Temperament's routes.

The long one's numbers are in docs/reliability.md.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import openapi
from schemathesis.core.result import Ok
from scripts.lib.fuzz.__main__ import parse
from scripts.lib.fuzz.in_process import run
from scripts.lib.fuzz.over_http import over_http
from scripts.lib.fuzz.report import Report

from integration_tests.harness.server import Server

ROUTES = "^/v1/presets"


def test_in_process() -> None:
    """Hostile bodies and files are rewritten or refused in little time, and never raise."""
    options = parse(["--count", "1300", "--seed", "3"])
    report = Report("", options.seed)
    run(options, report)

    assert [] == report.failures
    assert min(report.passed, report.refused, report.untouched, report.drawn) > 50


def test_over_http(v1_server: Server) -> None:
    """A real server answers hostile requests with 200 or 4xx, and works afterwards."""
    options = parse(["--http", "200", "--seed", "3"])
    report = Report("", options.seed)
    over_http(v1_server, "smollm2", options, report)

    assert [] == report.failures
    assert {"200", "400"} <= report.http.keys()


def test_the_routes_of_temperament(v1_server: Server) -> None:
    """Temperament's routes answer all requests that schemathesis makes of `/openapi.json`."""
    schema = openapi.from_url(f"{v1_server.url}/openapi.json").include(path_regex=ROUTES)
    tried = set()
    for each in schema.get_all_operations():
        assert isinstance(each, Ok)
        operation = each.ok()
        tried.add(operation.label)

        @settings(
            max_examples=25,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            answer = case.call()
            assert answer.status_code in (200, 404, 405, 422), answer.text
            assert ["application/json"] == answer.headers["content-type"]

        ask()

    assert tried >= {"GET /v1/presets", "GET /v1/presets/{name}", "POST /v1/presets/reload"}
