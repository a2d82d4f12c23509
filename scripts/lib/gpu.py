"""Checks the kernels on an NVIDIA GPU, and times them: one command, at most six minutes.

It needs torch, Triton and Transformers with what they need, and neither a network nor vLLM; set
PYTHON to the interpreter that has them. Every stage runs on the GPU and on the CPU; rows run alone
and in batches; a whole step runs while torch forbids to wait for the device; a small model
generates with a preset for each row. Then batches are timed, by events and by the host's clock:
ours, the torch operators, Transformers' processors, and vLLM's own kernel for top-k and top-p. The
goals are printed beside what was measured.

Takes --vllm: the folder in which vLLM's package lies, of which only some Python files are read
(vLLM's requirements aren't needed); --device cpu: runs all of it small,
under Triton's interpreter, to see whether it would run.
Writes: gpu.json and gpu.md in the folder --output. It exits with 1 where a check failed, or a chain
couldn't be timed. A goal that wasn't reached is no failure.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from scripts.lib.command import parser
from scripts.lib.unchecked import do_without_pydantic
from scripts.lib.vllm_kernel import load

SECONDS = 330.0  # after which nothing is begun
VOCABULARIES: tuple[int, ...] = (151_936, 262_144)
BATCHES: tuple[int, ...] = (1, 8, 64, 256)
LENGTH = 2048
WARM, TIMED = 5, 20
# Units in the last place of a bound, within which the GPU may keep another token. Its exponential
# function has an error of two, and of the distance from the largest logit, in such units.
NEAR = 4
SLOW = 0.5  # seconds for which the device sleeps at most, so that a step is launched meanwhile
CYCLES = 2e9  # of the device in a second, or fewer
GOAL_AT = {"vocabulary": 151_936, "batch": 64}
# The most times of vLLM's kernel for top-k and top-p; the first chain has its stages.
FIRST, OTHERS = 1.2, 2.0
WITHOUT_GOAL = ("tfs .95", "min_k", "skew .2")  # they need a row's order
EVERYTHING_US, ONE_ROW_US = 500.0, 60.0
SWITCH = "TEMPERAMENT_KERNELS"
DEVICE = {"name": "cuda"}
# rows and logits of the checks
CHECKED = {"rows": 16, "vocabulary": 32_003, "batch": 32, "wide": 50_001, "waiting": 151_936}
# The same without a GPU.
SMALL = {"rows": 2, "vocabulary": 130, "batch": 3, "wide": 150, "waiting": 150}


def main() -> int:
    """Runs the checks and the timings."""
    command = parser("gpu", __doc__)
    command.add_argument("--output", type=Path, default=Path("build/gpu"), help="a folder")
    command.add_argument("--vllm", type=Path, help="a folder with vLLM's package")
    command.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a trial")
    options = command.parse_args()
    do_without_pydantic()
    if options.device == "cpu":
        begin_trial()
    import torch

    if on_gpu() and not torch.cuda.is_available():
        print("scripts/gpu: torch finds no GPU here", file=sys.stderr)
        return 1
    begin = time.monotonic()
    report: dict[str, Any] = {"machine": machine(), "checks": {}, "times": []}
    checks = {"stages": check_stages, "batches": check_batches, "waits": check_waits}
    for name, check in {**checks, "generate": check_generate}.items():
        report["checks"][name] = attempt(check)
        print(name, json.dumps(report["checks"][name]), flush=True)
    for vocabulary in VOCABULARIES:
        for batch in BATCHES:
            if time.monotonic() - begin < SECONDS:
                times = attempt(partial(timings, vocabulary, batch, options.vllm))
                report["times"].append({"vocabulary": vocabulary, "batch": batch, **times})
                print(json.dumps(report["times"][-1]), flush=True)
    report["goals"] = goals(report["times"])
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "gpu.json").write_text(json.dumps(report, indent=1))
    (options.output / "gpu.md").write_text(table(report))
    print(table(report))
    return int(failed(report))


def failed(report: dict[str, Any]) -> bool:
    """Returns whether a check failed, or a chain of ours couldn't be timed."""
    timed = [times for each in report["times"] for times in each.get("ours", {"": each}).values()]
    return any("error" in found for found in [*report["checks"].values(), *timed])


