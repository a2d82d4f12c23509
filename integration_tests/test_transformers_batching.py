"""Presets in Transformers' continuous batching: one for each request of a manager.

The model is a tiny one in float32. A manager's cache would take most of the machine's memory, so
each has `num_blocks` and `max_batch_tokens`. `generate` runs while no manager does, whose thread
writes `is_causal` into the model's configuration (findings/transformers-two-threads.sh).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("transformers.generation.continuous_batching.cb_logits_processors")

from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    ContinuousBatchingConfig,
    GenerationConfig,
)
from transformers.generation.continuous_batching.offloading_manager import OffloadingManager
from transformers.generation.continuous_batching.requests import RequestState

from temperament import EngineError, PresetError
from temperament.engines.transformers import attach, batched_rows, generate_batch, generate_kwargs
from temperament.ops import OPS
from temperament.stages import STAGES

TOKENS = 14
# Values of each stage, by its name.
CHAINS: dict[str, dict[str, Any]] = {
    "adaptive_p": {"adaptive_target": 0.4},
    "allowed_token_ids": {"allowed_token_ids": list(range(5, 300))},
    "bad_words_ids": {"bad_words_ids": [[n] for n in range(5, 400)]},
    "banned_strings": {"banned_strings": ["e", "a"]},
    "begin_suppress_tokens": {"begin_suppress_tokens": list(range(5, 700))},
    "dry": {"dry_multiplier": 2.0, "dry_allowed_length": 1, "temperature": 0.3},
    "dynamic_temperature": {"dynatemp_low": 0.2, "dynatemp_high": 1.4},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 1},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 3.0},
    "epsilon_cutoff": {"epsilon_cutoff": 0.002},
    "eta_cutoff": {"eta_cutoff": 0.05, "temperature": 0.5},
    "exponential_decay_length_penalty": {
        "exponential_decay_length_penalty": [3, 1.5],
        "eos_token_id": 2,
    },
    "forced_bos_token_id": {"forced_bos_token_id": 77},
    "forced_eos_token_id": {"forced_eos_token_id": [5]},
    "frequency_penalty": {"frequency_penalty": 2.0, "temperature": 0.2},
    "logit_bias": {"logit_bias": {7: 6.0, 9: 6.0}},
    "min_k": {"min_k": True},
    "min_new_tokens": {"min_new_tokens": 9, "logit_bias": {2: 50.0}, "eos_token_id": 2},
    "min_p": {"min_p": 0.3},
    "mirostat": {"mirostat": 2, "mirostat_tau": 2.0},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 1, "temperature": 0.4},
    "p_less": {"p_less": True},
    "p_less_norm": {"p_less_norm": True},
    "presence_penalty": {"presence_penalty": 1.5, "temperature": 0.4},
    "remove_invalid_values": {"remove_invalid_values": True},
    "renormalize_logits": {"renormalize_logits": True},
    "repetition_penalty": {"repetition_penalty": 1.8},
    "reproducible": {},
    "sequence_bias": {"sequence_bias": [[[8], 6.0], [[8, 9], 9.0]]},
    "skew": {"skew": 2.0},
    "smoothing": {"smoothing_factor": 0.5},
    "suppress_tokens": {"suppress_tokens": list(range(5, 600))},
    "temperature": {"temperature": 0.5},
    "tfs": {"tfs": 0.7},
    "top_a": {"top_a": 0.4},
    "top_h": {"top_h": 0.4},
    "top_k": {"top_k": 5},
    "top_n_sigma": {"top_n_sigma": 1.0},
    "top_p": {"top_p": 0.5},
    "typical_p": {"typical_p": 0.5},
    "xtc": {"xtc_probability": 1.0, "xtc_threshold": 0.001, "temperature": 0.5},
    "ees": {"ees": True},
}
MODES = {
    "modes": {"one": {"temperature": 0.4}, "two": {"temperature": 1.6, "top_k": 9}},
    "start": "one",
    "switch": [{"from": "one", "on": {"tokens": 4}, "to": "two"},
               {"from": "two", "on": {"tokens": 3}, "to": "one"}],
    "reproducible": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def hub(tiny_path: Path) -> SimpleNamespace:
    """The model, its tokenizer, and prompts of different lengths."""
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(tiny_path, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_path)
    random = Random(0)
    prompts = [[random.randrange(5, 1000) for _ in range(random.randint(2, 24))] for _ in range(64)]
    return SimpleNamespace(model=model, tokenizer=tokenizer, prompts=prompts)


def small(blocks: int = 200, **options: Any) -> ContinuousBatchingConfig:
    """A configuration with little memory."""
    return ContinuousBatchingConfig(
        **{"num_blocks": blocks, "page_size": 8, "max_batch_tokens": 64, **options}
    )


@contextmanager
def managed(
    hub: SimpleNamespace, config: Any = None, batching: Any = None
) -> Iterator[SimpleNamespace]:
    """A manager that takes presets, running."""
    manager = hub.model.init_continuous_batching(
        config or GenerationConfig(do_sample=True, eos_token_id=-1, max_new_tokens=TOKENS),
        batching or small(),
    )
    try:
        attached = attach(manager, hub.tokenizer)
        manager.start()
        yield SimpleNamespace(manager=manager, attached=attached)
        assert manager.is_running(), manager.background_thread_status.fatal_error
    finally:
        manager.stop(block=True)
        manager.destroy()
        hub.model.set_attn_implementation("sdpa")


def results(manager: Any, count: int, only: str = "") -> dict[str, Any]:
    """The finished outputs of a manager, by id; those of one request alone, if need be."""
    done: dict[str, Any] = {}
    while len(done) < count and manager.is_running():
        output = manager.get_result(timeout=0.5)
        if output is not None and output.is_finished() and only in ("", output.request_id):
            done[output.request_id] = output
    return done


def with_generate(hub: SimpleNamespace, prompt: list[int], preset: Any, seed: int) -> list[int]:
    """The tokens that `generate` gives, the prompt alone."""
    ids = torch.tensor([prompt])
    kwargs = generate_kwargs(preset, hub.tokenizer, seeds=[seed], inputs=ids)
    done = hub.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        **{"max_new_tokens": TOKENS, "eos_token_id": None, "pad_token_id": 0, **kwargs},
    )
    tokens: list[int] = done[0, len(prompt) :].tolist()
    return tokens


@pytest.fixture
def offloaded(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The ids of the requests that lost their cache, and of those whose cache went to the CPU pool.

    The pool's memory is pinned, which takes an accelerator: here it is ordinary memory.
    """
    lost: list[str] = []
    pooled: list[str] = []
    restart, to_pool = (
        RequestState.create_equivalent_initial_request,
        OffloadingManager._offload_to_cpu,
    )
    empty = torch.empty

    def noted(state: Any) -> Any:
        lost.append(state.request_id)
        return restart(state)

    def noted_in_pool(*arguments: Any) -> Any:
        moved = to_pool(*arguments)
        pooled.extend(moved)
        return moved

    def unpinned(*size: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        return empty(*size, **options)

    monkeypatch.setattr(RequestState, "create_equivalent_initial_request", noted)
    monkeypatch.setattr(OffloadingManager, "_offload_to_cpu", noted_in_pool)
    if not torch.accelerator.is_available():
        monkeypatch.setattr(torch, "empty", unpinned)
    return SimpleNamespace(lost=lost, pooled=pooled)


class TestTheSameText:
    """`generate`, continuous batching alone, and in a busy batch: the same tokens."""

    def test_every_stage(self, hub: SimpleNamespace, offloaded: SimpleNamespace) -> None:
        """Every stage, and modes: alone, and in batches whose requests lose their cache for a time.

        They begin again from their tokens, or get the cache back from a pool on the CPU.
        """
        assert CHAINS.keys() == {stage.name for stage in STAGES}
        presets = [
            {"max_tokens": TOKENS, **chain, "reproducible": True} for chain in CHAINS.values()
        ]
        presets.append({"max_tokens": TOKENS, **MODES})
        prompts = hub.prompts[: len(presets)]
        expected = [
            with_generate(hub, prompt, preset, number)
            for number, (prompt, preset) in enumerate(zip(prompts, presets, strict=True))
        ]
        plain = with_generate(hub, prompts[0], {"reproducible": True}, 0)
        with managed(hub) as alone:
            for number, (prompt, preset) in enumerate(zip(prompts, presets, strict=True)):
                request = alone.attached.request_kwargs(preset, seed=number)
                name = alone.manager.add_request(prompt, **request)
                output = results(alone.manager, 1)[name]

                assert (None, expected[number]) == (output.error, output.generated_tokens), preset
        busy, pooled = (
            generate_batch(
                hub.model, prompts, presets, hub.tokenizer, seeds=range(len(presets)),
                generation_config=GenerationConfig(eos_token_id=-1),
                continuous_batching_config=small(40, cpu_offload_space=space),
            )
            for space in (0, 0.01)
        )  # fmt: skip

        assert plain != expected[0]
        assert offloaded.lost
        assert offloaded.pooled
        assert expected == [output.generated_tokens for output in busy]
        assert expected == [output.generated_tokens for output in pooled]

    def test_beside_requests_without_a_preset(self, hub: SimpleNamespace) -> None:
        """A request without a preset draws by the manager's own values, the others by theirs."""
        config = GenerationConfig(
            do_sample=True, temperature=0.5, top_k=1, top_p=0.9, eos_token_id=-1,
            max_new_tokens=TOKENS,
        )  # fmt: skip
        greedy = with_generate(hub, hub.prompts[1], {"temperature": 0}, 0)
        preset = {"reproducible": True, "temperature": 1.5, "top_k": 0, "top_p": 1}
        expected = with_generate(hub, hub.prompts[0], preset, 3)
        with managed(hub, config) as running:
            request = running.attached.request_kwargs(preset, seed=3)
            first = running.manager.add_request(hub.prompts[0], **request)
            second = running.manager.add_request(hub.prompts[1])
            done = results(running.manager, 2)

        assert greedy == done[second].generated_tokens
        assert expected == done[first].generated_tokens

    def test_the_managers_values_lie_below(self, hub: SimpleNamespace) -> None:
        """What a preset doesn't name is that of the manager's generation config."""
        config = GenerationConfig(
            do_sample=True, top_k=3, repetition_penalty=1.5, eos_token_id=-1, max_new_tokens=TOKENS
        )
        with managed(hub, config) as running:
            request = running.attached.request_kwargs({"reproducible": True}, seed=3)
            name = running.manager.add_request(hub.prompts[0], **request)
            done = results(running.manager, 1)
        merged = {"reproducible": True, "top_k": 3, "repetition_penalty": 1.5}

        assert with_generate(hub, hub.prompts[0], merged, 3) == done[name].generated_tokens

    def test_a_requests_own_values_lie_above(self, hub: SimpleNamespace) -> None:
        """What a manager takes for one request replaces the preset's; a wrong value is refused."""
        config = GenerationConfig(
            do_sample=True, temperature=0.5, top_k=50, top_p=0.9, eos_token_id=-1,
            max_new_tokens=TOKENS,
        )  # fmt: skip
        preset = {"reproducible": True, "temperature": 1.5, "top_k": 4}
        merged = {**preset, "temperature": 0.7, "top_p": 0.9, "top_k": 300}
        expected = with_generate(hub, hub.prompts[0], merged, 3)
        others = [
            with_generate(hub, hub.prompts[0], {**merged, **field}, 3)
            for field in ({"top_k": 4}, {"temperature": 1.5})
        ]
        with managed(hub, config, small(per_request_processors=True)) as running:
            request = running.attached.request_kwargs(preset, seed=3)
            add = running.manager.add_request
            name = add(hub.prompts[0], **request, temperature=0.7, top_k=300)
            wrong = add(hub.prompts[0], **request, top_p=-0.5)
            done = results(running.manager, 2)

        assert expected == done[name].generated_tokens
        assert expected not in others
        assert "top_p" in done[wrong].error

    def test_samples(self, hub: SimpleNamespace) -> None:
        """The samples of a prompt are those of `generate`, by number."""
        preset = {"reproducible": True, "temperature": 1.5}
        outputs = generate_batch(
            hub.model, hub.prompts[:2], preset, seeds=[3, 4], max_new_tokens=TOKENS,
            generation_config=GenerationConfig(
                do_sample=True, eos_token_id=-1, num_return_sequences=3
            ),
            continuous_batching_config=small(),
        )  # fmt: skip
        expected = []
        for prompt, seed in zip(hub.prompts, (3, 4), strict=False):
            kwargs = generate_kwargs(preset, seeds=[seed])
            ids = torch.tensor([prompt])
            done = hub.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS,
                eos_token_id=None, pad_token_id=0, num_return_sequences=3, **kwargs,
            )  # fmt: skip
            expected += done[:, len(prompt) :].tolist()

        assert 6 == len({tuple(tokens) for tokens in expected})
        assert expected == [output.generated_tokens for output in outputs]

    def test_streaming(self, hub: SimpleNamespace) -> None:
        """A streamed request has the same tokens, one more at a time."""
        preset = {"reproducible": True, "mirostat": 2, "mirostat_tau": 2.0}
        with managed(hub) as running:
            request = running.attached.request_kwargs(preset, seed=1)
            name = running.manager.add_request(hub.prompts[0], streaming=True, **request)
            seen = [o.generated_tokens for o in running.manager.request_id_iter(name)]

        assert list(range(1, TOKENS + 1)) == [len(tokens) for tokens in seen]
        assert with_generate(hub, hub.prompts[0], preset, 1) == seen[-1]

    def test_the_presets_own_end(self, hub: SimpleNamespace) -> None:
        """`max_tokens` and `eos_token_id` of a preset hold for its request."""
        greedy = with_generate(hub, hub.prompts[2], {"temperature": 0}, 0)
        presets = [
            {"temperature": 0, "max_tokens": 5},
            {"temperature": 0, "eos_token_id": greedy[2]},
        ]
        outputs = generate_batch(
            hub.model, [hub.prompts[2]] * 2, presets, max_new_tokens=TOKENS,
            generation_config=GenerationConfig(eos_token_id=-1),
            continuous_batching_config=small(),
        )  # fmt: skip

        assert [greedy[:5], greedy[: greedy.index(greedy[2]) + 1]] == [
            output.generated_tokens for output in outputs
        ]


