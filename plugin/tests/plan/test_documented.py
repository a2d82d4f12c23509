"""The table of the reference documents' parameters."""

from __future__ import annotations

from typing import Any

import pytest

from temperament import EngineError
from temperament.engines.transformers.arguments import generation_arguments
from temperament.plan.documented import DOCUMENTED, SECTIONS, refusals, refuse
from temperament.plan.targets import ENTRY_POINTS, VLLM, VLLM_SERVER, Target
from temperament.presets import Catalogue, Preset, as_preset
from temperament.presets.generation_fields import GENERATION
from temperament.stages import PARAMETERS

# The second reference document's parameters, by its own headings.
DOCUMENT = {
    "length": "max_length max_new_tokens min_length min_new_tokens early_stopping max_time"
    " stop_strings",
    "strategy": "do_sample num_beams num_beam_groups penalty_alpha dola_layers",
    "cache": "use_cache cache_implementation cache_config return_legacy_cache",
    "logits": "temperature top_k top_p min_p typical_p epsilon_cutoff eta_cutoff diversity_penalty"
    " repetition_penalty encoder_repetition_penalty length_penalty no_repeat_ngram_size"
    " bad_words_ids force_words_ids renormalize_logits constraints forced_bos_token_id"
    " forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens"
    " begin_suppress_tokens forced_decoder_ids sequence_bias token_healing guidance_scale"
    " low_memory watermarking_config",
    "outputs": "num_return_sequences output_attentions output_hidden_states output_scores"
    " output_logits return_dict_in_generate",
    "tokens": "pad_token_id bos_token_id eos_token_id",
    "encoder": "encoder_no_repeat_ngram_size decoder_start_token_id",
    "assisted": "is_assistant num_assistant_tokens num_assistant_tokens_schedule"
    " assistant_confidence_threshold prompt_lookup_num_tokens max_matching_ngram_size"
    " assistant_early_exit assistant_lookbehind target_lookbehind",
    "compilation": "compile_config disable_compile",
    "wildcard": "generation_kwargs",
}
NOTHING = Catalogue({})


def preset_of(**values: Any) -> Preset:
    """A preset of these values."""
    return as_preset(values, NOTHING)


every_way = pytest.mark.parametrize("target", ENTRY_POINTS.values(), ids=ENTRY_POINTS)


class TestTable:
    """`DOCUMENTED`, and each engine's routes."""

    def test_it_is_the_documents(self) -> None:
        """The table has the document's 67 names, in its order and under its headings."""
        listed = [(section, name) for section, text in DOCUMENT.items() for name in text.split()]

        assert 67 == len(listed)
        assert listed == [(each.section, each.name) for each in DOCUMENTED]
        assert list(DOCUMENT) == list(SECTIONS)

    def test_a_preset_may_name_each(self) -> None:
        """Each is a stage's parameter or a generation field."""
        assert {each.field for each in DOCUMENTED} <= PARAMETERS.keys() | GENERATION.keys()

    @every_way
    def test_each_engine_routes_every_field(self, target: Target) -> None:
        """An engine's description names each generation field, and no other."""
        assert GENERATION.keys() == target.generation.keys()

    @every_way
    def test_each_route_is_complete(self, target: Target) -> None:
        """What works says where, what is refused says why, in both languages."""
        for each in DOCUMENTED:
            route = target.route(each.field)
            if route.how != "refused":
                assert route.where, each.name
            if route.how in ("refused", "flag"):
                assert all(route.reason), each.name
            assert bool(route.reason[0]) == bool(route.reason[1]), each.name

    @every_way
    def test_what_is_residual_is_a_stage(self, target: Target) -> None:
        """A parameter that we apply is one of a stage that the table names."""
        for each in DOCUMENTED:
            if target.route(each.field).how == "residual" and each.name != "do_sample":
                assert each.name in PARAMETERS


