"""The file of requests of `vllm run-batch`, which no endpoint plugin reads.

vLLM ignores fields that it doesn't know, so a line that names a preset would be sampled without it.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from temperament.errors import Problem, shown
from temperament.server.endpoints import ENDPOINTS
from temperament.server.fields import plugin_fields, sampling_fields
from temperament.server.selection import FIELD
from temperament.server.trace import FIELD as TRACE

# Of a batch's endpoints, the one on which presets act.
_CHAT = ENDPOINTS["/v1/chat/completions"]


def input_file(arguments: Sequence[str]) -> Path | None:
    """Returns the file of requests in the arguments of `vllm run-batch`; None for an address."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("-i", "--input-file", "--input_file", default="")
    path = Path(parser.parse_known_args(list(arguments))[0].input_file)
    return path if path.is_file() else None


def unread_fields(path: Path) -> Iterator[Problem]:
    """Yields the fields of Temperament in a batch's requests, none of which would be read.

    `vllm_xargs` is left out: it reaches the check of each request's parameters.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            for name, value in _fields(_body(line)):
                yield Problem(
                    f"{path}:{number}",
                    f"body.{name}",
                    "vllm run-batch would sample without it",
                    shown(value),
                    "no such field, or the request sent to `temperament serve`",
                    reason="unsupported",
                )


def _body(line: str) -> dict[str, Any]:
    """Returns the body of a request; {} for a line that vLLM refuses itself."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    body = request.get("body") if isinstance(request, dict) else None
    return body if isinstance(body, dict) else {}


def _fields(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in (FIELD, TRACE):
        if body.get(name) is not None:
            yield name, body[name]
    for name, value in sampling_fields(body, _CHAT).items():
        if plugin_fields(_CHAT).includes(name, value):
            yield name, value
