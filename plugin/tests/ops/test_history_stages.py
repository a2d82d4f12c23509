"""DRY, n-grams and texts against their definitions, with values that often do something."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temperament.presets import Chain
from tests import reference, rows
from tests.examples import examples
from tests.plain import RowContext

SIZE = 9
WORDS = (b"a", b"b", b"ab", b"\n", b"ba\n", "é".encode()[:1], "é".encode()[1:], b"a\xc3", b"")
TEXTS = ["a", "ab", "abab", "ba\n", "\n", "é", "aé", "bb", "b\n\n", "q"]


def differs(values: dict[str, Any], prompt: list[int], output: list[int]) -> bool:
    """Compares op and definition; whether they do anything at all."""
    chain = Chain.of(values)
    x = [float(9 - token) for token in range(SIZE)]
    context = RowContext(tokens=WORDS)
    actual = rows.run(x, chain, prompt, output, context)
    expected = reference.chain(x, chain, prompt, output, context)

    assert pytest.approx(expected, rel=1e-6, abs=1e-5) == actual
    return actual != x


def texts(random: Random, length: int) -> tuple[list[int], list[int]]:
    """A prompt and an output of few tokens, ids outside the vocabulary among them."""
    few = random.sample([*range(SIZE), -1, SIZE, 5000], random.randint(1, 4))
    history = random.choices(few, k=length)
    if random.random() < 0.5 and length > 4:  # a loop
        period = random.randint(1, length // 2)
        history = [history[place % period] for place in range(length)]
    cut = random.randint(0, length)
    return history[:cut], history[cut:]


@given(seed=st.integers(0, 2**32), length=st.integers(0, 30))
@examples(120)
def test_dry(seed: int, length: int) -> None:
    """DRY is as its definition for any range, allowed length and breakers."""
    random = Random(seed)
    values = {
        "dry_multiplier": random.choice([0.5, 1.0]),
        "dry_base": random.choice([1.0, 2.0]),
        "dry_allowed_length": random.randint(1, 4),
        "dry_range": random.choice([0, 0, random.randint(1, 32), 2**31 - 1]),
        "dry_sequence_breakers": tuple(random.sample(TEXTS, random.choice([0, 0, 1, 2]))),
    }
    differs(values, *texts(random, length))


@given(seed=st.integers(0, 2**32), length=st.integers(0, 30), size=st.integers(1, 6))
@examples(80)
def test_ngrams(seed: int, length: int, size: int) -> None:
    """The bans on n-grams remove what their definitions remove, in any text."""
    prompt, output = texts(Random(seed), length)
    differs({"no_repeat_ngram_size": size}, prompt, output)
    differs({"encoder_no_repeat_ngram_size": size}, prompt, output)


@given(seed=st.integers(0, 2**32), length=st.integers(0, 30), window=st.integers(0, 40))
@examples(125)
def test_repetition_range(seed: int, length: int, window: int) -> None:
    """The repetition range is that of the definition, in any text."""
    prompt, output = texts(Random(seed), length)
    differs({"repetition_penalty": 2.0, "repetition_range": window}, prompt, output)


@given(seed=st.integers(0, 2**32), length=st.integers(0, 8))
@examples(120)
def test_banned_strings(seed: int, length: int) -> None:
    """Texts that overlap, contain each other, end inside a character, or can't be spelt."""
    random = Random(seed)
    chosen = tuple(random.sample(TEXTS, random.randint(1, 4)))
    differs({"banned_strings": chosen}, *texts(random, length))


@given(seed=st.integers(0, 2**32), length=st.integers(0, 8))
@examples(80)
def test_sequences(seed: int, length: int) -> None:
    """Bad words and biased sequences of few tokens, so that they are often completed."""
    random = Random(seed)
    prompt, output = texts(random, length)
    few = [*{*prompt, *output} & set(range(SIZE)), 0]
    banned = tuple(
        {tuple(random.choices(few, k=random.randint(1, 3))) for _ in range(random.randint(1, 5))}
    )
    differs({"bad_words_ids": banned}, prompt, output)
    biases = tuple((word, random.choice([-2.0, 0.5, 1.0])) for word in banned)
    differs({"sequence_bias": biases}, prompt, output)


def test_the_comparisons_compare_something() -> None:
    """In many of the examples above the stage does something."""
    random = Random(0)
    dry = {"dry_multiplier": 1.0, "dry_base": 2.0, "dry_sequence_breakers": ()}
    acted = [
        (
            differs({**dry, "dry_allowed_length": random.randint(1, 4)}, *texts(random, 25)),
            differs({"no_repeat_ngram_size": random.randint(1, 6)}, *texts(random, 25)),
            differs({"banned_strings": (random.choice(TEXTS),)}, *texts(random, 5)),
        )
        for _ in range(100)
    ]

    assert all(sum(column) > 40 for column in zip(*acted, strict=True))
