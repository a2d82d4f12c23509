"""The programs that are compared: ours, and the same work in other projects."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scripts.lib.benchmark.costs import Step
from torch import Tensor

from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.presets import Catalogue, Preset, as_preset


def ours(presets: Sequence[dict[str, Any]], history: int = 0, vocabulary: int = 0) -> Step:
    """Our rows, as an adapter of an engine keeps them: one preset each."""
    rows = Rows(len(presets))
    known: dict[str, Preset] = {}
    generator = np.random.default_rng(0)
    for row, values in enumerate(presets):
        preset = known.setdefault(json.dumps(values), as_preset(values, Catalogue({})))
        output = generator.integers(0, vocabulary, history).tolist() if history else [1]
        rows.write(row, Request(preset.chain, row), [0], output)
    slots = np.arange(len(presets), dtype=np.int64)
    drawn = torch.from_numpy(generator.integers(0, max(vocabulary, 2), len(presets)))

    def step(logits: Tensor) -> None:
        rows.run(logits, slots)
        if history:
            rows.log.append(drawn)

    return step


def transformers_step(values: dict[str, Any], history: Tensor | None = None) -> Step | None:
    """Transformers' processors, in its order; None where it has no such stage."""
    import transformers as t

    processors = {
        "no_repeat_ngram_size": t.NoRepeatNGramLogitsProcessor,
        "repetition_penalty": t.RepetitionPenaltyLogitsProcessor,
        "temperature": t.TemperatureLogitsWarper,
        "top_k": t.TopKLogitsWarper,
        "top_p": t.TopPLogitsWarper,
        "min_p": t.MinPLogitsWarper,
        "typical_p": t.TypicalLogitsWarper,
        "epsilon_cutoff": t.EpsilonLogitsWarper,
        "eta_cutoff": lambda eta: t.EtaLogitsWarper(eta, device="cpu"),
    }
    if not values.keys() <= processors.keys():
        return None
    chain = t.LogitsProcessorList([processors[n](values[n]) for n in processors if n in values])
    ids = torch.zeros(1, 1, dtype=torch.int64) if history is None else history
    return lambda logits: chain(ids, logits)


def vllm_step(values: dict[str, Any], history: Tensor | None = None) -> Step | None:
    """vLLM's sampler functions on this platform; None where it has no such stage."""
    from vllm.v1.sample.ops.penalties import apply_all_penalties
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p

    penalties = {"repetition_penalty", "frequency_penalty", "presence_penalty"}
    if not values.keys() <= {"temperature", "top_k", "top_p", "min_p"} | penalties:
        return None
    outputs = [] if history is None else history.tolist()

    def column(rows: int, name: str, neutral: float) -> Tensor:
        return torch.full((rows,), float(values.get(name, neutral)))

    def step(logits: Tensor) -> Tensor:
        rows = len(logits)
        if penalties & values.keys():
            apply_all_penalties(
                logits,
                torch.zeros(rows, 1, dtype=torch.int64),
                column(rows, "presence_penalty", 0),
                column(rows, "frequency_penalty", 0),
                column(rows, "repetition_penalty", 1),
                outputs,
            )
        if "temperature" in values:
            logits.div_(column(rows, "temperature", 1)[:, None])
        if "min_p" in values:
            share = logits.softmax(dim=-1)
            logits.masked_fill_(share < share.amax(-1, keepdim=True) * values["min_p"], -torch.inf)
        k = torch.full((rows,), values["top_k"]) if "top_k" in values else None
        p = column(rows, "top_p", 1) if "top_p" in values else None
        kept: Tensor = apply_top_k_top_p(logits, k, p)
        return kept

    return step


def loop_over_rows(values: dict[str, Any]) -> Step | None:
    """A processor for each request, called row by row: vLLM's adapter for such processors."""
    chain = transformers_step(values)
    if chain is None:
        return None

    def step(logits: Tensor) -> None:
        for row in range(len(logits)):
            logits[row] = chain(logits[row : row + 1])[0]

    return step