@contextmanager
def by_operators() -> Iterator[None]:
    """Lets new rows run as torch operators."""
    os.environ[SWITCH] = "off"
    try:
        yield
    finally:
        os.environ[SWITCH] = "on" if on_gpu() else "interpret"


def begin_trial() -> None:
    """Makes everything small, and runs it on the CPU under Triton's interpreter."""
    global VOCABULARIES, BATCHES, LENGTH, WARM, TIMED
    os.environ |= {"TRITON_INTERPRET": "1", SWITCH: "interpret"}
    DEVICE["name"] = "cpu"
    CHECKED.update(SMALL)
    VOCABULARIES, BATCHES, LENGTH, WARM, TIMED = (150,), (2,), 16, 1, 1


def on_gpu() -> bool:
    """Returns whether the checks run on a GPU."""
    return DEVICE["name"] == "cuda"


def attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns what the work returns, or its error."""
    try:
        return work()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def machine() -> dict[str, str]:
    """Returns the versions and the name of the GPU."""
    import torch
    import transformers
    import triton

    return {
        "gpu": torch.cuda.get_device_name() if on_gpu() else "no GPU: a trial",
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "triton": triton.__version__,
        "transformers": transformers.__version__,
    }


def rows_of(requests: list[Any], device: str, prompts: Any = None) -> Any:
    """Returns the rows of some requests, each in its slot, with tokens so far if it reads any."""
    from temperament.batch.rows import Rows
    from tests import rows

    batch = Rows(len(requests), device, lambda: rows.token_bytes(1000))
    for row, request in enumerate(requests):
        batch.write(row, request, prompts[row] if prompts else ())
    return batch


def check_stages() -> dict[str, Any]:
    """Every stage on the GPU against the CPU: which tokens stay, and their probabilities."""
    from temperament.stages import STAGES

    found = {stage.name: check_stage(stage) for stage in STAGES}
    wrong = [n for n, f in found.items() if f["elsewhere"] or not f["probability"] <= 1e-5]
    return {"stages": found} | ({"error": f"stages differ: {wrong}"} if wrong else {})


def check_stage(stage: Any) -> dict[str, Any]:
    """How many tokens stay elsewhere: near the stage's bound or not; and the probabilities."""
    import numpy as np
    import torch

    from temperament.batch.request import Request
    from temperament.presets import Chain
    from tests import rows

    random = Random(stage.name)
    vocabulary, count = CHECKED["vocabulary"], CHECKED["rows"]
    known = min(1000, vocabulary)
    x = rows.logits(count, vocabulary, random)
    values = [rows.values(stage, random, known) for _ in range(count)]
    prompts = rows.ids(count, known, 200, random)

    def run(each: list[dict[str, Any]], device: str) -> Any:
        requests = [Request(Chain.of(one), row, 5, (known - 1,)) for row, one in enumerate(each)]
        return rows_of(requests, device, prompts).run(x.to(device, copy=True), np.arange(count))

    with by_operators():
        cpu = run(values, "cpu")
        moved = [run([shifted(stage, one, by) for one in values], "cpu") for by in (-NEAR, NEAR)]
    gpu = run(values, DEVICE["name"]).cpu()
    stays = cpu > -torch.inf
    other = stays != (gpu > -torch.inf)
    # near the least or the largest logit that stays, or on the other side of a bound near the
    # stage's own
    least = torch.where(stays, x, torch.inf).amin(1, keepdim=True)
    largest = torch.where(stays, x, -torch.inf).amax(1, keepdim=True)
    unit = NEAR * torch.finfo(torch.float32).eps * x.amax(1, keepdim=True).abs().clamp_min(1.0)
    near = ((x - least).abs() <= unit) | ((x - largest).abs() <= unit)
    for each in moved:
        near |= stays != (each > -torch.inf)
    same = ~other.any(1) & stays.any(1)
    difference = (cpu[same].softmax(-1) - gpu[same].softmax(-1)).abs().max() if same.any() else 0
    return {
        "near the bound": int((other & near).sum()),
        "elsewhere": int((other & ~near).sum()),
        "probability": float(difference),
    }


