"""A request's body in, the body that vLLM reads out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from temperament import (
    Catalogue,
    EngineError,
    Preset,
    PresetError,
    RequestError,
    TemperamentError,
)
from temperament.errors import Problem
from temperament.plan.vocabulary import TokenBytes
from temperament.presets import as_preset
from temperament.server import planning
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.restrictions import Bounds, Restrictions

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
BATCH = "/v1/chat/completions/batch"
# vLLM's fields where a stage isn't its own.
NEUTRAL = {
    "repetition_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "temperature": 1.0,
    "min_p": 0.0,
    "top_k": 0,
    "top_p": 1.0,
}
NEUTRAL_MESSAGES = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}


def changed(admission: Admission, body: dict[str, Any], path: str = CHAT) -> dict[str, Any]:
    """Returns the rewritten body, with its residual chain, if there is one, under `chain`."""
    admitted = admission.admit(body, None, ENDPOINTS[path])
    assert admitted is not None
    written = dict(admitted.body)
    xargs = dict(written.pop("vllm_xargs", {}))
    if "temperament" in xargs:
        written["chain"] = json.loads(xargs.pop("temperament"))
        written["chain"].pop("preset")
    if xargs:
        written["vllm_xargs"] = xargs
    return written


def defaults(admission: Admission, **values: Any) -> Admission:
    """Returns the server with values in its model's generation_config."""
    return replace(admission, model_defaults=as_preset(values, Catalogue({})))


