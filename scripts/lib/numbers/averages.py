"""Texts drawn under samplers that promise an average, from rows with one long tail.

A row's probabilities fall as those of words do: p ~ rank^-s with an s of its own between 1 and 1.5,
in an order of its own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from temperament import Catalogue, Run
from temperament.presets import as_preset

TEXTS, VOCABULARY = 50, 1000
THRESHOLD, ROLLED = 0.1, 0.5
Line = tuple[str, float, float, float]


def averages(tokens: int) -> list[Line]:
    """Returns (name, found, promised, bound) of each average over so many tokens."""
    steps = tokens // TEXTS
    found = []
    for version, tau in ((1, 2.0), (1, 3.0), (2, 2.0), (2, 3.0)):
        values = {"mirostat": version, "mirostat_tau": tau}
        after = [surprise for _, surprise in drawn(values, steps)]
        settled = torch.stack(after[steps // 2 :])
        name = f"mirostat {version}, surprise in bits in the second half"
        # mu moves by eta of each difference, so the sum of these is at most mu's range over eta.
        found.append((name, float(settled.mean()), tau, 2 * tau / 0.1 / len(settled)))
    found.append(xtc(steps))
    for target in (0.2, 0.5):
        before = [p for p, _ in drawn({"adaptive_target": target}, steps, spread_evenly=True)]
        name = "adaptive-p, probability where there are tokens of all"
        found.append((name, float(torch.stack(before).mean()), target, 0.05))
    return found


def rows(generator: torch.Generator, *, spread_evenly: bool) -> Tensor:
    """[texts, vocabulary] logits of a step.

    `spread_evenly`: one token of any probability, and others that halve what is left of it.
    """
    if spread_evenly:
        first = torch.rand(TEXTS, 1, generator=generator) * 0.8 + 0.1
        logits = torch.cat([first, (1 - first) * 0.5 ** torch.arange(1, 8)], 1).log()
    else:
        slope = 1 + torch.rand(TEXTS, 1, generator=generator) / 2
        logits = -slope * torch.arange(1, VOCABULARY + 1).log()
    order = torch.rand(logits.shape, generator=generator).argsort(1)
    return logits.gather(1, order)


def drawn(
    values: dict[str, Any], steps: int, *, spread_evenly: bool = False
) -> list[tuple[Tensor, Tensor]]:
    """Draws texts. Returns for each step the probability of the texts' tokens before the sampler,
    and their surprise after it, in bits: [texts] each."""
    generator = torch.Generator().manual_seed(1)
    run = Run(as_preset(values, Catalogue({})), rows=TEXTS)
    found = []
    for _ in range(steps):
        logits = rows(generator, spread_evenly=spread_evenly)
        before = logits.softmax(-1)
        after = run.run(logits.clone()).log_softmax(-1)
        token = torch.multinomial(after.exp(), 1, generator=generator)
        run.accept(token[:, 0])
        found.append((before.gather(1, token)[:, 0], -after.gather(1, token)[:, 0] / math.log(2)))
    return found


def xtc(steps: int) -> Line:
    """How often XTC acts, of the steps in which two tokens or more pass the threshold."""
    generator = torch.Generator().manual_seed(1)
    values = {
        "xtc_probability": ROLLED,
        "xtc_threshold": THRESHOLD,
        "xtc_protect_structure": False,
    }
    run = Run(as_preset(values, Catalogue({})), rows=TEXTS)
    could, did = 0, 0
    for _ in range(steps):
        logits = rows(generator, spread_evenly=False)
        several = (logits.softmax(-1) >= THRESHOLD).sum(-1) > 1
        after = run.run(logits.clone())
        acted = (after == -math.inf).any(-1)
        could, did = could + int(several.sum()), did + int(acted.sum())
        run.accept(logits.argmax(-1))
    bound = 4 * math.sqrt(ROLLED * (1 - ROLLED) / could)
    return ("XTC, share of the steps where it can act", did / could, ROLLED, bound)