def shifted(stage: Any, values: dict[str, Any], units: int) -> dict[str, Any]:
    """The values with every float moved by some units in the last place, within its range."""
    import torch

    factor = 1 + units * torch.finfo(torch.float32).eps
    moved = dict(values)
    for parameter in stage.parameters:
        value = values[parameter.name]
        if isinstance(value, float) and parameter.low < value * factor < parameter.high:
            moved[parameter.name] = value * factor
    return moved


def check_batches() -> dict[str, Any]:
    """Rows alone against rows in a batch, bit for bit."""
    import numpy as np

    from tests import rows

    random = Random(0)
    count, known = CHECKED["batch"], min(1000, CHECKED["wide"])
    requests = chains(count, known, random)
    x = rows.logits(count, CHECKED["wide"], random).to(DEVICE["name"])
    prompts = rows.ids(count, known, 200, random)
    together = rows_of(requests, DEVICE["name"], prompts).run(x.clone(), np.arange(count)).cpu()
    wrong = []
    for row in range(count):
        one = rows_of([requests[row]], DEVICE["name"], [prompts[row]])
        alone = one.run(x[row : row + 1].clone(), np.arange(1)).cpu()
        if not rows.same_bits(alone, together[row : row + 1]):
            wrong.append(row)
    return {"rows": count} | ({"error": f"rows differ: {wrong}"} if wrong else {})


def check_waits() -> dict[str, Any]:
    """Whole steps while torch forbids to wait for the device."""
    import torch

    from tests import rows
    from tests.kernels.counts import EVERYTHING

    followed = {"temperature": as_checked({"from": 2.0, "to": 0.5, "over": 9}), "top_p": 0.9}
    listed = {"suppress_tokens": (3, 4), "bad_words_ids": ((1, 2),), "banned_strings": ("ab",)}
    presets = {
        "everything": rows.preset(as_checked(EVERYTHING)),
        "a schedule": rows.preset(followed),
        "lists and texts": rows.preset(listed),
        "modes": with_modes(),
    }
    waiting = {}
    for name, preset in presets.items():
        run = stepper(preset, 64 if on_gpu() else 2, CHECKED["waiting"])
        for _ in range(3):
            run()
        if on_gpu():
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error")
        try:
            run()
        except Exception as error:
            waiting[name] = f"{type(error).__name__}: {error}"[:200]
        finally:
            if on_gpu():
                torch.cuda.set_sync_debug_mode("default")
    return {"chains": [*presets]} | ({"error": f"they wait: {waiting}"} if waiting else {})


def as_checked(values: dict[str, Any]) -> Any:
    """Values as a checked preset has them; a map is a schedule."""
    from temperament.presets.schedule import Schedule

    if "from" in values:
        return Schedule(values["from"], values["to"], values["over"])
    return {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}


def with_modes() -> Any:
    """A preset whose modes change on a text, and after some tokens."""
    from temperament.presets import Preset
    from temperament.presets.modes import Mode, Rule, Trigger

    modes = Mode("slow", {"temperature": 0.5}), Mode("fast", {"top_k": 3})
    rules = (
        Rule(("slow",), Trigger(texts=("ab",)), "fast"),
        Rule(("fast",), Trigger(tokens=2), "slow"),
    )
    return Preset("modes", modes=modes, start="slow", switch=rules)


def check_generate() -> dict[str, Any]:
    """A small model generates, with a preset for each row."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from temperament.engines.transformers.logits_processor import PresetLogitsProcessor
    from tests import rows

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=1000, num_attention_heads=4, **sizes)).to(
        DEVICE["name"]
    )
    values: list[Any] = [{"temperature": 0}, {"top_k": 5, "min_p": 0.1}, {"typical_p": 0.5}]
    presets = [rows.preset(each) for each in values]
    ids = torch.randint(1000, (3, 8), device=DEVICE["name"])
    processors = [PresetLogitsProcessor(presets, catalogue=rows.NOTHING)]
    neutral: dict[str, Any] = {"do_sample": True, "top_k": 0, "logits_processor": processors}
    done = model.generate(ids, max_new_tokens=16, pad_token_id=0, **neutral)
    greedy = model.generate(ids[:1], max_new_tokens=16, pad_token_id=0, do_sample=False)
    same = bool(torch.equal(done[:1, : greedy.shape[1]], greedy))
    return {"tokens": done.numel()} | ({} if same else {"error": "the greedy row isn't greedy"})


def chains(count: int, vocabulary: int, random: Random) -> list[Any]:
    """Returns requests with one to five of the kernels' stages."""
    from temperament.batch.request import Request
    from temperament.kernels import layout
    from temperament.stages import BY_NAME
    from tests import rows

    requests = []
    for row in range(count):
        values: dict[str, Any] = {}
        for stage in random.sample(sorted(layout.OPERATIONS), random.randint(1, 5)):
            values |= rows.values(BY_NAME[stage], random, vocabulary)
        requests.append(Request(rows.preset(values).chain, row, -1, (vocabulary - 1,)))
    return requests


