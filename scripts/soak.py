"""Soaks a real server: many random presets at once, aborted, preempted, repeated alone.

    .venv/bin/python -m scripts.soak                               # 10,000 requests, SmolLM2 on V1
    .venv/bin/python -m scripts.soak --runner v2 --requests 300    # the tiny model on V2
    .venv/bin/python -m scripts.soak --json soak.json --minutes 20 --seed 3
    .venv/bin/python -m scripts.soak --plain --captured 0          # vLLM alone: what it does itself

Presets are drawn from the seed: half of them are files that the server loads, named in each way
that there is, half are written into the requests. Requests stream or not, are broken off, share
prefixes, want several samples or a grammar, and the KV cache is too small for them. Some are drawn
with `reproducible: true` and sent once more when the server has nothing else to do: their tokens
must be the same wherever the model's own logits (`raw_logprobs`) are the same bit for bit. Then the
rows of an offline engine with the same kind of presets are captured and run alone, and must be the
same bit for bit. Ends with 1 if something that must not happen has happened.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import psutil
from integration_tests.harness import captured
from integration_tests.harness.ask import CHAT, COMPLETIONS, MESSAGES, RESPONSES, naming
from integration_tests.harness.models import ROOT, model_path
from integration_tests.harness.random_presets import (
    NOTHING,
    Vocabulary,
    Words,
    presets,
    remembers,
    write,
)
from integration_tests.harness.server import Runner, Server
from tqdm import tqdm

from temperament.presets import as_preset

MODEL: dict[Runner, str] = {"v1": "smollm2", "v2": "tiny"}
SIZE: dict[Runner, int] = {"v1": 49152, "v2": 1024}
AT_ONCE = 32
PATIENCE = 600  # seconds until the server answers
BLOCKS: dict[Runner, int] = {"v1": 22, "v2": 24}  # of 32 tokens: too few for 32 requests
TOP = 20  # tokens whose log-probabilities are compared
GRAMMARS: tuple[dict[str, Any], ...] = (
    {"structured_outputs": {"choice": ["red", "green", "blue"]}},
    {"structured_outputs": {"regex": "[a-z]{1,6}"}},
    {"response_format": {"type": "json_object"}},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "colour",
                "schema": {
                    "type": "object",
                    "properties": {"red": {"type": "boolean"}},
                    "required": ["red"],
                },
            },
        }
    },
)


# What is left of a request to vLLM alone.
NATIVE = {
    *("model", "prompt", "messages", "input", "max_tokens", "max_output_tokens", "stream", "n"),
    *("logprobs", "return_token_ids", "return_tokens_as_token_ids"),
    *("structured_outputs", "response_format"),
}


@dataclass
class Request:
    """One request of the soak."""

    number: int
    preset: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    kinds: list[str]
    # seconds after which the client goes away
    leaves: float | None = None
    # whether it is to be sent once more, alone
    sampled: bool = False


# At each position: the token and the model's own most likely tokens with their log-probabilities.
Drawn = list[list[tuple[int, dict[str, float]]]]


@dataclass
class Report:
    """What was run and what came of it."""

    command: str
    runner: str
    seed: int
    requests: int = 0
    seconds: float = 0
    presets: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    tokens: int = 0
    preemptions: int = 0
    prefix_hits: int = 0
    restarts: int = 0
    left_running: int = 0
    errors_in_log: list[str] = field(default_factory=list)
    # resident memory of all of the server's processes, in MiB
    memory: dict[str, float] = field(default_factory=dict)
    # the same over the run for each of them
    processes: dict[str, list[int]] = field(default_factory=dict)
    # samples that were repeated alone
    repeated: dict[str, int] = field(default_factory=dict)
    # samples that parted although the model's logits were the same
    parted: list[str] = field(default_factory=list)
    captured: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """What must not have happened."""
        found = [*self.failures, *self.parted, *self.captured.get("differing", ())]
        found += [f"status {s}: {n}" for s, n in self.statuses.items() if s.startswith("5")]
        if self.restarts:
            found.append(f"{self.restarts} of the server's processes are others than at its start")
        if self.left_running:
            found.append(f"{self.left_running} requests are still running")
        return [*found, *self.errors_in_log]


class Asker:
    """Draws requests from a seed."""

    def __init__(self, runner: Runner, seed: int, count: int, ids: list[int]) -> None:
        self.runner, self.seed, self.ids = runner, seed, ids
        made = presets(seed, count, Vocabulary(SIZE[runner]))
        names = list(made)
        self.files = {name: made[name] for name in names[: count // 2]}
        self.inline = {name: made[name] for name in names[count // 2 :]}
        self.remembers = {n: remembers(as_preset(w, NOTHING)) for n, w in made.items()}
        random = Random(seed)
        starts = [random.randrange(len(ids) - 200) for _ in range(8)]
        self.prefixes = [ids[start : start + random.choice([32, 64, 96])] for start in starts]

    def request(self, number: int) -> Request:
        """The request of a number."""
        random = Random(f"{self.seed} {number}")
        preset = random.choice([*self.files, *self.inline])
        headers: dict[str, str] = {}
        fields: Words = {"model": "m"}
        kinds = []
        if preset in self.files:
            ways = ("field", "suffix", "header", "vllm_xargs")
            named, headers = naming(random.choice(ways), preset, "m")
            fields |= named
            kinds.append("preset file")
        else:
            fields |= self.inline[preset]
            kinds.append("inline fields")
        sampled = random.random() < 0.08
        longest = 48 if random.random() < 0.06 else 12
        tokens = random.randint(1, longest)
        path = COMPLETIONS
        if not sampled:
            path = random.choices([COMPLETIONS, CHAT, RESPONSES, MESSAGES], [60, 34, 3, 3])[0]
        fields["stream"] = random.random() < 0.4
        fields |= self._content(path, tokens, random, kinds)
        if sampled:
            fields |= {"reproducible": True, "seed": random.randrange(2**31), "logprobs": TOP}
            fields |= {"return_token_ids": True, "return_tokens_as_token_ids": True}
            kinds.append("reproducible")
        if path in {COMPLETIONS, CHAT} and random.random() < 0.12:
            fields["n"] = random.randint(2, 3)
            kinds.append("several samples")
        kinds.append("streaming" if fields["stream"] else "whole")
        leaves = None
        if not sampled and random.random() < 0.12:
            leaves = random.expovariate(1 / 0.6)
            kinds.append("client goes away")
        return Request(number, preset, path, fields, headers, kinds, leaves, sampled)

    def _content(self, path: str, tokens: int, random: Random, kinds: list[str]) -> Words:
        start = random.randrange(len(self.ids) - 300)
        if path == COMPLETIONS:
            prompt = self.ids[start : start + random.randint(2, 44)]
            if random.random() < 0.3:
                prompt = [*random.choice(self.prefixes), *prompt[: random.randint(1, 6)]]
                kinds.append("shared prefix")
            elif random.random() < 0.04:
                prompt = self.ids[start : start + random.randint(100, 300)]
                kinds.append("long prompt")
            return {"prompt": prompt, "max_tokens": tokens}
        text = f"Say {number_words(random)}."
        if path == RESPONSES:
            return {"input": text, "max_output_tokens": max(tokens, 2)}
        messages = [{"role": "user", "content": text}]
        fields: Words = {"messages": messages, "max_tokens": tokens}
        if path == CHAT and self.runner == "v1" and random.random() < 0.25:
            fields |= random.choice(GRAMMARS)
            kinds.append("grammar")
        return fields


def number_words(random: Random) -> str:
    """Some words that differ from request to request."""
    return " ".join(random.choices(["a colour", "seven", "why", "你好", "def f():", "and"], k=4))


def plain(request: Request) -> Request:
    """The same request with two native fields in place of its preset."""
    kept = {name: value for name, value in request.body.items() if name in NATIVE}
    return replace(
        request, body={**kept, "model": "m", "temperature": 1.0, "top_p": 0.9}, headers={}
    )


async def send(client: httpx.AsyncClient, request: Request) -> tuple[int | str, str, Drawn]:
    """(status, the message of a refusal or of a failure, the tokens of each sample)."""
    sent = {name: quote(text) for name, text in request.headers.items()}
    drawn: Drawn = []
    async with client.stream("POST", request.path, json=request.body, headers=sent) as answer:
        if answer.status_code != 200:
            return answer.status_code, (await answer.aread()).decode()[:500], drawn
        if not request.body["stream"]:
            _collect(json.loads(await answer.aread()), drawn)
            return 200, "", drawn
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event or event.get("type") == "error":
                return "error in a stream", line[:500], drawn
            _collect(event, drawn)
    return 200, "", drawn


def _collect(event: Mapping[str, Any], drawn: Drawn) -> None:
    for choice in event.get("choices", ()):
        while len(drawn) <= choice["index"]:
            drawn.append([])
        tops = (choice.get("logprobs") or {}).get("top_logprobs") or []
        drawn[choice["index"]] += zip(choice.get("token_ids") or [], tops, strict=False)


def processes(server: Server) -> list[psutil.Process]:
    """All of the server's processes."""
    top = psutil.Process(server.process.pid)
    return [top, *top.children(recursive=True)]


