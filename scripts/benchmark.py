"""What a step costs: ours beside every peer, on the same logits, in one run.

    .venv/bin/python scripts/benchmark.py                  the ops, a table on stdout
    .venv/bin/python scripts/benchmark.py serve            tokens/s of a real `vllm serve`
    .venv/bin/python scripts/benchmark.py start            seconds until it is ready
    .venv/bin/python scripts/benchmark.py profile          where a step's time goes in it
    .venv/bin/python scripts/benchmark.py compile          what `torch.compile` would give
    .venv/bin/python scripts/benchmark.py --write          the report and its numbers
    .venv/bin/python scripts/benchmark.py --only 'top_p'   the works whose names match; with
                                                           `--write` the others stay as they are

A `pass` is one `copy_` of the logits into a buffer that exists, measured beside each cost: the
machine's own unit. Peers: Transformers' processors, vLLM's own sampler functions, a Python loop
over rows (what vLLM's adapter for per-request processors does), a compiled naive version, and
llama.cpp row by row (out of the package `xllamacpp`). `--quick` is for tests: small and few.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from temperament.batch.request import Request
from temperament.batch.rows import Rows
from temperament.presets import Catalogue, Preset, as_preset
from temperament.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

K, P, M = 50, 0.95, 0.05
WORKS: dict[str, dict[str, Any]] = {
    "temperature, top_k 50, top_p .95, min_p .05": {
        "temperature": 0.8, "top_k": K, "top_p": P, "min_p": M,
    },
    "temperature, top_p .95": {"temperature": 0.8, "top_p": P},
    "temperature, min_p .05": {"temperature": 0.8, "min_p": M},
    "typical_p .9": {"typical_p": 0.9},
    "eta_cutoff 3e-4": {"eta_cutoff": 3e-4},
    "epsilon_cutoff 3e-4": {"epsilon_cutoff": 3e-4},
    "top_n_sigma 1": {"top_n_sigma": 1.0},
    "xtc": {"xtc_probability": 0.5},
}  # fmt: skip
HISTORY: dict[str, dict[str, Any]] = {
    "dry": {"dry_multiplier": 0.8, "dry_sequence_breakers": []},
    "no_repeat_ngram_size 3": {"no_repeat_ngram_size": 3},
    "repetition_penalty 1.1": {"repetition_penalty": 1.1},
    "frequency and presence penalty": {"frequency_penalty": 0.3, "presence_penalty": 0.3},
}
VOCABULARIES = (49_152, 151_936, 262_144)
BATCHES = (1, 8, 64, 256)
PROMPTS = (
    "The old man looked at the sea and",
    "def add(a, b):\n    return",
    "1 + 1 = 2, 2 + 2 = 4, 3 + 3 =",
    "Translate to French: The weather is",
    "Once upon a time there was a",
    "The capital of France is",
    "Dear Sir or Madam, I am writing to",
    '{"name": "Anna", "age":',
)
Step = Callable[[Tensor], Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step of one program cost."""

    work: str
    peer: str
    logits: str
    rows: int
    vocabulary: int
    milliseconds: float
    # the middle half of the repetitions, as a share of the median
    spread: float
    passes: float


def measure(step: Step, source: Tensor, seconds: float, least: int) -> tuple[float, float, float]:
    """(median milliseconds, spread, median passes) of a step on a fresh copy of the logits."""
    buffer = source.clone()
    step(buffer)
    costs, units = [], []
    end = time.perf_counter() + seconds
    while len(costs) < least or (time.perf_counter() < end and len(costs) < 200):
        start = time.perf_counter()
        buffer.copy_(source)
        middle = time.perf_counter()
        step(buffer)
        costs.append(time.perf_counter() - middle)
        units.append(middle - start)
    median = statistics.median(costs)
    quarters = np.quantile(costs, [0.25, 0.75])
    return median * 1e3, float(np.ptp(quarters) / median), median / statistics.median(units)