def stepper(preset: Any, batch: int, vocabulary: int) -> Callable[[], Any]:
    """Returns a function that runs a step of a batch in which all rows have this preset."""
    import numpy as np
    import torch

    from temperament.batch.request import request_of
    from temperament.ops.history import History

    batched = rows_of([request_of(preset)] * batch, DEVICE["name"])
    tokens = torch.randint(1000, (batch, 2 * LENGTH), device=DEVICE["name"])
    start = torch.zeros(batch, dtype=torch.int64, device=DEVICE["name"])
    middle, end = start + LENGTH // 2, start + LENGTH
    logits = torch.randn(batch, vocabulary, device=DEVICE["name"]) * 3
    place, step, slots = torch.empty_like(logits), [0], np.arange(batch)
    for slot in range(batch):
        batched.read(slot, (), (), LENGTH)  # its tokens so far are a prompt

    def run() -> Any:
        place.copy_(logits)
        step[0] += 1
        history = History(tokens, start, middle, end + step[0])
        return batched.run(place, slots, history, np.full(batch, LENGTH + step[0]))

    return run


def clocked(run: Callable[[], Any]) -> dict[str, float]:
    """Returns the microseconds of a call: on the device, and on the host.

    While the device's time is measured it sleeps first, so that it doesn't wait for the host: its
    calls follow each other, unless they are so many that the host waits for the device.
    """
    import torch

    cuda: Any = torch.cuda
    for _ in range(WARM):
        run()
    if on_gpu():
        cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(TIMED):
        run()
    host = time.perf_counter() - begin
    found = {"device_us": 0.0, "host_us": round(host / TIMED * 1e6, 1)}
    if on_gpu():
        first, last = (_event() for _ in range(2))
        cuda.synchronize()
        cuda._sleep(int(min(2 * host + 1e-3, SLOW) * CYCLES))
        first.record()
        for _ in range(TIMED):
            run()
        last.record()
        cuda.synchronize()
        found["device_us"] = round(first.elapsed_time(last) / TIMED * 1e3, 1)
    return found


def _event() -> Any:
    import torch

    event: Any = torch.cuda.Event
    return event(enable_timing=True)


def _step(values: dict[str, Any], batch: int, vocabulary: int) -> dict[str, Any]:
    from tests import rows

    return {**clocked(stepper(rows.preset(as_checked(values)), batch, vocabulary))}


def timings(vocabulary: int, batch: int, vllm: Path | None) -> dict[str, Any]:
    """Returns the times of every chain, and of what others have for the first of them.

    Every time includes a copy of the logits, which is given by itself too.
    """
    import torch

    from tests.kernels.counts import CHAINS

    x = torch.randn(batch, vocabulary, device=DEVICE["name"]) * 3
    place = torch.empty_like(x)
    found: dict[str, Any] = {"copy": clocked(lambda: place.copy_(x)), "ours": {}, "ops": {}}
    for name, values in CHAINS.items():
        found["ours"][name] = attempt(partial(_step, values, batch, vocabulary))
        with by_operators():
            found["ops"][name] = attempt(partial(_step, values, batch, vocabulary))
    found["transformers"] = attempt(lambda: clocked(transformers_chain(x, place)))
    if vllm is not None:
        folder = vllm
        found["vllm"] = attempt(lambda: clocked(vllm_chain(x, place, folder)))
    return found


