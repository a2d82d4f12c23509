"""Sends hostile request bodies and preset files through the door, and looks at what it costs.

    .venv/bin/python -m scripts.fuzz                             # 100,000 cases in this process
    .venv/bin/python -m scripts.fuzz --count 5000 --http 2000    # and 2,000 to a real server
    .venv/bin/python -m scripts.fuzz --seed 7 --minutes 10 --json fuzz.json

In process: the middleware with the shipped presets, before an application that takes every body as
vLLM's parser would; and preset files as a catalogue loads them. What comes of a case must be a body
to go on with, or a refusal (400; `TemperamentError`), never another exception. A refusal may take
100 ms of processor time and 64 MiB; what seems to take more is looked at twice more. What was let
in is decoded as a worker does and drawn with, in batches on a small vocabulary: nothing may raise
there, no row may lose all of its tokens and none may become NaN. Over HTTP every answer must be 200
or a 4xx, and the server must be well afterwards. Ends with 1 if not.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
import torch
from integration_tests.harness import hostile
from integration_tests.harness.hostile import VOCABULARY, File, Request
from integration_tests.harness.models import model_path
from integration_tests.harness.server import Server
from prometheus_client import CollectorRegistry
from tqdm import tqdm

from temperament.batch.request import request_of
from temperament.batch.rows import Rows
from temperament.errors import TemperamentError
from temperament.plan import decode
from temperament.plan.vocabulary import TokenBytes
from temperament.plan.wire import KEY
from temperament.presets import Catalogue, catalogue
from temperament.presets.models import Facts
from temperament.presets.resolve import require_bound
from temperament.server.admission import Admission
from temperament.server.metrics import Metrics
from temperament.server.middleware import Message, PresetMiddleware, Receive, Scope, Send
from temperament.server.served import Served

SECONDS = 0.1
BYTES = 64 * 2**20
SLOTS = 16
STEPS = 3


@dataclass
class Report:
    """What was tried and what came of it."""

    command: str
    seed: int
    seconds: float = 0
    cases: dict[str, int] = field(default_factory=dict)
    passed: int = 0
    refused: int = 0
    untouched: int = 0  # bodies that vLLM is to read as they are
    drawn: int = 0  # of those that passed, with how many tokens were drawn
    slowest: float = 0  # refusal, in milliseconds of processor time
    largest: float = 0  # refusal, in MiB
    weighed: int = 0  # cases whose memory was looked at
    http: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def fail(self, what: str, case: Request | File) -> None:
        """Keeps a failure, with enough of the case to find it again."""
        where = getattr(case, "path", getattr(case, "name", ""))
        self.failures.append(f"{what}: {case.kind}: {where}: {case.raw[:600]!r}")
        tqdm.write(self.failures[-1][:400], file=sys.stderr)


@dataclass
class Outcome:
    """`passed`, `untouched` or `refused`; the body that passed."""

    kind: str
    body: dict[str, Any] | None = None


class Door:
    """The middleware before an application that takes everything."""

    def __init__(self) -> None:
        self.tokens = small_vocabulary()
        self.metrics = Metrics(CollectorRegistry())
        shipped = Catalogue.load(environment=False)
        self.admission = Admission(
            shipped.for_model(Facts("SmolLM2-135M-Instruct")),
            vocabulary=VOCABULARY.size,
            tokens=lambda: self.tokens,
            serves=lambda name: name == "m",
        )

    def ask(self, case: Request) -> Outcome:
        """Sends a request. Raises what the middleware raises."""
        return asyncio.run(self._ask(case))

    async def _ask(self, case: Request) -> Outcome:
        seen: list[bytes] = []
        sent: list[Message] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((await receive())["body"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        async def receive() -> Message:
            return {"type": "http.request", "body": case.raw, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": case.path, "headers": [*case.headers]}
        await PresetMiddleware(app, Served(self.admission), self.metrics)(scope, receive, send)
        if not seen:
            assert sent[0]["status"] == 400, sent
            said = json.loads(sent[1]["body"])
            assert said["error"]["message"], said
            assert len(sent[1]["body"]) < 1_000_000, "a refusal of more than a megabyte"
            return Outcome("refused")
        if seen[0] is case.raw:
            return Outcome("untouched")
        body = json.loads(seen[0])
        assert "preset" not in body, body
        return Outcome("passed", body)


class Worker:
    """Draws with what was let in, as an engine's worker would."""

    def __init__(self, tokens: TokenBytes, random: Random) -> None:
        self.random = random
        self.rows = Rows(SLOTS, vocabulary=lambda: tokens)
        self.generator = torch.Generator().manual_seed(0)
        self.ends = tokens.ends
        self.slot = 0

    def draw(self, text: str) -> int:
        """Gives a request a slot; every `SLOTS` of them, draws some tokens. How many rows."""
        from dataclasses import replace

        request = replace(request_of(decode(text), self.ends), seed=self.random.randrange(2**63))
        prompt = self.random.choices(range(VOCABULARY.size), k=self.random.randint(1, 40))
        output = self.random.choices(range(VOCABULARY.size), k=self.random.randint(0, 6))
        self.rows.write(
            self.slot, replace(request, limit=self.random.randint(-1, 12)), prompt, output
        )
        self.slot = (self.slot + 1) % SLOTS
        if self.slot:
            return 0
        slots = np.arange(SLOTS)
        for _ in range(STEPS):
            logits = self._logits()
            drawn = self.rows.run(logits.clone(), slots)
            assert not drawn.isnan().any(), "NaN"
            assert (drawn > -torch.inf).any(1).all(), "a row without a token"
            assert ((logits > -torch.inf) | (drawn == -torch.inf)).all(), "a masked token came back"
            followed = [slot for slot in range(SLOTS) if self.rows.follows(slot)]
            if followed:
                self.rows.log.append(drawn.argmax(1)[followed], np.array(followed))
        return SLOTS * STEPS

    def _logits(self) -> torch.Tensor:
        logits = torch.randn(SLOTS, VOCABULARY.size, generator=self.generator) * 4
        logits[1] *= 1e30
        logits[2] = 0
        logits[3, 1:] = -torch.inf
        logits[4, ::2] = -torch.inf
        return logits


