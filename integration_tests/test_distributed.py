"""More than one machine or process: every way that vLLM has of it gives a single server's texts.

Tensor parallel, data parallel, several API servers, and two servers behind `vllm-router`, whose
API processes share nothing. Everything listens on the loopback address alone.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration_tests.harness.ask import (
    CHAT,
    ENDPOINTS,
    MESSAGES,
    RESPONSES,
    WAYS,
    Answer,
    ask,
    body,
    naming,
    post,
)
from integration_tests.harness.models import ROOT
from integration_tests.harness.router import Router
from integration_tests.harness.server import ON_SHARED_CORES, Server

MODEL = "tiny"
TOKENS = 12
PROMPTS = ["Say a colour.", "def add(a, b):", "Once upon a time there was", "12 + 30 ="]
MODES: dict[str, Any] = {
    "modes": {"hot": {"temperature": 1.6}, "cold": {"temperature": 0.3, "top_k": 5}},
    "switch": [
        {"from": ["hot"], "on": {"tokens": 4}, "to": "cold"},
        {"from": ["cold"], "on": {"tokens": 3}, "to": "hot"},
    ],
}
# The fields of requests: native, with residual stages, with an order, with modes, with state.
CHAINS: dict[str, dict[str, Any]] = {
    "native": {"preset": "creative"},
    "stages": {"preset": "chat", "xtc_probability": 0.5, "dry_multiplier": 0.8, "typical_p": 0.9},
    "order": {"preset": "joint-top-k-first"},
    "modes": {"preset": "turns"},
    "state": {"preset": "chat", "mirostat": 2, "mirostat_tau": 3.0},
}
BAD: list[dict[str, Any]] = [
    {"preset": "no-such-preset"},
    {"preset": "chat", "top_p": 1.5},
    {"vllm_xargs": {"temperament": "{}"}},
    {"preset": "turns", "min_p": "much"},
]
Case = tuple[str, str, int]
CASES: list[Case] = [
    (chain, prompt, 100 * number + place)
    for number, chain in enumerate(CHAINS)
    for place, prompt in enumerate(PROMPTS)
]


def options(presets: Path) -> list[str]:
    """Arguments of `vllm serve` that the servers of this file share."""
    return [
        *("--served-model-name", MODEL),
        *("--dtype", "float32"),
        *("--max-model-len", "512"),
        *("--max-num-seqs", "16"),
        *("--additional-config", f'{{"temperament": {{"presets": ["{presets}"]}}}}'),
    ]


def send(server: Server, case: Case, **more: Any) -> Answer:
    """One chat with `reproducible` and the case's seed."""
    chain, prompt, seed = case
    fields = {"reproducible": True, "seed": seed, "max_tokens": TOKENS, "ignore_eos": True}
    return ask(server, CHAT, MODEL, prompt, **CHAINS[chain], **fields, **more)


def send_all(server: Server, cases: list[Case] = CASES) -> list[Answer]:
    """Sends all cases at the same time."""
    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(lambda case: send(server, case), cases))
    assert {200} == {answer.status for answer in answers}, answers
    return answers


def parted(answers: list[Answer], others: list[Answer]) -> list[str]:
    """The names of the cases whose texts differ."""
    pairs = zip(CASES, answers, others, strict=True)
    return [f"{case[0]}, {case[1]}" for case, one, other in pairs if one.text != other.text]


def labels(server: Server) -> dict[str, str]:
    """The presets of `GET /v1/presets`: name -> `name@digest`."""
    presets = httpx.get(f"{server.url}/v1/presets", timeout=300).json()["data"]
    return {one["name"]: f"{one['name']}@{one['digest']}" for one in presets}


def served(server: Server) -> float:
    """How many requests a server has answered."""
    return sum(metric(server, "vllm:request_success_total").values())


def metric(server: Server, name: str) -> dict[str, float]:
    """The values of a counter on `/metrics`, by its labels."""
    lines = httpx.get(f"{server.url}/metrics", timeout=300).text.splitlines()
    found = [re.fullmatch(rf"{re.escape(name)}(\{{.*\}})? (\S+)", line) for line in lines]
    return {match[1] or "": float(match[2]) for match in found if match}


