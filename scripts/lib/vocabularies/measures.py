"""What is asked of one tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from scripts.lib.vocabularies import texts

from temperament import Catalogue, Run
from temperament.plan import token_bytes
from temperament.plan.automata.mode_automaton import ModeAutomaton, Switching, mode_automaton
from temperament.plan.automata.tracer import Tracer
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import Preset, as_preset

FENCES = (b"```", b"~~~")
STEPS = 60
NOTHING = Catalogue({})


def bytes_against_decode(tokenizer: Any, known: TokenBytes, lines: Iterable[str]) -> Counter[str]:
    """Compares the joined bytes of each line's tokens with what is decoded, and with the line.

    `exact`: all three are equal. `space`: but for a space at the beginning, which the tokenizer
    adds and its decoder removes. `lossy`: bytes and decoder agree, and the tokenizer has changed
    the line. `special`: the same, and the line names special tokens. `wrong`: the bytes aren't what
    is decoded.
    """
    found: Counter[str] = Counter()
    special = token_bytes.special_ids(tokenizer)
    for line in lines:
        encoded = token_bytes.encode(tokenizer, line)
        ids = [token for token in encoded if token not in special]
        joined = b"".join(known.tokens[token] for token in ids)
        decoded = token_bytes.decode(tokenizer, ids)
        text = joined.decode("utf-8", "replace")
        if text != decoded and text.removeprefix(" ") != decoded:
            found["wrong"] += 1
        elif joined == line.encode():
            found["exact"] += 1
        elif joined.removeprefix(b" ") == line.encode():
            found["space"] += 1
        else:
            found["lossy" if ids == encoded else "special"] += 1
    return found


def single_tokens(known: TokenBytes) -> dict[str, int]:
    """How many tokens hold a fence, its line's end too, half a character, or two fences."""
    ordinary = [token for token in known.tokens if token]
    fenced = [token for token in ordinary if any(fence in token for fence in FENCES)]
    return {
        "fence": len(fenced),
        "fence and line end": sum(b"\n" in t[_end(t) :] for t in fenced),
        "line end and fence": sum(b"\n" in t[: _end(t)] for t in fenced),
        "half a character": sum(b"\xef\xbf\xbd" in _text(t) for t in ordinary),
        "longest": max(map(len, ordinary)),
    }


def _end(token: bytes) -> int:
    return min(token.find(fence) + len(fence) for fence in FENCES if fence in token)


def _text(token: bytes) -> bytes:
    return token.decode("utf-8", "replace").encode()


def automaton(preset: Preset, known: TokenBytes) -> ModeAutomaton:
    """The automaton of a preset with modes."""
    switching = Switching.of(preset)
    assert switching is not None
    return mode_automaton(switching, known)


def triggers_missed(tokenizer: Any, known: TokenBytes, random: Random) -> tuple[int, list[str]]:
    """Looks for each trigger between other texts, as the tokenizer cuts them and cut anywhere.

    Returns how often, and the triggers that didn't switch exactly where the first of all triggers
    ends in the bytes.
    """
    every = texts.triggers()
    switch = [
        {"from": "before", "on": {"text": list(every[at : at + 60])}, "to": "after"}
        for at in range(0, len(every), 60)
    ]
    fields = {"modes": {"before": {}, "after": {"top_k": 5}}, "switch": switch}
    rules = automaton(as_preset(fields, NOTHING), known)
    pieces = {token: number for number, token in enumerate(known.tokens) if token}
    looked, missed = 0, []
    for text in every:
        for around in (("", ""), ("so ", " it"), ("的", "\n"), ("x\n", "y")):
            whole = text.join(around)
            for ids in (token_bytes.encode(tokenizer, whole), _cut(whole, pieces, random)):
                if ids is None:  # a vocabulary without all the bytes
                    continue
                spelled = [known.spelled[token] for token in ids]
                ends = _first_end(b"".join(spelled), every)
                tracer = Tracer(rules)
                tracer.read(ids)
                found = [(s.token, s.byte) for s in tracer.switches]
                looked += 1
                if found != ([] if ends is None else [_place(spelled, ends)]):
                    missed.append(f"{text!r} in {whole!r}: {found}, {ends} of {spelled}")
    return looked, missed


