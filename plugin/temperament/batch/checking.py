"""Checks the arguments of `Run` and `process` before anything is computed from them.

No check reads the values of logits or of accepted tokens: that would wait for the device. NaN is
left to `remove_invalid_values`, and an id outside the vocabulary has no effect.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from temperament.errors import InputError, Problem, shown

_ID_LIMIT = 2**31  # stages read ids as 32 bits
_SEED_LIMIT = 2**63
_LISTS = "a list of integers for each row, or a [rows, length] tensor of integers"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The checked arguments of a `Run`."""

    rows: int
    # for each row
    prompts: list[list[int]]
    outputs: list[list[int]]
    seeds: list[int] | None


def check_inputs(
    presets: int, per_row: bool, rows: Any, prompt_ids: Any, output_ids: Any, seeds: Any
) -> Inputs:
    """Returns the arguments in one form.

    `presets` is the number of presets, `per_row` whether there is one for each row. Without `rows`,
    the number of rows is that of the ids or of the presets. Raises `InputError` with every problem.
    """
    problems: list[Problem] = []
    prompts = _lists("prompt_ids", prompt_ids, problems)
    outputs = _lists("output_ids", output_ids, problems)
    count = presets
    if rows is not None:
        number = _integer(rows)
        if number is None or number < 0:
            problem = Problem("rows", "", "not a number of rows", shown(rows), "an integer from 0")
            raise InputError([problem, *problems])
        count = number
    elif known := [lists for lists in (prompts, outputs) if lists is not None]:
        count = len(known[0])
    if per_row and presets != count:
        problems.append(_wrong_count("presets", presets, count))
    for name, lists in (("prompt_ids", prompts), ("output_ids", outputs)):
        if lists is not None and len(lists) != count:
            problems.append(_wrong_count(name, len(lists), count, "one list of token ids"))
    known_seeds = _seeds(seeds, count, problems)
    if problems:
        raise InputError(problems)
    empty: list[list[int]] = [[] for _ in range(count)]
    return Inputs(count, prompts or empty, outputs or empty, known_seeds)


def check_logits(
    logits: Any,
    *,
    rows: int | None = None,
    device: torch.device | None = None,
    inplace: bool = False,
) -> None:
    """Checks that logits are a [rows, vocab] tensor of floating-point numbers on the device.

    None allows any number of rows, or any device. Raises `InputError` with every problem.
    """
    if not isinstance(logits, Tensor):
        kind = type(logits).__name__
        raise InputError(
            Problem("logits", "", "not a tensor", kind, "a torch.Tensor [rows, vocab]")
        )
    if not _is_dense(logits):
        layout = "a nested tensor" if logits.is_nested else str(logits.layout)
        raise InputError(Problem("logits", "", "not a dense tensor", layout, "torch.strided"))
    found = []
    if not logits.is_floating_point():
        found.append(("not floating point", str(logits.dtype), "float32, float16, bfloat16, ..."))
    shape = tuple(logits.shape)
    if len(shape) != 2 or not shape[1] or rows not in (None, shape[0]):
        found.append(("wrong shape", str(shape), f"({'rows' if rows is None else rows}, vocab)"))
    if logits.is_meta or device not in (None, logits.device):
        expected = "a device with data" if device is None else str(device)
        found.append(("wrong device", str(logits.device), expected))
    if inplace:
        found += _why_not_in_place(logits)
    if found:
        raise InputError(
            Problem("logits", "", message, value, allowed) for message, value, allowed in found
        )


def check_tokens(tokens: Any, rows: int, device: torch.device) -> Tensor:
    """Returns the drawn token of every row as [rows] int64 on the device.

    Raises `InputError` for another number of tokens, or another type than integers.
    """
    try:
        drawn = tokens if isinstance(tokens, Tensor) else torch.as_tensor(tokens)
    except (TypeError, ValueError, RuntimeError) as error:
        problem = Problem("tokens", "", "not token ids", shown(tokens), f"{rows} integers")
        raise InputError(problem) from error
    if not _is_dense(drawn):
        problem = Problem("tokens", "", "not a dense tensor", str(drawn.layout), "torch.strided")
        raise InputError(problem)
    found = []
    if drawn.numel() != rows or (drawn.ndim > 1 and drawn.shape != (rows, 1)):
        expected = f"({rows},) or ({rows}, 1)"
        found.append(("one for each row", str(tuple(drawn.shape)), expected))
    if drawn.numel() and not _holds_integers(drawn):
        found.append(("not integers", str(drawn.dtype), "int64, int32, ..."))
    if drawn.is_meta:
        found.append(("wrong device", str(drawn.device), "a device with data"))
    if found:
        raise InputError(
            Problem("tokens", "", message, value, allowed) for message, value, allowed in found
        )
    return drawn.to(device).reshape(-1).long()


