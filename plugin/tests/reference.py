"""Every stage on one row, in plain Python: the definition that the ops must agree with.

Logits in, logits out, as lists of floats; -inf is a token that was removed. One function a stage,
with the stage's parameters as keywords; a stage with a history also gets the row's `prompt` and
`output`. Written for reading, not for speed; `ROWS` at the end is all that a new stage adds to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from temperament.presets import Chain
from temperament.stages import BY_NAME

Row = list[float]
REMOVED = -math.inf


def softmax(x: Row) -> Row:
    """Probabilities over what is still allowed."""
    best = max(x)
    masses = [math.exp(value - best) for value in x]
    total = math.fsum(masses)
    return [mass / total for mass in masses]


def keep(x: Row, wanted: Callable[[int], bool]) -> Row:
    """Removes the tokens that aren't wanted."""
    return [value if wanted(token) else REMOVED for token, value in enumerate(x)]


def logit_bias(x: Row, *, logit_bias: Sequence[tuple[int, float]]) -> Row:
    """`x + b` for the tokens that are named."""
    biases = dict(logit_bias)
    return [value + biases.get(token, 0.0) for token, value in enumerate(x)]


def repetition_penalty(
    x: Row,
    *,
    repetition_penalty: float,
    repetition_range: int,
    prompt: Sequence[int],
    output: Sequence[int],
) -> Row:
    """`x / r` if x > 0, else `x * r`, once for each distinct token of the last `range` ones."""
    r, seen = repetition_penalty, {*[*prompt, *output][-repetition_range:]}
    return [
        value if token not in seen else value / r if value > 0 else value * r
        for token, value in enumerate(x)
    ]


def frequency_penalty(
    x: Row, *, frequency_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x - count * f`, counted in the output."""
    return [value - output.count(token) * frequency_penalty for token, value in enumerate(x)]


def presence_penalty(
    x: Row, *, presence_penalty: float, prompt: Sequence[int], output: Sequence[int]
) -> Row:
    """`x - q` for what stands in the output."""
    return [value - (token in output) * presence_penalty for token, value in enumerate(x)]


def temperature(x: Row, *, temperature: float) -> Row:
    """`x / T`; 0 keeps the first of the largest."""
    if temperature == 0:
        best = x.index(max(x))
        return keep(x, lambda token: token == best)
    return [value / temperature for value in x]


def top_k(x: Row, *, top_k: int) -> Row:
    """The k largest, and what is tied with the k-th."""
    last = sorted(x, reverse=True)[:top_k][-1]
    return keep(x, lambda token: x[token] >= last)


def top_p(x: Row, *, top_p: float) -> Row:
    """The fewest of the most likely with a mass of at least p, and what is tied with the last."""
    mass = 0.0
    for probability, value in sorted(zip(softmax(x), x, strict=True), reverse=True):
        mass, last = mass + probability, value
        if mass >= top_p:
            break
    return keep(x, lambda token: x[token] >= last)


def min_p(x: Row, *, min_p: float) -> Row:
    """What is at least m times as likely as the most likely."""
    p = softmax(x)
    least = min_p * max(p)
    return keep(x, lambda token: p[token] >= least)


ROWS: dict[str, Callable[..., Row]] = {
    stage.__name__: stage
    for stage in (
        logit_bias,
        repetition_penalty,
        frequency_penalty,
        presence_penalty,
        temperature,
        top_k,
        top_p,
        min_p,
    )
}


def chain(x: Row, chain: Chain, prompt: Sequence[int] = (), output: Sequence[int] = ()) -> Row:
    """The steps of a chain, one after another."""
    for step in chain.steps:
        given = dict(step.values)
        if "history" in BY_NAME[step.stage].needs:
            given |= {"prompt": prompt, "output": output}
        x = ROWS[step.stage](x, **given)
    return x