def small_vocabulary() -> TokenBytes:
    """Tokens of a few bytes; the last one ends a text."""
    random = Random(0)
    texts = [bytes(random.choices(b'ab\n `"</think>.', k=random.randint(1, 4))) for _ in range(511)]
    for place, text in enumerate(VOCABULARY.texts):
        texts[place] = text.encode()
    for byte in range(256):
        texts[200 + byte] = bytes([byte])
    return TokenBytes((*texts, b""), (511,), (), (("<end>", 511),))


def load(case: File, folder: Path) -> Outcome:
    """Loads a file as a catalogue does. Raises what the loader raises."""
    path = folder / case.name
    path.write_bytes(case.raw)
    try:
        loader = catalogue._Loader()
        loader.read(path)
        for preset in loader.finish().values():
            require_bound(preset)
    except TemperamentError as error:
        assert str(error)
        assert len(str(error)) < 1_000_000, "a refusal of more than a megabyte"
        return Outcome("refused")
    finally:
        path.unlink()
    return Outcome("passed")


def cases(seed: int, count: int) -> Iterator[Request | File]:
    """So many cases: every field with every value once, among random ones."""
    random = Random(seed)
    grid: list[Callable[[], Request | File]] = [*hostile.grid(), *hostile.file_grid()]
    random.shuffle(grid)
    for _ in range(count):
        if grid and random.random() < 0.5:
            yield grid.pop()()
        elif random.random() < 0.75:
            yield hostile.request(random)
        else:
            yield hostile.file(random)


def run(said: argparse.Namespace, report: Report) -> None:
    """Everything in this process."""
    torch.set_num_threads(1)
    random = Random(said.seed)
    door = Door()
    worker = Worker(door.tokens, random)
    kinds: Counter[str] = Counter()
    end = time.monotonic() + said.minutes * 60
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        door.ask(Request("warm", b'{"preset": "chat", "typical_p": 2}'))
        load(File("warm", b"typical_p: 2"), folder)
        bar = tqdm(cases(said.seed, said.count), total=said.count, desc="fuzz", mininterval=2)
        for number, case in enumerate(bar):
            if time.monotonic() > end:
                break
            kinds[f"{'file' if isinstance(case, File) else 'request'}: {case.kind}"] += 1

            def attempt(case: Request | File = case) -> Outcome:
                return load(case, folder) if isinstance(case, File) else door.ask(case)

            begin = time.process_time()
            try:
                outcome = attempt()
            except Exception as error:
                report.fail(f"{type(error).__name__}: {str(error)[:300]}", case)
                continue
            seconds = time.process_time() - begin
            setattr(report, outcome.kind, getattr(report, outcome.kind) + 1)
            weigh = len(case.raw) > 100_000 or seconds > SECONDS / 2 or number % 100 == 0
            if outcome.kind == "refused":
                measure(report, case, attempt, seconds, weigh)
            elif outcome.body is not None:
                text = (outcome.body.get("vllm_xargs") or {}).get(KEY)
                if isinstance(text, str):
                    try:
                        report.drawn += worker.draw(text)
                    except Exception as error:
                        report.fail(f"below the door: {type(error).__name__}: {error}", case)
                        worker = Worker(door.tokens, random)
    report.cases = dict(kinds)


