"""The requests of a flood, which follow from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from integration_tests.harness.random_presets import Vocabulary, presets

from temperament.errors import TemperamentError

SIZE = 1024  # of the tiny model's vocabulary
LONGEST = 24  # tokens
# What a manager has for all requests alone, or draws from one generator.
_FOR_ALL = ("stop", "seed")
_CANNOT_RUN: tuple[Any, ...] = (
    "no-such-preset",
    {"temperature": -1},
    {"num_beams": 3},
    {"logit_bias": {str(SIZE): 1.0}},
    {"stop": ["."]},
    3,
)


@dataclass
class Request:
    """One request: its prompt and the arguments of `add_request`."""

    number: int
    prompt: list[int]
    arguments: dict[str, Any]
    kinds: list[str]
    # results of any request, after which it is cancelled
    cancelled_after: int | None = None
    # whether it is to be repeated alone
    sampled: bool = False
    # what it is told that can't run, "" if it can
    refusal: str = ""
    # the tokens that it may have
    most: int = LONGEST
    tokens: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Returns its id."""
        return f"r{self.number}"


class Asker:
    """Draws requests from a seed; `attached` has the presets of the manager."""

    def __init__(self, attached: Any, seed: int, count: int, plain: bool) -> None:
        self._attached, self._seed, self._plain = attached, seed, plain
        drawn = presets(seed, count, Vocabulary(SIZE))
        self._presets = [
            {name: value for name, value in each.items() if name not in _FOR_ALL}
            for each in drawn.values()
        ]

    def request(self, number: int) -> Request:
        """Returns the request of a number."""
        random = Random(f"{self._seed} {number}")
        prompt = [random.randrange(5, SIZE) for _ in range(random.randint(1, 40))]
        most = random.randint(1, LONGEST)
        streaming = random.random() < 0.3
        request = Request(number, prompt, {"streaming": streaming}, [], most=most)
        request.kinds.append("streamed" if streaming else "whole")
        if random.random() < 0.3:
            request.cancelled_after = int(random.expovariate(1 / 12))
            request.kinds.append("cancelled")
        draw, preset = random.random(), random.choice(self._presets)
        if draw < 0.1 or self._plain:
            request.kinds.append("without a preset")
        elif draw < 0.16:
            request.kinds.append("can't run")
            request.arguments["preset"] = random.choice(_CANNOT_RUN)
            request.refusal = "expected"
        else:
            request.sampled = request.cancelled_after is None and random.random() < 0.5
            if request.sampled:
                request.kinds.append("sampled")
                preset = {**preset, "reproducible": True}
            self._choose(request, preset, random.randrange(2**31))
        if request.refusal != "door":
            request.arguments = {"max_new_tokens": most, **request.arguments}
            request.most = request.arguments["max_new_tokens"]
        return request

    def _choose(self, request: Request, preset: dict[str, Any], seed: int) -> None:
        try:
            request.arguments |= self._attached.request_kwargs(preset, seed=seed)
        except TemperamentError as error:
            request.refusal = "door"
            request.kinds.append("refused at the door")
            request.arguments = {"reason": str(error)}
