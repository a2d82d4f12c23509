"""All 67 generation parameters of the reference documents, on both engines.

What the table says to work is set to a value that changes what comes back (the tokens, what is
returned beside them, or, where a parameter is about speed, the forward passes), and it does. What
it refuses is refused with its reason, and a flag is one that vLLM has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from optimum.quanto.library.extensions import get_extension  # type: ignore[import-untyped]
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CompileConfig,
    GenerationConfig,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.generation.utils import GENERATION_MODES_MAPPING

from integration_tests.harness.ask import COMPLETIONS, ask
from integration_tests.harness.offline import samples
from integration_tests.harness.server import Server
from temperament import EngineError
from temperament.engines.transformers import generate_kwargs
from temperament.engines.vllm import sampling_params
from temperament.plan.documented import BY_NAME, DOCUMENTED
from temperament.plan.targets import ENTRY_POINTS

TEXT = "import os\nimport sys\nimport"
STEPS = 8
WARM = {"temperature": 1.0, "seed": 5, "reproducible": True}
GREEDY = {"do_sample": False}
BEAMS = {"do_sample": False, "num_beams": 3}
RETURNED = {"return_dict_in_generate": True}
QUANTO = {"backend": "quanto", "q_group_size": 32}
STATIC = {**GREEDY, "cache_implementation": "static"}
EAGER = {"backend": "eager", "mode": None}
# A value for each parameter that is refused.
REFUSED: dict[str, Any] = {
    "max_length": 50,
    "min_length": 30,
    "early_stopping": True,
    "max_time": 1.0,
    "num_beams": 4,
    "num_beam_groups": 2,
    "penalty_alpha": 0.6,
    "dola_layers": "low",
    "use_cache": False,
    "cache_implementation": "static",
    "cache_config": QUANTO,
    "return_legacy_cache": False,
    "diversity_penalty": 0.5,
    "length_penalty": 2.0,
    "force_words_ids": [[5]],
    "constraints": [{}],
    "forced_decoder_ids": [[1, 5]],
    "token_healing": True,
    "guidance_scale": 1.5,
    "low_memory": True,
    "watermarking_config": {"bias": 2.0},
    "output_attentions": True,
    "output_hidden_states": True,
    "output_scores": True,
    "output_logits": True,
    "return_dict_in_generate": True,
    "pad_token_id": 7,
    "bos_token_id": 7,
    "decoder_start_token_id": 5,
    "is_assistant": True,
    "num_assistant_tokens": 3,
    "num_assistant_tokens_schedule": "heuristic",
    "assistant_confidence_threshold": 0.9,
    "prompt_lookup_num_tokens": 3,
    "max_matching_ngram_size": 1,
    "assistant_early_exit": 1,
    "assistant_lookbehind": 3,
    "target_lookbehind": 3,
    "compile_config": EAGER,
    "disable_compile": True,
    "generation_kwargs": {"prefill_chunk_size": 2},
}


def names(engine: str, *hows: str) -> list[str]:
    """The parameters with which an engine does this."""
    return [each.name for each in DOCUMENTED if ENTRY_POINTS[engine].route(each.field).how in hows]


@dataclass(frozen=True)
class Case:
    """A value, the preset it is added to, and how the model is set up for it."""

    value: Any
    base: Mapping[str, Any] = field(default_factory=lambda: {"temperature": 0})
    # fields that only make sense beside the value
    along: Mapping[str, Any] = field(default_factory=dict)
    setting: str = ""


def cases(first: int, second: int, prompt: list[int]) -> dict[str, Case]:
    """Name -> its case, for a model whose greedy text begins with these two tokens."""
    copied = {"temperature": 0, "logit_bias": {prompt[0]: 100.0}}
    return {
        "max_length": Case(len(prompt) + 3, along={"generation_kwargs": {}}, setting="no limit"),
        "max_new_tokens": Case(3),
        "min_length": Case(len(prompt) + 5, setting="ends"),
        "min_new_tokens": Case(5, setting="ends"),
        "early_stopping": Case(True, BEAMS, setting="ends"),
        "max_time": Case(1e-6),
        "stop_strings": Case(["a", "e", "i", "o", " "], WARM),
        "do_sample": Case(False, WARM),
        "num_beams": Case(4, GREEDY, setting="beams"),
        "use_cache": Case(False, {**GREEDY, **RETURNED}),
        "cache_implementation": Case("static", {**GREEDY, **RETURNED}),
        "cache_config": Case(
            {**QUANTO, "nbits": 2},
            {**GREEDY, "cache_implementation": "quantized", "cache_config": {**QUANTO, "nbits": 4}},
        ),
        "temperature": Case(0.0, WARM),
        "top_k": Case(1, WARM),
        "top_p": Case(0.01, WARM),
        "min_p": Case(0.99, WARM),
        "typical_p": Case(0.01, WARM),
        "epsilon_cutoff": Case(0.9, WARM),
        "eta_cutoff": Case(0.9, WARM),
        "repetition_penalty": Case(50.0),
        "encoder_repetition_penalty": Case(1000.0),
        "length_penalty": Case(9.0, BEAMS, setting="ends"),
        "no_repeat_ngram_size": Case(1),
        "bad_words_ids": Case([[first]]),
        "renormalize_logits": Case(True, {**GREEDY, **RETURNED, "output_scores": True}),
        "forced_bos_token_id": Case(9, setting="one token"),
        "forced_eos_token_id": Case([prompt[0]], along={"max_new_tokens": STEPS}),
        "remove_invalid_values": Case(True, GREEDY, setting="nan"),
        "exponential_decay_length_penalty": Case(
            1000.0, along={"exponential_decay_start": 1}, setting="never ends"
        ),
        "suppress_tokens": Case([first]),
        "begin_suppress_tokens": Case([first]),
        "sequence_bias": Case([[[first, second], -50.0]]),
        "token_healing": Case(True, GREEDY, setting="half a word"),
        "guidance_scale": Case(3.0, GREEDY),
        "watermarking_config": Case({"bias": 30.0}, GREEDY),
        "num_return_sequences": Case(3, WARM),
        "output_attentions": Case(True, {**GREEDY, **RETURNED}),
        "output_hidden_states": Case(True, {**GREEDY, **RETURNED}),
        "output_scores": Case(True, {**GREEDY, **RETURNED}),
        "output_logits": Case(True, {**GREEDY, **RETURNED}),
        "return_dict_in_generate": Case(True),
        "pad_token_id": Case(7, setting="one ends"),
        "bos_token_id": Case(7, setting="no prompt"),
        "eos_token_id": Case(second),
        "encoder_no_repeat_ngram_size": Case(1, copied),
        "decoder_start_token_id": Case(5, GREEDY, setting="encoder-decoder"),
        "is_assistant": Case(
            True,
            {**GREEDY, **RETURNED, "output_scores": True},
            {"assistant_confidence_threshold": 0.99},
        ),
        "num_assistant_tokens": Case(1, GREEDY, setting="draft"),
        "num_assistant_tokens_schedule": Case(
            "heuristic", {**GREEDY, "num_assistant_tokens": 2}, setting="draft"
        ),
        "assistant_confidence_threshold": Case(0.999, GREEDY, setting="draft"),
        "prompt_lookup_num_tokens": Case(3, GREEDY, setting="loop"),
        "max_matching_ngram_size": Case(
            1, {**GREEDY, "prompt_lookup_num_tokens": 3}, setting="loop"
        ),
        "assistant_early_exit": Case(1, GREEDY),
        "assistant_lookbehind": Case(1, GREEDY, setting="foreign draft"),
        "target_lookbehind": Case(1, GREEDY, setting="foreign draft"),
        "compile_config": Case(EAGER, STATIC, setting="compiles"),
        "disable_compile": Case(True, {**STATIC, "compile_config": EAGER}, setting="compiles"),
        "generation_kwargs": Case({"prefill_chunk_size": 2}, STATIC),
    }  # fmt: skip


def test_each_parameter_has_a_case() -> None:
    """Every parameter that the table calls supported has a case below."""
    works = set(names("transformers", "native", "residual"))

    assert 67 == len(DOCUMENTED)
    assert cases(0, 0, [0]).keys() == works
    assert REFUSED.keys() == set(names("server", "refused", "flag"))


class Calls:
    """The lengths of the inputs of a model's forward passes."""

    def __init__(self) -> None:
        self.lengths: list[tuple[str, int]] = []

    def listen(self, model: Any, name: str, stack: ExitStack) -> None:
        def seen(_: Any, args: Any, kwargs: Any) -> None:
            ids = kwargs.get("input_ids", args[0] if args else None)
            if ids is None:
                ids = kwargs["decoder_input_ids"]
            self.lengths.append((name, ids.shape[1]))

        handle = model.register_forward_pre_hook(seen, with_kwargs=True)
        stack.callback(handle.remove)