class TestAdmit:
    """`Admission.admit`."""

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"model": "m", "temperature": 3, "top_p": "x", "min_p": -1},
            {"preset": None},
            {"order": None, "max_tokens": 5, "stop": "x", "seed": -1},
            {"vllm_xargs": {"other": 1}},
            {"use_beam_search": True},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("path", [CHAT, BATCH, COMPLETIONS, RESPONSES])
    def test_a_request_without_fields_of_the_plugin(
        self, admission: Admission, path: str, body: dict[str, Any]
    ) -> None:
        """A request without a field of the plugin isn't changed or checked, even if it is wrong."""
        assert admission.admit(body, None, ENDPOINTS[path]) is None

    def test_the_body_that_was_given_stays(self, admission: Admission) -> None:
        """Admission builds a new body and leaves the client's as it is."""
        body = {"model": "m:cuts", "min_p": 0.2, "vllm_xargs": {"other": 1}}
        before = json.dumps(body)
        changed(admission, body)

        assert json.dumps(body) == before

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"preset": "chat"}, {**NEUTRAL, "temperature": 0.6}),
            ({"model": "m:chat", "n": 2}, {**NEUTRAL, "temperature": 0.6, "model": "m", "n": 2}),
            ({"vllm_xargs": {"preset": "code"}}, {**NEUTRAL, "temperature": 0.0}),
            (
                {"preset": "code", "vllm_xargs": {"other": 1}},
                {**NEUTRAL, "temperature": 0.0, "vllm_xargs": {"other": 1}},
            ),
            # the request's own values win; null isn't one, 0 and a neutral value are
            ({"preset": "chat", "temperature": None}, {**NEUTRAL, "temperature": 0.6}),
            ({"preset": "chat", "temperature": 0}, {**NEUTRAL, "temperature": 0}),
            # the scale of the preset's number, and of the request's
            (
                {"preset": "chat", "temperature_scale": "weights"},
                {**NEUTRAL, "temperature": 1.3},
            ),
            ({"preset": "chat", "temperature": 1.3}, {**NEUTRAL, "temperature": 1.3}),
            (
                {"temperature": 1.5, "temperature_scale": "deepseek-api"},
                {**NEUTRAL, "temperature": 0.8},
            ),
            ({"preset": "chat", "temperature": 1}, NEUTRAL),
            (
                {"preset": "cuts", "min_p": 0},
                {**NEUTRAL, "temperature": 0.8, "top_k": 40, "top_p": 0.9},
            ),
            (
                {"preset": "cuts", "top_p": 1},
                {**NEUTRAL, "temperature": 0.8, "top_k": 40, "min_p": 0.1},
            ),
            (
                {"preset": "cuts", "top_k": -1, "top_p": 1, "min_p": 0, "temperature": 0},
                {**NEUTRAL, "temperature": 0},
            ),
            (
                {"preset": "chat", "presence_penalty": 0.5, "logit_bias": {"7": 1}},
                {
                    **NEUTRAL,
                    "temperature": 0.6,
                    "presence_penalty": 0.5,
                    "logit_bias": {7: 1.0},
                },
            ),
            # what vLLM can't do as the field asks
            (
                {"preset": "cuts"},
                {
                    **NEUTRAL,
                    "chain": {
                        "temperature": 0.8,
                        "top_k": 40,
                        "top_p": 0.9,
                        "min_p": 0.1,
                        "order": ["temperature", "top_k", "top_p", "min_p"],
                    },
                },
            ),
            ({"preset": "turned"}, {**NEUTRAL, "top_p": 0.5}),  # one stage has no order
            (
                {"preset": "turned", "temperature": 0.7},
                {
                    **NEUTRAL,
                    "chain": {"top_p": 0.5, "temperature": 0.7, "order": ["top_p", "temperature"]},
                },
            ),
            (
                {"preset": "chat", "order": ["top_p", "temperature"], "top_p": 0.5},
                {
                    **NEUTRAL,
                    "chain": {"top_p": 0.5, "temperature": 0.6, "order": ["top_p", "temperature"]},
                },
            ),
            ({"order": ["top_k"], "top_k": 3}, {**NEUTRAL, "top_k": 3}),
            (
                {"preset": "bias", "frequency_penalty": 0.5},
                {**NEUTRAL, "chain": {"logit_bias": {"5": 150}, "frequency_penalty": 0.5}},
            ),
        ],
        ids=str,
    )
    def test_sampling_fields(
        self, admission: Admission, body: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        """vLLM gets every sampling field: native stages have values, all others are neutral."""
        assert expected == changed(admission, body)

    @pytest.mark.parametrize(
        ("path", "body", "expected"),
        [
            (CHAT, {}, {"max_completion_tokens": 7, "stop": ["END", "。"], "seed": 3}),
            (BATCH, {}, {"max_completion_tokens": 7, "stop": ["END", "。"], "seed": 3}),
            (COMPLETIONS, {}, {"max_tokens": 7, "stop": ["END", "。"], "seed": 3}),
            (RESPONSES, {}, {"max_output_tokens": 7, "stop": ["END", "。"], "seed": 3}),
            (
                CHAT,
                {"max_tokens": 9, "stop": "x", "seed": 0},
                {"max_completion_tokens": 9, "max_tokens": 9, "stop": ["x"], "seed": 0},
            ),
            (
                CHAT,
                {"max_completion_tokens": 9, "max_tokens": 8, "stop": [], "seed": -1},
                {"max_completion_tokens": 9, "max_tokens": 8, "stop": [], "seed": -1},
            ),
            (
                COMPLETIONS,
                {"max_tokens": 0, "stop": "", "seed": None},
                {"max_tokens": 0, "stop": [""], "seed": 3},
            ),
            (
                RESPONSES,
                {"max_tokens": 9, "stop": None},
                {"max_tokens": 9, "max_output_tokens": 9, "stop": ["END", "。"], "seed": 3},
            ),
            (
                COMPLETIONS,
                {"max_tokens": "x"},
                {"max_tokens": "x", "stop": ["END", "。"], "seed": 3},
            ),
        ],
        ids=str,
    )
    def test_generation_fields(
        self, admission: Admission, path: str, body: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        """The request's generation fields go to vLLM unchanged, under the name that vLLM reads."""
        written = changed(admission, {"preset": "fields", **body}, path)

        assert {**NEUTRAL, "temperature": 0.5, **expected} == written

    def test_messages(self, admission: Admission) -> None:
        """/v1/messages carries three sampling fields; the others are a chain; `stop` is renamed."""
        body = {"model": "m", "max_tokens": 4, "min_p": 0.1, "stop": "x"}

        assert {
            **NEUTRAL_MESSAGES,
            "model": "m",
            "max_tokens": 4,
            "stop": "x",
            "stop_sequences": ["x"],
            "chain": {"min_p": 0.1, "order": ["min_p"]},
        } == changed(admission, body, MESSAGES)

    def test_labels(self, admission: Admission, catalogue: Catalogue) -> None:
        """The label names the preset, even if the request overrides its values."""
        for body in {"preset": "chat"}, {"preset": "对话", "temperature": 0}:
            admitted = admission.admit(body, None, ENDPOINTS[CHAT])

            assert admitted is not None
            assert admitted.label == catalogue["chat"].label
        admitted = admission.admit({"order": ["top_k"]}, None, ENDPOINTS[CHAT])

        assert admitted is not None
        assert admitted.label is None


class TestPrecedence:
    """The layers under a request's fields."""

    def test_the_servers_default(self, admission: Admission, catalogue: Catalogue) -> None:
        """The default preset applies to every request, also to what a named preset doesn't set."""
        admission = replace(admission, default=catalogue["cuts"], platform="cpu")
        chain = {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.1}

        assert changed(admission, {})["chain"].items() >= chain.items()
        written = changed(admission, {"preset": "chat"})
        assert written["chain"].items() >= {**chain, "temperature": 0.6}.items()
        assert changed(admission, {"preset": "neutral"}) == NEUTRAL
        label = admission.admit({}, None, ENDPOINTS[CHAT])
        assert label is not None and label.label == catalogue["cuts"].label

    def test_the_models_values(self, admission: Admission, catalogue: Catalogue) -> None:
        """The model's values are the lowest layer; a request isn't handled for them alone."""
        admission = defaults(admission, temperature=0.6, repetition_penalty=1.1)
        body = {"preset": "turned"}

        assert admission.admit({}, None, ENDPOINTS[CHAT]) is None
        assert changed(admission, body)["chain"].items() >= {"temperature": 0.6}.items()
        assert 1.1 == changed(admission, body)["repetition_penalty"]
        assert 1.0 == changed(admission, {"preset": "neutral"})["temperature"]

    def test_all_of_them(self, admission: Admission, catalogue: Catalogue) -> None:
        """A request's field wins over the preset, the default preset and the model's value."""
        admission = defaults(admission, temperature=0.6, top_k=9, top_p=0.4, min_p=0.3)
        default = Preset("d", {"top_k": 8, "top_p": 0.5, "min_p": 0.2})
        named = Preset("n", {"top_p": 0.6, "min_p": 0.1})
        catalogue = Catalogue({**catalogue, "n": named})
        admission = replace(admission, default=default, catalogue=catalogue, choice="residual")
        written = changed(admission, {"preset": "n", "min_p": 0.05})

        expected = {"temperature": 0.6, "top_k": 8, "top_p": 0.6, "min_p": 0.05}
        assert written["chain"].items() >= expected.items()

    def test_a_schedule_alone(self, admission: Admission) -> None:
        """vLLM reads numbers: a request with a schedule is handled, whatever its field."""
        schedule = {"from": 0.2, "to": 0.9, "over": 5, "curve": "linear"}

        assert changed(admission, {"temperature": schedule})["chain"]["temperature"] == schedule

    def test_beam_search_on_a_server_with_a_default(
        self, admission: Admission, catalogue: Catalogue
    ) -> None:
        """The default preset doesn't act on beam search."""
        admission = replace(admission, default=catalogue["chat"])

        assert admission.admit({"use_beam_search": True}, None, ENDPOINTS[CHAT]) is None


class TestPlan:
    """Where a chain runs."""

    @pytest.mark.parametrize(
        ("choice", "platform", "residual"),
        [
            ("auto", None, []),
            ("auto", "cuda", []),
            ("auto", "cpu", ["temperature", "top_k"]),
            ("native", "cpu", []),
            ("residual", "cuda", ["temperature", "top_k"]),
        ],
    )
    def test_choice(
        self, admission: Admission, choice: Any, platform: str | None, residual: list[str]
    ) -> None:
        """The operator's choice and the platform decide where a chain runs, not what it means."""
        admission = replace(admission, choice=choice, platform=platform)
        written = changed(admission, {"preset": "chat", "top_k": 5})

        assert written.get("chain", {}).get("order", []) == residual
        assert admission.plan(Preset("p", {"top_k": 5}), ENDPOINTS[CHAT]).native["top_k"] == (
            0 if residual else 5
        )


class TestRefusals:
    """Requests that are refused."""

    @pytest.mark.parametrize(
        ("path", "body", "message"),
        [
            (CHAT, {"preset": "chat", "temperature": -1}, "temperature: not allowed; given: -1"),
            (CHAT, {"order": []}, "order"),
            (CHAT, {"preset": "chat", "use_beam_search": True}, "use_beam_search"),
            (CHAT, {"order": ["top_k"], "use_beam_search": True}, "use_beam_search"),
            (CHAT, {"preset": "chat", "logit_bias": {"100": 1}}, "logit_bias.100: no such token"),
            (CHAT, {"preset": "chat", "vllm_xargs": []}, "vllm_xargs: not allowed; given: []"),
            (CHAT, {"preset": "chat", "vllm_xargs": {"temperament": "x"}}, "written by the server"),
            (MESSAGES, {"preset": "fields"}, "seed: can't be set on vllm /v1/messages; given: 3"),
            (MESSAGES, {"min_p": 2}, "min_p"),
        ],
        ids=str,
    )
    def test_each(
        self, admission: Admission, path: str, body: dict[str, Any], message: str
    ) -> None:
        """A problem says where it is and what the value was."""
        with pytest.raises(TemperamentError) as error:
            admission.admit(body, None, ENDPOINTS[path])

        assert message in str(error.value)

    def test_all_at_once(self, admission: Admission) -> None:
        """Three wrong values are reported as three problems."""
        with pytest.raises(PresetError) as error:
            changed(admission, {"preset": "chat", "temperature": -1, "top_k": "x", "order": 5})

        paths = {problem.path for problem in error.value.problems}
        assert {"temperature", "top_k", "order"} == paths

    def test_names_and_values_at_once(self, admission: Admission) -> None:
        """A wrong preset, `vllm_xargs`, a locked field and wrong values are found together."""
        locked = Restrictions(locked={"dry_multiplier": Bounds()})
        body = {
            "preset": {"extends": "chatt", "min_p": "x", "dry_multiplier": 1.0},
            "vllm_xargs": [],
            "temperature": -1,
            "top_k": "x",
            "dry_multiplier": 0.8,
        }
        with pytest.raises(RequestError) as error:
            changed(replace(admission, restrictions=locked), body)

        assert [
            "preset.dry_multiplier",
            "preset.min_p",
            "preset.extends",
            "vllm_xargs",
            "dry_multiplier",
            "temperature",
            "top_k",
        ] == [problem.path for problem in error.value.problems]

    def test_what_cannot_be_honoured_at_once(self, admission: Admission) -> None:
        """An unknown token, a bound, a state that may be lost and a trace are found together."""
        bounds = Restrictions(locked={"temperature": Bounds(max=0.5), "max_tokens": Bounds(max=9)})
        server = replace(admission, restrictions=bounds, sharded=True)
        body = {
            "preset": "chat",
            "mirostat": 2,
            "suppress_tokens": [100],
            "max_tokens": 10,
            "num_beams": 2,
            "preset_trace": True,
        }
        with pytest.raises(RequestError) as error:
            changed(server, body)

        assert [
            "num_beams",
            "suppress_tokens.100",
            "mirostat",
            "temperature",
            "max_tokens",
            "preset_trace",
        ] == [problem.path for problem in error.value.problems]

    def test_beam_search_at_once(self, admission: Admission) -> None:
        """A preset and a locked field beside beam search are found together, before all else."""
        server = replace(admission, restrictions=Restrictions(locked={"top_k": Bounds()}))
        body = {"use_beam_search": True, "preset": "chat", "top_k": 5, "vllm_xargs": []}
        with pytest.raises(RequestError) as error:
            changed(server, body)

        paths = [problem.path for problem in error.value.problems]
        assert ["use_beam_search", "top_k"] == paths

    def test_a_value_of_the_models_that_an_endpoint_cannot_override(
        self, admission: Admission
    ) -> None:
        """/v1/messages can't override such a value: a request for another one is refused."""
        admission = defaults(admission, repetition_penalty=1.1)

        assert "repetition_penalty" not in changed(admission, {"preset": "chat"}, MESSAGES)
        assert 1.1 == changed(admission, {"preset": "chat"})["repetition_penalty"]
        for other in (1.0, 1.3):
            request = {"preset": "chat", "repetition_penalty": other}
            with pytest.raises(TemperamentError, match="repetition_penalty: the model's generati"):
                changed(admission, request, MESSAGES)
        with pytest.raises(TemperamentError, match="repetition_penalty: the model's generation"):
            changed(replace(admission, choice="residual"), {"preset": "chat"}, MESSAGES)

    def test_a_chain_written_by_the_client(self, admission: Admission) -> None:
        """A chain in the client's `vllm_xargs` would pass unchecked, so it is always refused."""
        for request in ({}, {"preset": "chat"}):
            with pytest.raises(TemperamentError, match=r"vllm_xargs\.temperament: is written by"):
                changed(admission, {**request, "vllm_xargs": {"temperament": "{}"}})

    @pytest.mark.parametrize(
        "values",
        [
            {"suppress_tokens": [5, 10**6]},
            {"bad_words_ids": [[1, 10**6]]},
            {"sequence_bias": [[[10**6, 1], 2.0]]},
            {"logit_bias": {"1000000": 1}},
        ],
    )
    def test_unknown_tokens(self, admission: Admission, values: dict[str, Any]) -> None:
        """Every token id in a value must be one of the model's."""
        admission = replace(admission, vocabulary=1000)

        with pytest.raises(TemperamentError, match=r"\.1000000: no such token; allowed: ids below"):
            changed(admission, {"preset": "chat", **values})

    def test_a_state_and_a_batch_that_ranks_share(self, admission: Admission) -> None:
        """A stage with a state is refused, since a preempted request may return to another rank."""
        admission = replace(admission, sharded=True)

        with pytest.raises(TemperamentError, match="mirostat: keeps a state"):
            changed(admission, {"preset": "chat", "mirostat": 2})
        assert changed(admission, {"preset": "chat"})

    @pytest.mark.parametrize(
        ("fields", "top_k"),
        [
            ({"top_k": 20}, 20),  # native
            ({"top_k": 20, "order": ["top_k", "temperature"]}, 20),
            ({"top_k": {"from": 50, "to": 20, "over": 9}}, 50),
            (
                {
                    "modes": {"a": {"top_k": 7}, "b": {"top_k": 3}},
                    "switch": [{"from": ["a"], "on": {"tokens": 5}, "to": "b"}],
                },
                7,
            ),
        ],
        ids=str,
    )
    def test_sampling_masks(self, admission: Admission, fields: dict[str, Any], top_k: int) -> None:
        """vLLM's own top_k bounds its masks: beside a residual chain it is set, and cuts nothing.

        Without masks it stays neutral there.
        """
        body = {"preset": "chat", **fields}
        with_masks = changed(replace(admission, masks=True), body)

        assert top_k == with_masks["top_k"]
        if "chain" in with_masks:
            assert 0 == changed(admission, body)["top_k"]

    def test_a_sampling_mask_without_a_bound(self, admission: Admission) -> None:
        """A preset in which a mode has no top_k is refused where masks are returned."""
        admission = replace(admission, masks=True)
        switch = [{"from": ["a"], "on": {"tokens": 5}, "to": "b"}]
        modes = {"modes": {"a": {"top_k": 7}, "b": {"min_p": 0.1}}, "switch": switch}
        for fields in ({}, modes, {"temperature": 0}):
            with pytest.raises(TemperamentError, match="top_k: is needed in every mode: this serv"):
                changed(admission, {"preset": "chat", **fields})
        with pytest.raises(TemperamentError, match="temperature: must be above 0: this server ret"):
            changed(admission, {"preset": "chat", "temperature": 0, "top_k": 5})


class TestSeeds:
    """The seeds of stages that draw random numbers."""

    NOISY: ClassVar = {"preset": "chat", "xtc_probability": 0.5}

    def chain(self, admission: Admission, *arguments: Any, **fields: Any) -> tuple[Any, Any]:
        """Returns the seed in the chain and the engine's."""
        body = changed(admission, {**self.NOISY, **fields}, *arguments)
        return body["chain"].get("seed"), body.get("seed")

    @pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES, MESSAGES])
    def test_a_request_without_a_seed(self, admission: Admission, path: str) -> None:
        """Nothing is sent: each prompt and each sample gets a seed where it enters the engine."""
        assert (None, None) == self.chain(admission, path)
        assert (None, None) == self.chain(admission, path, n=3)

    @pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES])
    def test_minus_one(self, admission: Admission, path: str) -> None:
        """It is vLLM's word for no seed, over a preset's seed too, in a request and in a preset."""
        seeded = {"preset": {"seed": 7, "xtc_probability": 0.5}}
        unseeded = {"preset": {"seed": -1, "xtc_probability": 0.5}}

        assert (None, -1) == self.chain(admission, path, seed=-1)
        assert (None, -1) == self.chain(admission, path, **seeded, seed=-1)
        assert (None, -1) == self.chain(admission, path, **unseeded)

    def test_minus_one_on_an_endpoint_without_a_seed(self, admission: Admission) -> None:
        """A preset's -1 is no seed there either, whether the chain draws or not."""
        for draws in (True, False):
            preset = {"seed": -1, "reproducible": draws, "xtc_probability": 0.5}

            assert (None, None) == self.chain(admission, MESSAGES, preset=preset)

    def test_a_request_with_a_seed(self, admission: Admission) -> None:
        """The request's seed is vLLM's and the noise's."""
        assert (None, 5) == self.chain(admission, seed=5)

    def test_an_endpoint_without_a_seed(self, admission: Admission) -> None:
        """A preset's seed is in the chain there, if the chain draws the token."""
        catalogue = Catalogue({"chat": as_preset({"seed": 7, "reproducible": True}, Catalogue({}))})
        admission = replace(admission, catalogue=catalogue)

        assert (7, None) == self.chain(admission, MESSAGES)