def logits_of(kind: str, rows: int, vocabulary: int) -> Tensor:
    """[rows, vocabulary]: random normal, nearly flat, or a model's for real prompts."""
    generator = torch.Generator().manual_seed(0)
    if kind in ("normal", "flat"):
        scale = {"normal": 4.0, "flat": 0.1}[kind]
        return torch.randn(rows, vocabulary, generator=generator) * scale
    known = _of_model(kind)
    return known[torch.arange(rows) % len(known), :vocabulary].contiguous()


def _of_model(name: str) -> Tensor:
    from integration_tests.harness.models import model_path
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = model_path(name)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    found = []
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
            if name == "gemma":
                ids = torch.cat([torch.tensor([[tokenizer.bos_token_id]]), ids], dim=1)
            found.append(model(ids).logits[0, -6:])
    return torch.cat(found).clone()


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


def transformers_own(values: dict[str, Any], history: Tensor | None = None) -> Step | None:
    """Transformers' processors, in its order; None where it has no such stage."""
    import transformers as t

    made = {
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
    if not values.keys() <= made.keys():
        return None
    chain = t.LogitsProcessorList([made[n](values[n]) for n in made if n in values])
    ids = torch.zeros(1, 1, dtype=torch.int64) if history is None else history
    return lambda logits: chain(ids, logits)


def vllm_own(values: dict[str, Any], history: Tensor | None = None) -> Step | None:
    """vLLM's own sampler functions on this platform; None where it has no such stage."""
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
        return apply_top_k_top_p(logits, k, p)

    return step


def loop_over_rows(values: dict[str, Any]) -> Step | None:
    """A processor for each request, called row by row: vLLM's adapter for such processors."""
    chain = transformers_own(values)
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


def llama_cpp_own(values: dict[str, Any]) -> Step | None:
    """llama.cpp's chain, one row after another; None where it isn't installed or has no stage."""
    library = llama_cpp()
    if library is None:
        return None
    made: dict[str, Callable[[Any], Any]] = {
        "temperature": library.llama_sampler_init_temp,
        "top_k": library.llama_sampler_init_top_k,
        "typical_p": lambda p: library.llama_sampler_init_typical(p, 1),
        "top_p": lambda p: library.llama_sampler_init_top_p(p, 1),
        "min_p": lambda p: library.llama_sampler_init_min_p(p, 1),
        "top_n_sigma": library.llama_sampler_init_top_n_sigma,
    }
    if not values.keys() <= made.keys():
        return None
    chain = library.llama_sampler_chain_init(False)
    for name, make in made.items():
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
    "Transformers": transformers_own,
    "vLLM": vllm_own,
    "loop over rows": loop_over_rows,
    "compiled naive": compiled_naive,
    "llama.cpp": llama_cpp_own,
}


def cases(quick: bool) -> Iterator[tuple[str, str, str, int, int, Step]]:
    """(work, peer, logits, rows, vocabulary, step) of everything that is measured."""
    shapes = [("normal", 8, 2000)] if quick else [
        *(("normal", rows, 151_936) for rows in BATCHES),
        *(("flat", rows, 151_936) for rows in (8, 64)),
        *((name, 64, size) for name, size in (("smollm2", 49_152), ("gemma", 262_144))),
        ("normal", 64, 49_152), ("normal", 64, 262_144),
    ]  # fmt: skip
    for kind, rows, vocabulary in shapes:
        for work, values in WORKS.items():
            yield work, "ours", kind, rows, vocabulary, ours([values] * rows)
            for peer, make in PEERS.items():
                if (quick and peer == "compiled naive") or (rows > 64 and peer == "loop over rows"):
                    continue
                if (step := make(dict(values))) is not None:
                    yield work, peer, kind, rows, vocabulary, step
    kind, rows, vocabulary = ("normal", 8, 2000) if quick else ("normal", 64, 151_936)
    chain = {"temperature": 0.8, "top_k": K, "top_p": P, "min_p": M}
    for distinct in (1, 8, 64):
        some = [{**chain, "temperature": 0.8 + 0.001 * (row % distinct)} for row in range(rows)]
        name = f"{distinct} presets of the same stages"
        yield name, "ours", kind, rows, vocabulary, ours(some)
    mixed = [dict(list(chain.items())[: 1 + row % 4]) for row in range(rows)]
    yield "4 chains: one to four of the stages", "ours", kind, rows, vocabulary, ours(mixed)
    for length in (64,) if quick else (1024, 8192, 32_768):
        ids = torch.randint(0, vocabulary, (rows, length))
        for work, values in HISTORY.items():
            named = f"{work}, {length:,} tokens"
            step = ours([values] * rows, length, vocabulary)
            yield named, "ours", kind, rows, vocabulary, step
            for peer, made in (
                ("Transformers", transformers_own(values, ids)),
                ("vLLM", vllm_own(values, ids)),
            ):
                if made is not None and length <= 8192:
                    yield named, peer, kind, rows, vocabulary, made


