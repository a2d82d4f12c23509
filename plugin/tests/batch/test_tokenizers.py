"""Stages that know texts, ends and chance, through every public way in."""

import math
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PretrainedConfig

from temperament import EngineError, PresetError, Run, process
from temperament.engines.transformers import PresetLogitsProcessor, generate_kwargs
from tests import rows
from tests.small_tokenizers import byte_level

X = -math.inf


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Byte-level BPE; token 0 ends a text."""
    return byte_level()


def scores(count: int, vocabulary: int, seed: int = 0) -> Tensor:
    return torch.randn(count, vocabulary, generator=torch.Generator().manual_seed(seed))


NEEDY: list[tuple[dict[str, Any], str]] = [
    ({"banned_strings": ["a"]}, "matches texts"),
    ({"dry_multiplier": 0.5}, "matches texts"),
    ({"dry_multiplier": 0.5, "dry_sequence_breakers": []}, "dry_protect_ends: false"),
    ({"xtc_probability": 0.5}, "xtc_protect_structure: false"),
    ({"min_new_tokens": 3}, "the end of the text"),
    ({"exponential_decay_length_penalty": 1.1}, "the end of the text"),
]
NOT_NEEDY = [
    {"banned_strings": []},
    {"dry_multiplier": 0.5, "dry_sequence_breakers": [], "dry_protect_ends": False},
    {"xtc_probability": 0.5, "xtc_protect_structure": False},
    {"min_new_tokens": 0},
    {"forced_eos_token_id": [1]},
    {"mirostat": 2},
]


class TestWithoutATokenizer:
    """Without a tokenizer, a stage that needs it is refused; nothing is left out in silence."""

    @pytest.mark.parametrize(("values", "why"), NEEDY, ids=lambda value: str(value)[:40])
    def test_what_needs_it(self, values: dict[str, Any], why: str) -> None:
        """Every public way in refuses a stage that needs a tokenizer, and says why."""
        with pytest.raises(PresetError, match=why):
            process(torch.zeros(1, 5), values)
        with pytest.raises(PresetError, match=why):
            Run(values)
        with pytest.raises(PresetError, match=why):
            PresetLogitsProcessor(values)
        with pytest.raises(PresetError, match=why):
            generate_kwargs(values)

    @pytest.mark.parametrize("values", NOT_NEEDY, ids=lambda value: str(value)[:40])
    def test_what_can_do_without(self, values: dict[str, Any]) -> None:
        """The same stages run without a tokenizer if their values name no texts."""
        assert (1, 5) == process(torch.zeros(1, 5), values).shape
        assert PresetLogitsProcessor(values)(torch.ones(1, 2).long(), torch.zeros(1, 5)) is not None

    @pytest.mark.parametrize("values", [one for one, why in NEEDY if "end" in why], ids=str)
    def test_ends_that_are_known(self, values: dict[str, Any]) -> None:
        """Where the ids that end the text are known, stages that act on them need no tokenizer."""
        processor = PresetLogitsProcessor(values, ends=[0])
        text = torch.tensor([[1, 2, 0, 1, 2]])
        processor(text[:, :-1], torch.ones(1, 5))
        after = processor(text, torch.ones(1, 5))[0]

        assert ("dry_multiplier" in values) == (1 == after[0])

    def test_all_at_once(self) -> None:
        """Every stage of every preset that lacks a tokenizer is reported at once."""
        with pytest.raises(PresetError) as caught:
            process(torch.zeros(3, 5), [NEEDY[0][0], {}, {**NEEDY[1][0], **NEEDY[3][0]}])

        assert 3 == len(caught.value.problems)


class TestWithATokenizer:
    """Stages that read texts, on logits as wide as the tokenizer and wider."""

    @pytest.mark.parametrize("wider", [0, 12])
    def test_banned_strings(self, tokenizer: Any, wider: int) -> None:
        """The tokens that contain the text are removed, and no column after the last token."""
        size = len(tokenizer)
        after = process(scores(1, size + wider), {"banned_strings": ["e"]}, tokenizer=tokenizer)[0]
        gone = torch.where(after == X)[0].tolist()

        assert [i for i in range(size) if i and "e" in tokenizer.decode([i])] == gone

    def test_the_prompt_is_not_the_output(self, tokenizer: Any) -> None:
        """`ab` is banned after an `a` of the output, and not after one of the prompt."""
        a, b = (tokenizer.convert_tokens_to_ids(letter) for letter in "ab")
        values = {"banned_strings": ["ab"]}
        x = scores(2, len(tokenizer))
        after = process(x, values, prompt_ids=[[a], []], output_ids=[[], [a]], tokenizer=tokenizer)

        assert after[0, b] > X
        assert X == after[1, b]

    def test_the_end_waits(self, tokenizer: Any) -> None:
        """The tokenizer says which tokens end a text, unless the model's config lists them."""
        x = scores(1, len(tokenizer))
        after = process(x, {"min_new_tokens": 1}, tokenizer=tokenizer)
        assert [0] == torch.where(after[0] == X)[0].tolist()
        config = SimpleNamespace(eos_token_id=[3, 5])
        for model, ends in (
            (None, [0]),
            (SimpleNamespace(generation_config=config, config=PretrainedConfig()), [3, 5]),
        ):
            kwargs = generate_kwargs({"min_new_tokens": 1}, tokenizer, model=model)
            after = kwargs["logits_processor"][0](torch.ones(1, 2).long(), x)
            assert ends == torch.where(after[0] == X)[0].tolist()

    def test_xtc_spares_newlines_and_the_end(self, tokenizer: Any) -> None:
        """XTC spares the end and tokens with a newline, unless `xtc_protect_structure` is false."""
        size = len(tokenizer)
        newline = tokenizer.encode("\n", add_special_tokens=False)[0]
        x = torch.full((1, size), -20.0)
        x[0, [0, newline, 50, 51]] = torch.tensor([3.0, 2.9, 2.8, 2.7])
        values = {"xtc_probability": 1.0, "xtc_threshold": 0.05}
        spared = process(x, values, tokenizer=tokenizer)[0]
        not_spared = process(x, {**values, "xtc_protect_structure": False})[0]

        assert [50] == torch.where(spared == X)[0].tolist()
        assert sorted([0, newline, 50]) == torch.where(not_spared == X)[0].tolist()