def transformers_chain(x: Any, place: Any) -> Callable[[], Any]:
    """Returns a step of Transformers' processors for the first chain."""
    import torch
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    warpers = [TemperatureLogitsWarper(1.3), TopKLogitsWarper(50), TopPLogitsWarper(0.95)]
    chain = LogitsProcessorList([*warpers, MinPLogitsWarper(0.05)])
    ids = torch.zeros(len(x), 1, dtype=torch.int64, device=DEVICE["name"])
    return lambda: chain(ids, place.copy_(x))


def vllm_chain(x: Any, place: Any, folder: Path) -> Callable[[], Any]:
    """Returns a step of vLLM's own kernel for top-k 50 and top-p 0.95."""
    import torch

    apply_top_k_top_p = load(folder)
    k = torch.full((len(x),), 50, dtype=torch.int32, device=DEVICE["name"])
    p = torch.full((len(x),), 0.95, device=DEVICE["name"])
    return lambda: apply_top_k_top_p(place.copy_(x), k, p)


def goals(times: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the goals with what was measured: microseconds on the device, None where nothing was.

    Without the copy of the logits, which every time includes.
    """
    at = {(each["vocabulary"], each["batch"]): each for each in times if "ours" in each}
    many = at.get((GOAL_AT["vocabulary"], GOAL_AT["batch"]), {})
    one = at.get((GOAL_AT["vocabulary"], 1), {})

    def without_copy(found: dict[str, Any], timed: dict[str, Any] | None) -> float | None:
        if not timed or "device_us" not in timed:
            return None
        return round(float(timed["device_us"] - found["copy"]["device_us"]), 1)

    vllm = without_copy(many, many.get("vllm"))
    done = []
    for number, name in enumerate(many.get("ours", {})):
        if name not in WITHOUT_GOAL:
            factor = OTHERS if number else FIRST
            most = None if vllm is None else round(factor * vllm, 1)
            goal = f"{factor} times vLLM's kernel, 64 rows"
            measured = without_copy(many, many["ours"][name])
            done.append({"chain": name, "goal": goal, "most_us": most, "us": measured})
            if name == "everything":
                done.append({**done[-1], "goal": "0.5 ms, 64 rows", "most_us": EVERYTHING_US})
    for name, timed in [*one.get("ours", {}).items()][:1]:
        measured = without_copy(one, timed)
        done.append({"chain": name, "goal": "60 us, 1 row", "most_us": ONE_ROW_US, "us": measured})
    return done


def table(report: dict[str, Any]) -> str:
    """Returns the report as Markdown: microseconds on the device, and on the host."""
    lines = [" | ".join(report["machine"].values()), ""]
    for name, check in report["checks"].items():
        lines.append(f"- {name}: {check.get('error', 'passed')}")
    for name, found in report["checks"].get("stages", {}).get("stages", {}).items():
        if found["near the bound"] or found["elsewhere"]:
            near, elsewhere = found["near the bound"], found["elsewhere"]
            lines.append(
                f"- {name} keeps other tokens: {near} near the bound, {elsewhere} elsewhere"
            )
    for times in report["times"]:
        lines += ["", f"{times['batch']} rows of {times['vocabulary']} logits", ""]
        lines += ["| chain | ours | torch operators |", "|---|---|---|"]
        for chain, ours in times.get("ours", {}).items():
            lines.append(f"| {chain} | {_shown(ours)} | {_shown(times['ops'][chain])} |")
        for other in ("copy", "transformers", "vllm"):
            if other in times:
                lines.append(f"| {other} | {_shown(times[other])} | |")
    lines += ["", "Goals, microseconds on the device without the copy", ""]
    lines += ["| chain | goal | at most | measured | |", "|---|---|---|---|---|"]
    for each in report["goals"]:
        most, us = each["most_us"], each["us"]
        known = most is not None and us is not None
        verdict = "" if not known else "reached" if us <= most else "missed"
        cells = (each["chain"], each["goal"], *("" if n is None else n for n in (most, us)))
        lines.append(f"| {' | '.join(map(str, cells))} | {verdict} |")
    return "\n".join(lines) + "\n"


def _shown(times: dict[str, Any]) -> str:
    return str(times.get("error") or f"{times['device_us']} / {times['host_us']}")


if __name__ == "__main__":
    sys.exit(main())
