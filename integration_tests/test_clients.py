"""Clients that others have written, against the real server: the lines of docs/clients.md.

Each names `code`, which draws the most likely token: the texts are those of a plain request with
temperature 0, and where a client shows an answer's headers, the preset stands there. Without a
preset the same line draws at the server's temperature of 1.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration_tests.harness import forks
from integration_tests.harness.ask import CHAT, COMPLETIONS, HEADER, MESSAGES, RESPONSES, body, post
from integration_tests.harness.server import Server, environment

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
CLIENTS = BIN.parent / "clients" / "bin"  # by scripts/setup, for what doesn't fit beside vLLM
QUESTION = "Say a colour."
TOKENS = 10

TASK = """\
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: samples.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: [], max_gen_toks: 10}
metric_list: [{metric: exact_match}]
"""


def lines(page: str) -> dict[str, str]:
    """The table of a page: client -> line."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    [table] = re.findall(r"<!-- clients -->\n(.*?)<!-- /clients -->", text, flags=re.DOTALL)
    return dict(re.findall(r"^\| ([^|`]+?) \| `([^|`]+)` \|$", table, flags=re.MULTILINE))


LINES = lines("clients.md")


def line(client: str, server: Server) -> str:
    """A client's line, with the address of the test's server."""
    return LINES[client].replace("http://localhost:8000", server.url)


@pytest.fixture
def greedy(v1_server: Server) -> Callable[..., str]:
    """Requests the greedy text, without a preset."""

    def text(path: str, prompt: str = QUESTION, tokens: int = TOKENS) -> str:
        asked = {**body(path, "smollm2", prompt, tokens), "temperature": 0}
        answer = post(v1_server, path, asked)
        assert answer.label is None
        return answer.text

    return text


def run(command: str, cwd: Path, **env: str) -> str:
    """What a line of shell prints, with the test's model in it."""
    command = command.replace("MODEL", "smollm2")
    path = os.pathsep.join([*forks.programs("v1"), str(BIN), str(CLIENTS), os.environ["PATH"]])
    done = subprocess.run(
        command, shell=True, cwd=cwd, env=environment() | {"PATH": path, **env}, text=True,
        capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=300,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr[-3000:]
    return done.stdout


def names(server: Server, **more: Any) -> dict[str, Any]:
    """The names that the lines of Python use."""
    messages = [{"role": "user", "content": QUESTION}]
    return {"MODEL": "smollm2", "URL": server.url, "messages": messages, **more}


def test_the_tables_are_one() -> None:
    """Both languages show the same lines, one for each client that is tested here."""
    tests = {name for name in globals() if name.startswith("test_")}
    named = {re.sub(r"\W+", "_", client.lower()) for client in LINES}

    assert LINES == lines("clients.zh-CN.md")
    assert {f"test_{name}" for name in named} | {"test_the_tables_are_one"} == tests


def test_curl(v1_server: Server, greedy: Callable[..., str], tmp_path: Path) -> None:
    """curl prints the greedy text, and the header that names the preset."""
    command = line("curl", v1_server).replace('"preset"', f'"max_tokens": {TOKENS}, "preset"')
    head, _, answer = run(command.replace("curl", "curl -i", 1), tmp_path).partition("\n\n")

    assert re.search(rf"(?i){HEADER}: code@[0-9a-f]{{12}}\b", head)
    assert greedy(CHAT) == json.loads(answer)["choices"][0]["message"]["content"]


def test_openai(v1_server: Server, greedy: Callable[..., str]) -> None:
    """The client answers in one piece, as a stream and asynchronously, and shows the header."""
    from openai import AsyncOpenAI

    call = line("openai", v1_server)[:-1] + f", max_tokens={TOKENS}"
    client = v1_server.client()
    scope = names(v1_server, client=client)
    expected = greedy(CHAT)
    assert expected == eval(f"{call})", scope).choices[0].message.content

    stream = eval(f"{call}, stream=True)", scope)
    assert expected == "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    raw = eval(f"{call})".replace(".create", ".with_raw_response.create"), scope)
    assert raw.headers[HEADER].startswith("code@")

    async def later() -> Any:
        async with AsyncOpenAI(base_url=client.base_url, api_key="none") as asynchronous:
            scope["client"] = asynchronous
            answer = await eval(f"{call})", scope)
            chunks = [chunk async for chunk in await eval(f"{call}, stream=True)", scope)]
        return answer.choices[0].message.content, chunks

    text, chunks = asyncio.run(later())
    assert expected == text
    assert expected == "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_openai_responses(v1_server: Server, greedy: Callable[..., str]) -> None:
    """The client answers in one piece and as a stream."""
    call = line("openai, responses", v1_server)[:-1] + f", max_output_tokens={TOKENS}"
    scope = names(v1_server, client=v1_server.client())
    expected = greedy(RESPONSES)
    assert expected == eval(f"{call})", scope).output_text

    events = eval(f"{call}, stream=True)", scope)
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert expected == "".join(pieces)


