"""Samplers on real text: SmolLM2 in float32, drawn with stock Transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

from temperament.engines.transformers import PresetLogitsProcessor, generate_kwargs
from temperament.plan.vocabulary import TokenBytes

LOOPING = "I like apples. I like pears. I like apples. I like"
BANNED = "Paris"
CAPITAL = "The capital of France is"
TEXTS = [
    "Hello, world! It's 12:30.",
    "naïve café, Übergröße, 你好，世界 🙂🙃",
    "def f(x):\n\treturn x ** 2  # squared\n\n\n",
    "<|im_start|>user\nHi<|im_end|>",
]


@pytest.fixture(scope="module")
def smollm2(smollm2_path: Path) -> SimpleNamespace:
    """SmolLM2 in float32, and its tokenizer, which pads on the left."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(smollm2_path, dtype=torch.float32).eval()
    return SimpleNamespace(tokenizer=tokenizer, model=model)


class Watch(LogitsProcessor):
    """The last processor: keeps each token's surprise in bits, and how many tokens are left."""

    supports_continuous_batching = False

    def __init__(self) -> None:
        self.surprises: list[Tensor] = []
        # [rows] how many tokens each step left, and [rows, vocabulary] the last step's
        self.left: list[Tensor] = []
        self._last: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self._last is not None:
            drawn = self._last.gather(1, input_ids[:, -1:])[:, 0]
            self.surprises.append(-drawn / math.log(2))
        self._last = scores.log_softmax(-1)
        self.left.append((scores > -math.inf).sum(-1))
        return scores


def generate(
    smollm2: SimpleNamespace,
    prompts: Sequence[str],
    presets: Any,
    tokens: int,
    seeds: Sequence[int] | None = None,
) -> tuple[list[list[int]], Watch]:
    """(the tokens of each row, the surprises of the steps)."""
    tokenizer, model = smollm2.tokenizer, smollm2.model
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True)
    kwargs = generate_kwargs(presets, tokenizer, seeds=seeds)
    watch = Watch()
    kwargs["logits_processor"].append(watch)
    done = model.generate(
        **inputs, **kwargs, max_new_tokens=tokens, pad_token_id=tokenizer.pad_token_id
    )
    return done[:, inputs["input_ids"].shape[1] :].tolist(), watch


def longest_repeat(ids: Sequence[int]) -> int:
    """The length of the longest run of tokens that occurs twice."""
    longest = 0
    before = [0] * (len(ids) + 1)
    for one in range(len(ids)):
        lengths = [0] * (len(ids) + 1)
        for other in range(one):
            if ids[one] == ids[other]:
                lengths[other + 1] = before[other] + 1
        longest = max(longest, *lengths)
        before = lengths
    return longest


def test_the_bytes_of_tokens_give_back_the_text(smollm2: SimpleNamespace) -> None:
    """The bytes of a text's tokens join to the text; special tokens have none."""
    known = TokenBytes.of(smollm2.tokenizer)
    for text in TEXTS:
        ids = smollm2.tokenizer.encode(text, add_special_tokens=False)
        plain = text.replace("<|im_start|>", "").replace("<|im_end|>", "")

        assert plain == b"".join(known.tokens[token] for token in ids).decode()


class TestHistory:
    """The stages that read the history."""

    def test_dry_ends_a_loop(self, smollm2: SimpleNamespace) -> None:
        """Greedy text repeats itself; with DRY it doesn't, with and without breakers."""
        prompt = smollm2.tokenizer(LOOPING)["input_ids"]
        kinds: dict[str, dict[str, Any]] = {
            "greedy": {},
            "dry": {"dry_multiplier": 0.8},
            "dry without breakers": {"dry_multiplier": 0.8, "dry_sequence_breakers": []},
        }
        presets = [{"temperature": 0, **values} for values in kinds.values()]
        texts, _ = generate(smollm2, [LOOPING] * 3, presets, 56)
        repeats = {
            name: longest_repeat([*prompt, *text]) for name, text in zip(kinds, texts, strict=True)
        }
        print(f"\nlongest repeated span of 56 tokens: {repeats}")

        assert repeats["greedy"] > 30
        assert repeats["dry"] < 12
        assert repeats["dry without breakers"] < 12

    def test_a_banned_string_never_appears(self, smollm2: SimpleNamespace) -> None:
        """None of 16 texts has the string, in whichever tokens it can be spelt."""
        known = [
            token.decode("utf-8", "replace") for token in TokenBytes.of(smollm2.tokenizer).tokens
        ]
        pieces = {token for token in known if token}

        @cache
        def cuts(text: str) -> int:
            """How many ways there are to put a text together from tokens."""
            parts = [n for n in range(1, len(text) + 1) if text[:n] in pieces]
            return 1 if not text else sum(cuts(text[n:]) for n in parts)

        shown = {}
        for banned in ([], [BANNED]):
            torch.manual_seed(0)
            texts, _ = generate(smollm2, [CAPITAL] * 16, {"banned_strings": banned}, 10)
            shown[bool(banned)] = sum(BANNED in smollm2.tokenizer.decode(ids) for ids in texts)
        print(f"\n{BANNED!r} can be cut in {cuts(BANNED)} ways; it stands in {shown[False]} of 16"
              f" texts, in {shown[True]} when banned")  # fmt: skip

        assert cuts(BANNED) >= 5
        assert shown[False] > 4
        assert 0 == shown[True]

    @pytest.mark.parametrize("beams", [1, 4])
    def test_ngrams_as_transformers_bans_them(self, smollm2: SimpleNamespace, beams: int) -> None:
        """Greedy text and beams are those of Transformers' own n-gram processor."""
        tokenizer = smollm2.tokenizer
        inputs = tokenizer([LOOPING, "One, two, three, one"], return_tensors="pt", padding=True)
        options = {
            "num_beams": beams,
            "do_sample": False,
            "max_new_tokens": 12,
            "pad_token_id": tokenizer.pad_token_id,
        }
        # Padding is no text for us, but for Transformers' own processor it is.
        for row in range(2):
            text = {name: part[row][inputs["attention_mask"][row].bool()][None]
                    for name, part in inputs.items()}  # fmt: skip
            processor = PresetLogitsProcessor({"no_repeat_ngram_size": 3}, tokenizer)
            generated = smollm2.model.generate(
                **text, **options, logits_processor=LogitsProcessorList([processor])
            )
            theirs = smollm2.model.generate(**text, **options, no_repeat_ngram_size=3)

            assert theirs.tolist() == generated.tolist()
            ids = generated[0].tolist()
            prompt = text["input_ids"].shape[1]
            grams = [tuple(ids[place : place + 3]) for place in range(len(ids) - 2)]
            new = grams[max(0, prompt - 2) :]
            assert len(new) == len(set(new))