def _first_end(text: bytes, every: Sequence[str]) -> int | None:
    found = [at + len(one.encode()) for one in every if (at := text.find(one.encode())) >= 0]
    return min(found, default=None)


def _place(spelled: Sequence[bytes], end: int) -> tuple[int, int]:
    """The number of tokens up to the one that holds the end, and the end in its bytes."""
    for number, token in enumerate(spelled, 1):
        if end <= len(token):
            return number, end
        end -= len(token)
    raise AssertionError(end)


def _cut(text: str, pieces: dict[bytes, int], random: Random) -> list[int] | None:
    """A text as any of the vocabulary's tokens that spell it, from left to right."""
    left, found = text.encode(), []
    while left:
        fits = [size for size in range(1, min(17, len(left) + 1)) if left[:size] in pieces]
        if not fits:
            return None
        size = random.choice(fits)
        found.append(pieces[left[:size]])
        left = left[size:]
    return found


def many_marks(known: TokenBytes) -> tuple[dict[str, int], set[int], list[str]]:
    """Reads each token that holds several marks at once, and its bytes one at a time.

    Returns the most marks in a token for each preset with modes, the tokens that hold three or more
    of any preset's, and those after which the mode isn't that of the bytes.
    """
    single = {token: number for number, token in enumerate(known.tokens) if len(token) == 1}
    most, three, wrong = {}, set[int](), []
    for name, preset in texts.with_modes().items():
        rules = automaton(preset, known)
        most[name] = rules.longest_event
        three.update(_with_marks(rules, 3))
        for token in _with_marks(rules, 2):
            spelled = known.tokens[token] if token < len(known) else b""
            if not spelled or not all(bytes([byte]) in single for byte in spelled):
                continue
            for mode in range(len(rules.switching.modes)):
                whole, cut = Tracer(rules), Tracer(rules)
                whole.mode = cut.mode = mode
                whole.read([token])
                cut.read([single[bytes([byte])] for byte in spelled])
                if (whole.mode, whole.stack, whole.state) != (cut.mode, cut.stack, cut.state):
                    wrong.append(f"{name}, {rules.switching.modes[mode]}: {spelled!r}")
    return most, three, wrong


def _with_marks(rules: ModeAutomaton, least: int) -> list[int]:
    """The tokens within which at least so many triggers end, from some state."""
    table = rules.triggers.tokens
    enough = np.array([len(event) >= least for event in table.events])
    found = {
        *np.flatnonzero(enough[table.event]),
        *table.exception_token[enough[table.exception_event]],
    }
    return sorted(map(int, found))


def banned_drawn(tokenizer: Any, known: TokenBytes, seed: int) -> tuple[int, list[str]]:
    """Draws tokens that belong to banned texts. Returns how many, and texts that came out."""
    pieces = {token: number for number, token in enumerate(known.tokens) if token}
    likely = {
        pieces[cut]
        for text in texts.BANNED
        for first in range(len(text.encode()))
        for last in range(first + 1, len(text.encode()) + 1)
        if (cut := text.encode()[first:last]) in pieces
    }
    rows = 8
    preset = as_preset({"banned_strings": list(texts.BANNED)}, NOTHING)
    run = Run(preset, rows=rows, tokenizer=tokenizer)
    generator = torch.Generator().manual_seed(seed)
    drawn: list[list[int]] = [[] for _ in range(rows)]
    raised = torch.tensor(sorted(likely))
    for _ in range(STEPS):
        logits = torch.full((rows, len(known)), -9.0)
        logits[:, raised] = torch.randn(rows, len(raised), generator=generator)
        tokens = run.run(logits).argmax(-1)
        run.accept(tokens)
        for row, token in enumerate(tokens.tolist()):
            drawn[row].append(token)
    found = [
        f"{text!r} in {decoded!r}"
        for row in drawn
        for text in texts.BANNED
        if text in (decoded := token_bytes.decode(tokenizer, row))
    ]
    return rows * STEPS, found