@pytest.fixture(scope="module")
def running(hub: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """One manager for the tests that don't end it."""
    with managed(hub) as running:
        yield running


class TestWhatGoesWrong:
    """Nothing of ours ends the manager."""

    @pytest.mark.parametrize(
        ("preset", "message"),
        [
            ("creativ", "did you mean"),
            ({"temperature": -1}, "temperature"),
            ({"logit_bias": {5000: 1.0}}, "5000"),
            ({"num_beams": 3}, "call model.generate"),
            ({"stop": ["x"]}, "token ids alone"),
            ({"max_tokens": 3}, "request_kwargs"),
            ({"seed": 3}, "reproducible"),
            (3, "preset"),
        ],
    )
    def test_a_preset_that_cannot_run(
        self, hub: SimpleNamespace, running: Any, preset: Any, message: str
    ) -> None:
        """It fails its own request, with the reason; `request_kwargs` raises it at once."""
        name = running.manager.add_request(hub.prompts[0], preset=preset)
        output = results(running.manager, 1)[name]

        assert message in output.error
        if message != "request_kwargs":
            with pytest.raises((EngineError, PresetError), match=message):
                running.attached.request_kwargs(preset)

    def test_a_preset_by_name(self, hub: SimpleNamespace, running: Any) -> None:
        """`add_request` alone takes a preset's name."""
        greedy = with_generate(hub, hub.prompts[1], "code", 0)
        name = running.manager.add_request(hub.prompts[1], preset="code")

        assert greedy == results(running.manager, 1)[name].generated_tokens

    def test_cancelled_requests(self, hub: SimpleNamespace, running: Any) -> None:
        """Their places are taken by later requests, and an id may be used again."""
        preset = {"reproducible": True, "mirostat": 2, "mirostat_tau": 2.0}
        request = running.attached.request_kwargs(preset, seed=1)
        expected = [with_generate(hub, prompt, preset, 1) for prompt in hub.prompts[:2]]
        for number, prompt in enumerate(hub.prompts[:40]):
            running.manager.add_request(prompt, request_id=f"cancelled {number}", **request)
        for number in range(40):
            running.manager.cancel_request(f"cancelled {number}")
        texts = []
        for prompt in hub.prompts[:2]:
            running.manager.add_request(prompt, request_id="again", **request)
            finished = results(running.manager, 1, only="again")
            texts.append(finished["again"].generated_tokens)

        assert expected == texts

    def test_an_internal_error(
        self, hub: SimpleNamespace, running: Any, monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        """It costs one request its preset; the others have their text, and the log says so."""

        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("broken")

        monkeypatch.setitem(OPS, "top_a", broken)
        good = running.attached.request_kwargs({"reproducible": True}, seed=5)
        expected = with_generate(hub, hub.prompts[1], {"reproducible": True}, 5)
        with caplog.at_level(logging.ERROR):
            bad = running.manager.add_request(hub.prompts[0], preset={"top_a": 0.3})
            name = running.manager.add_request(hub.prompts[1], **good)
            done = results(running.manager, 2)

        assert TOKENS == len(done[bad].generated_tokens)
        assert expected == done[name].generated_tokens
        assert 1 == running.attached.fallbacks["top_a"]
        assert "goes on without a preset; RuntimeError: broken, in top_a" in caplog.text

    @pytest.mark.parametrize("what", ["place", "_enter", "_sweep", "_catch_up"])
    def test_an_error_outside_of_the_stages(
        self, hub: SimpleNamespace, running: Any, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        """The requests of that batch go on without their presets, and are counted."""
        before = running.attached.fallbacks.get("batch", 0)

        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("broken")

        with monkeypatch.context() as patch:
            patch.setattr(batched_rows.BatchedRows, what, broken)
            bad = running.manager.add_request(hub.prompts[0], preset={"frequency_penalty": 1.0})
            done = results(running.manager, 1)
        counted = running.attached.fallbacks["batch"] - before
        self.test_a_preset_by_name(hub, running)

        assert TOKENS == len(done[bad].generated_tokens)
        assert (TOKENS if what == "place" else 1) <= counted


class TestManagersThatCannot:
    """A manager in which presets can't run is refused, with every reason."""

    def refusal(self, hub: SimpleNamespace, change: Callable[[Any], object], **config: Any) -> str:
        """What `attach` says of a manager after a change."""
        manager = hub.model.init_continuous_batching(
            GenerationConfig(**{"do_sample": True, "eos_token_id": -1, **config}), small()
        )
        try:
            change(manager)
            with pytest.raises(EngineError) as caught:
                attach(manager)
            return str(caught.value)
        finally:
            hub.model.set_attn_implementation("sdpa")

    def test_graphs_and_async(self, hub: SimpleNamespace) -> None:
        """Captured graphs, asynchronous and compiled steps, all at once."""

        def change(manager: Any) -> None:
            config = manager.continuous_batching_config
            config.use_cuda_graph = (False, True)
            config.use_async_batching = True
            config.varlen_compile_config = SimpleNamespace()

        text = self.refusal(hub, change)

        assert 3 == len(text.splitlines())
        assert "use_cuda_graph=False" in text
        assert "use_async_batching=False" in text
        assert "default_compile_level=0" in text

    def test_a_manager_that_takes_the_largest_logit(self, hub: SimpleNamespace) -> None:
        """Without `do_sample` every request would be greedy."""
        assert "do_sample=True" in self.refusal(hub, lambda _: None, do_sample=False)

    def test_twice(self, hub: SimpleNamespace) -> None:
        """A second `attach` to the same manager is refused."""
        assert "takes presets already" in self.refusal(hub, attach)

    def test_after_the_start(self, hub: SimpleNamespace) -> None:
        """A manager that runs has its tensors already."""
        with managed(hub) as running, pytest.raises(EngineError, match="attach before start"):
            attach(running.manager)

    def test_a_processor_that_reads_tokens(self, hub: SimpleNamespace) -> None:
        """Transformers keeps it in the manager, where it gets the wrong ids."""
        text = self.refusal(hub, lambda _: None, no_repeat_ngram_size=2)

        assert "NoRepeatNGramLogitsProcessor" in text

    def test_something_else(self) -> None:
        """What isn't a manager is named."""
        with pytest.raises(EngineError, match="is not a ContinuousBatchingManager"):
            attach(3)

    def test_generate_batch_leaves_the_model_as_it_was(self, hub: SimpleNamespace) -> None:
        """A refused call leaves the attention of the model unchanged."""
        before = hub.model.config._attn_implementation
        for presets, batching in ((["code"], small()), ("code", small(use_async_batching=True))):
            with pytest.raises(EngineError):
                generate_batch(
                    hub.model, hub.prompts[:2], presets, continuous_batching_config=batching
                )

            assert before == hub.model.config._attn_implementation
