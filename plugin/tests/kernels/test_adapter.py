"""vLLM's V2 adapter on the kernels: what a step copies, and what an error leaves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from temperament.batch import arrays, running_tokens, suffix_matches
from temperament.batch.device_chains import DeviceChains
from temperament.compiled.prepared import SWITCH
from temperament.engines.vllm import v2
from tests import rows
from tests.engines.runners import MODES, VOCABULARY, Row, V2Runner
from tests.kernels import draft_counts


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """DRY's breakers, even none, need the bytes of tokens; the stand-in has no tokenizer."""
    monkeypatch.setattr(v2, "token_bytes", lambda _: rows.token_bytes(VOCABULARY))


def nothing(*_: object) -> None:
    """Launches no kernel."""


def runner_of(chain: dict[str, Any]) -> tuple[V2Runner, list[Row]]:
    """Returns a runner with two requests of a chain."""
    runner = V2Runner(drafts=0)
    requests = [Row(slot, chain, [1, 2], [2, 3], []) for slot in range(2)]
    for request in requests:
        runner.add(request)
    return runner, requests


@pytest.mark.parametrize(
    ("chain", "copied"),
    [
        ({"top_k": 3}, False),
        ({"repetition_penalty": 1.5, "top_k": 3}, True),
        (MODES, True),
        ({**draft_counts.MODES}, False),
    ],
    ids=["one launch", "two launches", "modes with two launches", "modes with one launch"],
)
def test_an_error_leaves_the_logits(
    chain: dict[str, Any], copied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is one launch needs no copy of the logits, since nothing was changed before."""
    runner, requests = runner_of(chain)
    logits = torch.randn(2, VOCABULARY)

    def fail(*_: object) -> None:
        raise RuntimeError("put in by the test")

    monkeypatch.setattr(DeviceChains, "_run_chain", fail)
    done = runner.step(requests, logits.clone())

    assert rows.same_bits(done, logits)
    assert 2 == sum(runner.meter.fallbacks.values())
    assert copied == bool(runner.batch._guard._buffer.numel())


def test_each_token_is_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text may grow by several tokens, and batches may change: old tokens aren't read again."""
    chain = {"frequency_penalty": 0.5, "no_repeat_ngram_size": 2}
    texts = [[4], [4, 5], [4, 5, 4], [4, 5, 4, 5, 6, 6], [4, 5, 4, 5, 6, 6, 4]]
    batches = [(0, 1), (0, 1), (0, 1), (0, 1), (0, 1), (1,), (1, 0)]
    logits = torch.randn(2, VOCABULARY)

    def run(removed: bool) -> list[torch.Tensor]:
        runner, _ = runner_of(chain)
        seen = dict.fromkeys(range(2), 0)
        done = []
        for text, batch in zip([*texts, *texts[-1:] * 2], batches, strict=True):
            requests = [Row(slot, chain, [1, 2], [slot, *text], []) for slot in batch]
            for request in requests:
                committed = torch.tensor([*request.prompt, *request.output], dtype=torch.int32)
                runner.tokens[request.slot, : len(committed)] = committed
                if removed:
                    runner.tokens[request.slot, : seen[request.slot]] = VOCABULARY - 1
                seen[request.slot] = len(committed)
            done.append(runner.step(requests, logits[: len(batch)].clone()))
        assert not runner.meter.fallbacks
        return done

    actual = run(removed=True)
    monkeypatch.delenv(SWITCH)

    assert all(rows.same_bits(*pair) for pair in zip(actual, run(removed=False), strict=True))


def test_a_step_uploads_nothing_until_a_request_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots, places and parameters stay on the device, for chains with state and matches too."""
    chain = {"dry_multiplier": 0.8, "dry_sequence_breakers": [], "mirostat": 2}
    runner, requests = runner_of(chain)
    longer = [Row(r.slot, r.chain, r.prompt, [*r.output, 5], []) for r in requests]
    runner.step(requests, torch.randn(2, VOCABULARY))
    uploads = []
    original = arrays.to_device

    def counted(*arguments: Any) -> Any:
        uploads.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(arrays, "to_device", counted)
    for request in longer:
        runner.tokens[request.slot, 4] = 5
    runner.step(longer, torch.randn(2, VOCABULARY))

    assert [] == uploads
    assert not runner.meter.fallbacks
    runner.add(Row(0, {"top_k": 3}, [1, 2], [2, 3], []))
    runner.step(longer[:1], torch.randn(1, VOCABULARY))
    assert uploads


def test_a_step_calls_torch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the kernels only the guard copies the logits, before the first of two launches.

    The kernels are replaced by nothing here, since Triton's interpreter calls torch itself.
    """

    class Called(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Notes the names of torch's operators."""

        def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.append(func.name())
            return func(*args, **(kwargs or {}))

    called: list[str] = []
    monkeypatch.setattr(suffix_matches, "extend_matches", lambda lengths, *_: lengths)
    monkeypatch.setattr(running_tokens, "append_tokens", nothing)
    for name in ("_run_biases", "_run_chain"):
        monkeypatch.setattr(DeviceChains, name, nothing)
    chain = {"dry_multiplier": 0.8, "dry_sequence_breakers": [], "mirostat": 2}
    runner, requests = runner_of(chain)
    logits = torch.randn(2, VOCABULARY)
    for length in range(3):
        text = [Row(r.slot, r.chain, r.prompt, [2, 3, 5, 5][: 2 + length], []) for r in requests]
        context = runner.context(text)
        called.clear()
        with Called():  # type: ignore[no-untyped-call]
            runner.batch.flush()
            runner.batch.apply(logits, context)

    assert ["aten::copy_"] == called
    assert not runner.meter.fallbacks