def run_ops(quick: bool, only: str) -> list[Cost]:
    """Measures every case, with a bar of progress."""
    costs: list[Cost] = []
    chosen = [case for case in cases(quick) if re.search(only, " ".join(map(str, case[:-1])))]
    known: tuple[tuple[str, int, int], Tensor] | None = None
    bar = tqdm(chosen, unit="case", disable=None)
    for work, peer, kind, rows, vocabulary, step in bar:
        bar.set_description(f"{kind} {rows} x {vocabulary:,} {peer}")
        key = (kind, rows, vocabulary)
        if known is None or known[0] != key:
            known = key, logits_of(*key)
        seconds, least = (0.01, 3) if quick else (1.0, 3 if peer != "ours" else 7)
        found = measure(step, known[1], seconds, least)
        costs.append(Cost(work, peer, kind, rows, vocabulary, *found))
    return costs


def merged(costs: Sequence[Cost]) -> list[Cost]:
    """What docs/benchmarks holds, with what was measured now in the place of the same."""
    known = json.loads((ROOT / "docs" / "benchmarks" / "ops.json").read_text())["costs"]
    by_place = {_place(cost): cost for cost in (*(Cost(**each) for each in known), *costs)}
    return list(by_place.values())


def _place(cost: Cost) -> tuple[Any, ...]:
    return cost.work, cost.peer, cost.logits, cost.rows, cost.vocabulary


def header() -> dict[str, Any]:
    """The machine and the versions."""
    versions = {}
    for name in ("torch", "numpy", "transformers", "vllm", "xllamacpp"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(li.partition(":")[2].strip() for li in lines if li.startswith("model name"))
    return {
        "machine": model,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **versions,
    }


def ops_table(costs: Sequence[Cost]) -> str:
    """Markdown: a line for each work and shape, a column for each peer."""
    peers = [peer for peer in ("ours", *PEERS) if any(cost.peer == peer for cost in costs)]
    table: dict[tuple[Any, ...], dict[str, Cost]] = {}
    for cost in costs:
        place = (cost.logits, cost.rows, cost.vocabulary, cost.work)
        table.setdefault(place, {})[cost.peer] = cost
    head = ["logits", "rows x vocabulary", "work", "ours, ms", "passes", *peers[1:]]
    lines = [head, ["---"] * len(head)]
    for (kind, rows, vocabulary, work), found in table.items():
        own = found["ours"]
        others = [
            f"{found[peer].milliseconds / own.milliseconds:.1f} x" if peer in found else ""
            for peer in peers[1:]
        ]
        spread = f"{own.milliseconds:.2f} ± {own.spread / 2:.0%}"
        shape = f"{rows} x {vocabulary:,}"
        lines.append([kind, shape, work, spread, f"{own.passes:.1f}", *others])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# What an exotic stage is measured with: values that keep the text going.
EXOTIC: dict[str, dict[str, Any]] = {
    "dynamic_temperature": {"dynatemp_low": 0.8, "dynatemp_high": 1.4},
    "smoothing": {"smoothing_factor": 0.1},
    "typical_p": {"typical_p": 0.9},
    "epsilon_cutoff": {"epsilon_cutoff": 3e-4},
    "eta_cutoff": {"eta_cutoff": 3e-4},
    "top_a": {"top_a": 0.1},
    "tfs": {"tfs": 0.95},
    "top_n_sigma": {"top_n_sigma": 1.0},
    "top_h": {"top_h": 0.5},
    "p_less": {"p_less": True},
    "xtc": {"xtc_probability": 0.5},
    "skew": {"skew": 0.2},
    "mirostat": {"mirostat": 2},
    "adaptive_p": {"adaptive_target": 0.4},
    "dry": {"dry_multiplier": 0.8},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 4},
    "banned_strings": {"banned_strings": ["lorem ipsum"]},
    "reproducible": {"reproducible": True, "top_p": 0.95},
}
assert EXOTIC.keys() <= {stage.name for stage in STAGES}


