"""Random presets that are valid: every stage, orders, schedules, modes and their rules."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from temperament.errors import TemperamentError
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.fields import MOVABLE
from temperament.stages import FLOAT32_MAX, STAGES, Parameter, Stage

Fields = dict[str, Any]

TEXTS = ("\n", ".", " the", "a", "```", "</think>", '"', "end", "é", "。", "  ", "I", ", ")
NOTHING = Catalogue({})


@dataclass(frozen=True)
class Vocabulary:
    """What presets may name: token ids below `size`."""

    size: int
    texts: tuple[str, ...] = TEXTS


def preset(random: Random, vocabulary: Vocabulary, *stages: Stage) -> Fields:
    """The fields of a valid preset, with these stages and some others."""
    while True:
        fields = _preset(random, vocabulary, stages)
        try:
            as_preset(fields, NOTHING)
        except TemperamentError:  # rules that take each other's place, modes that none leads to
            continue
        return fields


def presets(seed: int, count: int, vocabulary: Vocabulary) -> dict[str, Fields]:
    """So many presets by name, all different, every stage in turn among them."""
    found: dict[str, Fields] = {}
    digests: set[str] = set()
    while len(found) < count:
        number = len(found)
        stage = STAGES[number % len(STAGES)]
        fields = preset(Random(f"{seed} {number} {len(digests)}"), vocabulary, stage)
        digest = as_preset(fields, NOTHING).digest
        if digest not in digests:
            digests.add(digest)
            found[f"p{number:03d}"] = fields
    return found


def write(folder: Path, presets: dict[str, Fields]) -> None:
    """One file a preset; JSON is YAML too."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, fields in presets.items():
        (folder / f"{name}.yaml").write_text(json.dumps(fields, indent=1), encoding="utf-8")


def remembers(sampled: Preset) -> bool:
    """Whether what is drawn depends on more than the tokens so far and the last logits."""
    stages = {step.stage for chain in sampled.chains.values() for step in chain.steps}
    state = any("state" in stage.needs for stage in STAGES if stage.name in stages)
    return state or any(rule.on.kind == "entropy" for rule in sampled.switch)


def _preset(random: Random, vocabulary: Vocabulary, stages: Sequence[Stage]) -> Fields:
    fields: Fields = {}
    for stage in (*stages, *random.sample(STAGES, int(random.triangular(0, 9, 2)))):
        fields |= _values(stage, random, vocabulary)
    if random.random() < 0.3:
        fields["order"] = random.sample(MOVABLE, random.randint(1, len(MOVABLE)))
    if random.random() < 0.3:
        fields["seed"] = random.randrange(2**63)
    if random.random() < 0.1:
        fields["stop"] = [random.choice(vocabulary.texts) for _ in range(random.randint(1, 3))]
    if random.random() < 0.1:
        fields["max_tokens"] = random.randint(1, 24)
    if random.random() < 0.35:
        fields |= _modes(random, vocabulary)
    return fields


def _values(stage: Stage, random: Random, vocabulary: Vocabulary) -> Fields:
    return {
        p.name: _value(p, random, vocabulary) for p in stage.parameters if random.random() < 0.9
    }


def _value(parameter: Parameter, random: Random, vocabulary: Vocabulary) -> Any:
    if parameter.schedulable and random.random() < 0.15:
        ends = _number(parameter, random), _number(parameter, random)
        if parameter.neutral not in ends or not parameter.integer:
            curve = random.choice(["linear", "cosine"])
            return {"from": ends[0], "to": ends[1], "over": random.randint(1, 30), "curve": curve}
    tokens = random.sample(range(vocabulary.size), random.randint(1, 12))
    match parameter.kind.name:
        case "flag":
            return random.random() < 0.7
        case "texts":
            return random.sample(vocabulary.texts, random.randint(1, 4))
        case "tokens":
            if parameter.name == "allowed_token_ids":
                return random.sample(range(vocabulary.size), random.randint(1, 400))
            return tokens
        case "token_bias":
            return {str(token): random.uniform(-20, 20) for token in tokens}
        case "sequences":
            return [[token, *tokens[: token % 3]] for token in tokens]
        case "sequence_bias":
            return [[[token, *tokens[: token % 3]], random.uniform(-20, 20)] for token in tokens]
    if parameter.name == "forced_bos_token_id":
        return random.randrange(vocabulary.size)
    return _number(parameter, random)


def _number(parameter: Parameter, random: Random) -> float:
    """From the parameter's range, its ends among them."""
    low, high = parameter.low, parameter.high
    ends = [low] * (not parameter.low_open and low > -FLOAT32_MAX)
    ends += [high] * (not parameter.high_open and high < FLOAT32_MAX)
    if ends and random.random() < 0.1:
        drawn: float = random.choice(ends)
    elif high == FLOAT32_MAX and random.random() < 0.05:
        drawn = 10 ** random.uniform(-37, 38)
    elif high < 1000:
        drawn = min(max(random.uniform(low, high), low), high)
    else:
        drawn = max(low, 0) + 10 ** random.uniform(-2, 2)
    if parameter.integer:
        return min(math.ceil(drawn), int(high))
    return drawn if low < drawn < high else random.choice([*ends, max(low, 0) + 0.5])


def _modes(random: Random, vocabulary: Vocabulary) -> Fields:
    names = ["one", "two", "three", "four"][: random.randint(2, 4)]
    modes: Fields = {}
    for name in names:
        modes[name] = {}
        for stage in random.sample(STAGES, random.randint(1, 3)):
            modes[name] |= _values(stage, random, vocabulary)
        if random.random() < 0.2:
            modes[name]["order"] = random.sample(MOVABLE, random.randint(1, 5))
    rules = []
    for number, name in enumerate(names):
        after = names[(number + 1) % len(names)]
        trigger, effect = _trigger(random, vocabulary)
        to = "back" if number == len(names) - 1 and random.random() < 0.5 else after
        rules.append({"from": name, "on": trigger, "to": to, **effect})
    if random.random() < 0.5:
        trigger, effect = _trigger(random, vocabulary)
        rules.append({"on": trigger, "to": random.choice(names), **effect})
    start = {"start": random.choice([*names, "auto"])} if random.random() < 0.4 else {}
    return {"modes": modes, "switch": rules, **start}


def _trigger(random: Random, vocabulary: Vocabulary) -> tuple[Any, Fields]:
    """What a rule waits for, and when its mode takes effect."""
    texts = random.sample(vocabulary.texts, random.randint(1, 3))
    match random.randrange(8):
        case 0 | 1 | 2:
            line = {"at_line_start": True} if random.random() < 0.3 else {}
            effect = {"effect": "before"} if random.random() < 0.3 else {}
            return {"text": texts, **line}, effect
        case 3:
            return {"end_of": texts}, {}
        case 4:
            return {"token": random.randrange(vocabulary.size)}, {}
        case 5:
            return {"tokens": random.randint(1, 8)}, {}
        case 6:
            side = random.choice(["above", "below"])
            level = random.uniform(0.1, 6)
            return {"entropy": {side: level, "for": random.randint(1, 3)}}, {}
    return {"repeat": {"span": random.randint(1, 3), "times": random.randint(2, 3)}}, {}
