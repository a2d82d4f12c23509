"""The file of requests of `vllm run-batch`, which no endpoint plugin reads.

vLLM ignores fields that it doesn't know, so a line that names a preset would be sampled without it.
The file is read twice: here, before the engine runs, and then by vLLM.
"""

from __future__ import annotations

import json
import ssl
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from temperament.errors import Problem, shown
from temperament.interchange.sillytavern_request import MARKERS, is_request
from temperament.server.endpoints import ENDPOINTS
from temperament.server.plugin_fields import plugin_fields, sampling_fields
from temperament.server.selection import FIELD
from temperament.server.trace import FIELD as TRACE

BATCH = "vllm run-batch"
# Of a batch's endpoints, the one on which presets act.
_CHAT = ENDPOINTS["/v1/chat/completions"]
_SECONDS = 300  # of one attempt to connect or to read, as vLLM waits


def input_file(arguments: Sequence[str]) -> str:
    """Returns the path or the address in the arguments of `vllm run-batch`, "" if there is none."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("-i", "--input-file", "--input_file", default="")
    return str(parser.parse_known_args(list(arguments))[0].input_file)


def problems(source: str) -> Iterator[Problem]:
    """Yields the fields of Temperament in a batch's requests, none of which would be read.

    `source` is a path or an address. One that can't be read here is a problem itself. `vllm_xargs`
    is left out: it reaches the check of each request's parameters.
    """
    where = _without_secrets(source)
    try:
        for number, line in enumerate(_lines(source), 1):
            for name, value in _fields(_body(line)):
                yield Problem(
                    f"{where}:{number}",
                    f"body.{name}",
                    "vllm run-batch would sample without it",
                    shown(value),
                    "no such field, or the request sent to `temperament serve`",
                    reason="unsupported",
                )
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        yield Problem(
            BATCH,
            "input_file",
            "can't be read here, and vLLM would sample without the presets that it names",
            f"{where}: {str(error).replace(source, where) or type(error).__name__}",
            "a file, or an address that can be read twice",
            reason="unsupported",
        )


def _lines(source: str) -> Iterator[str]:
    """Yields the lines as vLLM reads them; raises what the problems name."""
    if _is_address(source):
        # As vLLM does: without the environment's proxies, with the certificates of OpenSSL.
        answer = httpx.get(
            source,
            follow_redirects=True,
            timeout=_SECONDS,
            trust_env=False,
            verify=ssl.create_default_context(),
        )
        yield from answer.raise_for_status().text.split("\n")
        return
    path = Path(source)
    if path.exists() and not path.is_file():  # a pipe can be read only once
        raise OSError("not a file")
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file


def _is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _without_secrets(source: str) -> str:
    """Returns a path as it is, and an address without its user, password and query."""
    if not _is_address(source):
        return source
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _body(line: str) -> dict[str, Any]:
    """Returns the body of a request; {} for a line that vLLM refuses itself."""
    try:
        # As vLLM does: JSON itself has fewer kinds of spaces than Python.
        request = json.loads(line.strip())
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
    if is_request(body):
        for name in sorted(MARKERS & body.keys()):
            yield name, body[name]
