"""What a model's own generation config sets, and what of it a preset can override: real models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from temperament import Catalogue, EngineError, PresetError
from temperament.engines.transformers import PresetLogitsProcessor, generate_kwargs

NOTHING = Catalogue({})
VOCABULARY, END, NEW = 40, 39, 12
PROMPT = torch.tensor([[1, 2, 3]])


@pytest.fixture(scope="module")
def llama() -> Any:
    """A random decoder of 40 tokens."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=END,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def text(model: Any, preset: Any, settings: dict[str, Any], **arguments: Any) -> list[int]:
    """The greedy text of a model whose generation config has these values of its own."""
    model.generation_config = GenerationConfig(
        pad_token_id=0, bos_token_id=1, eos_token_id=END, **settings
    )
    preset = {"temperature": 0, **preset}
    kwargs = generate_kwargs(preset, model=model, catalogue=NOTHING)
    done = model.generate(PROMPT, **{"max_new_tokens": NEW, **kwargs, **arguments})
    tokens: list[int] = done[0, PROMPT.shape[1] :].tolist()
    return tokens


class TestOverriding:
    """A preset's value wins over the model's, neutral ones too; what it doesn't set stays."""

    @pytest.fixture
    def plain(self, llama: Any) -> list[int]:
        """The text without anything."""
        return text(llama, {}, {})

    def cases(self, plain: list[int]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The model's own values, each of which changes the text, and neutral ones of a preset."""
        first, second = plain[0], plain[1]
        return [
            ({"no_repeat_ngram_size": 1}, {"no_repeat_ngram_size": 0}),
            ({"suppress_tokens": [first]}, {"suppress_tokens": []}),
            ({"begin_suppress_tokens": [first]}, {"begin_suppress_tokens": []}),
            ({"bad_words_ids": [[first]]}, {"bad_words_ids": []}),
            ({"sequence_bias": [[[first], -50.0]]}, {"sequence_bias": []}),
            ({"forced_eos_token_id": 5}, {"forced_eos_token_id": []}),
            ({"encoder_repetition_penalty": 9.0}, {"encoder_repetition_penalty": 1.0}),
            ({"sequence_bias": [[[first, second], -50.0]]}, {"sequence_bias": []}),
        ]

    def test_a_neutral_value_undoes_the_models(self, llama: Any, plain: list[int]) -> None:
        """The text is that of a model without the value."""
        for settings, neutral in self.cases(plain):
            assert plain != text(llama, {}, settings), settings
            assert plain == text(llama, neutral, settings), settings

    def test_what_a_preset_does_not_set_stays(self, llama: Any, plain: list[int]) -> None:
        """A preset that sets something else leaves the model's values in force."""
        for settings, _ in self.cases(plain):
            model = text(llama, {"top_k": 30}, settings)
            llama.generation_config = GenerationConfig(
                pad_token_id=0, bos_token_id=1, eos_token_id=END, **settings
            )
            stock = llama.generate(PROMPT, max_new_tokens=NEW, do_sample=False)

            assert stock[0, PROMPT.shape[1] :].tolist() == model, settings

    def test_another_value(self, llama: Any, plain: list[int]) -> None:
        """A preset's own value acts alone, and the model's other values beside it."""
        first = plain[0]
        settings = {"suppress_tokens": [first], "no_repeat_ngram_size": 1}
        other = text(llama, {}, {"no_repeat_ngram_size": 1, "suppress_tokens": [3]})

        assert other == text(llama, {"suppress_tokens": [3]}, settings)

    def test_another_end_at_the_limit(self, llama: Any, plain: list[int]) -> None:
        """A preset's forced end wins, and comes where `generate` ends or at its `max_tokens`."""
        settings = {"forced_eos_token_id": 5}

        assert [*plain[:-1], 6] == text(llama, {"forced_eos_token_id": 6}, settings)
        limited = {"forced_eos_token_id": 6, "max_tokens": 4}
        assert [*plain[:3], 6] == text(llama, limited, settings)

    def test_ends_that_differ(self, llama: Any) -> None:
        """Rows with different forced ends need `max_tokens`: `generate` has one for all."""
        presets: list[Any] = [{"forced_eos_token_id": 6}, {"forced_eos_token_id": 7}]
        with pytest.raises(EngineError, match="max_tokens in the presets") as error:
            generate_kwargs(presets, model=llama, catalogue=NOTHING)
        assert ["forced_eos_token_id"] == [problem.path for problem in error.value.problems]
        limited = [{**preset, "max_tokens": 4, "temperature": 0} for preset in presets]
        kwargs = generate_kwargs(limited, model=llama, catalogue=NOTHING)
        done = llama.generate(PROMPT.repeat(2, 1), **kwargs)

        assert [6, 7] == done[:, -1].tolist()

    def test_one_row_overrides(self, llama: Any, plain: list[int]) -> None:
        """In a batch the model's value stays in force for the rows that don't set the field."""
        settings = {"suppress_tokens": [plain[0]]}
        suppressed = text(llama, {}, settings)
        presets: list[Any] = [{"temperature": 0}, {"temperature": 0, "suppress_tokens": []}]
        kwargs = generate_kwargs(presets, model=llama, catalogue=NOTHING)
        done = llama.generate(PROMPT.repeat(2, 1), **kwargs, max_new_tokens=NEW)

        assert [suppressed, plain] == done[:, PROMPT.shape[1] :].tolist()


def bart_config() -> BartConfig:
    """A small encoder and decoder."""
    return BartConfig(
        vocab_size=VOCABULARY, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, pad_token_id=0, bos_token_id=1, eos_token_id=END,
        decoder_start_token_id=2, forced_eos_token_id=END,
    )  # fmt: skip


def test_an_encoder_decoders_own_values_stay() -> None:
    """BART forces its end at the limit of `generate`, which Transformers alone knows."""
    torch.manual_seed(0)
    model = BartForConditionalGeneration(bart_config()).eval()
    stock = model.generate(PROMPT, max_new_tokens=NEW, do_sample=False, num_beams=1)
    kwargs = generate_kwargs({"temperature": 0}, model=model, catalogue=NOTHING)
    sampled = model.generate(PROMPT, max_new_tokens=NEW, num_beams=1, **kwargs)

    assert stock.tolist() == sampled.tolist()
    assert END == sampled[0, -1]


def cut(text: list[int], length: int) -> list[int]:
    """A row of a batch as long as it is alone; what follows must be padding."""
    assert not any(text[length:])
    return text[:length]


class TestTheEncodersText:
    """Fields that read the encoder's text, which a logits processor doesn't see."""

    SOURCE = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10, 11, 12]])

    @pytest.fixture(params=["bart", "t5"])
    def model(self, request: pytest.FixtureRequest) -> Any:
        """A random model with an encoder."""
        torch.manual_seed(0)
        if request.param == "t5":
            config = T5Config(
                vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
                pad_token_id=0, eos_token_id=END, decoder_start_token_id=0,
            )  # fmt: skip
            return T5ForConditionalGeneration(config).eval()
        return BartForConditionalGeneration(bart_config()).eval()

    @pytest.mark.parametrize(
        "fields",
        [
            {"encoder_repetition_penalty": 5.0},
            {"encoder_no_repeat_ngram_size": 1},
            {"encoder_no_repeat_ngram_size": 2, "encoder_repetition_penalty": 0.2},
        ],
    )
    def test_it_is_as_in_transformers(self, model: Any, fields: dict[str, Any]) -> None:
        """The text is that of Transformers' own arguments."""
        plain = {"max_new_tokens": NEW, "num_beams": 1}
        stock = model.generate(self.SOURCE, do_sample=False, **plain, **fields)
        preset = {"temperature": 0, **fields}
        kwargs = generate_kwargs(preset, model=model, catalogue=NOTHING)

        assert stock.tolist() == model.generate(self.SOURCE, **plain, **kwargs).tolist()

    def test_they_change_the_text(self, model: Any) -> None:
        """No token of the encoder's text is drawn, where its own tokens would be."""
        kwargs = generate_kwargs(
            {"temperature": 0, "encoder_no_repeat_ngram_size": 1}, model=model, catalogue=NOTHING
        )
        text = model.generate(self.SOURCE, max_new_tokens=NEW, num_beams=1, **kwargs)[0, 1:]

        assert not set(self.SOURCE[0].tolist()) & set(text.tolist())

    def test_rows_that_differ(self, model: Any) -> None:
        """Transformers applies them to all rows, so they are the same in all."""
        presets: list[Any] = [{"encoder_repetition_penalty": 2.0}, {}]
        with pytest.raises(EngineError, match="encoder_repetition_penalty: differs"):
            generate_kwargs(presets, model=model, catalogue=NOTHING)

    def test_in_a_mode(self, model: Any) -> None:
        """A mode can't change what reads the whole text, with its ids and without."""
        preset = {
            "modes": {"one": {"encoder_repetition_penalty": 2.0}, "two": {}},
            "switch": [{"from": "one", "on": {"tokens": 2}, "to": "two"}],
        }
        for inputs in (None, self.SOURCE):
            with pytest.raises(EngineError, match="encoder_repetition_penalty: is set in a mode"):
                generate_kwargs(preset, model=model, inputs=inputs, catalogue=NOTHING)

    @pytest.mark.parametrize(
        "fields",
        [
            {"encoder_repetition_penalty": 5.0},
            {"encoder_no_repeat_ngram_size": 1},
            {"encoder_no_repeat_ngram_size": 2, "encoder_repetition_penalty": 9.0},
            {"encoder_no_repeat_ngram_size": 3, "encoder_repetition_penalty": 0.1},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("known", [True, False], ids=["model", "no model"])
    def test_the_sources_ids(self, model: Any, fields: dict[str, Any], known: bool) -> None:
        """With `inputs` the text is that of Transformers' own arguments, greedy and in beams."""
        inputs = {"input_ids": self.SOURCE, "attention_mask": torch.ones_like(self.SOURCE)}
        for beams in (1, 3):
            plain = {"max_new_tokens": NEW, "num_beams": beams}
            stock = model.generate(**inputs, do_sample=False, **plain, **fields)
            for given in (inputs, self.SOURCE, self.SOURCE.tolist()):
                kwargs = generate_kwargs(
                    {"do_sample": False, **fields}, model=model if known else None, inputs=given,
                    catalogue=NOTHING,
                )  # fmt: skip

                assert stock.tolist() == model.generate(**inputs, **plain, **kwargs).tolist()
                assert all(kwargs[name] in (0, 1.0) for name in fields)

    def test_the_models_own_value(self, model: Any) -> None:
        """A preset's value replaces the model's, and rows that set none keep it."""
        model.generation_config.encoder_repetition_penalty = 30.0
        stock = model.generate(self.SOURCE, do_sample=False, max_new_tokens=NEW)
        own = model.generate(
            self.SOURCE, do_sample=False, max_new_tokens=NEW, encoder_repetition_penalty=0.1
        )
        presets: list[Any] = [
            {"do_sample": False},
            {"do_sample": False, "encoder_repetition_penalty": 0.1},
        ]
        inputs = self.SOURCE.repeat(2, 1)
        kwargs = generate_kwargs(presets, model=model, inputs=inputs, catalogue=NOTHING)
        done = model.generate(inputs, max_new_tokens=NEW, **kwargs).tolist()

        assert stock.tolist() != own.tolist()
        for one, text in zip((stock, own), done, strict=True):
            assert one[0].tolist() == cut(text, one.shape[1])

    def test_the_scores(self, model: Any) -> None:
        """Every step has the scores that Transformers' own processors give."""
        fields = {"encoder_no_repeat_ngram_size": 2, "encoder_repetition_penalty": 3.0}
        plain = {"max_new_tokens": NEW, "output_scores": True, "return_dict_in_generate": True}
        stock = model.generate(self.SOURCE, do_sample=False, **plain, **fields)
        kwargs = generate_kwargs(
            {"do_sample": False, **fields}, model=model, inputs=self.SOURCE, catalogue=NOTHING
        )
        done = model.generate(self.SOURCE, **plain, **kwargs)

        for expected, actual in zip(stock.scores, done.scores, strict=True):
            torch.testing.assert_close(expected, actual, rtol=1e-6, atol=0)

    def test_each_row_reads_its_source(self, model: Any) -> None:
        """Rows of different presets, padded and in samples, are as they are alone."""
        presets: list[Any] = [
            {"encoder_repetition_penalty": 50.0, "reproducible": True},
            {"encoder_no_repeat_ngram_size": 1, "reproducible": True},
            {"reproducible": True},
        ]
        sources = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 0, 0], [0, 0, 11, 12, 13]])
        mask = (sources != 0).long()
        plain = {"max_new_tokens": NEW, "num_return_sequences": 2}
        inputs = {"input_ids": sources, "attention_mask": mask}
        kwargs = generate_kwargs(
            presets, model=model, seeds=[1, 2, 3], inputs=inputs, catalogue=NOTHING
        )
        together = model.generate(**inputs, **plain, **kwargs).tolist()
        for row, preset in enumerate(presets):
            one = {name: value[row : row + 1] for name, value in inputs.items()}
            kwargs = generate_kwargs(
                preset, model=model, seeds=[row + 1], inputs=one, catalogue=NOTHING
            )
            alone = model.generate(**one, **plain, **kwargs).tolist()

            assert alone == [cut(text, len(alone[0])) for text in together[2 * row : 2 * row + 2]]
        texts = [set(text[1:]) for text in together]
        assert not texts[2] & {8, 9, 10}
        assert texts[0] & {3, 4, 5, 6, 7}

    def test_padding_is_no_source(self, model: Any) -> None:
        """Without a mask the tokenizer's padding is left out, on either side."""
        preset = {"do_sample": False, "encoder_no_repeat_ngram_size": 1}
        tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=END)
        sources = torch.tensor([[3, 4, 0], [0, 5, 6]])
        kwargs = generate_kwargs(preset, tokenizer, model=model, inputs=sources, catalogue=NOTHING)
        (processor,) = kwargs["logits_processor"]
        scores = processor(torch.tensor([[2], [2]]), torch.zeros(2, VOCABULARY))

        assert [[3, 4], [5, 6]] == [
            torch.nonzero(row == -torch.inf).flatten().tolist() for row in scores
        ]

    def test_no_ngram_goes_across(self) -> None:
        """An n-gram that begins in the source and ends in the decoder's text is none."""
        preset = {"encoder_no_repeat_ngram_size": 3}
        kwargs = generate_kwargs(preset, inputs=[[5, 2, 7, 9, 5]], catalogue=NOTHING)
        (processor,) = kwargs["logits_processor"]
        first = processor(torch.tensor([[2]]), torch.zeros(1, VOCABULARY))
        last = processor(torch.tensor([[2, 7]]), torch.zeros(1, VOCABULARY))

        assert torch.isfinite(first).all()
        assert [9] == torch.nonzero(last[0] == -torch.inf).flatten().tolist()

    def test_a_schedule(self) -> None:
        """A value that follows a schedule counts the decoder's new tokens."""
        preset = {"encoder_repetition_penalty": {"from": 1.0, "to": 3.0, "over": 2}}
        kwargs = generate_kwargs(preset, inputs=[[5, 6]], catalogue=NOTHING)
        (processor,) = kwargs["logits_processor"]
        text, seen = [2], []
        for token in (7, 8, 9):
            seen.append(float(processor(torch.tensor([text]), torch.ones(1, VOCABULARY))[0, 5]))
            text.append(token)

        assert [1.0, 2.0, 3.0] == seen

    @pytest.mark.parametrize(
        "inputs", [{"input_features": torch.zeros(1, 4, 4)}, torch.zeros(1, 3), [3, 4], "text"]
    )
    def test_inputs_without_ids(self, model: Any, inputs: Any) -> None:
        """What the encoder reads must be token ids, if a preset reads them; else it isn't read."""
        preset = {"encoder_no_repeat_ngram_size": 1}
        with pytest.raises(EngineError, match="inputs: has no token ids"):
            generate_kwargs(preset, model=model, inputs=inputs, catalogue=NOTHING)
        generate_kwargs({"top_k": 3}, model=model, inputs=inputs, catalogue=NOTHING)

    def test_sources_for_fewer_rows(self, model: Any) -> None:
        """Two sources for one row: not those of this call."""
        preset = {"encoder_no_repeat_ngram_size": 1}
        kwargs = generate_kwargs(preset, model=model, inputs=[[3], [4]], catalogue=NOTHING)
        with pytest.raises(EngineError, match="inputs: one source for each prompt"):
            model.generate(self.SOURCE, max_new_tokens=1, **kwargs)

    def test_an_unknown_model(self) -> None:
        """Nobody knows whether there is an encoder: refused, and a neutral value is nothing."""
        fields = {"encoder_repetition_penalty": 2.0, "encoder_no_repeat_ngram_size": 2}
        with pytest.raises(EngineError, match=r"model=model\), or inputs=inputs") as error:
            generate_kwargs(fields, catalogue=NOTHING)

        assert sorted(fields) == [problem.path for problem in error.value.problems]
        generate_kwargs({"encoder_repetition_penalty": 1.0}, catalogue=NOTHING)

    def test_a_decoder_alone(self, llama: Any) -> None:
        """Its prompt is what the stages read, with `inputs` or without."""
        fields = {"encoder_no_repeat_ngram_size": 1, "do_sample": False}
        stock = llama.generate(PROMPT, max_new_tokens=NEW, **fields)
        for inputs in (None, PROMPT, [[30, 31]]):
            kwargs = generate_kwargs(fields, model=llama, inputs=inputs, catalogue=NOTHING)

            assert stock.tolist() == llama.generate(PROMPT, max_new_tokens=NEW, **kwargs).tolist()


