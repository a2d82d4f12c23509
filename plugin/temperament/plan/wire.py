"""What is left to us of a preset, as one line of text: what a request carries to the workers.

It is self-contained: a worker needs no catalogue, and a reload can't change a running request.
"""

from __future__ import annotations

import json
import secrets
from functools import lru_cache
from typing import Any

from temperament.errors import PresetError, Problem, shown
from temperament.plan.residual import Residual
from temperament.presets.chain import Chain
from temperament.presets.fields import MOVABLE
from temperament.presets.parsing import parse_preset
from temperament.presets.plain import plain_values
from temperament.presets.preset import Preset
from temperament.presets.resolve import complete
from temperament.stages import PARAMETERS

KEY = "temperament"  # the name in `vllm_xargs` and `SamplingParams.extra_args`
MAX_CHARACTERS = 256 * 1024
_OTHERS = ("order", "seed", "modes", "start", "switch")


def encode(what: Chain | Residual, label: str, seed: int | None = None) -> str:
    """`what` as text; `label` (`name@digest`) travels along for logs, `seed` for the noise."""
    residual = Residual({"": what}) if isinstance(what, Chain) else what
    content: dict[str, Any] = {"preset": label}
    if "" in residual.chains:
        content |= _words(residual.chains[""])
    else:
        content["modes"] = {name: _words(chain) for name, chain in residual.chains.items()}
        content["switch"] = [rule.plain() for rule in residual.switch]
        if residual.start:
            content["start"] = residual.start
    if seed is not None:
        content["seed"] = seed
    return json.dumps(content, separators=(",", ":"))


def _words(chain: Chain) -> dict[str, Any]:
    words = plain_values(chain.values)
    order = [name for name in chain.names if name in MOVABLE]
    if order:
        words["order"] = order
    return words


@lru_cache(maxsize=256)
def decode(text: str) -> Preset:
    """What `text` says, its label as the name. Raises `PresetError` if it isn't one of ours."""
    where = f"vllm_xargs.{KEY}"
    if len(text) > MAX_CHARACTERS:
        raise PresetError(
            Problem(where, "", "too long", allowed=f"at most {MAX_CHARACTERS} characters")
        )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise PresetError(Problem(where, "", "not a chain", shown(text), "a JSON object"))
    label = str(content.pop("preset", ""))
    unknown = [name for name in content if name not in PARAMETERS and name not in _OTHERS]
    if unknown:
        raise PresetError(Problem(where, name, "is no part of a chain") for name in unknown)
    preset, _ = parse_preset(label, content, where=where)
    return complete(preset, {}, where)


def seeds(chain: Residual, given: int | None, samples: object) -> tuple[int | None, int | None]:
    """(the seed for the chain's text, the engine's own seed field) of a request.

    A chain without chance needs none of ours. Where one is needed and the request gives none, a
    fresh one is drawn. If the request asks for several samples it must be the engine's own, which
    gives each sample another; otherwise the chain carries it, and the engine draws as it likes.
    """
    if given is not None or "noise" not in chain.needs:
        return None, given
    drawn = secrets.randbits(62)
    return (drawn, None) if samples in (None, 1) else (None, drawn)
