"""What the stages' definitions share, in plain Python: rows, bans, texts and noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from typing import NamedTuple

Row = list[float]
REMOVED = -math.inf


class RowContext(NamedTuple):
    """What a row has beside its logits, its values and its tokens."""

    seed: int = 0
    # how many tokens it may generate, -1 if that isn't known
    limit: int = -1
    # the ids that end its text
    ends: Sequence[int] = ()
    # the bytes of every token
    tokens: Sequence[bytes] = ()


def softmax(x: Row) -> Row:
    """Probabilities over what is still allowed."""
    best = max(x)
    masses = [math.exp(value - best) for value in x]
    total = math.fsum(masses)
    return [mass / total for mass in masses]


def keep(x: Row, stays: Callable[[int], bool]) -> Row:
    """Removes the tokens that aren't wanted."""
    return [value if stays(token) else REMOVED for token, value in enumerate(x)]


def nats(p: Row) -> float:
    """The entropy."""
    return -math.fsum(share * math.log(share) for share in p if share)


def ranked(x: Row) -> list[int]:
    """The tokens that are left, the most likely first, equal ones by their ids."""
    left = [token for token, value in enumerate(x) if value > REMOVED]
    return sorted(left, key=lambda token: -x[token])


def at_least(x: Row, least: float) -> Row:
    """What has this probability, and the most likely."""
    p = softmax(x)
    least = min(least, max(p))
    return keep(x, lambda token: p[token] >= least)


def ban(x: Row, banned: Container[int]) -> Row:
    """Removes tokens; where no other is left, the best of them stay."""
    best = max(x)
    left = any(value > REMOVED and token not in banned for token, value in enumerate(x))
    return keep(x, lambda token: token not in banned or (not left and x[token] == best))


def continues(tokens: Sequence[int], sequence: Sequence[int]) -> bool:
    """Whether the sequence's last token would complete it behind these."""
    before = list(sequence[:-1])
    return not before or list(tokens[-len(before) :]) == before


def power(base: float, exponent: float) -> float:
    """`base^exponent`, inf where it is too large."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


def followers(text: Sequence[int], history: Sequence[int], length: int) -> set[int]:
    """What stands in a text behind the history's last `length` tokens."""
    if length > len(history):
        return set()
    last = list(history[len(history) - length :])
    return {
        text[place]
        for place in range(length, len(text))
        if list(text[place - length : place]) == last
    }


def spelt(history: Sequence[int], tokens: Sequence[bytes]) -> Iterator[bytes]:
    """The bytes before each token of a history, then all; one without bytes starts anew."""
    text = b""
    for token in history:
        yield text
        known = 0 <= token < len(tokens) and tokens[token]
        text = text + known if known else b""
    yield text


def completes(before: bytes, token: bytes, texts: Sequence[str]) -> bool:
    """Whether one of the texts ends within the token."""
    encoded = [text.encode() for text in texts]
    return any(text in before[max(0, len(before) + 1 - len(text)) :] + token for text in encoded)


SIXTY_FOUR = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(bits: int) -> int:
    """The finalizer of splitmix64."""
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & SIXTY_FOUR
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & SIXTY_FOUR
    return bits ^ (bits >> 31)


def noise(seed: int, position: int, draw: int) -> int:
    """64 bits."""
    bits = 0
    for number in (seed + 1, position, draw):
        bits = mix((bits + number * GOLDEN) & SIXTY_FOUR)
    return bits


def uniform(seed: int, position: int, draw: int) -> float:
    """In [0, 1)."""
    return (noise(seed, position, draw) >> 11) / 2**53


def gumbel(seed: int, position: int, draw: int, token: int) -> float:
    """Standard Gumbel noise of a token."""
    bits = mix((noise(seed, position, draw) + token * GOLDEN) & SIXTY_FOUR)
    return -math.log(-math.log(((bits >> 12) + 0.5) / 2**52))