class TestWhatGenerateWouldLeaveOut:
    """Arguments with which the presets would not act, or not on the drawn tokens."""

    def test_paged(self) -> None:
        """`paged` turns `generate` to continuous batching, which calls no processor."""
        with pytest.raises(EngineError, match=r"transformers\.generate_batch"):
            generate_kwargs({"cache_implementation": "paged"}, catalogue=NOTHING)

    @pytest.mark.parametrize("values", [{"mirostat": 2}, {"adaptive_target": 0.3}])
    def test_drafts_beside_a_state(self, llama: Any, values: dict[str, Any]) -> None:
        """A state would follow drafts as if they were drawn: refused, wherever they come from."""
        with pytest.raises(EngineError, match="prompt_lookup_num_tokens: drafts tokens"):
            generate_kwargs({**values, "prompt_lookup_num_tokens": 3}, catalogue=NOTHING)
        with pytest.raises(EngineError, match="assistant_model: drafts tokens"):
            generate_kwargs(values, assistant_model=llama, catalogue=NOTHING)
        kwargs = generate_kwargs(values, catalogue=NOTHING)
        prompt = torch.tensor([[1, 2, 3, 4, 2, 3, 4, 2, 3, 4, 2, 3]])
        with pytest.raises(EngineError, match="drafts tokens, which"):
            llama.generate(
                prompt, **kwargs, max_new_tokens=NEW, prompt_lookup_num_tokens=3, eos_token_id=None
            )

    def test_a_pipeline_of_one(self, llama: Any) -> None:
        """Two presets for one row: the message names the pipeline's batch size."""
        kwargs = generate_kwargs(["code", "chat"])
        with pytest.raises(EngineError, match="in a pipeline: batch_size=2, or a call for each"):
            llama.generate(PROMPT, **kwargs, max_new_tokens=1)