class Watch:
    """Looks at the server's processes while it works."""

    def __init__(self, server: Server, report: Report) -> None:
        self.server, self.report = server, report
        self.pids = {process.pid for process in processes(server)}
        self.samples: list[tuple[int, float]] = []
        self.parts: dict[str, list[int]] = {}  # MiB of each process
        self.alive = True

    async def run(self) -> None:
        """Until it is cancelled, or one of the processes is gone."""
        with suppress(psutil.NoSuchProcess):
            while self.pids <= {process.pid for process in processes(self.server)}:
                self.samples.append((self.report.requests, self.resident()))
                await asyncio.sleep(2)
        self.alive = False

    def resident(self) -> float:
        """MiB."""
        whole = 0.0
        for process in processes(self.server):
            size = process.memory_info().rss / 2**20
            self.parts.setdefault(f"{process.name()} {process.pid}", []).append(round(size))
            whole += size
        return whole

    def finish(self) -> None:
        """Writes what was seen to the report."""
        gone = self.pids
        with suppress(psutil.NoSuchProcess):
            gone = self.pids - {process.pid for process in processes(self.server)}
        self.report.restarts = len(gone)
        done = np.array(self.samples)
        late = done[done[:, 0] >= done[-1, 0] / 3]  # behind the first third, when all is warm
        slope = np.polyfit(late[:, 0] / 1000, late[:, 1], 1)[0] if len(set(late[:, 0])) > 1 else 0
        self.report.memory = {
            "first": round(float(done[0, 1]), 1),
            "warm": round(float(late[0, 1]), 1),
            "last": round(float(done[-1, 1]), 1),
            "largest": round(float(done[:, 1].max()), 1),
            "slope per 1,000 requests": round(float(slope), 2),
        }
        self.report.processes = {
            name: sizes[:: len(sizes) // 40 + 1] for name, sizes in self.parts.items()
        }


async def soak(
    server: Server, asker: Asker, said: argparse.Namespace, report: Report, watch: Watch
) -> None:
    """Sends everything, then the samples once more."""
    numbers = iter(range(said.requests))
    kept: list[tuple[Request, Drawn]] = []
    kinds: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    seen: set[str] = set()
    end = time.monotonic() + said.minutes * 60
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=server.url, timeout=300, limits=limits) as client:

        async def worker() -> None:
            for number in numbers:
                if time.monotonic() > end or not watch.alive:
                    return
                request = asker.request(number)
                request = plain(request) if said.plain else request
                status, message, drawn = await attempt(client, request)
                statuses[str(status)] += 1
                kinds.update(request.kinds)
                seen.add(request.preset)
                bar.update()
                report.requests += 1
                report.tokens += sum(map(len, drawn))
                if status == 400:
                    refusals[_short(message)] += 1
                elif status not in {200, "client went away"}:
                    report.failures.append(f"request {number}: {status}: {message}")
                if request.sampled and status == 200:
                    kept.append((request, drawn))

        with tqdm(total=said.requests, desc="soak", file=sys.stderr, mininterval=2) as bar:
            await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        report.kinds, report.statuses = dict(kinds), dict(statuses)
        report.refusals, report.presets = dict(refusals.most_common()), len(seen)
        await asyncio.sleep(2)
        numbers = await metrics(client)
        report.left_running = int(numbers["vllm:num_requests_running"])
        report.preemptions = int(numbers["vllm:num_preemptions_total"])
        report.prefix_hits = int(numbers["vllm:prefix_cache_hits_total"])
        found: Counter[str] = Counter()
        repeats = 0 if said.plain else said.repeats
        for request, drawn in tqdm(kept[:repeats], desc="alone", file=sys.stderr):
            status, message, again = await attempt(client, request)
            if status != 200:
                report.failures.append(f"request {request.number} alone: {status}: {message}")
                continue
            for sample, (together, alone) in enumerate(zip(drawn, again, strict=True)):
                kind = parting(together, alone, asker.remembers[request.preset])
                found[kind] += 1
                if kind == "parted":
                    tokens = [[token for token, _ in one] for one in (together, alone)]
                    equal = [a[1] == b[1] for a, b in zip(together, alone, strict=False)]
                    where = f"request {request.number}, sample {sample}, {request.preset}"
                    report.parted.append(f"{where}: {tokens[0]}, alone {tokens[1]}; {equal}")
        report.repeated = dict(found)