class TestRefusals:
    """`refusals` and `refuse`."""

    def test_the_reason_is_told(self) -> None:
        """A problem says where, what and, for what is set at the start, by which flag."""
        problems = refusals({"guidance_scale": 1.5, "max_length": 9}, VLLM_SERVER, "request")

        assert [
            "request: guidance_scale: needs a second forward pass that a logits processor in vLLM"
            " can't make; given: 1.5",
            "request: max_length: is set when the engine starts, by --max-model-len: bounds prompt"
            " and output together; max_tokens bounds one request's output; given: 9",
        ] == list(map(str, problems))

    @pytest.mark.parametrize(
        "values",
        [{"num_beams": 1}, {"use_cache": True}, {"return_legacy_cache": True}, {"max_tokens": 5}],
        ids=str,
    )
    @every_way
    def test_what_asks_for_nothing_passes(self, target: Target, values: dict[str, Any]) -> None:
        """The document's defaults pass, and what works."""
        assert [] == refusals(values, target, "x")

    def test_all_presets_of_a_call(self) -> None:
        """Every problem of every row is reported, each once."""
        rows = [{"num_beams": 2}, {"num_beams": 2, "early_stopping": True}]
        with pytest.raises(EngineError) as caught:
            refuse(rows, VLLM, "x")

        assert ["num_beams", "early_stopping"] == [p.path for p in caught.value.problems]


class TestWritten:
    """`Target.written`: generation fields under the engine's own names."""

    def test_names_and_forms(self) -> None:
        """A preset has one name for a field, and vLLM's request has vLLM's."""
        preset = preset_of(
            max_new_tokens=9, stop_strings="x", num_return_sequences=2, eos_token_id=4
        )

        assert {
            "max_tokens": 9,
            "stop": ["x"],
            "n": 2,
            "stop_token_ids": [4],
            "ignore_eos": True,
        } == VLLM.generation_fields(preset.generation)


class TestArguments:
    """`generation_arguments`, the same for `generate`."""

    def test_names_and_forms(self) -> None:
        """One name in the preset, Transformers' own in the call."""
        preset = preset_of(
            max_tokens=9, stop="x", num_beams=2, eos_token_id=4, decoder_start_token_id=3,
            generation_kwargs={"prefill_chunk_size": 4}, dola_layers=[],
        )  # fmt: skip
        tokenizer = object()

        assert {
            "do_sample": True,
            "max_new_tokens": 9,
            "stop_strings": ["x"],
            "tokenizer": tokenizer,
            "num_beams": 2,
            "eos_token_id": [4],
            "decoder_start_token_id": 3,
            "prefill_chunk_size": 4,
        } == generation_arguments([preset], tokenizer, None, None)

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [
            ([{}], True),
            ([{"do_sample": True}], True),
            ([{"do_sample": False}], False),
            ([{"do_sample": False}, {"do_sample": False}], False),
            ([{"do_sample": False}, {}], True),
            ([{}, {"do_sample": False}], True),
        ],
        ids=str,
    )
    def test_do_sample(self, rows: list[dict[str, Any]], expected: bool) -> None:
        """A batch is drawn unless no row is; its greedy rows have temperature 0."""
        presets = [preset_of(**row) for row in rows]

        assert expected == generation_arguments(presets, None, None, None)["do_sample"]
        assert [
            0.0 if row.get("do_sample") is False else None for row in rows
        ] == [preset.chain.values.get("temperature") for preset in presets]  # fmt: skip

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([{"num_beams": 2}, {"num_beams": 3}], "differs between the presets of one call"),
            ([{"num_beams": 2, "do_sample": False}, {"num_beams": 2}], "differs"),
            ([{"seed": 3}], "Transformers draws every row from one generator"),
            ([{"token_healing": True}], "needs the tokenizer"),
            ([{"num_assistant_tokens": 3}], "assistant model's generation_config"),
            ([{"is_assistant": True}], "must be true with is_assistant"),
        ],
        ids=str,
    )
    def test_what_a_call_cant_do(self, rows: list[dict[str, Any]], message: str) -> None:
        """What a call can't do is refused with the reason, not dropped."""
        with pytest.raises(EngineError, match=message):
            generation_arguments([preset_of(**row) for row in rows], None, None, None)

    @pytest.mark.parametrize("name", ["custom_generate", "trust_remote_code", "top_k", "num_beams"])
    def test_a_preset_brings_no_code(self, name: str) -> None:
        """`generation_kwargs` holds neither fields of a preset nor what would run code."""
        with pytest.raises(ValueError, match="generation_kwargs"):
            preset_of(generation_kwargs={name: 1})
