"""`auto`: the preset is picked by what a request is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.presets import Preset, as_preset
from temperament.presets.parsing import parse_preset
from temperament.presets.picking import MAX_READ
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.restrictions import Bounds, Restrictions

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES, BATCH = "/v1/responses", "/v1/messages", "/v1/chat/completions/batch"
TALK: list[Any] = [{"role": "user", "content": "Say a colour."}]
NEEDED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": TALK},
    BATCH: {"messages": [TALK, TALK]},
    COMPLETIONS: {"prompt": "Say a colour."},
    RESPONSES: {"input": "Say a colour."},
    MESSAGES: {"messages": TALK, "max_tokens": 5},
}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {}}}
JSON: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
# Every way in which an endpoint's request says what it is, and what `auto` picks.
SAID: list[tuple[str, dict[str, Any], str]] = [
    *((path, {"tools": [TOOL]}, "agent") for path in (CHAT, BATCH, RESPONSES, MESSAGES)),
    (CHAT, {"tools": [TOOL], "tool_choice": "auto"}, "agent"),
    (CHAT, {"tools": [TOOL], "response_format": JSON}, "agent"),  # the first rule wins
    *(
        (path, {"response_format": format_}, "data")
        for path in (CHAT, BATCH, COMPLETIONS)
        for format_ in (JSON, {"type": "json_object"}, {"type": "structural_tag"})
    ),
    *(
        (path, {"structured_outputs": {name: value}}, "data")
        for path in (CHAT, BATCH, COMPLETIONS, RESPONSES)
        for name, value in {
            "json": {"type": "object"},
            "regex": "a+",
            "choice": ["a", "b"],
            "grammar": "root ::= x",
            "json_object": True,
            "structural_tag": "{}",
        }.items()
    ),
    (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}, "data"),
    (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "data"),
    *(
        (path, {"chat_template_kwargs": {name: True}}, "reasoning")
        for path in (CHAT, BATCH, RESPONSES, MESSAGES)
        for name in ("enable_thinking", "thinking")
    ),
    *((path, {"reasoning_effort": "low"}, "reasoning") for path in (CHAT, BATCH)),
    (CHAT, {"chat_template_kwargs": {"reasoning_effort": "high"}}, "reasoning"),
    (RESPONSES, {"reasoning": {"effort": "medium"}}, "reasoning"),
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "reasoning"),
    (MESSAGES, {"thinking": {"type": "adaptive"}}, "reasoning"),
    (MESSAGES, {"output_config": {"effort": "high"}}, "reasoning"),
]  # fmt: skip
# What says nothing for certain.
UNSAID: list[tuple[str, dict[str, Any]]] = [
    *((path, {}) for path in NEEDED),
    (CHAT, {"tools": []}),
    (CHAT, {"tools": [TOOL], "tool_choice": "none"}),
    (MESSAGES, {"tools": [TOOL], "tool_choice": {"type": "none"}}),
    (CHAT, {"response_format": {"type": "text"}}),
    (RESPONSES, {"text": {"format": {"type": "text"}}}),
    (CHAT, {"structured_outputs": {}}),
    (CHAT, {"reasoning_effort": "none"}),
    (CHAT, {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "high"}),
    (RESPONSES, {"reasoning": {"effort": "none"}}),
    (MESSAGES, {"thinking": {"type": "disabled"}}),
    (COMPLETIONS, {"prompt": "```python\nx ="}),  # certain, but no shipped rule asks for it
    # what isn't valid is vLLM's to refuse
    (CHAT, {"messages": 5}),
    (CHAT, {"messages": [5, {"role": []}, []]}),
    (CHAT, {"tools": "all", "response_format": [], "chat_template_kwargs": 7}),
    (RESPONSES, {"reasoning": [], "text": "x", "input": None}),
]


@pytest.fixture
def server(admission: Admission) -> Admission:
    """Returns a server whose default preset is `auto`."""
    return replace(admission, default=admission.catalogue["auto"])


def label(server: Admission, path: str, **fields: Any) -> str | None:
    """The answer's header."""
    admitted = server.admit({"model": "m", **NEEDED[path], **fields}, None, ENDPOINTS[path])
    return None if admitted is None else admitted.label


