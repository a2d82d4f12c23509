"""`temperament.vllm.sampling_params`, and what the server reads from vLLM's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import PretrainedConfig
from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError

import temperament
from temperament import Catalogue, PresetError, TemperamentError
from temperament.engines.vllm.endpoint import build_admission, first_line, unreached_modes
from temperament.engines.vllm.processor import TemperamentLogitsProcessor, meter_of
from temperament.engines.vllm.requests import validate
from temperament.plan.wire import KEY
from temperament.presets.markers import Marks
from temperament.server import settings
from temperament.server.admission import Admission


def chain(params: SamplingParams) -> dict[str, Any] | None:
    """Returns the residual chain's values."""
    if not params.extra_args or KEY not in params.extra_args:
        return None
    content: dict[str, Any] = json.loads(params.extra_args[KEY])
    return {name: v for name, v in content.items() if name not in ("preset", "order", "seed")}


class TestSamplingParams:
    """`sampling_params`."""

    def test_a_native_preset(self) -> None:
        """A native preset sets vLLM's own fields and has no chain."""
        params = temperament.vllm.sampling_params("chat")

        assert isinstance(params, SamplingParams)
        assert 0.6 == params.temperature
        assert chain(params) is None

    @pytest.mark.parametrize(
        ("thinking", "temperature"), [(None, 0.6), (True, 0.6), (False, 0.7)], ids=str
    )
    def test_thinking(self, thinking: bool | None, temperature: float) -> None:
        """`recommended` has the vendor's values for thinking or without; Qwen3 thinks if unsaid."""
        params = temperament.vllm.sampling_params(
            "recommended", model="Qwen/Qwen3-8B", thinking=thinking, plan="native"
        )

        assert temperature == params.temperature

    @pytest.mark.parametrize(
        ("preset", "options", "temperature", "residual"),
        [
            ("code", {}, 0.0, None),
            ("创意写作", {}, 0.8, None),
            ("creative", {"temperature": 0.2}, 0.2, None),
            ("creative", {"temperature_scale": "weights"}, 1.5, None),
            ("creative", {"temperature": 0}, 0.0, None),
            ("creative", {"top_k": 5}, 1.0, {"temperature": 0.8, "top_k": 5}),
            ("creative", {"top_k": 5, "plan": "native"}, 0.8, None),
            ("creative", {"plan": "residual"}, 1.0, {"temperature": 0.8}),
            ("creative", {"temperature": 2.5}, 1.0, {"temperature": 2.5}),
            ({"extends": "chat", "min_p": 0.1}, {}, 0.6, None),
            ("creative", {"model_defaults": {"temperature": 0.7}}, 0.8, None),
            ({}, {"model_defaults": {"temperature": 0.6}}, 0.6, None),
            ({"top_k": 0}, {"model_defaults": {"top_k": 20}}, 1.0, None),
            ({}, {"model_defaults": {"top_k": 20}}, 1.0, {"top_k": 20}),
            ({"top_k": 3}, {"model_defaults": {"top_k": 20}, "top_k": 4}, 1.0, {"top_k": 4}),
        ],
        ids=str,
    )
    def test_values(
        self, preset: Any, options: dict[str, Any], temperature: float, residual: Any
    ) -> None:
        """Overrides win over the preset, and the preset over the model's values (on a CPU)."""
        params = temperament.vllm.sampling_params(preset, **options)

        assert params.temperature == temperature
        assert chain(params) == residual
        validate(params)

    def test_generation_fields(self) -> None:
        """Overrides win over the preset's generation fields; vLLM's other fields pass."""
        preset = {"extends": "chat", "max_tokens": 7, "stop": ["a", "b"], "seed": 5}
        params = temperament.vllm.sampling_params(preset, max_tokens=9, n=2, logprobs=3)

        assert (params.max_tokens, params.stop, params.seed) == (9, ["a", "b"], 5)
        assert (params.n, params.logprobs) == (2, 3)

    def test_other_extra_args(self) -> None:
        """Other `extra_args` stay beside the chain."""
        params = temperament.vllm.sampling_params("chat", top_k=5, extra_args={"other": 1})

        assert params.extra_args is not None
        assert {"other", KEY} == params.extra_args.keys()

    def test_model_defaults_as_vllm_gives_them(self) -> None:
        """The max_tokens that vLLM's `get_diff_sampling_param()` may return is taken too."""
        defaults = {"temperature": 0.6, "top_p": 0.9, "max_tokens": 50}
        params = temperament.vllm.sampling_params({"top_p": 1}, model_defaults=defaults)

        assert (params.temperature, params.top_p, params.max_tokens) == (0.6, 1.0, 50)

    def test_the_models_own_values(self, tmp_path: Path) -> None:
        """A model's folder and an `LLM` give the lowest layer, as a server has it."""
        (tmp_path / "generation_config.json").write_text(
            '{"temperature": 0.6, "top_k": 20, "do_sample": true, "eos_token_id": 2}'
        )
        model_config = SimpleNamespace(
            model="m",
            hf_config=PretrainedConfig(),
            get_vocab_size=lambda: 100,
            get_diff_sampling_param=lambda: {"temperature": 0.6, "top_k": 20},
        )
        llm: Any = SimpleNamespace(model_config=model_config)
        for model in (str(tmp_path), llm):
            own = temperament.vllm.sampling_params({"min_p": 0.1}, model=model, plan="residual")
            none = temperament.vllm.sampling_params("none", model=model)
            without = temperament.vllm.sampling_params({}, model=model, model_defaults={})

            assert {"temperature": 0.6, "top_k": 20, "min_p": 0.1} == chain(own)
            assert (1.0, 0, None) == (none.temperature, none.top_k, chain(none))
            assert (1.0, 0, None) == (without.temperature, without.top_k, chain(without))
        with pytest.raises(PresetError, match=r"suppress_tokens\.100: no such token"):
            temperament.vllm.sampling_params({"suppress_tokens": [100]}, model=llm)

    @pytest.mark.parametrize(
        ("preset", "token"),
        [
            ({"suppress_tokens": [3, 100]}, 100),
            ({"bad_words_ids": [[5, 101]], "logit_bias": {"7": -1}}, 101),
            (
                {
                    "modes": {"a": {"top_k": 1}, "b": {"top_k": 2}},
                    "switch": [{"from": "a", "on": {"token": 102}, "to": "b"}],
                },
                102,
            ),
        ],
        ids=str,
    )
    def test_ids_of_a_model_that_is_not_known(self, preset: dict[str, Any], token: int) -> None:
        """vLLM's own check of a request refuses an id beyond the vocabulary, by its number."""
        params = temperament.vllm.sampling_params(preset)
        config: Any = SimpleNamespace(get_vocab_size=lambda: token)

        validate(params)
        with pytest.raises(
            VLLMValidationError, match=rf"\[{token}\] in logit_bias contain out-of-vocab"
        ):
            params._validate_logit_bias(config)

    def test_a_model_of_which_only_the_name_is_known(self) -> None:
        """Nothing is below the preset, and nothing is fetched."""
        params = temperament.vllm.sampling_params({"min_p": 0.1}, model="Qwen/Qwen3-8B")

        assert (1.0, 0) == (params.temperature, params.top_k)

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        """A generation config that isn't JSON is a problem."""
        (tmp_path / "generation_config.json").write_text("[")
        with pytest.raises(PresetError, match="can't be read"):
            temperament.vllm.sampling_params("chat", model=str(tmp_path))

    @pytest.mark.parametrize(
        ("preset", "options", "message"),
        [
            ("creativ", {}, "did you mean 'creative'"),
            (5, {}, "unknown preset; given: 5"),
            ("chat", {"temperature": -1}, "temperature: not allowed; given: -1"),
            ("chat", {"temperature": "hot"}, "given: 'hot'"),
            ("chat", {"temperature": None}, "temperature: has no value"),
            ("chat", {"order": ["topk"]}, "did you mean 'top_k'"),
            ("chat", {"logit_bias": {"x": 1}}, "logit_bias"),
            ("chat", {"stop": [""]}, "stop"),
            ("chat", {"max_tokens": 0}, "max_tokens: not allowed; given: 0"),
            ("chat", {"model_defaults": {"top_p": 2}}, "top_p: not allowed; given: 2"),
            ({"temprature": 1}, {}, "did you mean 'temperature'"),
            ({"extends": "nope"}, {}, "unknown preset; given: 'nope'"),
        ],
        ids=str,
    )
    def test_problems(self, preset: Any, options: dict[str, Any], message: str) -> None:
        """Wrong values raise Temperament's errors, before an engine sees them."""
        with pytest.raises(TemperamentError) as error:
            temperament.vllm.sampling_params(preset, **options)

        assert message in str(error.value)
        assert isinstance(error.value, ValueError)

    def test_a_field_of_vllms_that_does_not_exist(self) -> None:
        """A field that nobody knows raises vLLM's own error."""
        with pytest.raises(TypeError, match="temprature"):
            temperament.vllm.sampling_params("chat", temprature=1)


