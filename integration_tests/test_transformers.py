"""Presets in `model.generate` of stock Transformers, with a real model."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
)

from temperament import Catalogue, EngineError, process
from temperament.engines.transformers import PresetLogitsProcessor, generate_kwargs

PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "One, two",
]
CATALOGUE = Catalogue.load()
SHIPPED = ["code", "math", "data", "chat", "translation", "creative"]
SHARP = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05}
WRITER = {
    "repetition_penalty": 1.3,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.4,
    "temperature": 1.2,
    "top_p": 0.95,
}
LATE = {"temperature": 1.5, "top_k": 40, "order": ["top_k", "temperature"]}


class Recorder(LogitsProcessor):
    """Keeps what passes by: ids and scores."""

    supports_continuous_batching = False

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.seen.append((input_ids.clone(), scores.clone()))
        return scores


@pytest.fixture(scope="module")
def loaded(smollm2_path: Path) -> SimpleNamespace:
    """The model and its tokenizer, padding on the left.

    One thread: the model is small, and threads that share a busy machine wait for each other.
    """
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(smollm2_path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path, padding_side="left")
    assert tokenizer.pad_token_id is not None
    return SimpleNamespace(model=model, tokenizer=tokenizer)


@pytest.fixture
def hub(loaded: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """The same, with a generation config of the test's own, and one seed."""
    before = loaded.model.generation_config
    loaded.model.generation_config = GenerationConfig.from_dict(before.to_dict())
    torch.manual_seed(0)
    yield loaded
    loaded.model.generation_config = before


def generate(
    hub: SimpleNamespace, presets: Any, prompts: list[str] = PROMPTS, **options: Any
) -> SimpleNamespace:
    """Runs `generate` with recorders before and behind the processor."""
    before, behind = Recorder(), Recorder()
    kwargs = generate_kwargs(
        presets, hub.tokenizer, model=options.pop("model", None), catalogue=CATALOGUE
    )
    kwargs["logits_processor"] = LogitsProcessorList([before, *kwargs["logits_processor"], behind])
    inputs = hub.tokenizer(prompts, return_tensors="pt", padding=True)
    done = hub.model.generate(
        **inputs,
        **{"max_new_tokens": 6, **kwargs, **options},
        return_dict_in_generate=True,
        output_scores=True,
    )
    length = inputs["input_ids"].shape[1]
    return SimpleNamespace(
        before=before.seen,
        behind=behind.seen,
        scores=done.scores,
        prompts=inputs,
        tokens=done.sequences[:, length:],
        length=length,
    )


