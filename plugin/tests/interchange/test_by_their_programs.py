"""Files by the programs themselves: what they write is read, and what is exported they read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from temperament import Catalogue
from temperament.interchange import export, read
from temperament.presets import Preset, as_preset

NOTHING = Catalogue({})
WORDS: dict[str, Any] = {
    "temperature": 0.7, "top_k": 30, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.1,
    "max_tokens": 77,
}  # fmt: skip
MORE: dict[str, Any] = {
    "typical_p": 0.9, "epsilon_cutoff": 0.001, "eta_cutoff": 0.002, "no_repeat_ngram_size": 3,
    "top_h": 0.4,
}  # fmt: skip


def preset(**values: Any) -> Preset:
    """One of the names that both sides have."""
    return as_preset({**WORDS, **values}, NOTHING)


class TestTransformers:
    """`GenerationConfig` writes and reads `generation_config.json`."""

    def test_what_it_writes(self, tmp_path: Path) -> None:
        """Every field that it was given is read."""
        theirs = {**WORDS, **MORE, "max_new_tokens": WORDS["max_tokens"]}
        del theirs["max_tokens"]
        GenerationConfig(do_sample=True, **theirs).save_pretrained(tmp_path)
        text = (tmp_path / "generation_config.json").read_text(encoding="utf-8")
        read_back = dict(read(text, format_name="transformers").preset)
        read_back.pop("order", None)

        assert {**WORDS, **MORE} == read_back

    @pytest.mark.parametrize("more", [{}, MORE, {"temperature": 0}], ids=["few", "more", "greedy"])
    def test_what_it_reads(self, tmp_path: Path, more: dict[str, Any]) -> None:
        """An exported file is one of its own, and it finds nothing wrong in it."""
        text, _ = export(preset(**more), "transformers")
        (tmp_path / "generation_config.json").write_text(text, encoding="utf-8")
        config = GenerationConfig.from_pretrained(tmp_path)
        config.validate(strict=True)
        expected = {**WORDS, **more, "max_new_tokens": 77}
        del expected["max_tokens"]
        if more.get("temperature") == 0:
            assert config.do_sample is False
            expected = {name: expected[name] for name in ("repetition_penalty", "max_new_tokens")}

        assert expected == {name: getattr(config, name) for name in expected}


class TestVllm:
    """vLLM's own parser of arguments, and its own request."""

    def parsed(self, *arguments: str) -> Any:
        """What `vllm serve MODEL` makes of its command line."""
        from vllm.entrypoints.cli.serve import ServeSubcommand
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        parser = FlexibleArgumentParser()
        ServeSubcommand().subparser_init(parser.add_subparsers(dest="subparser"))
        return parser.parse_args(["serve", "MODEL", *arguments])

    def test_override_generation_config(self) -> None:
        """vLLM's parser reads the exported JSON as an argument."""
        text, _ = export(preset(), "vllm")
        arguments = self.parsed("--override-generation-config", text)
        expected = {**WORDS, "max_new_tokens": WORDS["max_tokens"]}
        del expected["max_tokens"]

        assert expected == arguments.override_generation_config
        assert read(text, format_name="vllm").preset.items() >= WORDS.items()

    def test_a_config_file(self, tmp_path: Path) -> None:
        """vLLM reads the exported YAML as a `--config` file."""
        text, _ = export(preset(), "vllm-config")
        (tmp_path / "serve.yaml").write_text(text, encoding="utf-8")
        arguments = self.parsed("--config", str(tmp_path / "serve.yaml"))
        passed = arguments.override_generation_config

        assert {**passed, "max_tokens": passed["max_new_tokens"]}.items() >= WORDS.items()

    def test_an_extra_body(self) -> None:
        """vLLM's request has the exported fields."""
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

        text, _ = export(preset(), "vllm-extra-body")
        messages = [{"role": "user", "content": "x"}]
        request = ChatCompletionRequest(model="m", messages=messages, **json.loads(text))
        params = request.to_sampling_params(request.max_tokens, {})

        assert WORDS == {name: getattr(params, name) for name in WORDS}