async def attempt(client: httpx.AsyncClient, request: Request) -> tuple[int | str, str, Drawn]:
    """Sends a request, and goes away when it is time."""
    try:
        async with asyncio.timeout(request.leaves):
            return await send(client, request)
    except TimeoutError:
        return "client went away", "", []
    except httpx.HTTPError as error:
        return type(error).__name__, str(error), []


def _short(message: str) -> str:
    with suppress(ValueError, KeyError, TypeError):
        message = str(json.loads(message)["error"]["message"])
    return re.sub(r"\d[\d.e+-]*", "#", message)[:160]


def parting(together: list[Any], alone: list[Any], remembers: bool) -> str:
    """What became of a sample alone: `same`, `the model's logits differ`, or `parted`.

    With equal tokens before it, a token may differ only where the model's own distribution does;
    or did before, for what remembers more than tokens.
    """
    differed = False
    for (token, top), (other, other_top) in zip(together, alone, strict=False):
        here = top != other_top
        differed = differed or here
        if token != other:
            return "the model's logits differ" if (differed if remembers else here) else "parted"
    if len(together) == len(alone):
        return "same, though logits differ" if differed else "same, and so are the logits"
    return "parted"


async def metrics(client: httpx.AsyncClient) -> Counter[str]:
    """vLLM's own numbers, summed over their labels."""
    found: Counter[str] = Counter()
    for line in (await client.get("/metrics")).text.splitlines():
        name, _, value = line.rpartition(" ")
        if not line.startswith("#"):
            found[name.partition("{")[0]] += float(value)  # type: ignore[assignment]
    return found