@dataclass(frozen=True, slots=True)
class Served:
    """How fast a server answered."""

    work: str
    streams: int
    tokens_per_second: float
    milliseconds_per_token: float
    # all rounds, tokens/s
    rounds: tuple[float, ...]


# Modes that a text doesn't leave, so that it's drawn as with the values of one.
VALUES = {"temperature": 1.3, "top_k": 20, "top_p": 0.8}
MODES = {
    "modes": {"text": VALUES, "fence": {**VALUES, "temperature": 0}},
    "switch": [
        {"from": "text", "on": {"text": ["```"], "at_line_start": True}, "to": "fence"},
        {"from": "fence", "on": {"end_of": "```"}, "to": "back"},
    ],
}
CEILING = "native: temperature (the ceiling)"


def run_serve(quick: bool, only: str) -> list[Served]:
    """Tokens/s of a real server, the rounds of all works taken in turns."""
    from integration_tests.harness.models import model_path
    from integration_tests.harness.server import Server

    arguments = ["--served-model-name", "m", "--max-num-seqs", "32", "--max-model-len", "2048"]
    path = model_path("tiny" if quick else "smollm2")
    native = {"temperature": 1.3, "top_p": 0.95}
    penalty = {"frequency_penalty": 0.3}
    inline = {"temperature": 1.3}
    works: dict[str, dict[str, Any]] = {
        "native: greedy": {"temperature": 0},
        CEILING: {"temperature": 1.3},
        "native: temperature, top_p": native,
        "preset: temperature, top_p": {**native, "preset": "default"},
        "native: with a frequency penalty": {**native, **penalty},
        "preset: with a frequency penalty": {**native, **penalty, "preset": "default"},
    }
    if not quick:
        works |= {f"preset: {name}": {**inline, **values} for name, values in EXOTIC.items()}
        works["preset: one mode"] = {"preset": VALUES}
        works["preset: the same with modes"] = {"preset": MODES}
    works = {
        name: fields for name, fields in works.items() if name == CEILING or re.search(only, name)
    }
    # exotic stages and modes are measured with 32 streams only
    both = {"preset: temperature, top_p", "preset: with a frequency penalty"}
    served = []
    with Server(path, "v1", arguments) as server:
        client = server.client()

        def one(fields: dict[str, Any], tokens: int) -> None:
            client.completions.create(
                model="m",
                prompt="Once upon a time",
                max_tokens=tokens,
                extra_body={**fields, "ignore_eos": True},
            )

        tokens = 4 if quick else 24
        for streams in (2,) if quick else (32, 8, 1):
            rounds: dict[str, list[float]] = {name: [] for name in works}
            with ThreadPoolExecutor(streams) as pool:
                for _ in tqdm(range(1 if quick else 4), desc=f"{streams} streams", disable=None):
                    for name, fields in works.items():
                        if streams != 32 and not quick and "preset" in name and name not in both:
                            continue
                        begin = time.perf_counter()
                        list(pool.map(lambda _, f=fields: one(f, tokens), range(streams)))
                        rounds[name].append(streams * tokens / (time.perf_counter() - begin))
            for name, found in rounds.items():
                if found:
                    best = statistics.median(found[1:] or found)  # the first warms up
                    served.append(Served(name, streams, best, streams / best * 1e3, tuple(found)))
    return served