def check(server: Server, single: Server, reference: list[Answer]) -> list[str]:
    """Compares labels and refusals with the single server's; returns the cases that differ."""
    answers = send_all(server)

    assert [a.label for a in reference] == [a.label for a in answers]
    assert labels(single) == labels(server)
    for bad in BAD:
        refusals = [ask(one, CHAT, MODEL, **bad) for one in (server, single)]

        assert [400, 400] == [refusal.status for refusal in refusals]
        assert refusals[0].message == refusals[1].message
    return parted(answers, reference)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The presets of two nodes: the same `turns`, and a `house` that differs."""
    folders = []
    for node, temperature in ("a", 0.7), ("b", 1.4):
        folder = tmp_path_factory.mktemp(node)
        (folder / "turns.yaml").write_text(yaml_of({**SUMMARY, **MODES}), encoding="utf-8")
        house = {**SUMMARY, "temperature": temperature}
        (folder / "house.yaml").write_text(yaml_of(house), encoding="utf-8")
        folders.append(folder)
    return folders[0], folders[1]


SUMMARY = {"summary": {"en": "For a test.", "zh": "测试。"}}


def yaml_of(preset: Mapping[str, Any]) -> str:
    """The text of a preset file, as JSON, which is YAML."""
    return json.dumps(preset, ensure_ascii=False)


def server_of(name: str, model: Path, folders: tuple[Path, Path]) -> Server:
    """One of the servers of this file."""
    two = {"VLLM_CPU_OMP_THREADS_BIND": "0|1"}
    one = ON_SHARED_CORES
    watched = {"VLLM_SERVER_DEV_MODE": "1", "PYTHONPATH": pythonpath()}
    api = ["--api-server-count", "2"]
    ranks = ["--worker-extension-cls", "integration_tests.harness.ranks.Ranks"]
    # name -> the node whose presets it has, more arguments, more environment
    kinds: dict[str, tuple[int, list[str], dict[str, str]]] = {
        "a": (0, [], one),
        "b": (1, [], one),
        "tensor": (0, ["--tensor-parallel-size", "2", *ranks], two | watched),
        "data": (0, [*api, "--data-parallel-size", "2", "--enable-log-requests"], one),
    }
    node, more, env = kinds[name]
    return Server(model, "v1", [*options(folders[node]), *more], env=env)


@pytest.fixture(scope="module")
def started(tiny_path: Path, folders: tuple[Path, Path]) -> Iterator[dict[str, Server]]:
    """The two nodes, started together: a start is mostly imports, on one core."""
    with ExitStack() as stack:
        servers = {}
        for name in "ab":
            servers[name] = server_of(name, tiny_path, folders).launch()
            stack.callback(servers[name].stop)
        for server in servers.values():
            server.wait()
        yield servers


@pytest.fixture
def several(
    request: pytest.FixtureRequest, tiny_path: Path, folders: tuple[Path, Path]
) -> Iterator[Server]:
    """A server of several processes, for one test: all at once would fill the memory."""
    with server_of(request.param, tiny_path, folders) as server:
        yield server


def pythonpath() -> str:
    """A PYTHONPATH on which a worker finds the harness."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="module")
def single(started: dict[str, Server]) -> Server:
    """One server, one engine, one API process."""
    return started["a"]


@pytest.fixture(scope="module")
def reference(single: Server) -> list[Answer]:
    """What the single server answers to each case alone."""
    return [send(single, case) for case in CASES]


def test_the_cases_tell_texts_apart(single: Server, reference: list[Answer]) -> None:
    """Chain, prompt and seed all matter: each case has another text, and so has another seed."""
    known = labels(single)
    named = [CHAINS[chain]["preset"] for chain, _, _ in CASES]
    others = send_all(single, [(chain, prompt, seed + 7) for chain, prompt, seed in CASES])

    assert len(CASES) == len({answer.text for answer in reference})
    assert [known[name] for name in named] == [answer.label for answer in reference]
    assert len(CASES) == len(parted(reference, others))


@pytest.mark.parametrize("several", ["tensor"], indirect=True)
def test_tensor_parallel(several: Server, single: Server, reference: list[Answer]) -> None:
    """Two ranks add in another order, so logits differ in their last bits: few texts may part.

    vLLM gathers all logits on both ranks and draws on both. The processor runs on both too, and
    gives both the same token at every step, since no part of its state comes from one rank alone.
    """
    server = several
    assert [{"rank": 0}, {"rank": 1}] == rpc(server, "temperament_watch")
    apart = check(server, single, reference)
    print(f"\nparted: tensor parallel 2 against a single server, {len(apart)} of {len(CASES)}")
    drawn = {rank["rank"]: rank["drawn"] for rank in rpc(server, "temperament_drawn")}

    assert len(apart) <= 1, apart
    assert {0, 1} == drawn.keys()
    assert len(drawn[0]) >= TOKENS
    assert drawn[0] == drawn[1]


