"""Many presets in one batch of `vllm.LLM`, each row compared with the same row alone.

Runs in the process of `harness/engine.py`. The recorder keeps the logits before and after the
processor. It follows by the engine's calls, apart from Temperament's bookkeeping, to which request
a row belongs; the tokens are those of the finished answers.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from integration_tests.harness import engine
from integration_tests.harness.offline import preemptions
from integration_tests.harness.server import Runner
from temperament.plan.split import Choice

PENALTIES = {"repetition_penalty": 1.3, "frequency_penalty": 0.6, "presence_penalty": 0.4}
ORDER = {"order": ["top_k", "top_p", "temperature"], "top_k": 30, "top_p": 0.8}
# case -> (the request's preset, the plan)
CASES: dict[str, tuple[dict[str, Any], Choice]] = {
    **{
        f"{name}, {plan}": ({"extends": name}, plan)
        for name in ("code", "math", "data", "chat", "translation", "creative", "default")
        for plan in ("auto", "residual")
    },
    "order": ({"extends": "creative", **ORDER}, "auto"),
    "reverse order": (
        {"extends": "chat", "order": ["min_p", "top_p", "top_k"], "min_p": 0.02, "top_k": 9},
        "auto",
    ),
    "native penalties, residual cuts": ({"extends": "chat", **PENALTIES, **ORDER}, "native"),
    "penalties": ({"extends": "chat", **PENALTIES}, "residual"),
    "frequency": ({"extends": "creative", "frequency_penalty": 1.5}, "residual"),
    "bias": ({"extends": "creative", "logit_bias": {"300": 150, "301": 149.5}}, "auto"),
    "hot": ({"temperature": 3.5, "min_p": 0.02, "top_p": 0.9}, "auto"),
    "cold": ({"temperature": 0.004}, "auto"),
    "greedy behind penalties": ({"extends": "code", **PENALTIES}, "residual"),
    "everything": (
        {"extends": "creative", **PENALTIES, **ORDER, "min_p": 0.01, "logit_bias": {"5": -3}},
        "residual",
    ),
    "n-grams": (
        {"extends": "chat", "no_repeat_ngram_size": 2, **PENALTIES, "repetition_range": 8},
        "residual",
    ),
    "dry, xtc": (
        {
            "extends": "chat",
            "dry_multiplier": 0.8,
            "dry_sequence_breakers": [],
            "dry_protect_ends": False,
            "xtc_probability": 0.5,
            "xtc_protect_structure": False,
            "seed": 7,
        },
        "residual",
    ),
    "cuts": (
        {"extends": "chat", "typical_p": 0.9, "eta_cutoff": 1e-4, "tfs": 0.95, "top_n_sigma": 2},
        "residual",
    ),
    "shapes": (
        {"dynatemp_low": 0.5, "dynatemp_high": 1.5, "smoothing_factor": 0.2, "skew": 0.1},
        "residual",
    ),
    "reproducible": ({"extends": "creative", "reproducible": True, "seed": 3}, "residual"),
    **{
        f"stateful, {name}": ({"temperature": 1.5, **values}, "residual")
        for name, values in {
            "mirostat": {"mirostat": 2, "mirostat_tau": 2.0, "mirostat_eta": 0.5},
            "adaptive-p": {"adaptive_target": 0.3, "adaptive_decay": 0.5},
        }.items()
    },
    "nothing": ({}, "auto"),
}
SLOTS = 12
# An engine whose cache doesn't hold all of its requests, so that some are preempted.
ENGINE: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 128,
    "max_num_seqs": SLOTS,
    "max_num_batched_tokens": 128,
    "block_size": 32,
    "num_gpu_blocks_override": 15,
    "disable_log_stats": False,
}
JOINING = 3  # requests that join at a step
LENGTHS = (4, 7, 12, 22)  # tokens, so that requests leave at different steps


@dataclass
class Report:
    """What was compared, and how mixed the batches were."""

    rows: dict[str, int]  # case -> rows that were compared
    changed: dict[str, int]  # case -> rows in which the processor changed a logit
    differing: list[str]  # the rows whose two results differ
    batches: int
    sizes: list[int]  # the different sizes of batches
    most_cases: int  # in one batch
    preemptions: int
    moves: int = field(default=0)  # V1: rows that changed places


def run(runner: Runner, model: Path, copies: int) -> Report:
    """The report of a batch with so many requests of each case."""
    return Report(**engine.call(runner, report, runner=runner, model=str(model), copies=copies))


@dataclass
class Recorder:
    """The logits before and after the processor: `records` holds (owners of the rows, both).

    A row's owner is (key of the request, number of tokens that the request has). On V1 that is the
    number of output tokens, on V2 that of all tokens.
    """

    records: list[tuple[list[tuple[str, int]], Any, Any]] = field(default_factory=list)
    rows: dict[int, Any] = field(default_factory=dict)
    # case and number -> the request's parameters as the engine has them
    params: dict[str, Any] = field(default_factory=dict)
    moves: int = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Wraps the methods of the processor's class while the context lasts."""
        from vllm.v1.sample.logits_processor import MoveDirectionality

        from temperament.engines.vllm.processor import TemperamentLogitsProcessor as Processor

        originals = Processor.update_state, Processor.add_request, Processor.apply

        def update_state(processor: Any, update: Any) -> None:
            if update is not None:
                for row in update.removed:
                    self.rows.pop(row, None)
                for row, params, _, output in update.added:
                    self.params[params.extra_args["case"]] = params
                    self.rows[row] = (params.extra_args["case"], output)
                for source, target, direction in update.moved:
                    self.moves += 1
                    moved = self.rows.pop(source, None)
                    back = self.rows.pop(target, None)
                    self.rows[target] = moved
                    if direction == MoveDirectionality.SWAP:
                        self.rows[source] = back
            originals[0](processor, update)

        def add_request(processor: Any, slot: int, params: Any) -> bool:
            self.params[params.extra_args["case"]] = params
            self.rows[slot] = params.extra_args["case"]
            return originals[1](processor, slot, params)

        def apply(processor: Any, logits: Any, ctx: Any = None) -> Any:
            if ctx is None:
                whose = [(self.rows[i][0], len(self.rows[i][1])) for i in range(len(logits))]
            else:
                slots = ctx.idx_mapping_np.tolist()
                ends = (ctx.pos + 1).tolist()
                whose = [(self.rows[s], e) for s, e in zip(slots, ends, strict=True)]
            before = logits.clone()
            after = originals[2](processor, logits, ctx)
            self.records.append((whose, before, after.clone()))
            return after

        names = ("update_state", "add_request", "apply")
        for name, method in zip(names, (update_state, add_request, apply), strict=True):
            setattr(Processor, name, method)
        try:
            yield
        finally:
            for name, method in zip(names, originals, strict=True):
                setattr(Processor, name, method)


