"""The tables of the evaluation in Markdown, in English and Chinese."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

HEADS = {
    "en": ("condition", "answers", "closed fences", "fences that parse, %",
           "answers with one that does, %", "distinct-2", "self-BLEU", "loops, %"),
    "zh": ("条件", "回答数", "闭合代码块数", "可解析的代码块 %", "含可解析代码块的回答 %",
           "distinct-2", "self-BLEU", "循环 %"),
}  # fmt: skip

CLAIMS = {
    "en": ("difference", "fences that parse, against `code`", "the same, against `chat`",
           "answers with one that does, against `code`", "the same, against `chat`",
           "distinct-2, against `chat`", "self-BLEU, against `chat`"),
    "zh": ("差值", "可解析的代码块，对比 `code`", "同上，对比 `chat`",
           "含可解析代码块的回答，对比 `code`", "同上，对比 `chat`", "distinct-2，对比 `chat`",
           "self-BLEU，对比 `chat`"),
}  # fmt: skip

LOOPS = {"en": ("condition", "answers", "loops, %"), "zh": ("条件", "回答数", "循环 %")}

DIFFERENCE = {"en": "difference", "zh": "差值"}


def shown(values: Sequence[float], percent: bool = False, sign: bool = False) -> str:
    """A value with its interval."""
    if math.isnan(values[0]):
        return "—"
    form = (
        "{:+.1f}" if sign and percent else "{:.1f}" if percent else "{:+.3f}" if sign else "{:.3f}"
    )
    value, low, high = (form.format(number * (100 if percent else 1)) for number in values)
    return f"{value} ({low} … {high})"


def tables(numbers: dict[str, Any], language: str) -> str:
    """The tables in Markdown."""

    def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)

    coding = [
        (r["condition"], r["answers"], r["blocks"], shown(r["parse"], True),
         shown(r["working"], True), shown(r["distinct_2"]), shown(r["self_bleu"]),
         shown(r["loops"], True))
        for r in numbers["coding"]
    ]  # fmt: skip
    claims = [
        (c["of"], shown(c["parse_minus_code"], True, True),
         shown(c["parse_minus_chat"], True, True), shown(c["working_minus_code"], True, True),
         shown(c["working_minus_chat"], True, True),
         shown(c["distinct_2_minus_chat"], sign=True), shown(c["self_bleu_minus_chat"], sign=True))
        for c in numbers["claims"]
    ]  # fmt: skip
    looping = [(r["condition"], r["answers"], shown(r["loops"], True)) for r in numbers["open"]]
    looping.append((DIFFERENCE[language], "", shown(numbers["open_difference"], True, True)))
    parts = (table(HEADS[language], coding), table(CLAIMS[language], claims),
             table(LOOPS[language], looping))  # fmt: skip
    return "\n\n".join(parts)
