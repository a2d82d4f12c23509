"""Measures of answers: code that parses, diversity, loops; with bootstrap intervals."""

from __future__ import annotations

import ast
import math
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from scripts.lib.evaluate_modes.answers import CODING, OPEN, SEEDS, Key
from tqdm import tqdm

Answers = dict[int, list[str]]  # by prompt: the answers to each seed

FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """The contents of closed fences of Python, or of no language."""
    return [code for language, code in FENCE.findall(text) if language.lower() in ("", "python")]


def parses(code: str) -> bool:
    """Whether Python can read it."""
    try:
        ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def prose(text: str) -> list[str]:
    """The words outside of code; an open fence reaches to the end."""
    text = FENCE.sub(" ", text)
    text = re.split(r"^[ \t]*```", text, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"\w+|[^\w\s]", re.sub(r"`[^`\n]*`", " ", text).lower())


def grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    """Counts each run of `size` words."""
    return Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def distinct_2(texts: Sequence[Sequence[str]]) -> float:
    """Different pairs of neighbouring words, of all pairs, in the texts of a prompt."""
    pairs = sum((grams(text, 2) for text in texts), Counter[tuple[str, ...]]())
    return len(pairs) / pairs.total() if pairs else math.nan


def bleu(text: Sequence[str], others: Sequence[Sequence[str]]) -> float:
    """BLEU-4 with one added to the counts from pairs on (Lin and Och 2004), and brevity."""
    score = 0.0
    for size in range(1, 5):
        counts = grams(text, size)
        best: Counter[tuple[str, ...]] = Counter()
        for other in others:
            best |= grams(other, size)
        more = size > 1
        hits = (counts & best).total() + more
        if not hits:
            return 0.0
        score += math.log(hits / (counts.total() + more)) / 4
    nearest = min((abs(len(other) - len(text)), len(other)) for other in others)[1]
    return math.exp(score + min(0.0, 1 - nearest / len(text)))


def self_bleu(texts: Sequence[Sequence[str]]) -> float:
    """The mean BLEU of each text against the others: 1 where all are equal."""
    spoken = [text for text in texts if text]
    if len(spoken) < 2:
        return math.nan
    scores = [bleu(t, [*spoken[:i], *spoken[i + 1 :]]) for i, t in enumerate(spoken)]
    return sum(scores) / len(scores)


def loops(text: str) -> bool:
    """Whether the same eight words occur three times."""
    return max(grams(text.split(), 8).values(), default=0) >= 3


def interval(
    groups: Sequence[Any], statistic: Callable[[Sequence[Any]], float], resamples: int = 1000
) -> list[float]:
    """[value, lower, upper]: 95 %, by bootstrap over the groups (one for each prompt)."""
    random = Random(0)
    drawn = (statistic(random.choices(groups, k=len(groups))) for _ in range(resamples))
    found = sorted(value for value in drawn if not math.isnan(value))
    if not found:
        return [math.nan] * 3
    low, high = (found[int(len(found) * share)] for share in (0.025, 0.975))
    return [statistic(groups), low, high]


def mean(values: Iterable[float]) -> float:
    """The mean of the values that aren't NaN."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def pooled(groups: Iterable[Sequence[bool]]) -> float:
    """The share of true values among those of all groups."""
    return mean(float(value) for group in groups for value in group)


def measure(answers: dict[Key, str]) -> dict[str, Any]:
    """Every number of the tables, with its interval, and the differences that are claimed."""
    of: dict[tuple[str, str], Answers] = defaultdict(lambda: defaultdict(list))
    for (group, condition, prompt, _), text in sorted(answers.items()):
        of[group, condition][prompt].append(text)
    coding = {
        condition: per_prompt(of["coding", condition])
        for condition in tqdm(CODING, desc="measuring")
    }
    looping = {
        name: {p: loops(of_prompt[0]) for p, of_prompt in of["open", name].items()} for name in OPEN
    }
    pairs = [
        (looping["anti-loop"][prompt], looping["greedy"][prompt])
        for prompt in sorted(looping["greedy"].keys() & looping["anti-loop"].keys())
    ]
    return {
        "coding": [row(name, numbers, of["coding", name]) for name, numbers in coding.items()],
        "claims": [claims("coding-assistant", coding)],
        "open": [
            {
                "condition": name,
                "answers": len(of_prompt),
                "loops": interval(list(of_prompt.values()), mean),
            }
            for name, of_prompt in looping.items()
        ],
        "open_difference": interval(
            pairs, lambda some: mean(a for a, _ in some) - mean(g for _, g in some)
        ),
    }


def per_prompt(texts: Answers) -> dict[str, dict[int, Any]]:
    """Each measure of a condition's answers, by prompt. Diversity needs answers to all seeds."""
    parsed = {
        prompt: [parses(b) for b in blocks(of_prompt[0])] for prompt, of_prompt in texts.items()
    }
    spoken = {
        prompt: [prose(text) for text in of_prompt]
        for prompt, of_prompt in texts.items()
        if len(of_prompt) == SEEDS
    }
    return {
        "parse": parsed,
        "working": {prompt: float(any(of_prompt)) for prompt, of_prompt in parsed.items()},
        "distinct_2": {prompt: distinct_2(of_prompt) for prompt, of_prompt in spoken.items()},
        "self_bleu": {prompt: self_bleu(of_prompt) for prompt, of_prompt in spoken.items()},
    }


def row(condition: str, numbers: dict[str, dict[int, Any]], texts: Answers) -> dict[str, Any]:
    """The numbers of one condition with their intervals, from its measures and its answers."""
    first = [of_prompt[0] for of_prompt in texts.values()]
    return {
        "condition": condition,
        "answers": len(first),
        "blocks": sum(map(len, numbers["parse"].values())),
        "parse": interval(list(numbers["parse"].values()), pooled),
        "working": interval(list(numbers["working"].values()), mean),
        "distinct_2": interval(list(numbers["distinct_2"].values()) or [math.nan], mean),
        "self_bleu": interval(list(numbers["self_bleu"].values()) or [math.nan], mean),
        "loops": interval([loops(text) for text in first], mean),
    }


def claims(mixed: str, coding: dict[str, dict[str, dict[int, Any]]]) -> dict[str, Any]:
    """What is claimed of the condition `mixed`: its differences from `code` and `chat`."""

    def minus(other: str, name: str) -> list[float]:
        left, right = coding[mixed][name], coding[other][name]
        both = [(left[prompt], right[prompt]) for prompt in left.keys() & right.keys()]
        summary: Any = pooled if name == "parse" else mean
        return interval(
            both, lambda pairs: summary(p[0] for p in pairs) - summary(p[1] for p in pairs)
        )

    return {
        "of": mixed,
        "parse_minus_code": minus("code", "parse"),
        "parse_minus_chat": minus("chat", "parse"),
        "working_minus_code": minus("code", "working"),
        "working_minus_chat": minus("chat", "working"),
        "distinct_2_minus_chat": minus("chat", "distinct_2"),
        "self_bleu_minus_chat": minus("chat", "self_bleu"),
    }