CHANCE = {"xtc_probability": 0.5, "xtc_threshold": 0.01, "xtc_protect_structure": False,
          "reproducible": True, "temperature": 2.0}  # fmt: skip


class TestSeeds:
    """The same seed and position give the same draw, whichever way it goes."""

    def test_process_run_and_transformers(self) -> None:
        """`process`, `Run` and the Transformers processor draw the same bits at each step."""
        seeds = [11, 5, 2**63 - 1]
        run = Run(CHANCE, rows=3, seeds=seeds)
        processor = PresetLogitsProcessor(CHANCE, seeds=seeds)
        ids = torch.tensor([[1, 2], [3, 4], [5, 6]])
        for step in range(10):
            x = scores(3, 40, step)
            one = run.run(x)
            other = processor(ids, x)
            third = process(x, CHANCE, output_ids=ids[:, 2:], seeds=seeds)
            assert rows.same_bits(one, other)
            assert rows.same_bits(one, third)
            tokens = one.argmax(-1)
            run.accept(tokens)
            ids = torch.cat([ids, tokens[:, None]], 1)

    @pytest.mark.parametrize("presets", [CHANCE, [CHANCE, CHANCE]], ids=["one", "each"])
    def test_samples_of_a_prompt(self, presets: Any) -> None:
        """A prompt's first sample uses its seed, and no two samples of near seeds are equal."""
        x = torch.zeros(6, 1000)
        seeds = [7, 8]
        after = PresetLogitsProcessor(presets, seeds=seeds)(torch.ones(6, 2).long(), x)
        drawn = after.argmax(-1).tolist()
        expected = process(x[:2], CHANCE, seeds=seeds).argmax(-1).tolist()

        assert expected == [drawn[0], drawn[3]]
        assert 6 == len(set(drawn))

    def test_seeds_that_fit_no_number_of_rows(self) -> None:
        """Two seeds for three rows are refused."""
        processor = PresetLogitsProcessor(CHANCE, seeds=[1, 2])
        with pytest.raises(EngineError, match="2 seeds for 3 rows"):
            processor(torch.ones(3, 2).long(), scores(3, 5))

    def test_the_seed_of_a_preset(self) -> None:
        """A preset's seed counts where the call has none."""
        x = scores(1, 1000)
        by_preset = process(x, {**CHANCE, "seed": 9})

        assert rows.same_bits(by_preset, process(x, CHANCE, seeds=[9]))
        assert rows.same_bits(
            process(x, {**CHANCE, "seed": 9}, seeds=[4]), process(x, CHANCE, seeds=[4])
        )

    def test_padding_is_no_position(self) -> None:
        """A prompt that is padded on the left draws the same as without padding."""
        tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=None)
        x = scores(1, 50)
        values = {**CHANCE, "xtc_probability": 0.0, "repetition_penalty": 1.5}
        plain = PresetLogitsProcessor(values, tokenizer, seeds=[3])(torch.tensor([[4, 5]]), x)
        padded = PresetLogitsProcessor(values, tokenizer, seeds=[3])(
            torch.tensor([[0, 0, 0, 4, 5]]), x
        )

        assert rows.same_bits(plain, padded)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "values",
    [
        {"banned_strings": ["e"]},
        {"dry_multiplier": 1.0},
        {"mirostat": 2},
        {"adaptive_target": 0.3},
        {"xtc_probability": 1.0},
        {"reproducible": True},
    ],
    ids=str,
)
def test_half_precision(tokenizer: Any, values: dict[str, Any], dtype: torch.dtype) -> None:
    """Logits in half precision are computed in float32, and returned as that."""
    x = scores(2, len(tokenizer)).to(dtype)
    after = process(x, values, seeds=[1, 2], tokenizer=tokenizer, output_ids=[[5, 5, 5]] * 2)

    assert torch.float32 == after.dtype
    assert rows.same_bits(
        after,
        process(x.float(), values, seeds=[1, 2], tokenizer=tokenizer, output_ids=[[5, 5, 5]] * 2),
    )


