"""Samples of every preset on every prompt, in rounds, so that a drift in speed affects all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from temperament.errors import EngineError, Problem
from temperament.presets import Preset
from temperament.studio.remote import Server


@dataclass(eq=False, slots=True)
class Collected:
    """One preset's samples: `tokens[prompt][sample]` are ids, `surprises` their `-ln p` in nats.

    `speeds` are the tokens per second of each round, over all prompts together.
    """

    preset: Preset
    tokens: list[list[list[int]]]
    surprises: list[list[list[float]]]
    speeds: list[float] = field(default_factory=list)


async def collect(
    server: Server,
    presets: Sequence[Preset],
    prompts: Sequence[str],
    *,
    samples: int,
    max_tokens: int,
    chat: bool = False,
    seed: int = 0,
    together: int = 16,
) -> list[Collected]:
    """`samples` texts of every preset on every prompt, `together` requests at a time.

    Sample i of a prompt has the same seed under every preset. Raises `EngineError` with the
    reasons if the server can't run a preset.
    """
    ids = [await server.encode(prompt, chat=chat) for prompt in prompts]
    all_collected = [Collected(p, [[] for _ in prompts], [[] for _ in prompts]) for p in presets]
    running = asyncio.Semaphore(together)

    async def sample_once(collected: Collected, prompt: int, sample: int) -> int:
        async with running:
            number = seed + sample * len(prompts) + prompt
            tokens, surprises = await server.complete(
                ids[prompt], collected.preset, seed=number, max_tokens=max_tokens
            )
        collected.tokens[prompt].append(tokens)
        collected.surprises[prompt].append(surprises)
        return len(tokens)

    with tqdm(total=samples * len(all_collected) * len(prompts), unit="text") as progress:
        for sample in range(samples):
            for collected in all_collected:
                begin = time.perf_counter()
                work = [sample_once(collected, prompt, sample) for prompt in range(len(prompts))]
                lengths = await asyncio.gather(*work)
                collected.speeds.append(sum(lengths) / (time.perf_counter() - begin))
                progress.update(len(prompts))
    return all_collected


def read_prompts(path: str) -> list[str]:
    """The prompts of a file, one a line. Raises `EngineError` if there are none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(Problem(path, "", f"can't be read: {error}")) from error
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise EngineError(Problem(path, "", "has no prompts", allowed="one prompt a line"))
    return prompts
