"""Everything that the READMEs tell a user to run runs, in both languages."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from integration_tests.harness.server import Server, environment

ROOT = Path(__file__).parents[1]
READMES = ["README.md", "README.zh-CN.md"]
BIN = Path(sys.executable).parent


def blocks(readme: str, language: str) -> list[str]:
    """The pieces of a README in this language, in order."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(readme: str) -> list[str]:
    """Every line of shell in a README."""
    return [line for block in blocks(readme, "bash") for line in block.splitlines()]


def shell(command: str, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell with the environment's programs first."""
    env = environment() | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, shell=True, cwd=cwd, env=env, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=timeout,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the README's own preset in it."""
    [preset] = blocks("README.md", "yaml")
    (tmp_path / "poems.yaml").write_text(preset, encoding="utf-8")
    return tmp_path


def test_both_languages_show_the_same_code() -> None:
    """What is run is the same in both; comments may be translated."""
    english, chinese = (
        [re.sub(r"#.*", "", block) for kind in ("bash", "python", "yaml")
         for block in blocks(readme, kind)]
        for readme in READMES
    )  # fmt: skip

    assert english == chinese


def test_the_tables_are_up_to_date() -> None:
    """`scripts/generate_docs` would change nothing."""
    done = shell("python scripts/generate_docs --check", ROOT)

    assert done.returncode == 0, done.stderr


def test_every_command_has_a_test() -> None:
    """A command that nobody runs can't get into the README unnoticed."""
    known = {
        "./scripts/demo": "test_the_demo",
        "./scripts/test": "this run: .ci/run calls it",
        "pip install .": "plugin/tests/test_package.py installs the wheel",
        "VLLM_PLUGINS=temperament vllm serve MODEL": "the v1_server of conftest.py",
        "VLLM_PLUGINS=temperament vllm serve MODEL --config configs/serve/chat.yaml":
            "test_server_defaults.py",
    }  # fmt: skip
    run = [line for line in commands("README.md") if line not in known]

    assert all(line.startswith("temperament ") for line in run), run
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec ./scripts/test"
    assert "def test_the_demo" in Path(__file__).read_text(encoding="utf-8")


COMMANDS = [line for line in commands("README.md") if line.startswith("temperament ")]
LOOKING = [line for line in COMMANDS if " DIR" in line or "http:" in line]
PLAYGROUND = "temperament playground --model DIR"  # test_playground.py runs it


@pytest.mark.parametrize("command", [line for line in LOOKING if line != PLAYGROUND])
def test_the_commands_that_look(
    command: str, folder: Path, smollm2_path: Path, v1_server: Server
) -> None:
    """With a folder and a server in their places, each succeeds and prints something."""
    (folder / "prompts.txt").write_text("Once upon a time\n", encoding="utf-8")
    command = command.replace("DIR", str(smollm2_path))
    done = shell(command.replace("http://localhost:8000", v1_server.url), folder)

    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", [line for line in COMMANDS if line not in LOOKING])
def test_the_command_line(command: str, folder: Path) -> None:
    """Each line of the command line tool succeeds and prints something."""
    done = shell(command, folder)

    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_demo() -> None:
    """`./scripts/demo` shows eighteen answers, each with the preset that it was drawn with."""
    done = shell("./scripts/demo", ROOT)

    assert done.returncode == 0, done.stderr[-3000:]
    for preset in ("code", "math", "data", "chat", "translation", "creative"):
        assert len(re.findall(rf"\[{preset}\] {preset}@[0-9a-f]{{12}}", done.stdout)) == 3
    assert "temperature 1.5" in done.stdout


@pytest.fixture(scope="module")
def snippets() -> Callable[[str], list[str]]:
    """The README's pieces of Python that hold a word."""
    return lambda word: [block for block in blocks("README.md", "python") if word in block]


def test_the_requests(v1_server: Server, snippets: Callable[[str], list[str]]) -> None:
    """All ways of naming a preset in a request are answered."""
    names: dict[str, Any] = {
        "client": v1_server.client(),
        "MODEL": "smollm2",
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    pieces = snippets("client.chat")
    for piece in pieces:
        short = "" if "max_tokens" in piece else ", max_tokens=8"
        exec(piece.replace("messages=messages", f"messages=messages{short}"), names)

    assert len(pieces) == 2


def test_offline(tiny_path: Path, snippets: Callable[[str], list[str]]) -> None:
    """The piece for `vllm.LLM` runs as a program."""
    [piece] = snippets("sampling_params(")
    lines = [f"    {line}" for line in piece.splitlines()]
    program = f"MODEL = {str(tiny_path)!r}\nif __name__ == '__main__':\n" + "\n".join(lines)
    env = environment() | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n    print(outputs[0].outputs[0].text)"],
        env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]


def test_transformers(smollm2_path: Path, snippets: Callable[[str], list[str]]) -> None:
    """The piece for `model.generate` gives two rows."""
    [piece] = snippets("generate_kwargs")
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(smollm2_path)
    names: dict[str, Any] = {"tokenizer": tokenizer, "model": model}
    exec(piece, names)

    assert names["outputs"].shape[0] == 2


def test_a_loop_of_ones_own(snippets: Callable[[str], list[str]]) -> None:
    """The piece for any decoding loop runs on any logits."""
    [piece] = snippets("temperament.Run")
    names: dict[str, Any] = {
        "prompt_ids": [[1, 2], [3]],
        "next_logits": lambda: torch.randn(2, 1000, dtype=torch.bfloat16),
    }
    exec(piece, names)

    assert names["logits"].shape == (2, 1000)
