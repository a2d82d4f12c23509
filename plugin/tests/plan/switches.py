"""Random presets with modes, and where a plain search in the text says that they switch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Any

from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.modes import BACK, MAX_DEPTH, Rule

# Few letters, so that texts overlap; letters of one, two and three bytes, and what makes lines.
LETTERS = ["a", "b", "`", "\n", " ", "\t", "é", "è", "的"]
NOTHING = Catalogue({})
MODES = ("one", "two", "three")


def some_text(random: Random, longest: int = 5) -> str:
    """A text of few letters."""
    return "".join(random.choices(LETTERS, k=random.randint(1, longest)))


def some_vocabulary(random: Random) -> TokenBytes:
    """Pieces of text cut anywhere, also inside a letter; single bytes; special and empty tokens."""
    tokens = [bytes([byte]) for byte in sorted(set("".join(LETTERS).encode()))]
    for _ in range(random.randint(0, 40)):
        whole = some_text(random, 8).encode()
        cut = sorted(random.choices(range(len(whole) + 1), k=2))
        tokens.append(whole[cut[0] : cut[1]])
    tokens += [b"", b""]
    random.shuffle(tokens)
    empty = [number for number, token in enumerate(tokens) if not token]
    special = ((empty[0], some_text(random).encode()),)
    return TokenBytes(tuple(tokens), (), special, (("<name>", empty[-1]),))


def some_preset(random: Random, vocabulary: TokenBytes, start: str = "one") -> Preset:
    """Three modes, and rules of every kind that the tokens alone decide."""

    def texts() -> list[str]:
        several = [some_text(random) for _ in range(random.randint(1, 2))]
        return [*several, several[0][random.randrange(len(several[0])) :]]

    def trigger() -> dict[str, Any]:
        match random.randrange(8):
            case 0 | 1 | 2:
                return {"text": texts()}
            case 3:
                return {"text": texts(), "at_line_start": True}
            case 4:
                return {"end_of": texts()}
            case 5:
                return {"token": random.choice([random.randrange(len(vocabulary)), "<name>"])}
            case 6:
                return {"tokens": random.randint(1, 6)}
            case _:
                return {"repeat": {"span": random.randint(1, 3), "times": random.randint(2, 3)}}

    while True:
        rules = []
        for _ in range(random.randint(2, 6)):
            on, to = trigger(), random.choice([*MODES, BACK])
            sources = random.sample([mode for mode in MODES if mode != to], random.randint(1, 2))
            before = random.random() < 0.2 and bool({"text", "end_of"} & on.keys())
            rules.append({"from": sources, "on": on, "to": to,
                          "effect": "before" if before else "after"})  # fmt: skip
        modes = {mode: {"temperature": 1.0 + number} for number, mode in enumerate(MODES)}
        try:
            return as_preset({"modes": modes, "start": start, "switch": rules}, NOTHING)
        except ValueError:  # unreachable modes and the like: another one
            continue


def _ends(rule: Rule, text: bytes, since: int, vocabulary: TokenBytes) -> bool:
    """Whether one of a rule's texts ends where a text ends; a whole line's, all behind `since`."""
    for encoded in (one for ending in rule.on.texts for one in vocabulary.spellings(ending)):
        before = rb"(?:\A|\n)[ \t]*" if rule.on.at_line_start or rule.on.end_of else b""
        behind = rb"[ \t\r]*\n\Z" if rule.on.end_of else rb"\Z"
        for begin in range(since if rule.on.end_of else 0, len(text) - len(encoded) + 1):
            if re.match(re.escape(encoded) + behind, text[begin:]) and re.search(
                before + rb"\Z", text[:begin]
            ):
                return True
    return False


def _stands(span: Sequence[int], output: Sequence[int]) -> int:
    """How often some tokens stand in an output."""
    size = len(span)
    return sum(output[i : i + size] == span for i in range(len(output) - size + 1))


def search(
    preset: Preset, vocabulary: TokenBytes, output: list[int]
) -> list[tuple[int, int, str, str]]:
    """(token, byte, mode before, mode after) of every switch: a plain search, byte by byte."""
    names = dict(vocabulary.added)
    mode, entered, stack, found, text = preset.start, 0, list[str](), [], b""
    since = 0

    def take(rules: list[Rule], count: int, byte: int) -> bool:
        nonlocal mode, entered, since
        rule = next((rule for rule in rules if rule.leaves(mode)), None)
        if rule is None or (rule.to == BACK and not stack):
            return False
        before = mode
        if rule.to == BACK:
            mode = stack.pop()
        else:
            stack.append(mode)
            del stack[:-MAX_DEPTH]
            mode = rule.to
        entered, since = count - rule.before, len(text)
        found.append((entered, byte, before, mode))
        return True

    for count, token in enumerate(output, 1):
        spelling, switched = vocabulary.atomic[token], False
        on_token = [rule for rule in preset.switch
                if token in (rule.on.token, names.get(str(rule.on.token)))]  # fmt: skip
        for byte in range(1, len(spelling) + 1):
            text += spelling[byte - 1 : byte]
            last = byte == len(spelling)
            rules = [
                rule
                for rule in preset.switch
                if _ends(rule, text, since, vocabulary) or (last and rule in on_token)
            ]
            switched |= take(rules, count, byte)
        if not spelling:
            switched |= take(on_token, count, 0)
        if not switched:
            past = output[:count]
            rules = [
                rule
                for rule in preset.switch
                if (rule.on.tokens and count - entered >= rule.on.tokens)
                or (
                    rule.on.span
                    and len(past) >= rule.on.span
                    and _stands(past[-rule.on.span :], past) >= rule.on.times
                )
            ]
            take(rules, count, 0)
    return found