@pytest.mark.parametrize(
    "values",
    [
        {"mirostat": 2, "mirostat_tau": 1.5, "mirostat_eta": 0.5},
        {"adaptive_target": 0.3, "adaptive_decay": 0.5},
        {"dry_multiplier": 1.0, "dry_sequence_breakers": [], "dry_protect_ends": False},
        {"no_repeat_ngram_size": 2},
    ],
    ids=str,
)
def test_beams_take_their_memory_along(values: dict[str, Any]) -> None:
    """A row whose beam moved goes on with that beam's state, as if it had been alone."""
    random = Random(0)
    processor = PresetLogitsProcessor(values)
    texts: list[list[int]] = [[1, 2]] * 4
    past: list[list[Tensor]] = [[], [], [], []]
    for step in range(25):
        # As with a model, equal texts have equal logits.
        x = torch.cat([scores(1, 12, int("".join(map(str, text[-6:])))) * 2 for text in texts])
        after = processor(torch.tensor(texts), x)
        past = [[*inputs, x[row]] for row, inputs in enumerate(past)]
        for row, inputs in enumerate(past):
            alone = PresetLogitsProcessor(values)
            for number, row_input in enumerate(inputs):
                last = alone(torch.tensor([texts[row][: number + 2]]), row_input[None])
            assert rows.same_bits(after[[row]], last)
        parents = [random.randrange(4) for _ in range(4)] if step % 3 else [0, 1, 2, 3]
        left = [torch.where(after[parent] > X)[0].tolist() for parent in parents]
        texts = [[*texts[p], random.choice(kept)] for p, kept in zip(parents, left, strict=True)]
        past = [past[parent] for parent in parents]
