"""The operator that runs the first part of every row's chain: `run_biases`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from temperament.kernels.current_device import on_device_of
from temperament.kernels.device.run_biases import run_biases as kernel

BLOCK = 1024  # logits, positions or entries that a program reads at once
WARPS = 8

_library: Any = torch.library.Library("temperament", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "run_biases(Tensor(a!) logits, Tensor places, Tensor programs, Tensor numbers, "
    "Tensor number_rows, Tensor tokens, Tensor texts, Tensor starts, Tensor prompt_ends, "
    "Tensor ends, Tensor lengths, Tensor entries, Tensor prefixes, Tensor list_starts, "
    "Tensor breaker_roots, int breaker_window, Tensor banned_roots, int banned_window, "
    "Tensor[] automata, Tensor(b!) completes, Tensor(c!) before, int most, Tensor(d!) counts) -> ()"
)


def _run_biases(
    logits: Tensor,
    places: Tensor,
    programs: Tensor,
    numbers: Tensor,
    number_rows: Tensor,
    tokens: Tensor,
    texts: Tensor,
    starts: Tensor,
    prompt_ends: Tensor,
    ends: Tensor,
    lengths: Tensor,
    entries: Tensor,
    prefixes: Tensor,
    list_starts: Tensor,
    breaker_roots: Tensor,
    breaker_window: int,
    banned_roots: Tensor,
    banned_window: int,
    automata: list[Tensor],
    completes: Tensor,
    before: Tensor,
    most: int,
    counts: Tensor,
) -> None:
    rows, vocabulary = logits.shape
    if not rows:
        return
    plain, hits, *others = automata
    sets, offsets, keys, other, other_hits = others
    with on_device_of(logits):
        kernel[(rows,)](
            logits,
            logits.stride(0),
            vocabulary,
            places,
            programs,
            numbers,
            number_rows,
            tokens,
            tokens.stride(0),
            texts,
            starts,
            prompt_ends,
            ends,
            lengths,
            lengths.stride(0),
            entries,
            prefixes,
            list_starts,
            breaker_roots,
            breaker_window,
            banned_roots,
            banned_window,
            sets,
            offsets,
            keys,
            plain,
            other,
            hits.view(torch.int8),
            other_hits.view(torch.int8),
            plain.shape[1],
            completes,
            before,
            counts,
            most,
            BLOCK=BLOCK,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )


def _run_biases_fake(*_: Any) -> None:
    """Changes nothing: the operator returns nothing, so no shape has to be known."""


for _key in ("CUDA", "CPU"):
    _library.impl("run_biases", _run_biases, _key)
_library.impl("run_biases", _run_biases_fake, "Meta")
run_biases = torch.ops.temperament.run_biases.default