class Hub:
    """A tiny model in Transformers, copied for each run."""

    def __init__(self, path: Path, other: Path) -> None:
        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(
            path, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.other = other
        self.prompt = self.tokenizer(TEXT)["input_ids"]
        text = self.run({"temperature": 0}, "")["sequences"][0][len(self.prompt) :]
        self.greedy: list[int] = text

    def run(self, preset: Mapping[str, Any], setting: str) -> dict[str, Any]:
        """The result of `generate`, and the lengths of the forward passes."""
        model, prompt = deepcopy(self.model), list(self.prompt)
        options: dict[str, Any] = {"max_new_tokens": STEPS}
        kwargs: dict[str, Any] = {}
        calls = Calls()
        inputs: dict[str, Any] | None = None
        torch.manual_seed(1)
        with ExitStack() as stack:
            match setting:
                case "no limit":
                    options = {}
                    model.generation_config.max_length = len(prompt) + 6
                case "ends":
                    model.generation_config.eos_token_id = self.greedy[1]
                case "never ends":
                    model.generation_config.eos_token_id = 1000
                case "one token":
                    prompt = prompt[-1:]
                case "nan":
                    with torch.no_grad():
                        model.lm_head.weight[3] = torch.nan
                case "half a word":
                    prompt = self.tokenizer("import os.pa")["input_ids"]
                case "one ends":
                    model.generation_config.eos_token_id = self.greedy[1]
                    ids = torch.tensor([prompt, [*prompt[:-1], 300]])
                    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
                case "no prompt":
                    inputs = {}
                case "encoder-decoder":
                    model = t5()
                case "draft":
                    kwargs["assistant_model"] = draft = deepcopy(model)
                    with torch.no_grad():
                        draft.lm_head.weight += 0.05 * torch.randn_like(draft.lm_head.weight)
                    calls.listen(draft, "draft", stack)
                case "loop":
                    prompt = [*prompt, *self.greedy, *prompt]
                case "foreign draft":
                    model, draft = self._foreign(), model
                    kwargs["assistant_model"] = draft
                    tokenizer = AutoTokenizer.from_pretrained(self.other)
                    options |= {"tokenizer": tokenizer, "assistant_tokenizer": self.tokenizer}
                    options["max_new_tokens"] = 3 * STEPS
                    prompt = tokenizer(TEXT)["input_ids"]
                    calls.listen(draft, "draft", stack)
                case "compiles":
                    patch = pytest.MonkeyPatch()
                    patch.setattr(CompileConfig, "_compile_all_devices", True, raising=False)
                    stack.callback(patch.undo)
            if inputs is None:
                ids = torch.tensor([prompt])
                inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            calls.listen(model, "model", stack)
            arguments = generate_kwargs(preset, self.tokenizer, model=model, **kwargs)
            answer = model.generate(**inputs, **{**options, **arguments})
        compiled = getattr(model, "_compiled_call", None) is not None
        seen: dict[str, Any] = {"calls": calls.lengths, "compiled": compiled}
        if torch.is_tensor(answer):
            return {**seen, "sequences": answer.tolist()}
        scores = [score.logsumexp(-1).tolist() for score in answer.get("scores", ())]
        kinds = {name: type(value).__name__ for name, value in answer.items()}
        return {**seen, **kinds, "sequences": answer.sequences.tolist(), "scores": scores}

    def _foreign(self) -> Any:
        return AutoModelForCausalLM.from_pretrained(self.other, dtype=torch.float32).eval()


def t5() -> Any:
    """A random encoder-decoder with the tiny model's vocabulary."""
    torch.manual_seed(3)
    config = T5Config(
        vocab_size=1024, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
        decoder_start_token_id=0, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    return T5ForConditionalGeneration(config).eval()


def unpacked(packed: Tensor, bits: int) -> Tensor:
    """What Quanto's only C++ function returns, which it would compile for a minute."""
    return torch.cat([packed >> place & 2**bits - 1 for place in range(0, 8, bits)])


@pytest.fixture(scope="module")
def hub(tiny_path: Path, smollm2_path: Path) -> Hub:
    """The tiny model, and a real one with another tokenizer."""
    get_extension("quanto_cpp")._lib = SimpleNamespace(unpack=unpacked)
    return Hub(tiny_path, smollm2_path)


class TestTransformers:
    """Every parameter in `generate_kwargs`."""

    @pytest.mark.parametrize("name", names("transformers", "native", "residual"))
    def test_it_works(self, hub: Hub, name: str) -> None:
        """The result differs from the one without the value."""
        case = cases(hub.greedy[0], hub.greedy[1], hub.prompt)[name]
        without = hub.run(case.base, case.setting)
        with_it = hub.run({**case.base, **case.along, name: case.value}, case.setting)

        assert without != with_it

    @pytest.mark.parametrize("name", names("transformers", "refused"))
    def test_it_is_refused(self, name: str) -> None:
        """The error has the table's reason, and nothing has run."""
        with pytest.raises(EngineError) as caught:
            generate_kwargs({name: REFUSED[name]})

        assert ENTRY_POINTS["transformers"].route(BY_NAME[name].field).reason[0] in str(
            caught.value
        )

    def test_what_is_refused_doesnt_work_there(self, hub: Hub) -> None:
        """The table's reasons are true of this version of Transformers."""
        on_hub = {m.value for m, repo in GENERATION_MODES_MAPPING.items() if "/" in repo}
        known = GenerationConfig().to_dict()
        beams = {"num_beams": 2, "low_memory": True, "max_new_tokens": 2}
        with pytest.raises(ValueError, match="not supported"):
            hub.model.generate(torch.tensor([hub.prompt]), **beams)

        assert {
            "contrastive_search", "dola_generation", "group_beam_search", "constrained_beam_search"
        } == on_hub  # fmt: skip
        assert not known.keys() & {"return_legacy_cache", "forced_decoder_ids"}

    def test_every_problem_at_once(self) -> None:
        """An error lists both parameters that are refused."""
        with pytest.raises(EngineError) as caught:
            generate_kwargs({"low_memory": True, "penalty_alpha": 0.6})

        assert {"low_memory", "penalty_alpha"} == {p.path for p in caught.value.problems}


@pytest.fixture(scope="module")
def broken_path(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a weight that is NaN."""
    folder = tmp_path_factory.mktemp("broken")
    model = AutoModelForCausalLM.from_pretrained(tiny_path)
    with torch.no_grad():
        model.lm_head.weight[3] = torch.nan
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_path).save_pretrained(folder)
    return folder


REFERENCE_FLAG = re.compile(r"--([a-z-]+)")


# This one needs an engine with a broken model.
APART = ("remove_invalid_values",)


@pytest.fixture(scope="module")
def in_vllm(hub: Hub, tiny_path: Path) -> dict[str, tuple[Any, Any]]:
    """Name -> vLLM's samples without the value and with it; all in one batch."""
    asked = [name for name in names("vllm", "native", "residual") if name not in APART]
    by_name = cases(hub.greedy[0], hub.greedy[1], hub.prompt)
    requests = []
    for name in asked:
        case = by_name[name]
        base = {k: v for k, v in case.base.items() if k not in REFUSED}
        ids = hub.prompt[-1:] if case.setting == "one token" else hub.prompt
        overrides: dict[str, Any] = {"ignore_eos": True}
        if case.setting == "ends":
            overrides = {"stop_token_ids": [hub.greedy[1]]}
        elif case.setting == "never ends":
            overrides = {"stop_token_ids": [1000]}
        elif name == "eos_token_id":
            overrides = {}
        if name == "renormalize_logits":  # what is drawn from is seen, not the token
            base = {"seed": 5}
            overrides["logprobs"] = 2
        for preset in (base, {**base, **case.along, name: case.value}):
            limit = {} if "max_new_tokens" in preset else {"max_tokens": STEPS}
            requests.append({"ids": ids, "preset": preset, "overrides": {**overrides, **limit}})
    answers = samples(tiny_path, requests, dtype="float32", logprobs_mode="processed_logits")
    return dict(zip(asked, zip(answers[::2], answers[1::2], strict=True), strict=True))


class TestVllmOffline:
    """Every parameter in `sampling_params`."""

    @pytest.mark.parametrize(
        "name", [n for n in names("vllm", "native", "residual") if n not in APART]
    )
    def test_it_works(self, in_vllm: dict[str, tuple[Any, Any]], name: str) -> None:
        """The result differs from the one without the value."""
        without, with_it = in_vllm[name]

        assert without != with_it

    @pytest.mark.parametrize("name", names("vllm", "refused", "flag"))
    def test_it_is_refused(self, name: str) -> None:
        """The error has the table's reason, and the option of the start if there is one."""
        route = ENTRY_POINTS["vllm"].route(BY_NAME[name].field)
        with pytest.raises(EngineError) as caught:
            sampling_params({name: REFUSED[name]})

        assert route.reason[0] in str(caught.value)
        assert route.where in str(caught.value)

    def test_invalid_values_are_removed(self, broken_path: Path, hub: Hub) -> None:
        """A model with a NaN among its logits gives another text with the parameter."""
        overrides = {"max_tokens": STEPS, "ignore_eos": True}
        requests = [
            {"ids": hub.prompt, "preset": {"do_sample": False, **values}, "overrides": overrides}
            for values in ({}, {"remove_invalid_values": True})
        ]
        without, with_it = samples(broken_path, requests, dtype="float32")

        assert without != with_it

    @pytest.mark.parametrize("name", names("server", "flag"))
    def test_the_flag_is_one(self, name: str) -> None:
        """`vllm serve` and `LLM` have the option that the table names."""
        from vllm import EngineArgs

        found = REFERENCE_FLAG.match(ENTRY_POINTS["server"].route(BY_NAME[name].field).where)
        assert found is not None
        argument = found[1].replace("-", "_")

        assert argument in EngineArgs.__dataclass_fields__
        assert f"LLM({argument}=" in ENTRY_POINTS["vllm"].route(BY_NAME[name].field).where


class TestServer:
    """Every parameter over HTTP, as a field of the request."""

    @pytest.mark.parametrize("name", names("server", "refused", "flag"))
    def test_it_is_refused(self, v1_server: Server, name: str) -> None:
        """The server answers 400 with the table's reason."""
        answer = ask(v1_server, COMPLETIONS, "smollm2", **{name: REFUSED[name]})

        assert 400 == answer.status
        reason = ENTRY_POINTS["server"].route(BY_NAME[name].field).reason[0]
        assert reason in answer.json["error"]["message"]

    def test_every_problem_at_once(self, v1_server: Server) -> None:
        """One answer lists all parameters that are refused."""
        refused = {name: REFUSED[name] for name in names("server", "refused", "flag")}
        answer = ask(v1_server, COMPLETIONS, "smollm2", **refused)
        message = answer.json["error"]["message"]

        assert 400 == answer.status
        assert [] == [name for name in refused if f"request: {name}: " not in message]

    def test_what_asks_for_nothing_passes(self, v1_server: Server) -> None:
        """A refused parameter with its default value changes nothing, and is accepted."""
        neutral = {
            name: BY_NAME[name].default
            for name in names("server", "refused", "flag")
            if BY_NAME[name].default is not None
        }
        fields = {"temperature": 0, "max_tokens": 8}
        plain, changed = (
            ask(v1_server, COMPLETIONS, "smollm2", **fields, **more) for more in ({}, neutral)
        )

        assert 200 == changed.status
        assert plain.text == changed.text

    @pytest.mark.parametrize(
        ("values", "length"),
        [
            ({"max_new_tokens": 3, "max_tokens": None}, 3),
            ({"max_new_tokens": 3, "max_tokens": 5}, 5),
            ({"num_return_sequences": 2, "max_tokens": 4}, 8),
            ({"do_sample": False, "temperature": 1.5, "max_tokens": 4}, 4),
        ],
        ids=str,
    )
    def test_other_names(self, v1_server: Server, values: dict[str, Any], length: int) -> None:
        """A server takes Transformers' names for vLLM's fields."""
        greedy = ask(v1_server, COMPLETIONS, "smollm2", temperature=0, max_tokens=4)
        answer = ask(v1_server, COMPLETIONS, "smollm2", **{"ignore_eos": True, **values})

        assert length == answer.json["usage"]["completion_tokens"]
        if "do_sample" in values:
            assert greedy.text == answer.text

    def test_a_text_and_a_token_that_end(self, v1_server: Server) -> None:
        """`stop_strings` and `eos_token_id` end the text where `stop` and the end would."""
        fields = {"seed": 1, "max_tokens": 12, "return_token_ids": True}
        plain = ask(v1_server, COMPLETIONS, "smollm2", **fields)
        word = plain.text.split()[2]
        ids = plain.json["choices"][0]["token_ids"]
        place = next(i for i in range(4, 12) if ids[i] not in ids[:i])
        stopped = ask(v1_server, COMPLETIONS, "smollm2", **fields, stop_strings=[word])
        ended = ask(v1_server, COMPLETIONS, "smollm2", **fields, eos_token_id=ids[place])

        assert plain.text[: plain.text.index(word)] == stopped.text
        assert ids[: place + 1] == ended.json["choices"][0]["token_ids"]
