"""A program in a process of its own that answers each line of JSON with a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

Ask = Callable[[Any], Any]


@contextmanager
def answering(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Ask]:
    """Starts the program; what is yielded asks it and returns its answer.

    The environment is added to this process's. Raises `RuntimeError` if the program ends unasked.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **(environment or {})},
    ) as child:  # fmt: skip
        to_child, from_child = child.stdin, child.stdout
        assert to_child is not None and from_child is not None

        def ask(question: Any) -> Any:
            print(json.dumps(question), file=to_child, flush=True)
            answer = from_child.readline()
            if not answer:
                raise RuntimeError(f"{command[0]} ended without an answer")
            return json.loads(answer)

        yield ask
        to_child.close()