def measure(
    report: Report,
    case: Request | File,
    attempt: Callable[[], Outcome],
    seconds: float,
    weigh: bool,
) -> None:
    """What a refusal cost: the least of three times, if one was too long; its memory."""
    for _ in range(2):
        if seconds > SECONDS:
            begin = time.process_time()
            attempt()
            seconds = min(seconds, time.process_time() - begin)
    report.slowest = max(report.slowest, round(seconds * 1000, 1))
    if seconds > SECONDS:
        report.fail(f"a refusal of {seconds * 1000:.0f} ms, {len(case.raw)} bytes", case)
    if not weigh:
        return
    report.weighed += 1
    tracemalloc.start()
    attempt()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    report.largest = max(report.largest, round(peak / 2**20, 1))
    if peak > BYTES:
        report.fail(f"a refusal of {peak / 2**20:.0f} MiB, {len(case.raw)} bytes", case)


def over_http(server: Server, model: str, said: argparse.Namespace, report: Report) -> None:
    """Sends requests to a real server, which has a model of this name."""
    random = Random(said.seed + 1)
    grid = random.sample(hostile.grid(), said.http)
    chosen = [
        grid[n]() if n % 3 == 0 else hostile.request(random, big=0.005) for n in range(said.http)
    ]
    statuses: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=16, max_keepalive_connections=0)
    with httpx.Client(base_url=server.url, timeout=120, limits=limits) as client:

        def send(case: Request) -> tuple[Request, str, str]:
            headers = [(b"content-type", b"application/json"), *case.headers]
            try:
                raw = re.sub(
                    rb'("model": ?"m)', rb'"model":"' + model.encode(), mild(case.raw), count=1
                )
                answer = client.post(case.path, content=raw, headers=headers)
            except httpx.LocalProtocolError:  # a header that no client sends
                return case, "400", "not sent"
            except httpx.HTTPError as error:
                return case, type(error).__name__, str(error)
            return case, str(answer.status_code), answer.text[:300]

        with ThreadPoolExecutor(8) as pool:
            for case, status, text in tqdm(pool.map(send, chosen), total=said.http, desc="http"):
                statuses[status] += 1
                if not (status == "200" or status.startswith("4")):
                    report.fail(f"HTTP {status}: {text}", case)
        assert client.get("/health").status_code == 200
        drawn = client.post(
            "/v1/completions",
            json={"model": model, "prompt": "Say", "max_tokens": 2, "preset": "chat"},
        )
        if drawn.status_code != 200:
            report.failures.append(f"afterwards: {drawn.status_code}: {drawn.text[:300]}")
    report.http = dict(statuses)


def mild(raw: bytes) -> bytes:
    """The same, but for how many tokens and samples it wants where that is a number."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    if not isinstance(body, dict):
        return raw
    wanted = [
        name
        for name in ("n", "max_tokens", "max_completion_tokens", "max_new_tokens", "best_of",
                     "num_return_sequences", "min_tokens", "n_predict", "num_predict")
        if isinstance(body.get(name), int) and body[name] > 3
    ]  # fmt: skip
    if not wanted:
        return raw
    return json.dumps(body | dict.fromkeys(wanted, 2)).encode()


def table(report: Report) -> str:
    """The report as a Markdown table."""
    rows = {
        "command": f"`{report.command}`",
        "cases": f"{sum(report.cases.values()):,} in {report.seconds:,.0f} s",
        **{kind: f"{count:,}" for kind, count in sorted(report.cases.items())},
        "refused": f"{report.refused:,}",
        "passed": f"{report.passed:,}",
        "not ours, left to vLLM": f"{report.untouched:,}",
        "rows drawn with what passed": f"{report.drawn:,}",
        "slowest refusal (ms)": report.slowest,
        "largest refusal (MiB)": f"{report.largest} of {report.weighed:,} weighed",
        "answers over HTTP": ", ".join(f"{s}: {n:,}" for s, n in sorted(report.http.items())),
        "failures": len(report.failures),
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows.items())])


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100_000, help="cases in this process")
    parser.add_argument("--minutes", type=float, default=60, help="no case is begun later")
    parser.add_argument("--http", type=int, default=0, help="requests to a real server")
    parser.add_argument("--json", type=Path, help="where to write the report")
    return parser.parse_args(arguments)


def main() -> None:
    """Runs, prints, and tells by its status whether all was well."""
    said = parse()
    command = f"python -m scripts.fuzz --seed {said.seed} --count {said.count} --http {said.http}"
    report = Report(command, said.seed)
    begin = time.monotonic()
    run(said, report)
    report.seconds = round(time.monotonic() - begin, 1)
    if said.http:
        arguments = ["--served-model-name", "m", "--dtype", "float32", "--max-model-len", "512"]
        with Server(model_path("smollm2"), "v1", arguments, timeout=600) as server:
            over_http(server, "m", said, report)
    if said.json:
        said.json.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")
    print(table(report))
    for line in report.failures[:50]:
        print(line[:1500], file=sys.stderr)
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
