"""Seeds of requests that have none: every entry into an engine's batch gets another.

Neither runner gives a request's id, so the entries are counted. All tensor-parallel ranks see the
same entries in the same order, and so give them the same seeds.
"""

from __future__ import annotations

import hashlib
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.config import VllmConfig


class Unseeded:
    """Gives each entry of one engine its seed."""

    def __init__(self, vllm_config: VllmConfig) -> None:
        # `instance_id` is random, and the same in all processes of a server; data-parallel engines
        # differ in their index.
        engine = vllm_config.parallel_config.data_parallel_index
        self._engine = f"{vllm_config.instance_id} {engine}"
        self._entries = count()

    def seed(self) -> int:
        """Returns the seed of the next entry, in [0, 2^63)."""
        text = f"{self._engine} {next(self._entries)}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1