def built(config: Any, state: Any) -> Admission:
    """Returns the admission of a server with this configuration."""
    return build_admission(config, state, settings.read(config.additional_config))


class TestBuildAdmission:
    """What the server knows when it starts."""

    def config(
        self, additional: Any, speculative: Any = None, sharded: bool = False, **defaults: Any
    ) -> Any:
        """Returns the parts of vLLM's configuration that are read."""
        model = SimpleNamespace(
            get_diff_sampling_param=lambda: defaults,
            get_vocab_size=lambda: 100,
            model="m",
            hf_config=PretrainedConfig(),
        )
        return SimpleNamespace(
            additional_config=additional,
            model_config=model,
            speculative_config=speculative,
            parallel_config=SimpleNamespace(
                data_parallel_size_local=1, enable_batch_sharded_sampling=sharded
            ),
        )

    def state(self, *names: str) -> Any:
        """Returns the application's state."""
        models = SimpleNamespace(is_base_model=names.__contains__, lora_requests={"poet": object()})
        return SimpleNamespace(openai_serving_models=models)

    def test_settings(self, tmp_path: Path) -> None:
        """Presets, default, plan and the model's values are read; max_tokens is none of these."""
        (tmp_path / "mine.yaml").write_text("aliases: [my own]\ntemperature: 0.3\n")
        content = {"presets": [str(tmp_path)], "default": "MY OWN", "plan": "native"}
        config = self.config({"temperament": content}, top_k=20, max_tokens=50)
        admission = built(config, self.state("m"))

        assert admission.default is not None
        assert "mine" == admission.default.name
        assert "native" == admission.choice
        assert "cpu" == admission.platform
        assert 100 == admission.vocabulary
        assert not admission.sharded
        assert {"top_k": 20} == admission.model_defaults.values
        assert [True, True, False] == [admission.serves(name) for name in ("m", "poet", "m:mine")]

    def test_recommended(self) -> None:
        """The default `recommended` is bound for requests with thinking and without it."""
        config = self.config({"temperament": {"default": "recommended"}})
        config.model_config.model = "Qwen/Qwen3-8B"
        admission = built(config, self.state("m"))
        (without,) = admission.variants.values()  # thinking is the family's default

        assert admission.thinking is not None
        assert admission.default is not None
        assert 0.6 == admission.default.values["temperature"]
        assert without.default is not None
        assert 0.7 == without.default.values["temperature"]

    def test_the_servers_parsers(self) -> None:
        """Marks of the server's parsers come first; those that no text can have are reported."""
        config = self.config({})
        config.model_config.model = "Qwen/Qwen3-8B"
        marks = {"tool_call": Marks(unmarked="a call is Python")}
        chosen = settings.read(config.additional_config)
        admission = build_admission(config, self.state("m"), chosen, marks)

        assert [
            "preset agent never switches on tool_call.start: a call is Python, never switches on"
            " tool_call.end: a call is Python"
        ] == list(unreached_modes(admission))

    def test_batch_sharded_sampling(self, tmp_path: Path) -> None:
        """Where ranks share a batch, a default preset with a state ends the start."""
        assert built(self.config({}, sharded=True), self.state("m")).sharded
        (tmp_path / "steady.yaml").write_text("mirostat: 2\n")
        content = {"temperament": {"presets": [str(tmp_path)], "default": "steady"}}

        assert built(self.config(content), self.state("m"))
        with pytest.raises(PresetError, match=r"temperament\.default: mirostat: keeps a state"):
            built(self.config(content, sharded=True), self.state("m"))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                {"default": "recommended"},
                "temperament.default: recommended: takes values from the model's recommended ones",
            ),
            ({"default": "caht"}, "additional_config.temperament.default.*did you mean 'chat'"),
            ({"presets": ["/no/such/folder"]}, "no such file or folder"),
            ({"plan": "fast"}, "plan"),
            ({"allow": ["caht"]}, "allow.0: no such preset.*did you mean 'chat'"),
            ({"locked": {"temprature": {}}}, "locked.temprature: unknown.*'temperature'"),
            ({"locked": {"temperature": {"most": 1}}}, "locked.temperature.most"),
            ({"locked": {"temperature": {"max": float("nan")}}}, "locked.temperature.max"),
            (
                {"default": "creative", "locked": {"temperature": {"max": 0.7}}},
                "temperament.default: temperature: out of this server's bounds; given: 0.8",
            ),
        ],
        ids=str,
    )
    def test_problems_end_the_start(self, content: dict[str, Any], message: str) -> None:
        """A wrong setting ends the server's start, with an error that says what is wrong."""
        with pytest.raises(PresetError, match=message):
            built(self.config({"temperament": content}), self.state("m"))

    def test_all_problems_end_the_start(self) -> None:
        """Wrong names in different settings are reported together."""
        content = {"default": "caht", "allow": ["chta"], "locked": {"temprature": {}}}
        with pytest.raises(PresetError) as error:
            built(self.config({"temperament": content}), self.state("m"))

        assert [
            ("additional_config.temperament", "allow.0"),
            ("additional_config.temperament", "locked.temprature"),
            ("additional_config.temperament.default", "preset"),
        ] == [(found.where, found.path) for found in error.value.problems]

    def test_restrictions(self) -> None:
        """The operator's restrictions apply to offline requests too."""
        content = {
            "allow": ["chat", "answers*"],
            "inline": False,
            "advertise": True,
            "locked": {"temperature": {"max": 1}, "*": {}},
        }
        admission = built(self.config({"temperament": content}), self.state("m"))

        assert admission.advertise
        assert [
            "chat", "answers-top-1", "answers-top-p", "answers",
        ] == [preset.name for preset in admission.offered]  # fmt: skip
        assert not admission.restrictions.inline
        assert 1 == admission.restrictions.locked["temperature"].max

    def test_the_first_line(self) -> None:
        """The line has the version, the runner, the presets, the default and the plan."""
        config = self.config({"temperament": {"default": "chat", "allow": ["chat"]}})
        config.use_v2_model_runner = True
        line = first_line(config, built(config, self.state("m")))
        chat = Catalogue.load(environment=False)["chat"].label

        assert (
            f"temperament {temperament.__version__}: V2 runner on cpu; model not known; presets"
            f" {chat}; default {chat}; temperatures drawn: deepseek-api 1.3 at 0.6 (chat);"
            " plan auto: vLLM does logit_bias, temperature, min_p, Temperament does all else"
        ) == line
        config.additional_config["temperament"] = {"temperature_scale": "weights"}
        line = first_line(config, built(config, self.state("m")))

        assert " drawn: weights 0 at 0 (code, math), 1 at 1 (data), 1.3 at 1.3 (chat, " in line
        config.additional_config["temperament"] = {"plan": "residual"}
        line = first_line(config, built(config, self.state("m")))

        assert "; default none; temperatures drawn: deepseek-api 0 at 0 (code, math)" in line
        assert line.endswith("; plan residual: vLLM does nothing, Temperament does all else")

        config.parallel_config.data_parallel_size_local = 0
        line = first_line(config, built(config, self.state("m")))

        assert line.startswith(f"temperament {temperament.__version__}: engines on other nodes; m")

    def test_a_models_value_that_no_stage_reads(self) -> None:
        """A generation_config with a value that no preset may have ends the start."""
        with pytest.raises(PresetError, match="temperature: not allowed; given: -1"):
            built(self.config({}, temperature=-1), self.state("m"))