def test_anthropic(v1_server: Server, greedy: Callable[..., str]) -> None:
    """The client answers in one piece and as a stream, and shows the header."""
    from anthropic import Anthropic

    call = re.sub(r"max_tokens=\d+", f"max_tokens={TOKENS}", line("anthropic", v1_server))
    scope = names(v1_server, client=Anthropic(base_url=v1_server.url, api_key="none"))
    expected = greedy(MESSAGES)
    assert expected == eval(call, scope).content[0].text

    raw = eval(call.replace(".create", ".with_raw_response.create"), scope)
    assert raw.headers[HEADER].startswith("code@")

    with eval(call.replace(".create", ".stream"), scope) as stream:
        assert expected == "".join(stream.text_stream)


def test_litellm(v1_server: Server, greedy: Callable[..., str], tmp_path: Path) -> None:
    """LiteLLM answers in its own environment, since it needs an older `openai` than vLLM."""
    call = line("litellm", v1_server)[:-1] + f", max_tokens={TOKENS})"
    known = names(v1_server)
    program = f"import litellm\nglobals().update({known!r})\nanswer = {call}\n"
    program += "print(answer.choices[0].message.content, end='')"
    done = subprocess.run(
        [CLIENTS / "python", "-c", program], cwd=tmp_path, text=True, capture_output=True,
        check=False, timeout=300,
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": str(tmp_path)},
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr[-3000:]
    assert greedy(CHAT) == done.stdout


def test_langchain_openai(v1_server: Server, greedy: Callable[..., str]) -> None:
    """LangChain answers in one piece and as a stream."""
    from langchain_openai import ChatOpenAI

    call = line("langchain-openai", v1_server)
    call = call.replace("ChatOpenAI(", f"ChatOpenAI(max_tokens={TOKENS}, ")
    scope = names(v1_server, ChatOpenAI=ChatOpenAI)
    expected = greedy(CHAT)

    assert expected == eval(call, scope).content
    chunks = eval(call.replace(".invoke(", ".stream("), scope)
    assert expected == "".join(chunk.content for chunk in chunks)


def test_llm(v1_server: Server, greedy: Callable[..., str], tmp_path: Path) -> None:
    """The command takes a model with a preset from its list of models."""
    command = line("llm", v1_server).replace("llm -m", f"llm -o max_tokens {TOKENS} -m")
    # The package that the test model comes in is a plugin of llm, here without its library.
    printed = run(command, tmp_path, LLM_USER_PATH=str(tmp_path), LLM_LOAD_PLUGINS="")

    assert greedy(CHAT).strip() == printed.strip()


def test_lm_eval(v1_server: Server, greedy: Callable[..., str], tmp_path: Path) -> None:
    """Both samples are answered by the greedy text."""
    questions = ["Roses are red, violets are", "The colour of snow is"]
    samples = [{"question": text, "answer": greedy(COMPLETIONS, text)} for text in questions]
    (tmp_path / "samples.jsonl").write_text("\n".join(map(json.dumps, samples)) + "\n")
    (tmp_path / "task.yaml").write_text(TASK)
    run(f"{line('lm-eval', v1_server)} --output_path out", tmp_path, HF_HOME=str(tmp_path / "hf"))
    [report] = (tmp_path / "out").rglob("results*.json")

    assert 1.0 == json.loads(report.read_text())["results"]["colours"]["exact_match,none"]


def test_vllm_bench_serve(
    v1_server: Server, greedy: Callable[..., str], smollm2_path: Path, tmp_path: Path
) -> None:
    """Each random prompt is answered by the greedy text."""
    from transformers import AutoTokenizer
    from vllm.benchmarks.datasets import RandomDataset

    command = line("vllm bench serve", v1_server).replace("DIR", str(smollm2_path))
    command += " --num-prompts 3 --random-input-len 12 --random-output-len 8 --seed 4"
    run(f"{command} --save-result --save-detailed --result-filename out.json", tmp_path)
    report = json.loads((tmp_path / "out.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path)
    asked = RandomDataset(random_seed=4).sample(tokenizer, 3, input_len=12, output_len=8)

    assert 3 == report["completed"]
    assert sorted(greedy(COMPLETIONS, one.prompt, 8) for one in asked) == sorted(
        report["generated_texts"]
    )