def compiled_naive(values: dict[str, Any]) -> Step | None:
    """What one would write in a line each, compiled: softmax, sort, cumsum, masks."""
    if not values.keys() <= {"temperature", "top_k", "top_p", "min_p"}:
        return None

    def naive(logits: Tensor) -> Tensor:
        logits = logits / values.get("temperature", 1.0)
        if "top_k" in values:
            least = logits.topk(values["top_k"], dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if "top_p" in values:
            ranked, order = logits.sort(dim=-1)
            removed = ranked.softmax(-1).cumsum(-1) <= 1 - values["top_p"]
            logits = logits.masked_fill(removed.scatter(1, order, removed), -torch.inf)
        if "min_p" in values:
            share = logits.softmax(-1)
            low = share < share.amax(-1, keepdim=True) * values["min_p"]
            logits = logits.masked_fill(low, -torch.inf)
        return logits

    return torch.compile(naive, dynamic=True)


class _Entry(ctypes.Structure):
    """llama.cpp's `llama_token_data`."""

    _fields_ = (("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float))


class _Entries(ctypes.Structure):
    """llama.cpp's `llama_token_data_array`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    )


@cache
def llama_cpp() -> ctypes.CDLL | None:
    """llama.cpp's library, out of the package xllamacpp; None where that isn't installed."""
    found = find_spec("xllamacpp")
    if found is None or not found.submodule_search_locations:
        return None
    [file] = Path(found.submodule_search_locations[0]).glob("xllamacpp*.so")
    library = ctypes.CDLL(str(file))
    number, size, pointer = ctypes.c_float, ctypes.c_size_t, ctypes.c_void_p
    for name, arguments in (
        ("chain_init", [ctypes.c_bool]),  # a struct of one
        ("init_temp", [number]),
        ("init_top_k", [ctypes.c_int32]),
        ("init_top_p", [number, size]),
        ("init_min_p", [number, size]),
        ("init_typical", [number, size]),
        ("init_top_n_sigma", [number]),
    ):
        function = getattr(library, f"llama_sampler_{name}")  # which is kept
        function.argtypes, function.restype = arguments, pointer
    library.llama_sampler_chain_add.argtypes = [pointer, pointer]
    library.llama_sampler_apply.argtypes = [pointer, ctypes.POINTER(_Entries)]
    return library


def llama_cpp_step(values: dict[str, Any]) -> Step | None:
    """llama.cpp's chain, one row after another; None where it isn't installed or has no stage."""
    library = llama_cpp()
    if library is None:
        return None
    processors: dict[str, Callable[[Any], Any]] = {
        "temperature": library.llama_sampler_init_temp,
        "top_k": library.llama_sampler_init_top_k,
        "typical_p": lambda p: library.llama_sampler_init_typical(p, 1),
        "top_p": lambda p: library.llama_sampler_init_top_p(p, 1),
        "min_p": lambda p: library.llama_sampler_init_min_p(p, 1),
        "top_n_sigma": library.llama_sampler_init_top_n_sigma,
    }
    if not values.keys() <= processors.keys():
        return None
    chain = library.llama_sampler_chain_init(False)
    for name, make in processors.items():
        if name in values:
            library.llama_sampler_chain_add(chain, make(values[name]))

    def step(logits: Tensor) -> None:
        data = np.empty(logits.shape[1], dtype=np.dtype(_Entry))
        ids = np.arange(len(data), dtype=np.int32)
        for row in logits.numpy():
            data["id"], data["logit"], data["p"] = ids, row, 0
            entries = _Entries(data.ctypes.data, len(row), -1, False)
            library.llama_sampler_apply(chain, ctypes.byref(entries))

    return step


PEERS: dict[str, Callable[[dict[str, Any]], Step | None]] = {
    "Transformers": transformers_step,
    "vLLM": vllm_step,
    "loop over rows": loop_over_rows,
    "compiled naive": compiled_naive,
    "llama.cpp": llama_cpp_step,
}