class TestProcessor:
    """The class that both runners load."""

    @pytest.mark.parametrize(
        ("rank", "sharded", "writes"), [(0, False, True), (1, False, False), (1, True, True)]
    )
    def test_which_ranks_count(
        self, rank: int, sharded: bool, writes: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first rank counts for all that run the same; ranks that share a batch count each."""
        name = "vllm.distributed.parallel_state.get_tensor_model_parallel_rank"
        monkeypatch.setattr(name, lambda: rank)
        parallel = SimpleNamespace(enable_batch_sharded_sampling=sharded)
        config: Any = SimpleNamespace(parallel_config=parallel, instance_id="a3f01")

        assert writes == (meter_of(config)._folder is not None)

    def test_async_scheduling_is_refused_on_v1(self) -> None:
        """Async scheduling on V1 is refused: stages would see placeholders instead of tokens."""
        config: Any = SimpleNamespace(
            additional_config={},
            model_config=SimpleNamespace(logits_processors=None, enable_prompt_embeds=False),
            scheduler_config=SimpleNamespace(async_scheduling=True, max_num_seqs=2),
        )

        with pytest.raises(TemperamentError, match="--no-async-scheduling"):
            TemperamentLogitsProcessor(config, "cpu", False)

    def test_the_door(self) -> None:
        """The class refuses wrong parameters of a request with a `ValueError`."""
        params = SamplingParams(extra_args={KEY: "garbage"})

        with pytest.raises(ValueError, match="not a chain"):
            TemperamentLogitsProcessor.validate_params(params)
        TemperamentLogitsProcessor.validate_params(SamplingParams())

    def test_catalogues_of_ones_own(self) -> None:
        """A catalogue passed as `catalogue=` replaces the shipped presets."""
        with pytest.raises(PresetError, match="none is loaded"):
            temperament.vllm.sampling_params("chat", catalogue=Catalogue({}))
