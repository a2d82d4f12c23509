"""Sends the requests to a real server."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import httpx
from integration_tests.harness import hostile
from integration_tests.harness.hostile import Request
from integration_tests.harness.server import Server
from scripts.lib.fuzz.report import Report
from tqdm import tqdm


def over_http(server: Server, model: str, options: argparse.Namespace, report: Report) -> None:
    """Sends requests to a real server, which has a model of this name."""
    random = Random(options.seed + 1)
    grid = random.sample(hostile.grid(), options.http)
    chosen = [
        grid[n]() if n % 3 == 0 else hostile.request(random, big=0.005) for n in range(options.http)
    ]
    statuses: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=16, max_keepalive_connections=0)
    with httpx.Client(base_url=server.url, timeout=120, limits=limits) as client:

        def send(case: Request) -> tuple[Request, str, str]:
            headers = [(b"content-type", b"application/json"), *case.headers]
            try:
                raw = re.sub(
                    rb'("model": ?"m)', rb'"model":"' + model.encode(), mild(case.raw), count=1
                )
                answer = client.post(case.path, content=raw, headers=headers)
            except httpx.LocalProtocolError:  # a header that no client sends
                return case, "400", "not sent"
            except httpx.HTTPError as error:
                return case, type(error).__name__, str(error)
            return case, str(answer.status_code), answer.text[:300]

        with ThreadPoolExecutor(8) as pool:
            for case, status, text in tqdm(pool.map(send, chosen), total=options.http, desc="http"):
                statuses[status] += 1
                if not (status == "200" or status.startswith("4")):
                    report.fail(f"HTTP {status}: {text}", case)
        assert client.get("/health").status_code == 200
        drawn = client.post(
            "/v1/completions",
            json={"model": model, "prompt": "Say", "max_tokens": 2, "preset": "chat"},
        )
        if drawn.status_code != 200:
            report.failures.append(f"afterwards: {drawn.status_code}: {drawn.text[:300]}")
    report.http = dict(statuses)


def mild(raw: bytes) -> bytes:
    """Returns the body with small numbers of tokens and samples, where they are numbers."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    if not isinstance(body, dict):
        return raw
    large = [
        name
        for name in ("n", "max_tokens", "max_completion_tokens", "max_new_tokens", "best_of",
                     "num_return_sequences", "min_tokens", "n_predict", "num_predict")
        if isinstance(body.get(name), int) and body[name] > 3
    ]  # fmt: skip
    if not large:
        return raw
    return json.dumps(body | dict.fromkeys(large, 2)).encode()
