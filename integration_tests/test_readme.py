"""Every command and every example that the README and the manuals show runs, in both languages."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from integration_tests.harness import forks
from integration_tests.harness.server import ON_SHARED_CORES, Server, environment

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
# A page and its Chinese twin. Other pages have tests of their own, see `ELSEWHERE`.
PAGES = [
    "README.md",
    "docs/formats.md",
    "docs/models.md",
    "docs/operators.md",
    "docs/python.md",
    "docs/requests.md",
    "docs/studio.md",
    "docs/writing-presets.md",
]
ELSEWHERE = {
    "CONTRIBUTING.md": "commands of developers: plugin/tests/test_site.py",
    "docs/automata.md": "plugin/tests/plan/test_automata_page.py",
    "docs/deployment.md": "integration_tests/test_deployment.py",
    "docs/modes.md": "plugin/tests/test_modes_document.py",
}


def chinese(page: str) -> str:
    """The name of a page's Chinese twin."""
    return page.replace(".md", ".zh-CN.md")


def blocks(language: str, *pages: str) -> list[str]:
    """The code blocks of these pages in this language, in order."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in pages]
    pattern = rf"```{language}\n(.*?)```"
    return [block for text in texts for block in re.findall(pattern, text, flags=re.DOTALL)]


def lines(*pages: str) -> list[str]:
    """Every line of shell on these pages, each once."""
    return list(
        dict.fromkeys(line for block in blocks("bash", *pages) for line in block.splitlines())
    )


def shell(
    command: str,
    cwd: Path,
    timeout: float = 540,
    env: Mapping[str, str] | None = None,
    first: Sequence[str] = (),
    in_forks: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell with the programs of the folders `first` and the environment's first.

    `in_forks`: a server begins where vLLM is imported already, see harness/forks.py.
    """
    path = {"PATH": os.pathsep.join([*first, str(BIN), os.environ["PATH"]])}
    env = environment() | path | dict(env or {})
    if not in_forks:
        env.pop(forks.FOLDER, None)  # as in a terminal
    return subprocess.run(
        command, shell=True, cwd=cwd, env=env, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=timeout,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the README's preset file, a request's body, and another program's presets."""
    [preset] = blocks("yaml", "README.md")
    (tmp_path / "poems.yaml").write_text(preset, encoding="utf-8")
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    (tmp_path / "body.json").write_text(json.dumps(body), encoding="utf-8")
    with ZipFile(tmp_path / "old-presets.zip", "w") as archive:
        archive.writestr("old.json", json.dumps({"temp": 0.7, "rep_pen": 1.1, "top_k": 40}))
    return tmp_path


def test_the_two_commands_stand_on_top() -> None:
    """Both READMEs begin with `./scripts/demo` and `./scripts/test`, before any other command."""
    for readme in ("README.md", chinese("README.md")):
        assert "./scripts/demo\n./scripts/test\n" == blocks(r"\w*", readme)[0]


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_show_the_same_code(page: str) -> None:
    """A page and its Chinese twin have the same code blocks; comments may be translated."""
    english, chinese_ = (
        [
            re.sub(r"#.*", "", block)
            for kind in ("bash", "json", "python", "yaml")
            for block in blocks(kind, name)
        ]
        for name in (page, chinese(page))
    )

    assert english == chinese_


def test_the_readme_and_the_manual_show_the_same_preset() -> None:
    """`poems.yaml` is the same file on both pages."""
    [preset] = blocks("yaml", "README.md")

    assert preset in blocks("yaml", "docs/writing-presets.md")


def test_every_page_with_code_is_tested() -> None:
    """A page that shows commands or programs is in `PAGES` or `ELSEWHERE`.

    The reports in docs/reports show commands of scripts, which have tests of their own.
    """
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    shown = {
        str(page.relative_to(ROOT))
        for page in pages
        if not page.name.endswith(".zh-CN.md")
        and re.search(r"```(bash|python|json|yaml)\n", page.read_text(encoding="utf-8"))
    }

    assert set(PAGES) == shown - set(ELSEWHERE)


def test_the_tables_are_up_to_date() -> None:
    """The documents' tables are those that `scripts/generate_docs` writes."""
    done = shell("./scripts/generate_docs --check", ROOT)

    assert 0 == done.returncode, done.stderr


def test_every_command_has_a_test() -> None:
    """A command that no test runs can't get into the pages unnoticed."""
    known = {
        "./scripts/demo": "test_the_demo",
        "./scripts/test": "this run: .ci/run calls it",
        "pip install .": "plugin/tests/test_package.py installs the wheel",
        "temperament serve MODEL": "the v1_server of conftest.py, and test_plugins.py",
        "temperament serve --presets poems.yaml MODEL": "test_plugins.py",
        "temperament serve MODEL --config configs/serve/chat.yaml":
            "test_server_default.py",
    }  # fmt: skip
    run = [line for line in lines(*PAGES) if line not in known]

    assert all(line.startswith("temperament ") for line in run), run
    assert "exec ./scripts/test" == (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    for name in known.values():
        if name.startswith("test_") and not name.endswith(".py"):
            assert f"def {name}" in Path(__file__).read_text(encoding="utf-8")


COMMANDS = [line for line in lines(*PAGES) if line.startswith("temperament ")]
LOOKING = [line for line in COMMANDS if " DIR" in line or "http:" in line]
PLAYGROUND = "temperament playground --model DIR"  # test_playground.py runs it


@pytest.mark.parametrize("command", [line for line in LOOKING if line != PLAYGROUND])
def test_the_commands_that_look(
    command: str, folder: Path, shallow_path: Path, v1_server: Server
) -> None:
    """With a model's folder and a server's address, each command succeeds and prints something.

    The texts of `compare` are shorter and fewer here than by default.
    """
    (folder / "prompts.txt").write_text("Once upon a time\n", encoding="utf-8")
    command = command.replace("DIR", str(shallow_path))
    command += " --max-tokens 8 --samples 2" if " compare " in command else ""
    command = command.replace("http://localhost:8000", v1_server.url)
    done = shell(command, folder, first=forks.programs("v1"))  # where torch is imported already

    assert 0 == done.returncode, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "command", [line for line in COMMANDS if line not in LOOKING and " serve " not in line]
)
def test_the_command_line(command: str, folder: Path) -> None:
    """Each line of the command line tool succeeds and prints something."""
    done = shell(command, folder)

    assert 0 == done.returncode, done.stderr
    assert done.stdout


def test_the_demo() -> None:
    """`./scripts/demo` shows eighteen answers, each with the preset that it was drawn with."""
    done = shell("./scripts/demo", ROOT, env=ON_SHARED_CORES, in_forks=True)

    assert 0 == done.returncode, done.stderr[-3000:]
    for preset in ("code", "math", "data", "chat", "translation", "creative"):
        assert 3 == len(re.findall(rf"\[{preset}\] {preset}@[0-9a-f]{{12}}", done.stdout))
    assert 4 == done.stdout.count("temperature 1.5, drawn at 0.8")


def snippets(page: str, word: str) -> list[str]:
    """The pieces of Python on a page that contain a word."""
    return [block for block in blocks("python", page) if word in block]


def test_the_first_request(v1_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The README's program prints the answer."""
    [piece] = snippets("README.md", "client")
    piece = piece.replace("http://localhost:8000", v1_server.url)
    names: dict[str, Any] = {}
    piece = piece.replace('"preset": "creative"', '"preset": "creative", "min_tokens": 8')
    exec(piece.replace("max_tokens=200", "max_tokens=8"), names)

    assert names["answer"].choices[0].message.content.strip() in capsys.readouterr().out
    assert 8 == names["answer"].usage.completion_tokens


def test_the_requests(v1_server: Server) -> None:
    """All ways of naming a preset in a request are answered."""
    names: dict[str, Any] = {
        "client": v1_server.client(),
        "MODEL": "smollm2",
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    pieces = snippets("docs/requests.md", "client.chat")
    for piece in pieces:
        short = "" if "max_tokens" in piece else ", max_tokens=8"
        exec(piece.replace("messages=messages", f"messages=messages{short}"), names)

    assert 2 == len(pieces)


def test_offline(tiny_path: Path) -> None:
    """The piece for `vllm.LLM` runs as a program."""
    [piece] = snippets("docs/python.md", "sampling_params(")
    indented = [f"    {line}" for line in piece.splitlines()]
    program = f"MODEL = {str(tiny_path)!r}\nif __name__ == '__main__':\n" + "\n".join(indented)
    env = environment() | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    arguments = ["-c", f"{program}\n    print(outputs[0].outputs[0].text)"]
    done = subprocess.run(
        forks.command("v1", arguments) or [sys.executable, *arguments],
        env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr[-3000:]


def test_transformers(smollm2_path: Path) -> None:
    """The piece for `model.generate` gives two rows."""
    [piece] = snippets("docs/python.md", "generate_kwargs")
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(smollm2_path)
    names: dict[str, Any] = {"tokenizer": tokenizer, "model": model}
    exec(piece, names)

    assert 2 == names["outputs"].shape[0]


def test_a_loop_of_ones_own() -> None:
    """The piece for any decoding loop runs on any logits."""
    [piece] = snippets("docs/python.md", "temperament.Run")
    names: dict[str, Any] = {
        "prompt_ids": [[1, 2], [3]],
        "next_logits": lambda: torch.randn(2, 1000, dtype=torch.bfloat16),
    }
    exec(piece, names)

    assert (2, 1000) == names["logits"].shape