def of(server: Admission, name: str) -> str:
    """The label of a preset that `auto` picked."""
    return f"auto>{server.catalogue[name].label}"


class TestShippedRules:
    """The rules that are shipped use only what a request says for certain."""

    @pytest.mark.parametrize(("path", "fields", "picked"), SAID, ids=str)
    def test_each_rule(
        self, server: Admission, path: str, fields: dict[str, Any], picked: str
    ) -> None:
        """It picks the same as the server's default, by name, and by the model's suffix."""
        named = replace(server, default=server.catalogue["chat"])

        assert of(server, picked) == label(server, path, **fields)
        assert of(server, picked) == label(named, path, **fields, preset="auto")
        assert of(server, picked) == label(named, path, **{**fields, "model": "m:auto"})

    @pytest.mark.parametrize(("path", "fields", "picked"), SAID, ids=str)
    def test_the_values(
        self, server: Admission, path: str, fields: dict[str, Any], picked: str
    ) -> None:
        """vLLM reads the same body as with the picked preset's name."""
        body = {"model": "m", **NEEDED[path], **fields}
        plain = replace(server, default=None)
        auto = server.admit(body, None, ENDPOINTS[path])
        by_name = plain.admit({**body, "preset": picked}, None, ENDPOINTS[path])
        assert auto is not None
        assert by_name is not None
        xargs = [dict(one.body.pop("vllm_xargs", {})) for one in (auto, by_name)]
        texts = [one.pop("temperament", "").replace("auto>", "") for one in xargs]

        assert by_name.body == auto.body
        assert texts[0] == texts[1]

    @pytest.mark.parametrize(("path", "fields"), UNSAID, ids=str)
    def test_what_stays_with_the_default(
        self, server: Admission, path: str, fields: dict[str, Any]
    ) -> None:
        """The header says `auto`; by name, the server's default preset applies below it."""
        auto = server.catalogue["auto"].label
        named = replace(server, default=as_preset({"min_p": 0.1}, Catalogue({})))
        body = {"model": "m", **NEEDED[path], **fields, "preset": "auto"}
        admitted = named.admit(body, None, ENDPOINTS[path])
        assert admitted is not None

        assert auto == label(server, path, **fields)
        assert auto == admitted.label
        assert path == MESSAGES or 0.1 == admitted.body["min_p"]


def test_a_preset_that_a_request_names_wins(server: Admission) -> None:
    """A name, a whole preset and the request's own fields win over what `auto` would pick."""
    fields: dict[str, Any] = {"tools": [TOOL]}
    chat = server.catalogue["chat"].label
    own = server.admit(
        {"model": "m", **NEEDED[CHAT], **fields, "temperature": 0.11, "top_p": 1.0, "top_k": 0},
        None,
        ENDPOINTS[CHAT],
    )
    assert own is not None

    assert chat == label(server, CHAT, **fields, preset="chat")
    assert chat == label(server, CHAT, **{**fields, "model": "m:chat"})
    assert str(label(server, CHAT, **fields, preset={"top_k": 5})).startswith("inline@")
    assert of(server, "agent") == own.label
    assert "0.11" in str(own.body)


class TestBarred:
    """What a rule picks must be allowed, else the next rule counts."""

    BOTH = {"tools": [TOOL], "response_format": JSON}  # noqa: RUF012 - a constant
    # for each endpoint whose requests can offer tools and ask for a format
    EVERYWHERE: list[tuple[str, dict[str, Any]]] = [  # noqa: RUF012 - a constant
        (CHAT, BOTH),
        (BATCH, BOTH),
        (RESPONSES, {"tools": [TOOL], "structured_outputs": {"regex": "a+"}}),
        (MESSAGES, {"tools": [TOOL], "output_config": {"format": {"type": "json_schema"}}}),
    ]

    @pytest.mark.parametrize(("path", "fields"), EVERYWHERE, ids=str)
    def test_allow(self, server: Admission, path: str, fields: dict[str, Any]) -> None:
        """A preset that requests may not name isn't picked."""
        for allow, expected in (
            (("data", "agent"), of(server, "agent")),
            (("data",), of(server, "data")),
            (("chat",), server.catalogue["auto"].label),
            ((), server.catalogue["auto"].label),
        ):
            allowing = replace(server, restrictions=Restrictions(allow))

            assert expected == label(allowing, path, **fields)

    @pytest.mark.parametrize(("path", "fields"), EVERYWHERE, ids=str)
    def test_locked(self, server: Admission, path: str, fields: dict[str, Any]) -> None:
        """A preset whose values are out of bounds isn't picked."""
        bounds = Bounds(min=0.1, max=1.0)  # `agent` calls at 0
        locking = replace(server, restrictions=Restrictions(locked={"temperature": bounds}))

        assert of(server, "data") == label(locking, path, **fields)

    def test_what_the_model_lacks(self, server: Admission) -> None:
        """A preset that depends on a model that isn't known isn't picked."""
        own = with_rules(server, {"when": "tools", "preset": "recommended"},
                         {"when": "tools", "preset": "code"})  # fmt: skip

        assert of(server, "code") == label(own, CHAT, **self.BOTH)