def assert_as_process(hub: SimpleNamespace, ran: SimpleNamespace, presets: list[Any]) -> None:
    """Every row of every step is, bit for bit, what `process` gives for that row alone."""
    for (ids, scores), (_, after) in zip(ran.before, ran.behind, strict=True):
        each = len(scores) // len(presets)
        for row in range(len(scores)):
            prompt = ids[row, : ran.length].tolist()
            while prompt and prompt[0] == hub.tokenizer.pad_token_id:
                prompt.pop(0)
            alone = process(
                scores[row : row + 1],
                presets[row // each],
                prompt_ids=[prompt],
                output_ids=[ids[row, ran.length :].tolist()],
                catalogue=CATALOGUE,
            )
            assert torch.equal(alone[0], after[row])


class TestBatches:
    """Different presets for the rows of one call."""

    def test_each_row_has_its_own_preset(self, hub: SimpleNamespace) -> None:
        """Greedy, cut and penalised rows of one padded batch: each is as it is alone."""
        presets = ["code", SHARP, WRITER]
        ran = generate(hub, presets)

        assert len({int(n) for n in ran.prompts["attention_mask"].sum(1)}) > 1
        assert_as_process(hub, ran, presets)

    def test_a_greedy_row_is_greedy_among_sampled_ones(self, hub: SimpleNamespace) -> None:
        """A greedy row's text is that of Transformers' own greedy search."""
        ran = generate(hub, ["code", "creative", LATE])
        inputs = hub.tokenizer(PROMPTS, return_tensors="pt", padding=True)
        greedy = hub.model.generate(**inputs, do_sample=False, max_new_tokens=6)

        assert greedy[0, ran.length :].tolist() == ran.tokens[0].tolist()
        assert ran.tokens[1].tolist() != greedy[1, ran.length :].tolist()

    @pytest.mark.parametrize("many", [False, True], ids=["one preset", "one for each row"])
    def test_all_shipped_presets_run(self, hub: SimpleNamespace, many: bool) -> None:
        """Each shipped preset runs for a whole batch, and all of them run in one batch."""
        if many:
            ran = generate(hub, SHIPPED, ["Hello"] * 6, max_new_tokens=3)
            assert_as_process(hub, ran, SHIPPED)
        else:
            for preset in SHIPPED:
                ran = generate(hub, preset, ["Hello"], max_new_tokens=1)
                assert_as_process(hub, ran, [preset])

    def test_what_is_drawn_was_kept(self, hub: SimpleNamespace) -> None:
        """No token that a preset removed is ever in the text."""
        ran = generate(hub, [SHARP, {"top_k": 2}, {"min_p": 0.3}])

        for step, (_, after) in enumerate(ran.behind):
            assert after.gather(1, ran.tokens[:, step : step + 1]).isfinite().all()

    def test_several_samples_of_a_prompt(self, hub: SimpleNamespace) -> None:
        """Each of `num_return_sequences` samples has the preset of its prompt."""
        presets = ["code", WRITER, LATE]
        ran = generate(hub, presets, num_return_sequences=2)

        assert 6 == len(ran.tokens)
        assert ran.tokens[0].tolist() == ran.tokens[1].tolist()
        assert_as_process(hub, ran, presets)


class TestBeams:
    """Beams, which change rows."""

    def test_a_row_that_moved_keeps_its_history(self, hub: SimpleNamespace) -> None:
        """Right after the beams were reordered each row has the penalties of its own tokens."""
        presets = [WRITER, {**SHARP, "repetition_penalty": 1.5}]
        ran = generate(hub, presets, PROMPTS[:2], num_beams=3)
        moved = sum(
            not torch.equal(later[:, : ran.length + step], earlier)
            for step, ((earlier, _), (later, _)) in enumerate(
                zip(ran.before, ran.before[1:], strict=False)
            )
        )

        assert moved
        assert_as_process(hub, ran, presets)

    def test_beams_of_a_greedy_preset(self, hub: SimpleNamespace) -> None:
        """One token is left for each beam of a greedy preset, so the text is the greedy one."""
        ran = generate(hub, "code", PROMPTS[:1], num_beams=2)
        inputs = hub.tokenizer(PROMPTS[:1], return_tensors="pt")
        greedy = hub.model.generate(**inputs, do_sample=False, max_new_tokens=6)

        assert greedy[0, ran.length :].tolist() == ran.tokens[0].tolist()


class TestTheModelsOwnConfig:
    """What `generation_config.json` sets doesn't act a second time."""

    def sharpen(self, hub: SimpleNamespace) -> None:
        hub.model.generation_config.update(
            do_sample=True,
            temperature=0.1,
            top_k=3,
            min_p=0.5,
            top_p=0.2,
            typical_p=0.5,
            epsilon_cutoff=0.1,
            eta_cutoff=0.1,
            repetition_penalty=1.7,
        )

    def test_it_is_neutral(self, hub: SimpleNamespace) -> None:
        """What is drawn from is what the processor returned, and all that the preset kept."""
        self.sharpen(hub)
        ran = generate(hub, "creative", PROMPTS[:1])

        for drawn_from, (_, after) in zip(ran.scores, ran.behind, strict=True):
            assert torch.equal(drawn_from, after)
            assert drawn_from.isfinite().all()
        assert_as_process(hub, ran, ["creative"])

    def test_it_would_act_otherwise(self, hub: SimpleNamespace) -> None:
        """The same processor, given alone, is followed by Transformers' own."""
        self.sharpen(hub)
        inputs = hub.tokenizer(PROMPTS[:1], return_tensors="pt")
        done = hub.model.generate(
            **inputs,
            logits_processor=LogitsProcessorList([PresetLogitsProcessor("creative")]),
            max_new_tokens=1,
            return_dict_in_generate=True,
            output_scores=True,
        )

        assert int(done.scores[0].isfinite().sum()) <= 3

    def test_with_the_model_it_lies_below(self, hub: SimpleNamespace) -> None:
        """With `model=` the model's generation config holds for what the preset doesn't name."""
        config = hub.model.generation_config
        config.update(do_sample=True, temperature=0.1, top_k=3, repetition_penalty=1.7)
        ran = generate(hub, {"temperature": 1.2}, PROMPTS[:1], model=hub.model)
        merged = {"temperature": 1.2, "top_k": 3, "repetition_penalty": 1.7}

        for drawn_from, (_, after) in zip(ran.scores, ran.behind, strict=True):
            assert torch.equal(drawn_from, after)
        assert_as_process(hub, ran, [merged])

    def test_neutral_words_of_a_preset_undo_it(self, hub: SimpleNamespace) -> None:
        """Naming `top_k: 0` is not the same as not naming it."""
        hub.model.generation_config.update(do_sample=True, top_k=3)
        ran = generate(hub, {"top_k": 0}, PROMPTS[:1], model=hub.model, max_new_tokens=1)

        assert ran.scores[0].isfinite().all()


class TestTheProcessor:
    """`PresetLogitsProcessor` in a list of one's own."""

    def test_beside_another_processor(self, hub: SimpleNamespace) -> None:
        """The processor runs where it stands in the list of processors."""
        before, behind = Recorder(), Recorder()
        processors = [before, PresetLogitsProcessor(["code", SHARP], hub.tokenizer), behind]
        inputs = hub.tokenizer(PROMPTS[:2], return_tensors="pt", padding=True)
        hub.model.generate(
            **inputs,
            logits_processor=LogitsProcessorList(processors),
            do_sample=True,
            top_k=0,
            max_new_tokens=4,
        )
        length = inputs["input_ids"].shape[1]
        ran = SimpleNamespace(before=before.seen, behind=behind.seen, length=length)

        assert_as_process(hub, ran, ["code", SHARP])

    def test_it_may_be_used_again(self, hub: SimpleNamespace) -> None:
        """A processor serves a second `generate`, with other prompts of any length."""
        kwargs = generate_kwargs(WRITER, hub.tokenizer)
        first, second = (
            "The capital of France is",
            "One, two, three, four, five, six, seven, eight",
        )
        texts = []
        for prompt in (first, second, first, second):
            torch.manual_seed(0)
            inputs = hub.tokenizer(prompt, return_tensors="pt")
            texts.append(hub.model.generate(**inputs, **kwargs, max_new_tokens=5)[0].tolist())

        assert texts[:2] == texts[2:]

    def test_prompt_lookup_drafts(self, hub: SimpleNamespace) -> None:
        """Assisted generation asks for several positions, and goes back: the text is the same."""
        inputs = hub.tokenizer("a b c d a b c d a b", return_tensors="pt")
        values = {"temperature": 0.0, "frequency_penalty": 0.3}
        plain = hub.model.generate(
            **inputs, **generate_kwargs(values, hub.tokenizer), max_new_tokens=8
        )
        assisted = hub.model.generate(
            **inputs,
            **generate_kwargs(values, hub.tokenizer),
            max_new_tokens=8,
            prompt_lookup_num_tokens=3,
        )

        assert plain.tolist() == assisted.tolist()


class TestLengthsAndErrors:
    """What a preset says beside its stages."""

    def test_max_tokens(self, hub: SimpleNamespace) -> None:
        """`max_tokens` is the number of new tokens."""
        inputs = hub.tokenizer(PROMPTS[0], return_tensors="pt")
        kwargs = generate_kwargs({"extends": "code", "max_tokens": 3}, hub.tokenizer)
        done = hub.model.generate(**inputs, **kwargs)

        assert inputs["input_ids"].shape[1] + 3 == done.shape[1]

    def test_stop(self, hub: SimpleNamespace) -> None:
        """The text ends at the first stop text."""
        inputs = hub.tokenizer("One, two, three,", return_tensors="pt")
        values = {"extends": "code", "max_tokens": 20, "stop": ["six"]}
        done = hub.model.generate(**inputs, **generate_kwargs(values, hub.tokenizer))

        assert hub.tokenizer.decode(done[0]).endswith("five, six")

    def test_a_seed_is_refused(self, hub: SimpleNamespace) -> None:
        """A preset's seed is refused, since `generate` has one generator for all rows."""
        with pytest.raises(EngineError, match=r"torch\.manual_seed"):
            generate_kwargs({"seed": 1}, hub.tokenizer)

    def test_lengths_that_differ_are_refused(self, hub: SimpleNamespace) -> None:
        """Presets with different `max_tokens` are refused, since one call has one length."""
        with pytest.raises(EngineError, match="max_tokens"):
            generate_kwargs([{"max_tokens": 1}, {"max_tokens": 2}], hub.tokenizer)

    def test_a_wrong_number_of_presets_is_refused(self, hub: SimpleNamespace) -> None:
        """A wrong number of presets is refused at the first step, before anything is drawn."""
        with pytest.raises(EngineError, match="2 presets for 3 rows"):
            generate(hub, ["code", "chat"])