async def watched(server: Server, asker: Asker, said: argparse.Namespace, report: Report) -> None:
    """The soak, with somebody who looks at the server."""
    watch = Watch(server, report)
    task = asyncio.create_task(watch.run())
    begin = time.monotonic()
    try:
        await soak(server, asker, said, report, watch)
    except httpx.HTTPError as error:
        report.failures.append(f"the server can't be reached: {error!r}")
    report.seconds = round(time.monotonic() - begin, 1)
    task.cancel()
    watch.finish()
    log = server.log.read_text(errors="replace")
    report.errors_in_log = [line[:300] for line in log.splitlines() if " ERROR " in line][:20]


def run(said: argparse.Namespace) -> Report:
    """Starts a server, soaks it, and captures rows."""
    runner: Runner = said.runner
    report = Report(f"python -m scripts.soak {' '.join(sys.argv[1:])}".strip(), runner, said.seed)
    model = model_path(MODEL[runner])
    asker = Asker(runner, said.seed, said.presets, prompt_ids(model))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), asker.files)
        bar = tqdm(desc="vllm serve", bar_format="{desc}: {elapsed}", file=sys.stderr)
        arguments = server_arguments(runner, Path(folder))

        def waiting(_: float) -> None:
            bar.update(0)

        env = {"VLLM_PLUGINS": "none"} if said.plain else {}
        with Server(model, runner, arguments, env=env, waiting=waiting, timeout=PATIENCE) as server:
            bar.close()
            asyncio.run(watched(server, asker, said, report))
    if said.captured:
        rows = captured.run(runner, model_path("tiny"), said.captured, said.seed)
        report.captured = asdict(rows)
    return report