def run_start(quick: bool) -> dict[str, list[float]]:
    """Seconds until a server is ready, the starts with the plugin and without taken in turns."""
    from integration_tests.harness.models import model_path
    from integration_tests.harness.server import Server

    path = model_path("tiny" if quick else "smollm2")
    plugins = {"with the plugin": "temperament", "without": "none"}
    starts: dict[str, list[float]] = {name: [] for name in plugins}
    for _ in tqdm(range(1 if quick else 6), desc="starts", disable=None):
        for name, plugin in plugins.items():
            begin = time.perf_counter()
            with Server(path, "v1", ["--max-model-len", "2048"], env={"VLLM_PLUGINS": plugin}):
                starts[name].append(time.perf_counter() - begin)
    return {name: found[1:] or found for name, found in starts.items()}  # the first warms up


def start_table(starts: dict[str, list[float]]) -> str:
    """Markdown: a line with the plugin, one without."""
    lines = [
        f"| {name} | {statistics.median(found):.1f} | {min(found):.1f} to {max(found):.1f} |"
        for name, found in starts.items()
    ]
    return "\n".join(["| | ready after, s | of |", "| --- | --- | --- |", *lines])


def serve_table(served: Sequence[Served]) -> str:
    """Markdown: tokens/s by work and streams, and beside the ceiling."""
    counts = sorted({one.streams for one in served})
    rate = {(one.work, one.streams): one for one in served}
    head = ["work", *(f"{n} streams, tokens/s" for n in counts), "ms per token", "of the ceiling"]
    lines = [head, ["---"] * len(head)]
    most = counts[-1]
    ceiling = rate[CEILING, most].tokens_per_second
    for work in dict.fromkeys(one.work for one in served):
        cells = [rate.get((work, n)) for n in counts]
        last = rate[work, most]
        lines.append([
            work, *(f"{c.tokens_per_second:.0f}" if c else "" for c in cells),
            f"{last.milliseconds_per_token:.0f}", f"{last.tokens_per_second / ceiling:.2f}",
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# Frames of the worker's stacks, the innermost that is found counts: what a sample was spent on.
PARTS = {
    "our processor": "temperament/",
    "vLLM's sampler": "vllm/v1/sample/",
    "the model": "vllm/model_executor/",
    "attention": "vllm/v1/attention/",
    "vLLM's runner": "vllm/v1/worker/",
}


def run_profile(quick: bool) -> dict[str, float]:
    """The share of a busy worker's time that each part took, from py-spy's samples."""
    from integration_tests.harness.models import model_path
    from integration_tests.harness.server import Server

    arguments = ["--served-model-name", "m", "--max-num-seqs", "32", "--max-model-len", "2048"]
    fields = {"temperature": 1.3, "top_p": 0.95, "preset": "default", "ignore_eos": True}
    seconds = 2 if quick else 20
    path = model_path("tiny" if quick else "smollm2")
    with Server(path, "v1", arguments) as server, ThreadPoolExecutor(32) as pool:
        client = server.client()
        end = time.monotonic() + seconds + 5

        def ask(_: int) -> None:
            while time.monotonic() < end:
                client.completions.create(
                    model="m", prompt="Once upon a time", max_tokens=48, extra_body=fields
                )

        asked = [pool.submit(ask, number) for number in range(32)]
        time.sleep(3)
        worker = worker_of(server.process.pid)
        spy = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(worker)]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "stacks"
            options = ["--format", "raw", "--duration", str(seconds), "--rate", "100"]
            subprocess.run(
                [*spy, *options, "--output", str(file)], capture_output=True, text=True, check=True
            )
            stacks = file.read_text().splitlines()
        for one in asked:
            one.result()
    return shares_of(stacks)


def shares_of(stacks: Sequence[str]) -> dict[str, float]:
    """The share of each part in stacks as py-spy writes them: frames by `;`, then a count."""
    counts = dict.fromkeys([*PARTS, "the rest"], 0)
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        if "execute_model" not in stack and "sample_tokens" not in stack:
            continue  # waits for the next step
        frames = reversed(stack.split(";"))
        found = (name for frame in frames for name, part in PARTS.items() if part in frame)
        counts[next(found, "the rest")] += int(count)
    total = sum(counts.values())
    if not total:
        raise SystemExit("py-spy saw no step of the worker: is it allowed to look at processes?")
    return {name: count / total for name, count in counts.items()}


def worker_of(server: int) -> int:
    """The process id of the server's worker: the one that holds the model."""
    command = ["ps", "-eo", "pid,sid,rss,args"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = (line.split(None, 3) for line in listed.stdout.splitlines()[1:])
    own = [(int(rss), int(pid)) for pid, session, rss, _ in rows if int(session) == server]
    return max(own)[1]


def profile_table(shares: dict[str, float]) -> str:
    """Markdown: a line for each part."""
    lines = [f"| {name} | {share:.1%} |" for name, share in shares.items()]
    return "\n".join(["| part of a step | share |", "| --- | --- |", *lines])


@dataclass(frozen=True, slots=True)
class Compiled:
    """One of our passes beside the same in one kernel by `torch.compile`."""

    work: str
    milliseconds: float
    compiled: float
    # seconds of the first call
    first_call: float
    # whether both give the same bits, and whether a row alone gives those that it has in a batch
    same_bits: bool
    alone: bool


def run_compile(quick: bool) -> list[Compiled]:
    """The passes over all logits that a fused kernel could replace."""
    from temperament.ops.blocks import PIECE, mass, sums, weighted_distance
    from temperament.ops.cut import keep_at_least

    rows, pieces = (4, 2) if quick else (64, 37)
    logits = logits_of("normal", rows, pieces * PIECE)
    maximum = logits.amax(-1, keepdim=True)
    bound = logits.topk(min(3000, PIECE)).values[:, -1:].contiguous()

    def keep(logits: Tensor) -> Tensor:
        return logits.copy_(torch.where(logits < bound[: len(logits)], -torch.inf, logits))

    def masses(logits: Tensor) -> tuple[Tensor, Tensor]:
        cut = logits.unflatten(1, (-1, PIECE))
        distance = (cut - maximum[: len(logits), :, None]).clamp(min=-87.0)
        return distance, distance.exp()

    def total(logits: Tensor) -> Tensor:
        return masses(logits)[1].sum(-1).sum(-1, dtype=torch.float64)

    def both(logits: Tensor) -> Tensor:
        distance, mass = masses(logits)
        parts = torch.stack([mass.sum(-1), (mass * distance).sum(-1)])
        return parts.sum(-1, dtype=torch.float64)

    works: dict[str, tuple[Step, Step]] = {
        "dropping what is below a threshold": (lambda x: keep_at_least(x, bound[: len(x)]), keep),
        "the sum of all masses": (lambda x: sums(x, maximum[: len(x)], mass)[0][:, 0], total),
        "the same and the mean distance": (
            lambda x: torch.stack(sums(x, maximum[: len(x)], mass, weighted_distance))[:, :, 0],
            both,
        ),
    }
    found = []
    for work, (eager, plain) in tqdm(works.items(), disable=None):
        compiled = torch.compile(plain, dynamic=True)
        begin = time.perf_counter()
        result = compiled(logits.clone())
        first = time.perf_counter() - begin
        least = (0.01, 3) if quick else (1.0, 7)
        costs = [measure(step, logits, *least)[0] for step in (eager, compiled)]
        same = torch.equal(eager(logits.clone()), result)
        single = compiled(logits[:1].clone())
        alone = torch.equal(single, result[:1] if single.shape[0] == 1 else result[:, :1])
        found.append(Compiled(work, *costs, first, same, alone))
    return found


def compile_table(found: Sequence[Compiled]) -> str:
    """Markdown: a line for each pass."""
    head = ["a pass over all logits", "ours, ms", "compiled, ms", "first call, s"]
    lines = [[*head, "the same bits", "a row alone as in a batch"]]
    lines.append(["---"] * len(lines[0]))
    for one in found:
        times = [f"{one.milliseconds:.2f}", f"{one.compiled:.2f}", f"{one.first_call:.1f}"]
        lines.append(
            [one.work, *times, *("yes" if b else "no" for b in (one.same_bits, one.alone))]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def plot(costs: Sequence[Cost], path: Path) -> None:
    """Cost against the batch, the vocabulary, the number of presets and the history's length."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    first, second = list(WORKS)[:2]
    chosen = [c for c in costs if c.logits == "normal"]
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")

    def draw(axis: Any, title: str, series: dict[str, list[tuple[float, float]]]) -> None:
        for (label, points), marker in zip(series.items(), "osv^Dx*+", strict=False):
            axis.plot(*zip(*sorted(points), strict=True), marker=marker, label=label)
        axis.set(title=title, xscale="log", yscale="log", ylabel="milliseconds a step")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)

    def points(field: str, **fixed: Any) -> dict[str, list[tuple[float, float]]]:
        series: dict[str, list[tuple[float, float]]] = {}
        for cost in chosen:
            if cost.work in (first, second) and all(
                getattr(cost, n) == v for n, v in fixed.items()
            ):
                label = f"{cost.peer}: {cost.work}"
                series.setdefault(label, []).append((getattr(cost, field), cost.milliseconds))
        return {label: found for label, found in series.items() if len(found) > 1}

    draw(axes[0, 0], "against the batch (vocabulary 151,936)", points("rows", vocabulary=151_936))
    draw(axes[0, 1], "against the vocabulary (64 rows)", points("vocabulary", rows=64))
    presets = [(int(c.work.split()[0]), c.milliseconds) for c in chosen if "same stages" in c.work]
    draw(axes[1, 0], "against the number of distinct presets (64 rows)", {"ours": presets})
    history: dict[str, list[tuple[float, float]]] = {}
    for cost in costs:
        work, comma, tokens = cost.work.rpartition(", ")
        if comma and tokens.endswith(" tokens"):
            length = float(tokens.removesuffix(" tokens").replace(",", ""))
            history.setdefault(f"{cost.peer}: {work}", []).append((length, cost.milliseconds))
    draw(axes[1, 1], "against the history's length (64 rows)", history)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write(part: str, text: str, data: dict[str, Any]) -> None:
    """Puts a table between its marks in the report's pages, and the numbers in docs/benchmarks/."""
    for name in ("benchmarks.md", "benchmarks.zh-CN.md"):
        document = ROOT / "docs" / "reports" / name
        before, mark, rest = document.read_text().partition(f"<!-- {part} -->\n")
        _, end, after = rest.partition(f"<!-- /{part} -->")
        if not mark or not end:
            raise SystemExit(f"{document} has no part <!-- {part} --> ... <!-- /{part} -->")
        document.write_text(f"{before}{mark}{text}\n{end}{after}")
    folder = ROOT / "docs" / "benchmarks"
    folder.mkdir(exist_ok=True)
    (folder / f"{part}.json").write_text(json.dumps(data, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "what", nargs="?", choices=("ops", "serve", "start", "profile", "compile"), default="ops"
    )
    parser.add_argument("--json", action="store_true", help="the numbers in place of the table")
    parser.add_argument("--write", action="store_true", help="into docs/reports/benchmarks.md")
    parser.add_argument("--only", default="", help="a pattern: the works whose names it matches")
    parser.add_argument("--quick", action="store_true", help="small and few: does it run?")
    words = parser.parse_args()
    about = header()
    if words.what == "ops":
        costs = run_ops(words.quick, words.only)
        if words.write and words.only:
            costs = merged(costs)
        table, data = ops_table(costs), {**about, "costs": [asdict(cost) for cost in costs]}
    elif words.what == "profile":
        shares = run_profile(words.quick)
        table, data = profile_table(shares), {**about, "shares": shares}
    elif words.what == "start":
        starts = run_start(words.quick)
        table, data = start_table(starts), {**about, "seconds": starts}
    elif words.what == "compile":
        found = run_compile(words.quick)
        table, data = compile_table(found), {**about, "compiled": [asdict(one) for one in found]}
    else:
        served = run_serve(words.quick, words.only)
        table, data = serve_table(served), {**about, "served": [asdict(one) for one in served]}
    facts = ", ".join(f"{name} {value}" for name, value in about.items())
    text = f"{facts}.\n\n{table}"
    if words.write:
        write(words.what, text, data)
        if words.what == "ops":
            plot(costs, ROOT / "docs" / "benchmarks" / "ops.png")
    print(json.dumps(data) if words.json else text)


if __name__ == "__main__":
    main()