class TestChance:
    """The stages with noise."""

    def test_mirostat_settles_at_tau(self, smollm2: SimpleNamespace) -> None:
        """Over 360 tokens, 45 of 8 texts, the mean surprise is within 10 % of tau.

        Tau lies below what the model has by itself: a cut can only lower the surprise. Each text
        has a bound of its own, which begins at twice tau; an eta of 0.5 brings it down soon.
        """
        tau = 3.0
        preset = {
            "mirostat_tau": tau,
            "mirostat_eta": 0.5,
            "temperature": 1.5,
            "suppress_tokens": [smollm2.tokenizer.eos_token_id],
        }
        torch.manual_seed(0)
        texts, watch = generate(
            smollm2,
            ["The old man looked at the sea and"] * 16,
            [{"mirostat": version, **preset} for version in [1] * 8 + [2] * 8],
            46,
        )
        surprise = torch.stack(watch.surprises, 1).view(2, 360)
        fifths = surprise.view(2, 8, 5, 9).mean((1, 3))
        print(f"\nmirostat 1, 2: {surprise.mean(1).tolist()} bits for a tau of {tau}; fifths"
              f" {fifths.tolist()}")  # fmt: skip

        assert 16 == len(texts)
        assert (abs(surprise.mean(1) - tau) < 0.1 * tau).all()

    def test_a_seed_gives_its_text_in_any_company(self, smollm2: SimpleNamespace) -> None:
        """A seed gives the same text alone, among seven other chains, and with padding."""
        chains: list[dict[str, Any]] = [
            {"temperature": 1.2},
            {"temperature": 0.8, "top_p": 0.9},
            {"temperature": 1.5, "min_p": 0.05, "xtc_probability": 0.5},
            {"temperature": 1.0, "mirostat": 2},
            {"temperature": 1.0, "dry_multiplier": 0.8},
            {"temperature": 1.0, "adaptive_target": 0.4},
            {"temperature": 1.0, "typical_p": 0.9},
            {"temperature": 1.0, "no_repeat_ngram_size": 3, "banned_strings": ["the"]},
        ]
        presets = [{"reproducible": True, **chain} for chain in chains]
        prompts = ["The sea", LOOPING, CAPITAL, "Once upon a time there was", "A", "My dog and I",
                   "Dear friends, it is a great pleasure to", "In the end"]  # fmt: skip
        seeds = list(range(100, 108))
        together, watch = generate(smollm2, prompts, presets, 8, seeds)
        again, _ = generate(smollm2, prompts, presets, 8, seeds)
        parted = []
        for row, (prompt, preset, seed) in enumerate(zip(prompts, presets, seeds, strict=True)):
            (alone,), _ = generate(smollm2, [prompt], preset, 8, [seed])
            end = len(alone)
            if together[row][:end] != alone:
                step = next(i for i in range(end) if together[row][i] != alone[i])
                parted.append((row, step))
        other, _ = generate(smollm2, prompts, presets, 8, [seed + 50 for seed in seeds])
        print(f"\ntexts parted by the logits' last bits: {len(parted)} of 8 {parted}")

        assert together == again
        assert [1] == sorted(set(torch.stack(watch.left).flatten().tolist()))
        assert all(one != two for one, two in zip(together, other, strict=True))
        assert not parted