def prompt_ids(model: Path) -> list[int]:
    """The ids of a long text in two languages."""
    from transformers import AutoTokenizer

    text = "".join(
        (ROOT / name).read_text("utf-8")
        for name in ("docs/parameters.md", "docs/parameters.zh-CN.md")
    )
    return list(AutoTokenizer.from_pretrained(model)(text)["input_ids"])


def server_arguments(runner: Runner, folder: Path) -> list[str]:
    """Those of `vllm serve`: with presets of a folder, and too small a KV cache."""
    return [
        *("--served-model-name", "m"),
        *("--dtype", "float32"),
        *("--max-model-len", "512"),
        *("--max-num-seqs", str(AT_ONCE)),
        *("--block-size", "32"),
        *("--num-gpu-blocks-override", str(BLOCKS[runner])),
        *("--logprobs-mode", "raw_logprobs"),
        *("--additional-config", json.dumps({"temperament": {"presets": [str(folder)]}})),
    ]


def table(report: Report) -> str:
    """The report as a Markdown table."""
    repeated = ", ".join(f"{name}: {count}" for name, count in report.repeated.items())
    rows = {
        "command": f"`{report.command}`",
        "requests": f"{report.requests:,} in {report.seconds:,.0f} s",
        "presets": report.presets,
        "kinds": ", ".join(f"{name} {count:,}" for name, count in sorted(report.kinds.items())),
        "answers": ", ".join(f"{s}: {n:,}" for s, n in sorted(report.statuses.items())),
        "preemptions": report.preemptions,
        "prompt tokens from the prefix cache": report.prefix_hits,
        "processes that were restarted": report.restarts,
        "errors in the server's log": len(report.errors_in_log),
        "memory (MiB)": ", ".join(f"{name} {size:,}" for name, size in report.memory.items()),
        "samples repeated alone": repeated,
    }
    if report.captured:
        count, differing = report.captured["rows"], len(report.captured["differing"])
        rows["captured rows run alone"] = f"{count:,}, of which {differing} differ"
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows.items())])


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--runner", choices=["v1", "v2"], default="v1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--presets", type=int, default=260, help="how many different ones")
    parser.add_argument("--minutes", type=float, default=60, help="no request is begun later")
    parser.add_argument("--repeats", type=int, default=400, help="samples to send once more, alone")
    parser.add_argument("--captured", type=int, default=200, help="requests to capture rows of")
    parser.add_argument("--plain", action="store_true", help="vLLM without the plugin")
    parser.add_argument("--json", type=Path, help="where to write the report")
    return parser.parse_args(arguments)


def main() -> None:
    """Runs, prints, and tells by its status whether all was well."""
    said = parse()
    report = run(said)
    if said.json:
        said.json.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    print(table(report))
    for line in report.wrong:
        print(line, file=sys.stderr)
    sys.exit(bool(report.wrong))


if __name__ == "__main__":
    main()
