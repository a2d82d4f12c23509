"""Special tokens match by their text: in bans and in DRY's breakers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.interchange import read
from temperament.plan.vocabulary import TokenBytes
from tests import rows

# 0 a, 1 b, 2 newline, 3 <|im_end|>, 4 <|im_start|>, 5 to 8: the name of 3 in ordinary tokens
A, B, NEWLINE, END, START = range(5)
KNOWN = TokenBytes(
    (b"a", b"b", b"\n", b"", b"", b"<|", b"im_", b"end", b"|>"),
    ends=(END,),
    special=((END, b"<|im_end|>"), (START, b"<|im_start|>")),
)


def after(values: dict[str, Any], output: Sequence[int], prompt: Sequence[int] = ()) -> list[float]:
    """What a row of zeros becomes."""
    batch = Rows(1, vocabulary=lambda: KNOWN)
    batch.write(0, Request(rows.preset(values).chain, ends=(END,)), prompt, output)
    x = torch.zeros(1, len(KNOWN))
    return [float(value) for value in batch.run(x, np.zeros(1, np.int64))[0]]


def banned(texts: Any, output: Sequence[int] = ()) -> list[int]:
    """The tokens that are banned."""
    listed = (texts,) if isinstance(texts, str) else tuple(texts)
    left = after({"banned_strings": listed}, output)
    return [token for token, value in enumerate(left) if value == float("-inf")]


class TestBans:
    """`banned_strings`."""

    def test_a_special_token(self) -> None:
        """Its name bans the token, and its characters in ordinary tokens."""
        assert [END] == banned("<|im_end|>")
        assert [END, 8] == banned("<|im_end|>", [5, 6, 7])

    def test_a_part_of_a_name(self) -> None:
        """A text that is only a part of the name doesn't touch the token."""
        assert [7] == banned("end")
        assert [7] == banned(["end", "<|im_start|>x"])
        assert [END, 7] == banned(["end", "<|im_end|>"])

    def test_across(self) -> None:
        """A text may go from ordinary tokens through a special one to ordinary ones."""
        assert [] == banned("a<|im_end|>b")
        assert [END] == banned("a<|im_end|>", [A])
        assert [B] == banned("a<|im_end|>b", [A, END])
        assert [] == banned("a<|im_end|>b", [A, END, A])
        assert [START] == banned("<|im_end|><|im_start|>", [END])
        assert [] == banned("<|im_end|><|im_start|>", [END, END, B])


class TestBreakers:
    """DRY's breakers."""

    TURN = [A, B, END, A, B]  # noqa: RUF012 - a constant

    @pytest.mark.parametrize(
        ("breakers", "lowered"),
        [
            ([], [END]),
            (["<|im_end|>"], []),  # it ends the match, and costs nothing
            (["<|im_start|>"], [END]),
            (["end"], [END]),
        ],
        ids=str,
    )
    def test_a_special_token(self, breakers: list[str], lowered: list[int]) -> None:
        """A special token is a breaker by its name, and no other text is one for it."""
        values = {"dry_multiplier": 1.0, "dry_sequence_breakers": tuple(breakers)}
        values["dry_protect_ends"] = False
        actual = after(values, self.TURN)

        assert lowered == [token for token, value in enumerate(actual) if value < 0]

    def test_a_repetition_does_not_reach_across(self) -> None:
        """A match ends at the special token."""
        history = [A, END, B, NEWLINE, A, END, B]
        values = {"dry_multiplier": 1.0, "dry_base": 2.0}
        across = after({**values, "dry_sequence_breakers": ()}, history)
        broken = after({**values, "dry_sequence_breakers": ("<|im_end|>",)}, history)

        assert -2.0 == across[NEWLINE]
        assert 0.0 == broken[NEWLINE]

    def test_the_end_of_the_text_costs_nothing(self) -> None:
        """A repetition that ends like an earlier turn may end."""
        values = {"dry_multiplier": 1.0, "dry_sequence_breakers": ()}

        assert [0.0] * len(KNOWN) == after(values, self.TURN)


class TestImported:
    """Presets of other programs that name special tokens."""

    @pytest.mark.parametrize(
        ("program", "text"),
        [
            ("sillytavern",  # 1.19.0
             '{"temp": 1, "rep_pen": 1, "banned_tokens": "\\"<|im_end|>\\""}'),
            ("koboldcpp",  # 1.76
             '{"temperature": 1, "top_k": 0, "top_p": 1, "banned_strings": ["<|im_end|>"]}'),
            ("tabbyapi", "banned_strings: {override: ['<|im_end|>']}"),  # of 2026-08-13
        ],
    )  # fmt: skip
    def test_a_ban_acts(self, program: str, text: str) -> None:
        """An imported ban of a special token bans it, and has no note that it couldn't."""
        reading = read(text, format_name=program)
        left = after({"banned_strings": tuple(reading.preset["banned_strings"])}, [])

        assert [END] == [token for token, value in enumerate(left) if value == float("-inf")]
        assert [] == [note for note in reading.notes if note.kind == "lost"]

    @pytest.mark.parametrize(
        ("program", "text"),
        [
            ("sillytavern",  # 1.19.0
             '{"temp": 1, "rep_pen": 1, "dry_multiplier": 1, "dry_penalty_last_n": 0,'
             ' "dry_sequence_breakers": "[\\"<|im_end|>\\"]"}'),
            ("webui",  # 4.7.3
             "dry_multiplier: 1\ndry_sequence_breakers: '\"<|im_end|>\"'\n"),
            ("llamacpp",  # b11549
             '{"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0, "dry_multiplier": 1,'
             ' "dry_penalty_last_n": 64, "dry_sequence_breakers": ["<|im_end|>"]}'),
        ],
    )  # fmt: skip
    def test_a_breaker_acts(self, program: str, text: str) -> None:
        """DRY ends a match at an imported breaker that is a special token."""
        reading = read(text, format_name=program)
        breakers = tuple(reading.preset["dry_sequence_breakers"])
        values = {"dry_multiplier": 1.0, "dry_base": 2.0, "dry_sequence_breakers": breakers}
        actual = after(values, [A, END, B, NEWLINE, A, END, B])

        assert 0.0 == actual[NEWLINE]
        assert [] == [note for note in reading.notes if note.kind == "lost"]