def with_rules(server: Admission, *rules: dict[str, Any], **values: Any) -> Admission:
    """The server with rules of the operator's own."""
    preset, _ = parse_preset("auto", {"pick": list(rules), **values}, where="auto.yaml")
    catalogue = Catalogue({**server.catalogue, "auto": preset}, server.catalogue.aliases)
    return replace(server, catalogue=catalogue, default=preset)


def talk(*texts: tuple[str, Any]) -> dict[str, Any]:
    """Messages."""
    return {"messages": [{"role": role, "content": text} for role, text in texts]}


class TestRulesOfOnesOwn:
    """Patterns, an open fence, and several conditions."""

    SYSTEM: list[tuple[str, dict[str, Any]]] = [  # noqa: RUF012 - a constant
        (CHAT, talk(("system", "You TRANSLATE texts."), ("user", "x"))),
        (CHAT, talk(("developer", [{"type": "text", "text": "Please translate"}]), ("user", "x"))),
        (RESPONSES, {"instructions": "Translate it.", "input": "x"}),
        (RESPONSES, {"input": talk(("system", "translate"), ("user", "x"))["messages"]}),
        (MESSAGES, {"system": "Translate", **talk(("user", "x"))}),
        (MESSAGES, {"system": [{"type": "text", "text": "Translate"}], **talk(("user", "x"))}),
        (BATCH, {"messages": [talk(("system", "translate"), ("user", "x"))["messages"]] * 2}),
    ]
    LAST: list[tuple[str, dict[str, Any]]] = [  # noqa: RUF012 - a constant
        (CHAT, talk(("user", "hello"), ("user", "Translate: x"))),
        (COMPLETIONS, {"prompt": "translate: x"}),
        (COMPLETIONS, {"prompt": ["translate: x", "Translate: y"]}),
        (RESPONSES, {"input": "translate this"}),
        (MESSAGES, talk(("user", [{"type": "text", "text": "translate this"}]))),
        (BATCH, {"messages": [talk(("user", "Translate: x"))["messages"]] * 2}),
    ]
    FENCE: list[tuple[str, dict[str, Any]]] = [  # noqa: RUF012 - a constant
        (CHAT, talk(("user", "go on"), ("assistant", "Here:\n```python\nx = "))),
        (COMPLETIONS, {"prompt": "```js\n"}),
        (RESPONSES, {"input": "  ```\ncode"}),
        (MESSAGES, talk(("user", "go on"), ("assistant", "```\n"))),
        (BATCH, {"messages": [talk(("assistant", "```\n"))["messages"]] * 2}),
    ]

    @pytest.mark.parametrize(
        ("when", "path", "fields"),
        [
            *(({"system": "*translate*"}, *one) for one in SYSTEM),
            *(({"last_message": ["*nothing*", "translate*"]}, *one) for one in LAST),
            *(("open_fence", *one) for one in FENCE),
        ],
        ids=str,
    )
    def test_each_condition(
        self, server: Admission, when: Any, path: str, fields: dict[str, Any]
    ) -> None:
        """It holds on every endpoint, and not for another text."""
        own = with_rules(server, {"when": when, "preset": "code"})

        assert of(server, "code") == label(own, path, **fields)
        assert own.default is not None
        assert own.default.label == label(own, path)

    def test_all_conditions_of_a_rule(self, server: Admission) -> None:
        """Every condition must hold; false is a condition too."""
        when = {"tools": False, "last_message": "*code*"}
        own = with_rules(server, {"when": when, "preset": "code"})
        fields = talk(("user", "write code"))

        assert of(server, "code") == label(own, CHAT, **fields)
        assert own.default is not None
        assert own.default.label == label(own, CHAT, **fields, tools=[TOOL])

    def test_several_conversations(self, server: Admission) -> None:
        """A condition holds for a request of several prompts if it holds for each."""
        own = with_rules(server, {"when": {"last_message": "*code*"}, "preset": "code"})
        assert own.default is not None

        assert own.default.label == label(own, COMPLETIONS, prompt=["code", "prose"])

    def test_its_own_values_are_the_layer_below(self, server: Admission) -> None:
        """What a picking preset sets itself holds where the picked one sets nothing."""
        own = with_rules(server, {"when": "tools", "preset": "data"}, min_p=0.2, temperature=0.9)
        body = {"model": "m", **NEEDED[CHAT], "tools": [TOOL]}
        admitted = own.admit(body, None, ENDPOINTS[CHAT])
        assert admitted is not None

        assert "0.2" in str(admitted.body)
        assert 0.9 != admitted.body["temperature"]

    def test_the_cost_is_bounded(self, server: Admission) -> None:
        """Of a text, the first `MAX_READ` characters are read."""
        late = with_rules(server, {"when": {"last_message": "*late*"}, "preset": "code"})
        assert late.default is not None

        assert of(server, "code") == label(late, COMPLETIONS, prompt="x" * (MAX_READ - 4) + "late")
        assert late.default.label == label(late, COMPLETIONS, prompt="x" * MAX_READ + "late")


