"""The processor alone, on ids and scores; `integration_tests` run it in a real model."""

import warnings
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig, PretrainedConfig

from temperament import Catalogue, EngineError, PresetError, process
from temperament import transformers as adapter
from temperament.engines.transformers import arguments
from tests import rows

PresetLogitsProcessor = adapter.PresetLogitsProcessor
VOCABULARY = 100
PAD = 99
TOKENIZER = SimpleNamespace(pad_token_id=PAD, eos_token_id=PAD)
# Together they distinguish prompt from output, and padding from text.
PENALTIES = {"frequency_penalty": 1.0, "repetition_penalty": 2.0}


def scores(count: int, seed: int = 0) -> Tensor:
    return rows.logits(count, VOCABULARY, Random(seed))


def ids(*texts: Sequence[int]) -> Tensor:
    """[rows, length], padded on the left."""
    longest = max(map(len, texts))
    return torch.tensor([[PAD] * (longest - len(text)) + list(text) for text in texts])


def expected(x: Tensor, presets: Any, prompts: Any, outputs: Any) -> Tensor:
    return process(x, presets, prompt_ids=prompts, output_ids=outputs, seeds=range(len(prompts)))


class TestSteps:
    """Which ids are prompt, output and padding."""

    def test_each_row_has_its_prompt_and_its_output(self) -> None:
        """The prompts are what the first step of a `generate` has."""
        processor = PresetLogitsProcessor(PENALTIES, TOKENIZER)
        prompts = [[1, 2, 3], [4, 5, 6]]
        processor(ids(*prompts), scores(2))
        actual = processor(ids([1, 2, 3, 1], [4, 5, 6, 9]), scores(2))

        assert rows.same_bits(actual, expected(scores(2), PENALTIES, prompts, [[1], [9]]))

    def test_padding_on_the_left_is_no_text(self) -> None:
        """A row in a padded batch gives the same as alone."""
        processor = PresetLogitsProcessor(PENALTIES, TOKENIZER)
        first = processor(ids([1], [4, 5, 6]), scores(2))
        second = processor(torch.tensor([[PAD, PAD, 1, PAD], [4, 5, 6, 7]]), scores(2))

        assert rows.same_bits(first, expected(scores(2), PENALTIES, [[1], [4, 5, 6]], [[], []]))
        # Behind the prompt the same token is what a finished row goes on with.
        assert rows.same_bits(
            second, expected(scores(2), PENALTIES, [[1], [4, 5, 6]], [[PAD], [7]])
        )

    def test_without_a_tokenizer_everything_is_text(self) -> None:
        """Without a tokenizer no id is padding."""
        processor = PresetLogitsProcessor(PENALTIES)
        actual = processor(ids([1], [4, 5]), scores(2))

        assert rows.same_bits(actual, expected(scores(2), PENALTIES, [[PAD, 1], [4, 5]], [[], []]))

    @pytest.mark.filterwarnings("ignore:repetition_penalty")
    def test_no_ids_at_all(self) -> None:
        """`generate` from embeddings begins without ids."""
        processor = PresetLogitsProcessor(PENALTIES, TOKENIZER)
        processor(torch.zeros(2, 0, dtype=torch.int64), scores(2))
        actual = processor(torch.tensor([[1], [2]]), scores(2))

        assert rows.same_bits(actual, expected(scores(2), PENALTIES, [[], []], [[1], [2]]))

    def test_a_prompt_in_embeddings_is_not_seen(self) -> None:
        """Stages that read the prompt say that they can't see it; others say nothing."""
        nothing = torch.zeros(2, 0, dtype=torch.int64)
        with pytest.warns(UserWarning, match="penalty: can't see a prompt in inputs_embeds"):
            PresetLogitsProcessor({"repetition_penalty": 1.2}, TOKENIZER)(nothing, scores(2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            PresetLogitsProcessor({"frequency_penalty": 1.0}, TOKENIZER)(nothing, scores(2))

    def test_beams_may_change_places(self) -> None:
        """The history is that of the ids in the row, not that of the row's number."""
        for values in (PENALTIES, {"no_repeat_ngram_size": 2}):
            processor = PresetLogitsProcessor(values, TOKENIZER)
            processor(ids([1, 2], [1, 2]), scores(2))
            processor(ids([1, 2, 3], [1, 2, 4]), scores(2))
            actual = processor(ids([1, 2, 4, 1], [1, 2, 3, 2]), scores(2))

            assert rows.same_bits(
                actual, expected(scores(2), values, [[1, 2], [1, 2]], [[4, 1], [3, 2]])
            )

    def test_drafts_may_be_refused(self) -> None:
        """After refused draft tokens the prompt still ends where it ended."""
        processor = PresetLogitsProcessor(PENALTIES, TOKENIZER)
        for text in ([1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 5]):
            actual = processor(ids(text), scores(1))

            assert rows.same_bits(actual, expected(scores(1), PENALTIES, [[1, 2]], [text[2:]]))

    @pytest.mark.parametrize(
        "prompt", [[7], [7, 8], [7, 8, 9], [7, 8, 9, 10, 11], [1, 2], [1, 2, 3, 4, 5, 6]]
    )
    def test_it_may_be_used_again(self, prompt: list[int]) -> None:
        """A second `generate` is noticed, even with a prompt as long as the next step."""
        processor = PresetLogitsProcessor(PENALTIES, TOKENIZER)
        for text in ([1, 2], [1, 2, 3]):
            processor(ids(text), scores(1))
        first = processor(ids(prompt), scores(1))
        second = processor(ids([*prompt, 9]), scores(1))

        assert rows.same_bits(first, expected(scores(1), PENALTIES, [prompt], [[]]))
        assert rows.same_bits(second, expected(scores(1), PENALTIES, [prompt], [[9]]))

    def test_the_batch_may_change_its_size(self) -> None:
        """A second `generate` may have more or fewer rows."""
        processor = PresetLogitsProcessor("creative", TOKENIZER)
        for count in (1, 3, 2):
            after = processor(torch.ones(count, 2, dtype=torch.int64), scores(count))

            assert rows.same_bits(after, scores(count) / 0.8)

    def test_the_scores_stay_as_they_are(self) -> None:
        """The scores passed in don't change; half precision is computed in float32."""
        passed = scores(2).half()
        before = passed.clone()
        after = PresetLogitsProcessor("creative")(ids([1], [2]), passed)

        assert torch.equal(before, passed)
        assert rows.same_bits(after, before.float() / 0.8)


class TestRows:
    """The rows of a prompt have its preset."""

    def test_several_rows_of_a_prompt_follow_it(self) -> None:
        """All rows of the first prompt come first, then those of the second."""
        processor = PresetLogitsProcessor(["code", {"top_k": 1}, {}], TOKENIZER)
        after = processor(torch.ones(6, 2, dtype=torch.int64), scores(6))

        assert rows.same_bits(
            after, process(scores(6), ["code"] * 2 + [{"top_k": 1}] * 2 + [{}] * 2)
        )

    @pytest.mark.parametrize("count", [1, 3, 5])
    def test_presets_that_fit_no_number_of_rows(self, count: int) -> None:
        """Two presets for an odd number of rows are refused."""
        processor = PresetLogitsProcessor(["code", "chat"])
        with pytest.raises(EngineError, match=f"2 presets for {count} rows"):
            processor(torch.ones(count, 2, dtype=torch.int64), scores(count))

    def test_a_seed_of_one_preset_is_that_of_one_prompt(self) -> None:
        """Rows of a single preset are samples of a prompt, and draw differently; rows with a seed
        or a preset each draw the same.
        """
        x = torch.zeros(4, VOCABULARY)
        preset = {"reproducible": True, "seed": 7}

        def drawn(presets: Any, seeds: Sequence[int] | None = None) -> list[int]:
            processor = PresetLogitsProcessor(presets, TOKENIZER, seeds=seeds)
            return [int(token) for token in processor(ids(*[[1]] * 4), x).argmax(-1)]

        samples = drawn(preset)
        assert len(set(samples)) > 1
        assert [samples[0]] * 4 == drawn(preset, [7] * 4) == drawn([preset] * 4)


class TestGenerateKwargs:
    """`generate_kwargs` returns everything that presets set."""

    def test_nothing_acts_twice(self) -> None:
        """Transformers' sampling fields are neutral, and it draws."""
        kwargs = adapter.generate_kwargs("creative")
        processor = kwargs.pop("logits_processor")

        assert {
            **arguments.NEUTRAL,
            "do_sample": True,
            "typical_p": 1.0,
            "epsilon_cutoff": 0.0,
            "eta_cutoff": 0.0,
            **({"top_h": None} if hasattr(GenerationConfig(), "top_h") else {}),
        } == kwargs
        assert [PresetLogitsProcessor] == [type(one) for one in processor]

    def test_the_model_is_the_lowest_layer(self) -> None:
        """The model's file sets what the preset doesn't."""
        config = SimpleNamespace(temperature=0.1, top_k=3, top_p=None, min_p=0.2)
        model = SimpleNamespace(generation_config=config, config=PretrainedConfig())
        (processor,) = adapter.generate_kwargs("creative", model=model)["logits_processor"]

        assert {"temperature": 1.5, "top_k": 3, "min_p": 0.2} == dict(processor.presets[0].values)

    @pytest.mark.parametrize(
        ("thinking", "temperature"), [(None, 0.6), (True, 0.6), (False, 0.7)], ids=str
    )
    def test_thinking(self, thinking: bool | None, temperature: float) -> None:
        """`recommended` has the vendor's values for thinking or without; Qwen3 thinks if unsaid."""
        model = SimpleNamespace(
            generation_config=GenerationConfig(),
            config=PretrainedConfig(name_or_path="Qwen/Qwen3-8B"),
        )
        kwargs = adapter.generate_kwargs("recommended", model=model, thinking=thinking)

        (processor,) = kwargs["logits_processor"]
        assert temperature == processor.presets[0].values["temperature"]

    def test_lengths_and_stops(self) -> None:
        """max_tokens is passed as max_new_tokens, and stop with the tokenizer."""
        presets = [{"max_tokens": 5, "stop": ["a", "b"]}] * 2
        kwargs = adapter.generate_kwargs(presets, TOKENIZER)

        assert 5 == kwargs["max_new_tokens"]
        assert ["a", "b"] == kwargs["stop_strings"]
        assert kwargs["tokenizer"] is TOKENIZER

    @pytest.mark.parametrize(
        ("presets", "error", "message"),
        [
            ({"seed": 1}, EngineError, "seed: Transformers draws every row from one generator"),
            ([{"max_tokens": 5}, {"max_tokens": 6}], EngineError, "max_tokens: differs"),
            ([{"max_tokens": 5}, {}], EngineError, "max_tokens: differs"),
            ([{"stop": "a"}, {"stop": "b"}], EngineError, "stop: differs"),
            ({"stop": "a"}, EngineError, "stop: needs the tokenizer"),
            ("no-such-preset", PresetError, "unknown preset"),
            ({"temperature": -1}, PresetError, "temperature: not allowed"),
            ({"banned_strings": ["a"]}, PresetError, "the tokenizer must be given"),
        ],
    )
    def test_wrong_values_are_refused(self, presets: Any, error: Any, message: str) -> None:
        """A wrong preset or field is an error with its message before `generate` begins."""
        with pytest.raises(error) as caught:
            adapter.generate_kwargs(presets)

        assert message in str(caught.value)

    def test_all_problems_at_once(self) -> None:
        """The error has every problem, not the first alone."""
        with pytest.raises(EngineError) as caught:
            adapter.generate_kwargs([{"seed": 1, "stop": "a"}, {"max_tokens": 3}])

        assert 3 == len(caught.value.problems)

    def test_an_empty_catalogue_is_a_catalogue(self) -> None:
        """An empty catalogue knows no preset, not even the shipped ones."""
        with pytest.raises(PresetError, match="unknown preset"):
            adapter.generate_kwargs("creative", catalogue=Catalogue({}))
