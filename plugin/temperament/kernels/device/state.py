"""What a stage with a state keeps for the next step (`temperament.ops.state`)."""

from typing import NamedTuple

import triton
import triton.language as tl

from temperament.kernels.device.bits import INFINITY


class State(NamedTuple):
    """Where the entries of one stage are."""

    # [entries] each: a number, the logarithm of the masses' sum, the tokens generated before
    numbers: tl.tensor
    normalisers: tl.tensor
    counts: tl.tensor
    # [entries, vocabulary]
    logits: tl.tensor
    # [rows]: the entry that a row reads
    sources: tl.tensor


@triton.jit
def drawn(state, row, generated, last, vocabulary):
    """The number, the drawn token's log-probability, and if one was drawn (`State.drawn`).

    `last` is the row's last token, and `generated` how many were drawn.
    """
    entry = tl.load(state.sources + row)
    value = tl.load(state.numbers + entry)
    followed = (generated == tl.load(state.counts + entry) + 1) & (generated > 0)
    followed = followed & (last >= 0) & (last < vocabulary)
    logit = tl.load(state.logits + entry * vocabulary + tl.where(followed, last, 0))
    surprise = logit - tl.load(state.normalisers + entry)
    return value, surprise, followed & (tl.abs(surprise) < INFINITY)


@triton.jit
def store(state, entry, generated, value, normaliser):
    """Stores the numbers, unless those of a later step are stored; returns whether it did."""
    keeps = generated >= tl.load(state.counts + entry)
    if keeps:
        tl.store(state.numbers + entry, value)
        tl.store(state.normalisers + entry, normaliser)
        tl.store(state.counts + entry, generated)
    return keeps