def rpc(server: Server, method: str) -> Any:
    """What the method returns on each rank."""
    answer = httpx.post(f"{server.url}/collective_rpc", json={"method": method}, timeout=300)
    return answer.raise_for_status().json()["results"]


@pytest.mark.parametrize("several", ["data"], indirect=True)
def test_data_parallel(several: Server, single: Server, reference: list[Answer]) -> None:
    """Two API processes share two engines; each takes, and each draws, some of the texts."""
    server = several

    assert [] == check(server, single, reference)
    assert len([n for n in metric(server, "vllm:request_success_total").values() if n]) >= 2
    for case in CASES:  # one process may take all connections that come at once
        if len(api_processes(server)) == 2:
            break
        send(server, case)
    assert 2 == len(api_processes(server))


def api_processes(server: Server) -> set[str]:
    """The numbers of the API processes that have received a request, from the log."""
    log = server.log.read_text(errors="replace")
    return set(re.findall(r"\(ApiServer_(\d+) [^\n]*Received request", log))


@pytest.fixture(scope="module")
def router(started: dict[str, Server]) -> Iterator[Server]:
    """`vllm-router`, which sends each request to server a or b in turn."""
    with Router([started["a"], started["b"]]) as router:
        yield router


class TestRouter:
    """Two servers behind `vllm-router`, whose API processes know nothing of each other."""

    def test_either_server_gives_the_same_texts(
        self, router: Server, reference: list[Answer], started: dict[str, Server]
    ) -> None:
        """Texts and labels are the same on either server, and each answers some requests."""
        before = [served(started[name]) for name in "ab"]
        answers = send_all(router)
        after = [served(started[name]) for name in "ab"]

        assert [] == parted(answers, reference)
        assert [a.label for a in reference] == [a.label for a in answers]
        assert all(now > then for then, now in zip(before, after, strict=True))

    def test_what_is_refused_stays_refused(self, router: Server, single: Server) -> None:
        """A refusal comes through the router. What the router can't parse, it refuses itself."""
        for bad in BAD[:-1]:
            answers = [ask(one, CHAT, MODEL, **bad) for one in (router, router, single)]

            assert {400} == {answer.status for answer in answers}
            assert 1 == len({answer.message for answer in answers})
        unreadable = {**body(CHAT, MODEL), **BAD[-1]}
        answer = httpx.post(f"{router.url}{CHAT}", json=unreadable, timeout=300)
        assert 400 <= answer.status_code < 500

    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_ways_of_naming_come_through(self, router: Server, single: Server, path: str) -> None:
        """On every endpoint, but for the header on two of them, which the router drops there.

        Once it doesn't, say so in docs/deployment.md.
        """
        label = labels(single)["creative"]
        found = {}
        for way in WAYS:
            fields, headers = naming(way, "creative", MODEL)
            found[way] = post(router, path, {**body(path, MODEL), **fields}, headers).label
        dropped = {"header": None} if path in (RESPONSES, MESSAGES) else {}

        assert {**dict.fromkeys(WAYS, label), **dropped} == found

    def test_a_preset_changed_on_one_node_is_noticed(
        self, router: Server, started: dict[str, Server]
    ) -> None:
        """The nodes' digests differ, and each text belongs to the digest in its header."""
        nodes = {labels(started[name])["house"]: started[name] for name in "ab"}
        seen = set()
        for seed in range(8):
            fields = {"preset": "house", "reproducible": True, "seed": seed, "ignore_eos": True}
            prompt = PROMPTS[seed % len(PROMPTS)]
            answer = ask(router, CHAT, MODEL, prompt, **fields, max_tokens=TOKENS)
            alone = {
                label: ask(node, CHAT, MODEL, prompt, **fields, max_tokens=TOKENS).text
                for label, node in nodes.items()
            }

            assert 2 == len(set(alone.values()))
            assert alone[str(answer.label)] == answer.text
            seen.add(answer.label)
        assert nodes.keys() == seen
        assert 2 == len(seen)