def _why_not_in_place(logits: Tensor) -> Iterable[tuple[str, str, str]]:
    if logits.dtype != torch.float32:
        yield "inplace needs float32", str(logits.dtype), "torch.float32"
    if logits.requires_grad:
        yield "inplace needs no gradient", "requires_grad=True", "logits.detach()"
    if logits.is_inference() and not torch.is_inference_mode_enabled():
        yield (
            "inplace needs inference mode for a tensor that was created in it",
            "",
            "logits.clone()",
        )
    # An expanded tensor has the same memory for several rows or columns.
    if any(s == 0 and n > 1 for s, n in zip(logits.stride(), logits.shape, strict=True)):
        yield "inplace needs memory for every number", "an expanded tensor", "logits.clone()"


def _holds_integers(tensor: Tensor) -> bool:
    other = tensor.is_complex() or tensor.is_quantized or tensor.dtype == torch.bool
    return not (tensor.is_floating_point() or other)


def _is_dense(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_nested


def _lists(name: str, ids: Any, problems: list[Problem]) -> list[list[int]] | None:
    """Returns a list of token ids for each row, None if no ids are set."""
    if ids is None:
        return None
    rows = _items(ids)
    if rows is None:
        problems.append(Problem(name, "", "not lists of token ids", shown(ids), _LISTS))
        return None
    return [_tokens(name, number, row, problems) for number, row in enumerate(rows)]


def _tokens(name: str, row: int, ids: Any, problems: list[Problem]) -> list[int]:
    items = _items(ids)
    if items is None:
        problem = Problem(name, str(row), "not a list of token ids", shown(ids), _LISTS)
        problems.append(problem)
        return []
    if set(map(type, items)) <= {int} and _fit(items):
        return items
    tokens = [_integer(item) for item in items]
    for position, token in enumerate(tokens):
        if token is None or not _fit([token]):
            value, path = shown(items[position]), f"{row}.{position}"
            problems.append(Problem(name, path, "not a token id", value, "an integer of 32 bits"))
            return []
    return tokens  # type: ignore[return-value]


def _fit(tokens: list[int]) -> bool:
    return not tokens or (min(tokens) >= -_ID_LIMIT and max(tokens) < _ID_LIMIT)


def _seeds(seeds: Any, rows: int, problems: list[Problem]) -> list[int] | None:
    if seeds is None:
        return None
    items = _items(seeds)
    if items is None:
        problems.append(Problem("seeds", "", "one for each row", shown(seeds), f"{rows} integers"))
        return None
    if len(items) != rows:
        problems.append(_wrong_count("seeds", len(items), rows))
    found = []
    for number, item in enumerate(items):
        seed = _integer(item)
        if seed is None or not -_SEED_LIMIT <= seed < _SEED_LIMIT:
            allowed = "an integer of 64 bits"
            problems.append(Problem("seeds", str(number), "not a seed", shown(item), allowed))
        else:
            found.append(seed)
    return found


def _wrong_count(name: str, count: int, rows: int, expected: str = "one") -> Problem:
    return Problem(name, "", f"{expected} for each row", str(count), f"{rows} of them")


def _items(values: Any) -> list[Any] | None:
    """Returns the items of a list, a tensor, ...; None for a text, a map or a single value.

    None too for a tensor whose numbers can't be listed: sparse, nested, quantized or without data.
    """
    if isinstance(values, Tensor) and (
        not _is_dense(values) or values.is_meta or values.is_quantized
    ):
        return None
    if isinstance(values, (Tensor, np.ndarray)):
        values = values.tolist()
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        return None
    return list(values)


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
