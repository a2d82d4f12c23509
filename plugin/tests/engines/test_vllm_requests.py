"""Which `SamplingParams` are accepted, and what runs for them."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from temperament import Catalogue, PresetError, TemperamentError
from temperament.engines.vllm.requests import request_of, validate
from temperament.plan import encode, split_preset
from temperament.plan.targets import VLLM
from temperament.plan.wire import KEY
from temperament.presets import as_preset

CHAIN = as_preset({"temperature": 2.5, "top_k": 5}, Catalogue({})).chain
TEXT = encode(CHAIN, "hot@1")


def params(extra: Any, **fields: Any) -> Any:
    """`SamplingParams` with these fields, neutral elsewhere."""
    others: dict[str, Any] = {"seed": None, "max_tokens": 9, "all_stop_token_ids": {2, 1}}
    others |= {"stop_token_ids": [1], "eos_token_id": 2}
    return SimpleNamespace(**{**VLLM.fields, **others, **fields, "extra_args": extra})


class TestValidate:
    """`validate` accepts chains that can run as they are."""

    @pytest.mark.parametrize("extra", [None, {}, {"other": 1}, {KEY: TEXT}, {KEY: "{}"}], ids=str)
    def test_accepts(self, extra: Any) -> None:
        """No chain, an empty one and a valid one are accepted."""
        validate(params(extra))

    @pytest.mark.parametrize(
        "fields",
        [
            {"temperature": 0.7},
            {"top_p": 0.9, "min_p": 0.1},
            {"repetition_penalty": 1.1},
            {"top_k": -1},
        ],
        ids=str,
    )
    def test_fields_beside_no_chain(self, fields: dict[str, Any]) -> None:
        """Without a chain the engine's fields may have any values."""
        validate(params(None, **fields))
        validate(params({KEY: "{}"}, **fields))

    @pytest.mark.parametrize(
        "fields", [{"top_k": -1}, {"repetition_penalty": 1.1}, {"logit_bias": {1: 2.0}}], ids=str
    )
    def test_fields_before_a_chain(self, fields: dict[str, Any]) -> None:
        """The engine may have biases and penalties, which it runs first; top_k -1 is neutral."""
        validate(params({KEY: TEXT}, **fields))

    def test_a_top_k_that_removes_nothing(self) -> None:
        """Beside a chain that leaves at most k tokens in each mode, a top_k from k on may stand."""
        modes = {
            "modes": {"a": {"top_k": 3}, "b": {"top_k": {"from": 9, "to": 2, "over": 4}},
                      "c": {"temperature": 0}},
            "switch": [{"from": ["a"], "on": {"tokens": 5}, "to": "b"},
                       {"from": ["b"], "on": {"tokens": 5}, "to": "c"}],
        }  # fmt: skip
        text = encode(split_preset(as_preset(modes, Catalogue({})), VLLM, "residual").residual, "x")
        validate(params({KEY: TEXT}, top_k=5))
        validate(params({KEY: text}, top_k=9))

        with pytest.raises(TemperamentError, match="top_k: would act a second time"):
            validate(params({KEY: text}, top_k=8))

    @pytest.mark.parametrize(
        ("extra", "fields", "message"),
        [
            ({KEY: 5}, {}, "vllm_xargs.temperament: not a chain; given: 5; allowed: a string"),
            ({KEY: [TEXT]}, {}, "allowed: a string"),
            ({KEY: None}, {}, "given: None"),
            ({KEY: "hot"}, {}, "allowed: a JSON object"),
            ({KEY: "[]"}, {}, "allowed: a JSON object"),
            ({KEY: '{"temperature": -1}'}, {}, "temperature: not allowed; given: -1"),
            ({KEY: '{"max_tokens": 5}'}, {}, "max_tokens: is not part of a chain"),
            ({KEY: '{"extends": "chat"}'}, {}, "extends: is not part of a chain"),
            ({KEY: TEXT}, {"temperature": 0.7}, "temperature: would act a second time"),
            ({KEY: TEXT}, {"temperature": 0.0}, "temperature: would act a second time"),
            ({KEY: TEXT}, {"top_p": 0.5, "min_p": 0.1}, "min_p: would act a second time"),
            ({KEY: TEXT}, {"top_k": 4}, "given: 4; allowed: 0"),
            ({"preset": "chat"}, {}, "VLLM_PLUGINS=temperament"),
        ],
        ids=str,
    )
    def test_refuses(self, extra: Any, fields: dict[str, Any], message: str) -> None:
        """A wrong chain is a ValueError (HTTP 400 from vLLM) with its place and a remedy."""
        with pytest.raises(TemperamentError) as error:
            validate(params(extra, **fields))

        assert message in str(error.value)
        assert isinstance(error.value, ValueError)

    def test_changes_nothing(self) -> None:
        """`validate` leaves the request's parameters as they are."""
        sampling_params = params({KEY: TEXT}, top_k=-1)
        before = repr(sampling_params)
        validate(sampling_params)

        assert before == repr(sampling_params)


class TestRequestOf:
    """`request_of` reads the chain and what its stages need."""

    @pytest.mark.parametrize("extra", [None, {}, {"other": 1}])
    def test_nothing(self, extra: Any) -> None:
        """A request without a chain runs no stage."""
        assert not request_of(params(extra), 0, 100).chain

    def test_a_preset_that_no_front_end_has_read(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Behind the Rust front end a preset in `vllm_xargs` ends the text, and the log says so."""
        monkeypatch.setattr(logging.getLogger("vllm"), "propagate", True)
        read = [request_of(params({"preset": name}), 0, 100) for name in ("ab", "ab", 5)]
        ignoring: dict[str, Any] = {"eos_token_id": None}
        fields: Any = (ignoring, {**ignoring, "stop_token_ids": None}, {"stop_token_ids": []})
        others = [request_of(params({"preset": "ab"}, **each), 0, 100) for each in fields]

        assert [{"allowed_token_ids": (1, 2)}] * 3 == [request.chain.values for request in read]
        assert [(1,), (1, 2), (2,)] == [
            request.chain.values["allowed_token_ids"] for request in others
        ]
        assert ["vllm_xargs.preset 'ab'", "vllm_xargs.preset 5"] == [
            message.partition("temperament: ")[2].partition(": no front end has read it")[0]
            for message in caplog.messages
        ]

    def test_a_chain(self) -> None:
        """The chain is the encoded one; seed, limit and end tokens come from the parameters."""
        request = request_of(params({KEY: TEXT}, seed=7), 3, 100)

        assert request.chain == CHAIN
        assert (7, 9, (1, 2)) == (request.seed, request.limit, request.ends)

    @pytest.mark.parametrize(
        ("encoded", "field", "expected"),
        [(None, None, 3), (None, 7, 7), (5, None, 5), (None, 0, 0)],
    )
    def test_the_seed(self, encoded: int | None, field: int | None, expected: int) -> None:
        """The noise has the engine's seed, else the chain's, else that of an unseeded request."""
        request = request_of(params({KEY: encode(CHAIN, "hot@1", encoded)}, seed=field), 3, 100)

        assert expected == request.seed

    def test_ids_beyond_the_vocabulary(self) -> None:
        """Offline the door doesn't know the model: the worker gives the request's preset up."""
        text = encode(as_preset({"suppress_tokens": [7, 100]}, Catalogue({})).chain, "mine@1")

        assert request_of(params({KEY: text}), 0, 101).chain
        with pytest.raises(PresetError, match=r"mine@1: suppress_tokens\.100: no such token"):
            request_of(params({KEY: text}), 0, 100)