# A request that waits for the engine: its key, the ids of its prompt, its parameters.
Waiting = tuple[str, list[int], Any]
# key -> (the ids of the prompt, the tokens of the answer)
Finished = dict[str, tuple[list[int], list[int]]]


def drive(llm: Any, requests: Sequence[Waiting]) -> Finished:
    """Runs the requests, `JOINING` of which join at each step."""
    from vllm import TokensPrompt

    waiting = deque(requests)
    finished: Finished = {}
    while waiting or llm.llm_engine.has_unfinished_requests():
        for _ in range(min(JOINING, len(waiting))):
            key, prompt, params = waiting.popleft()
            llm.llm_engine.add_request(key, TokensPrompt(prompt_token_ids=prompt), params)
        for output in llm.llm_engine.step():
            if output.finished:
                answer = list(output.prompt_token_ids), list(output.outputs[0].token_ids)
                finished[output.request_id] = answer
    return finished


def prompt_ids(model: str) -> list[int]:
    """The ids of a text from which prompts are cut: this file's."""
    from transformers import AutoTokenizer

    text = Path(__file__).read_text(encoding="utf-8")
    return list(AutoTokenizer.from_pretrained(model)(text)["input_ids"])


def report(runner: Runner, model: str, copies: int) -> dict[str, Any]:
    """Runs in the engine's process: generates, compares, returns the fields of a `Report`."""
    from vllm import LLM

    import temperament

    ids = prompt_ids(model)
    recorder = Recorder()
    with recorder.listening():
        llm = LLM(model, **ENGINE)
        requests: list[Waiting] = []
        for number in range(copies * len(CASES)):
            case = list(CASES)[number % len(CASES)]
            preset, plan = CASES[case]
            key = f"{case} #{number}"
            start = 13 * number
            params = temperament.vllm.sampling_params(
                preset,
                plan=plan,
                max_tokens=LENGTHS[(number + number // len(CASES)) % len(LENGTHS)],
                ignore_eos=True,
                extra_args={"case": key},
            )
            requests.append((key, ids[start : start + 8 + 5 * (number % 5)], params))
        finished = drive(llm, requests)
        found = compare(runner, recorder, finished)
        found.preemptions = preemptions(llm)
    return asdict(found)


def compare(runner: Runner, recorder: Recorder, finished: Finished) -> Report:
    """Runs each recorded row alone, and compares the two results bit for bit."""
    import torch
    from vllm.platforms import current_platform

    import temperament
    from temperament.plan import TARGETS, split
    from temperament.presets import as_preset

    catalogue = temperament.Catalogue.load()
    alone: dict[str, Any] = {}  # case -> the residual part of its preset
    for case, (values, plan) in CASES.items():
        preset = as_preset(values, catalogue)
        parts = split(preset.chain, TARGETS["vllm"], plan, current_platform.device_type)
        movable = {"order": preset.order} if preset.order else {}
        alone[case] = preset if plan == "residual" else {**parts.residual.values, **movable}
        if "logit_bias" in parts.residual.values and plan == "auto":
            alone[case]["logit_bias"] = dict(alone[case]["logit_bias"])
    steps: dict[str, dict[int, tuple[Any, Any]]] = {}  # stateful: request -> tokens -> step
    rows: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    differing = []
    for step, (whose, before, after) in enumerate(recorder.records):
        for row, (key, tokens) in enumerate(whose):
            case = key.partition(" #")[0]
            prompt, output = finished[key]
            length = tokens if runner == "v1" else tokens - len(prompt)
            if length < 0:  # a part of the prompt: no token of it is used
                continue
            if case.startswith("stateful"):
                rows[case] += 1
                changed[case] += not torch.equal(before[row], after[row])
                steps.setdefault(key, {})[length] = before[row : row + 1], after[row]
                continue
            single = temperament.process(
                before[row : row + 1],
                alone[case],
                prompt_ids=[prompt],
                output_ids=[output[:length]],
                catalogue=catalogue,
            )[0]
            rows[case] += 1
            changed[case] += not torch.equal(before[row], after[row])
            if not torch.equal(single.view(torch.int32), after[row].view(torch.int32)):
                differing.append(f"step {step}, row {row} of {len(whose)}: {key} after {length}")
    for key, known in steps.items():
        prompt, output = finished[key]
        run = temperament.Run(
            alone[key.partition(" #")[0]], prompt_ids=[prompt], catalogue=catalogue
        )
        for length in range(len(output)):
            before, after = known[length]
            single = run.run(before)[0]
            if not torch.equal(single.view(torch.int32), after.view(torch.int32)):
                differing.append(f"{key} after {length} of {len(output)}")
            run.accept(output[length : length + 1])
    return Report(
        rows=dict(rows),
        changed=dict(changed),
        differing=differing,
        batches=len(recorder.records),
        sizes=sorted({len(whose) for whose, _, _ in recorder.records}),
        most_cases=max(len({k.partition(" #")[0] for k, _ in w}) for w, _, _ in recorder.records),
        preemptions=0,
        moves=recorder.moves,
    )
