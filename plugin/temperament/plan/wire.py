"""The wire format: the residual of a preset as one line of JSON, which vLLM carries to its workers.

It is self-contained: a worker needs no catalogue, and a reload can't change a running request.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from temperament.errors import PresetError, Problem, shown
from temperament.plan.residual import Residual
from temperament.presets.chain import Chain
from temperament.presets.fields import MOVABLE
from temperament.presets.mode_checks import mode_problems
from temperament.presets.parsing import parse_preset
from temperament.presets.plain import plain_values
from temperament.presets.preset import Preset
from temperament.stages import PARAMETERS

KEY = "temperament"  # the name in `vllm_xargs` and `SamplingParams.extra_args`
MAX_CHARACTERS = 256 * 1024
_OTHER_KEYS = ("order", "seed", "modes", "start", "switch")


def encode(residual: Chain | Residual, label: str, seed: int | None = None) -> str:
    """Returns the text for a chain or a preset's residual.

    `label` (`name@digest`) is for logs. `seed` is that of the noise, None if the engine's own field
    has it or the request has none.
    """
    if isinstance(residual, Chain):
        residual = Residual({"": residual})
    content: dict[str, Any] = {"preset": label}
    if "" in residual.chains:
        content |= _fields(residual.chains[""])
    else:
        content["modes"] = {name: _fields(chain) for name, chain in residual.chains.items()}
        content["switch"] = [rule.plain() for rule in residual.switch]
        if residual.start:
            content["start"] = residual.start
    if seed is not None:
        content["seed"] = seed
    return json.dumps(content, separators=(",", ":"))


def _fields(chain: Chain) -> dict[str, Any]:
    fields = plain_values(chain.values)
    order = [name for name in chain.names if name in MOVABLE]
    if order:
        fields["order"] = order
    return fields


@lru_cache(maxsize=256)
def decode(text: str) -> Preset:
    """Returns the preset that a text encodes, with its label as name.

    Raises `PresetError` if it encodes none.
    """
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
    unknown = [name for name in content if name not in PARAMETERS and name not in _OTHER_KEYS]
    if unknown:
        raise PresetError(Problem(where, name, "is not part of a chain") for name in unknown)
    preset, _ = parse_preset(label, content, where=where)
    if problems := mode_problems(preset, lambda _: where, shadowed=False):
        raise PresetError(problems)
    return preset