def test_whisper_is_greedy_without_do_sample() -> None:
    """Its `generate` draws whenever its own argument `temperature` is above 0."""
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=VOCABULARY, num_mel_bins=4, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_source_positions=8, max_target_positions=40, pad_token_id=0,
        bos_token_id=1, eos_token_id=END, decoder_start_token_id=2, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config.no_timestamps_token_id = 38
    model.generation_config.is_multilingual = False
    features = torch.randn(1, 4, 16)
    stock = model.generate(features, do_sample=False, max_new_tokens=NEW)
    kwargs = generate_kwargs({"do_sample": False}, model=model, catalogue=NOTHING)
    texts = [model.generate(features, max_new_tokens=NEW, **kwargs).tolist() for _ in range(4)]

    assert [stock.tolist()] * 4 == texts


class TestTokenIds:
    """Token ids that the model doesn't have."""

    @pytest.mark.parametrize(
        ("preset", "path"),
        [
            ({"allowed_token_ids": [VOCABULARY]}, f"allowed_token_ids.{VOCABULARY}"),
            ({"logit_bias": {99: 1}}, "logit_bias.99"),
            ({"bad_words_ids": [[1, 99]]}, "bad_words_ids.99"),
            ({"modes": {"a": {"suppress_tokens": [99]}}}, "suppress_tokens.99"),
            (
                {"modes": {"a": {}, "b": {}}, "switch": [{"on": {"token": 99}, "to": "b"}]},
                "switch.0.on.token",
            ),
        ],
        ids=str,
    )
    def test_generate(self, llama: Any, preset: dict[str, Any], path: str) -> None:
        """A token id beyond the vocabulary is refused by `generate_kwargs`, or at a step."""
        with pytest.raises(PresetError, match="no such token") as error:
            generate_kwargs(preset, model=llama, catalogue=NOTHING)
        assert path == error.value.problems[0].path
        processor = PresetLogitsProcessor(preset, catalogue=NOTHING)
        with pytest.raises(PresetError, match="no such token"):
            processor(PROMPT, torch.zeros(1, VOCABULARY))