def test_a_penalty_of_the_models_is_done_once(admission: Admission) -> None:
    """The op is faster on a CPU, but isn't used where vLLM applies the model's value anyway."""
    server = replace(defaults(admission, repetition_penalty=1.3), platform="cpu")
    chat = changed(server, {"preset": "chat"})
    messages = changed(server, {"preset": "chat"}, MESSAGES)

    assert 1.0 == chat["repetition_penalty"]
    assert 1.3 == chat["chain"]["repetition_penalty"]
    assert 0.6 == chat["chain"]["temperature"]
    assert "chain" not in messages
    assert 0.6 == messages["temperature"]


class TestUnreadableTokenizer:
    """A tokenizer whose tokens' bytes can't be known."""

    @staticmethod
    def tokens() -> TokenBytes:
        """Raises what the worker would raise, where it would be too late."""
        raise EngineError(Problem("tokenizer", "", "its bytes can't be found", "'odd' (Odd)"))

    def test_every_stage_that_matches_texts_is_refused(self) -> None:
        """All of them are named, with the tokenizer."""
        admission = Admission(Catalogue({}), tokens=self.tokens)
        body = {"dry_multiplier": 0.8, "banned_strings": ["x"], "xtc_probability": 0.5, "top_k": 5}

        with pytest.raises(RequestError) as raised:
            admission.admit(body, None, ENDPOINTS[CHAT])
        assert ["dry", "banned_strings", "xtc"] == [p.path for p in raised.value.problems]
        assert all("'odd' (Odd)" in str(problem) for problem in raised.value.problems)

    def test_modes_are_refused(self) -> None:
        """A preset with modes reads the text to know its mode."""
        catalogue = Catalogue.load(environment=False)
        admission = Admission(catalogue, tokens=self.tokens)

        with pytest.raises(RequestError, match=r"switch: its bytes can't be found"):
            admission.admit({"preset": "coding-assistant"}, None, ENDPOINTS[CHAT])

    def test_other_presets_work(self) -> None:
        """A preset that matches no texts needs no table."""
        admission = Admission(Catalogue({}), tokens=self.tokens)

        assert admission.admit({"typical_p": 0.9}, None, ENDPOINTS[CHAT]) is not None


def test_plans_of_large_fields_are_not_kept(admission: Admission) -> None:
    """Many requests with large fields don't fill the memory; small ones are planned once."""
    server = replace(admission, vocabulary=None)
    small = {"typical_p": 0.9}
    large = {"logit_bias": {str(token): 1 for token in range(2000)}}
    for body in (small, large, small, large):
        assert server.admit(body, None, ENDPOINTS[CHAT]) is not None

    assert 1 == len(server._plans)


def test_plans_that_are_used_are_kept(
    admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its limit the cache loses the plan that was not used for longest, and no other."""
    monkeypatch.setattr(planning, "MAX_PLANS", 3)
    server = replace(admission, vocabulary=None)
    for number in (1, 2, 3, 1, 4):
        server.admit({"typical_p": number / 10}, None, ENDPOINTS[CHAT])
    kept = [planned.preset.values["typical_p"] for planned in server._plans._plans.values()]

    assert [0.3, 0.1, 0.4] == kept