class TestFiles:
    """Rules in files."""

    @pytest.mark.parametrize(
        ("rules", "message"),
        [
            ([{"when": "tool", "preset": "chat"}], "pick"),
            ([{"when": {}, "preset": "chat"}], "set one of tools"),
            ([{"when": {"system": ""}, "preset": "chat"}], "pick"),
            ([{"when": {"system": "x" * 129}, "preset": "chat"}], "characters"),
            ([{"when": "tools"}], "has no value"),
            ([{"when": "tools", "preset": "chat"}] * 33, "more than 32 entries"),
        ],
        ids=lambda value: str(value)[:50],
    )
    def test_wrong_rules(self, rules: list[Any], message: str) -> None:
        """A wrong rule is reported with its place and what is allowed."""
        with pytest.raises(PresetError, match=message):
            parse_preset("auto", {"pick": rules}, where="auto.yaml")

    def test_unknown_targets(self, tmp_path: Any) -> None:
        """A rule names a preset that exists and doesn't pick itself."""
        (tmp_path / "mine.yaml").write_text(
            "pick:\n- {when: tools, preset: agnet}\n- {when: format, preset: auto}\n"
        )
        with pytest.raises(PresetError) as error:
            Catalogue.load([tmp_path])

        assert [
            "mine.yaml:2: pick.0.preset: unknown preset; given: 'agnet'; did you mean 'agent'?",
            "mine.yaml:3: pick.1.preset: picks by rules itself; given: 'auto';"
            " allowed: a preset without 'pick'",
        ] == str(error.value).replace(f"{tmp_path}/", "").splitlines()

    def test_only_a_server_picks(self, server: Admission) -> None:
        """Elsewhere there is no request, and a request's own preset can't bring rules."""
        with pytest.raises(PresetError, match="picks a preset by the request"):
            as_preset("auto", server.catalogue)
        with pytest.raises(ValueError, match="picks a preset by the request"):
            label(server, CHAT, preset={"pick": [{"when": "tools", "preset": "chat"}]})

    def test_a_preset_may_extend_it(self, tmp_path: Any) -> None:
        """Rules are inherited, and replaced as a whole."""
        (tmp_path / "mine.yaml").write_text("extends: auto\nmin_p: 0.1\n")
        (tmp_path / "other.yaml").write_text("extends: auto\npick: [{when: tools, preset: code}]\n")
        catalogue = Catalogue.load([tmp_path])

        assert catalogue["auto"].pick == catalogue["mine"].pick
        assert ["code"] == [rule.preset for rule in catalogue["other"].pick]
        assert isinstance(catalogue["mine"], Preset)
