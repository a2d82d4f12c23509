"""No preset, `default` and `none`: which of the lower layers count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from temperament import Catalogue, RequestError
from temperament.presets import as_preset
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.restrictions import Bounds, Restrictions

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
CARRY = ("/v1/chat/completions", "/v1/completions", "/v1/responses")


@pytest.fixture
def server(admission: Admission) -> Admission:
    """Returns a server whose default preset and whose model set something."""
    default = as_preset({"temperature": 0.7, "min_p": 0.1, "stop": ["END"]}, Catalogue({}))
    model = as_preset({"top_k": 20, "repetition_penalty": 1.1}, Catalogue({}))
    return replace(admission, default=default, model_defaults=model)


def sampled(server: Admission, path: str = CHAT, **fields: Any) -> dict[str, Any]:
    """The values with which vLLM samples that aren't neutral, and `stop`."""
    admitted = server.admit({"model": "m", **fields}, None, ENDPOINTS[path])
    assert admitted is not None
    neutral = {"temperature": 1.0, "repetition_penalty": 1.0, "top_p": 1.0}
    names = ("temperature", "min_p", "top_k", "repetition_penalty", "stop", "top_p")
    return {
        name: value
        for name in names
        if (value := admitted.body.get(name)) and value != neutral.get(name)
    }


@pytest.mark.parametrize("path", CARRY)
@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (
            {},
            {
                "temperature": 0.7,
                "min_p": 0.1,
                "top_k": 20,
                "repetition_penalty": 1.1,
                "stop": ["END"],
            },
        ),
        (
            {"preset": None},
            {
                "temperature": 0.7,
                "min_p": 0.1,
                "top_k": 20,
                "repetition_penalty": 1.1,
                "stop": ["END"],
            },
        ),
        (
            {"preset": "default"},
            {"min_p": 0.1, "top_k": 20, "repetition_penalty": 1.1, "stop": ["END"]},
        ),
        ({"preset": "none"}, {}),
        ({"model": "m:none"}, {}),
        ({"vllm_xargs": {"preset": "none"}}, {}),
        ({"preset": "none", "top_p": 0.5}, {"top_p": 0.5}),
        ({"preset": {"extends": "none", "top_k": 5}}, {"top_k": 5}),
        ({"preset": {"alone": True}}, {}),
    ],
    ids=str,
)
def test_which_layers_count(
    server: Admission, path: str, named: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Without a preset all do; under `default` all but the temperature; under `none` none does."""
    server = replace(server, choice="native")

    assert expected == sampled(server, path, **named)


def test_what_vllm_fills_in_itself(server: Admission) -> None:
    """Where an endpoint applies a value of the model's in any case, `none` is refused."""
    with pytest.raises(RequestError, match="repetition_penalty: the model's generation_config"):
        sampled(server, MESSAGES, preset="none", max_tokens=5)
    plain = replace(server, model_defaults=as_preset({"top_k": 20}, Catalogue({})))

    assert {} == sampled(plain, MESSAGES, preset="none", max_tokens=5)


class TestOperators:
    """`none` doesn't escape what an operator has set."""

    @pytest.mark.parametrize("allow", [(), ("chat",), ("d*",)])
    def test_allow(self, server: Admission, allow: tuple[str, ...]) -> None:
        """It is a name like others: a server that forces its default allows no name."""
        server = replace(server, restrictions=Restrictions(allow, inline=False))
        for fields in ({"preset": "none"}, {"model": "m:none"}):
            with pytest.raises(RequestError, match="doesn't allow this preset"):
                sampled(server, **fields)
        with pytest.raises(RequestError, match="takes no presets from requests"):
            sampled(server, preset={"alone": True})
        with pytest.raises(RequestError, match="doesn't allow this preset"):
            sampled(replace(server, restrictions=Restrictions(allow)), preset={"extends": "none"})
        with pytest.raises(RequestError, match="alone: this server doesn't allow this preset"):
            sampled(replace(server, restrictions=Restrictions(allow)), preset={"alone": True})

    def test_a_default_that_is_forced(self, server: Admission) -> None:
        """With `allow: []` and every parameter locked no preset of a request's own passes."""
        forced = Restrictions((), locked={"*": Bounds()})
        server = replace(server, restrictions=forced)
        for preset in ("none", {"alone": True}, {"extends": "none"}):
            with pytest.raises(RequestError):
                sampled(server, preset=preset)

    def test_bounds(self, server: Admission) -> None:
        """Bounds hold for the values without the layers too."""
        server = replace(server, restrictions=Restrictions(locked={"temperature": Bounds(max=0.8)}))
        sampled(server)
        with pytest.raises(RequestError, match=r"1\.0, its value when it isn't set"):
            sampled(server, preset="none")


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({}, ""),
        ({"temperature": 0.5, "frequency_penalty": 1}, ""),
        ({"repetition_penalty": 1.1}, "repetition_penalty: can't see a prompt in prompt_embeds"),
        (
            {"no_repeat_ngram_size": 2, "repetition_penalty": 1.2},
            "no_repeat_ngram_size, repetition_penalty: can't see a prompt in prompt_embeds",
        ),
    ],
    ids=str,
)
def test_a_prompt_in_embeddings(admission: Admission, fields: dict[str, Any], warning: str) -> None:
    """The answer's warning names the stages that can't see such a prompt."""
    body = {"model": "m", "preset": "chat", "prompt_embeds": "AAAA", **fields}
    admitted = admission.admit(body, None, ENDPOINTS["/v1/completions"])
    with_text = admission.admit({**body, "prompt_embeds": None}, None, ENDPOINTS["/v1/completions"])
    assert admitted is not None
    assert with_text is not None

    assert warning == admitted.warning
    assert "" == with_text.warning


@pytest.mark.parametrize("nested", [False, True], ids=["chat", "batch"])
def test_a_part_in_embeddings(admission: Admission, nested: bool) -> None:
    """A part of a message may come as embeddings, too."""
    part = {"type": "prompt_embeds", "data": "AAAA"}
    messages: list[Any] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "prompt_embeds"}, part]},
    ]
    body = {"preset": "chat", "repetition_penalty": 1.1}
    path = "/v1/chat/completions" + ("/batch" if nested else "")
    warnings = []
    for given in (messages, messages[:1]):
        request = {**body, "messages": [given] if nested else given}
        admitted = admission.admit(request, None, ENDPOINTS[path])
        assert admitted is not None
        warnings.append(admitted.warning)

    assert ["repetition_penalty: can't see a prompt in prompt_embeds", ""] == warnings
