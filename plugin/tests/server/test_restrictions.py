"""What an operator leaves to requests, and presets that a request brings along."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from temperament import Catalogue, TemperamentError
from temperament.presets import as_preset
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.restrictions import (
    MAX_INLINE,
    MAX_STAGES,
    MAX_STATES,
    Bounds,
    Restrictions,
    problems,
)

CHAT = ENDPOINTS["/v1/chat/completions"]
MESSAGES = ENDPOINTS["/v1/messages"]
CAP = {"temperature": Bounds(max=1.0)}


def refused(admission: Admission, body: dict[str, Any], header: str | None = None) -> list[str]:
    """Returns the problems with which a request is refused, path and message of each."""
    with pytest.raises(TemperamentError) as error:
        admission.admit(body, header, CHAT)
    return [f"{p.path}: {p.message}; {p.given}; {p.allowed}" for p in error.value.problems]


def paths(admission: Admission, body: dict[str, Any]) -> list[str]:
    """Returns the paths of the problems with which a request is refused."""
    return [problem.partition(":")[0] for problem in refused(admission, body)]


def restricted(admission: Admission, **options: Any) -> Admission:
    """Returns a server with these restrictions."""
    return replace(admission, restrictions=Restrictions(**options))


def modes_of(**first: Any) -> dict[str, Any]:
    """Returns the fields of two modes, the first with these."""
    switch = [{"from": "a", "on": {"text": "x"}, "to": "b"}]
    return {"modes": {"a": first, "b": {}}, "switch": switch}


class TestAllow:
    """The presets that a request may name."""

    @pytest.mark.parametrize(
        ("body", "header"),
        [
            ({"preset": "chat"}, None),
            ({"preset": "对话"}, None),
            ({"model": "m:answers-top-p"}, None),
            ({}, "answers"),
            ({"vllm_xargs": {"preset": "chat"}}, None),
            ({"preset": {"extends": "chat", "top_p": 0.9}}, None),
            ({"temperature": 2, "min_p": 0.1}, None),
        ],
        ids=str,
    )
    def test_by_name_or_pattern(
        self, admission: Admission, body: dict[str, Any], header: str | None
    ) -> None:
        """An alias is allowed if its preset is."""
        server = restricted(admission, allow=("chat", "answers*"))

        server.admit(body, header, CHAT)

    @pytest.mark.parametrize(
        ("body", "header", "place"),
        [
            ({"preset": "creative"}, None, "preset"),
            ({"preset": "创意写作"}, None, "preset"),
            ({"model": "m:creative"}, None, "model"),
            ({}, "creative", "header x-sampling-preset"),
            ({"vllm_xargs": {"preset": "creative"}}, None, "vllm_xargs.preset"),
            ({"preset": {"extends": "creative"}}, None, "preset.extends"),
            (modes_of(extends="creative"), None, "modes.a.extends"),
            ({"preset": modes_of(extends="creative")}, None, "preset.modes.a.extends"),
        ],
        ids=str,
    )
    def test_others_are_refused(
        self, admission: Admission, body: dict[str, Any], header: str | None, place: str
    ) -> None:
        """A preset that isn't allowed is refused, however it is named; the message lists others."""
        [problem] = refused(restricted(admission, allow=("chat", "code")), body, header)

        assert (
            f"{place}: this server doesn't allow this preset in requests; 'creative'; chat, code"
        ) == problem

    def test_a_mode_may_extend_a_mode(self, admission: Admission) -> None:
        """A mode of the request's is no preset, whatever its name, and the allowed ones stay."""
        body = modes_of(extends="code")
        body["modes"]["b"] = {"extends": "a", "top_p": 0.5}
        server = restricted(admission, allow=("code",))

        assert server.admit(body, None, CHAT) is not None
        assert ["modes"] == paths(
            server, {"modes": {f"m{i}": {"extends": "chat"} for i in range(9)}}
        )

    def test_none(self, admission: Admission) -> None:
        """With an empty `allow`, a request can name no preset."""
        server = restricted(admission, allow=())
        [problem] = refused(server, {"preset": "chat"})

        assert problem.endswith("; none")


class TestInline:
    """A preset in the request itself."""

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"temperature": 0.5, "min_p": 0.1},
            {"extends": "creative", "top_p": 0.9},
            {"order": ["top_p", "temperature"], "top_p": 0.5},
            {
                "modes": {"a": {"temperature": 1.0}, "b": {"temperature": 0.1}},
                "switch": [{"from": ["a"], "on": {"text": "```"}, "to": "b"}],
            },
        ],
        ids=str,
    )
    def test_draws_as_one_of_a_file(self, admission: Admission, fields: dict[str, Any]) -> None:
        """An inline preset samples as a file of its content, and its label has the digest."""
        admitted = admission.admit({"preset": fields}, None, CHAT)
        expected = as_preset(fields, admission.catalogue)
        named = {**admission.catalogue, "mine": replace(expected, name="mine")}
        server = replace(admission, catalogue=Catalogue(named))
        by_name = server.admit({"preset": "mine"}, None, CHAT)

        assert admitted is not None and by_name is not None
        assert f"inline@{expected.digest}" == admitted.label
        assert f"mine@{expected.digest}" == by_name.label
        plain = [str(one.body).replace(one.label or "", "") for one in (admitted, by_name)]
        assert plain[0] == plain[1]

    def test_two_are_not_taken_for_each_other(self, admission: Admission) -> None:
        """The kept plans tell inline presets of different content apart."""
        values = [
            admission.admit({"preset": {"temperature": t}}, None, CHAT) for t in (0.5, 0.25, 0.5)
        ]

        assert [0.5, 0.25, 0.5] == [one.body["temperature"] for one in values if one]

    def test_the_requests_own_fields_win(self, admission: Admission) -> None:
        """Fields of the body win over an inline preset, as over a named one."""
        admitted = admission.admit({"preset": {"temperature": 0.5}, "temperature": 0.9}, None, CHAT)

        assert admitted is not None
        assert 0.9 == admitted.body["temperature"]

    def test_switched_off(self, admission: Admission) -> None:
        """`inline: false` refuses presets in requests, not fields of the body."""
        server = restricted(admission, inline=False, allow=("chat",))
        [problem] = refused(server, {"preset": {"temperature": 0.5}})

        assert problem.startswith("preset: this server takes no presets from requests; {'temp")
        assert problem.endswith("one of: chat")
        assert server.admit({"preset": "chat", "temperature": 0.5}, None, CHAT) is not None

    def test_too_large(self, admission: Admission) -> None:
        """A preset that is too large or nested too deeply is refused."""
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        for source in ("x" * MAX_INLINE, deep):
            [problem] = refused(admission, {"preset": {"source": source}})
            assert problem.startswith("preset: too large; ")

    @pytest.mark.parametrize("inside", [True, False])
    def test_too_many_states(self, admission: Admission, inside: bool) -> None:
        """The texts in a request are limited, since each byte is a state; a file may have more."""
        fields: dict[str, Any] = {
            "modes": {"a": {}, "b": {"banned_strings": ["x" * 100]}},
            "switch": [
                {"from": ["a"], "on": {"text": ["y" * 100]}, "to": "b"},
                {"from": ["b"], "on": {"text": ["z" * (MAX_STATES - 200)]}, "to": "a"},
            ],
        }
        admission.admit({"preset": fields} if inside else fields, None, CHAT)
        fields["switch"][1]["on"]["text"].append("ab")
        [problem] = refused(admission, {"preset": fields} if inside else fields)

        assert (
            f"{'preset.' if inside else ''}switch: too much for a request; a preset file may have"
            f" more; {MAX_STATES + 2} bytes of texts to search for; at most {MAX_STATES}"
        ) == problem

    def test_too_many_stages(self, admission: Admission) -> None:
        """The stages of all modes of a request's preset are limited together."""
        values = {
            "temperature": 0.5, "top_p": 0.9, "min_p": 0.1, "top_k": 3, "typical_p": 0.9,
            "xtc_probability": 0.5, "eta_cutoff": 0.1, "epsilon_cutoff": 0.1, "top_a": 0.2,
        }  # fmt: skip
        fields = {
            "modes": dict.fromkeys("abcdefgh", values),
            "switch": [
                {"from": [one], "on": {"tokens": 5}, "to": other}
                for one, other in zip("abcdefgh", "bcdefgha", strict=True)
            ],
        }
        [problem] = refused(admission, {"preset": fields})

        assert problem.startswith("preset.modes: too much for a request")
        assert problem.endswith(f"72 stages in all of its modes together; at most {MAX_STAGES}")


class TestLocked:
    """Parameters that requests can't set, or only within bounds."""

    @pytest.mark.parametrize(
        "body",
        [
            {"preset": "code"},
            {"preset": "default"},
            {"temperature": 1},
            {"temperature": 0.3, "top_p": 0.9},
            {},
            {"model": "m", "max_tokens": 5},
            {"preset": "creative", "temperature": 0.9},
            {"preset": {"temperature": {"from": 1.0, "to": 0.2, "over": 5}}},
            {"use_beam_search": True},
        ],
        ids=str,
    )
    def test_within_a_cap(self, admission: Admission, body: dict[str, Any]) -> None:
        """A value within bounds is admitted, whichever layer it comes from."""
        restricted(admission, locked=CAP).admit(body, None, CHAT)

    @pytest.mark.parametrize(
        ("body", "place", "value"),
        [
            ({"preset": "chat", "temperature_scale": "weights"}, "temperature", "1.3"),
            ({"temperature": 1.1}, "temperature", "1.1"),
            ({"preset": "code", "temperature": 2}, "temperature", "2.0"),
            ({"preset": {"temperature": 1.01}}, "temperature", "1.01"),
            (
                {"preset": {"temperature": {"from": 0.1, "to": 1.2, "over": 5}}},
                "temperature",
                "0.1 to 1.2 over 5 tokens (linear)",
            ),
            (
                {"preset": "story", "temperature_scale": "weights"},
                "modes.narration.temperature",
                "1.5",
            ),
            ({"use_beam_search": True, "temperature": 1.5}, "temperature", "1.5"),
        ],
        ids=str,
    )
    def test_beyond_a_cap(
        self, admission: Admission, body: dict[str, Any], place: str, value: str
    ) -> None:
        """A value out of bounds is refused, whichever layer it comes from."""
        found = refused(restricted(admission, locked=CAP), body)[0]

        assert found.startswith(f"{place}: out of this server's bounds; {value}")
        assert found.endswith("; at most 1")

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"preset": "chat", "temperature_scale": "weights"}, "temperature_scale"),
            (
                {"preset": {"extends": "chat", "temperature_scale": "weights"}},
                "preset.temperature_scale",
            ),
            (
                {"modes": {"a": {"temperature_scale": "weights"}}},
                "modes.a.temperature_scale",
            ),
        ],
        ids=str,
    )
    def test_a_scale_changes_the_temperature(
        self, admission: Admission, body: dict[str, Any], path: str
    ) -> None:
        """Where requests can't set the temperature, they can't name a scale for it."""
        found = refused(restricted(admission, locked={"temperature": Bounds()}), body)

        assert [f"{path}: this server doesn't let requests set it; ; a request without it"] == found

    def test_what_nobody_says_counts_too(self, admission: Admission) -> None:
        """With a bound below the neutral value, some layer must set the parameter."""
        server = restricted(admission, locked={"temperature": Bounds(max=0.5)})
        [problem] = refused(server, {"model": "m"})

        assert (
            "temperature: out of this server's bounds; 1.0, its value when it isn't set;"
            " at most 0.5"
        ) == problem
        cool = replace(server, default=as_preset({"temperature": 0.2}, admission.catalogue))
        assert cool.admit({"model": "m"}, None, CHAT) is not None

    @pytest.mark.parametrize(
        ("body", "places"),
        [
            ({"temperature": 0.5}, ["temperature"]),
            ({"preset": {"temperature": 0.5, "top_p": 0.9}}, ["preset.temperature"]),
            ({"preset": {"extends": "chat", "temperature": 0.5}}, ["preset.temperature"]),
            ({"seed": 1, "preset": "chat"}, ["seed"]),
            ({"seed": 1, "temperature": 0}, ["temperature", "seed"]),
            (modes_of(temperature=0.5), ["modes.a.temperature"]),
            ({"preset": modes_of(temperature=0.5)}, ["preset.modes.a.temperature"]),
            (
                {"preset": {"models": {"*": {"temperature": 0.5}}}},
                ["preset.models.*.temperature"],
            ),
            ({"do_sample": False}, ["do_sample"]),
            ({"preset": {"do_sample": False}}, ["preset.do_sample"]),
        ],
        ids=str,
    )
    def test_cannot_be_set(
        self, admission: Admission, body: dict[str, Any], places: list[str]
    ) -> None:
        """A locked parameter can't be set by a request; a preset of the server's may set it."""
        server = restricted(admission, locked={"temperature": Bounds(), "seed": Bounds()})
        found = refused(server, body)

        assert sorted(found) == sorted(
            f"{place}: this server doesn't let requests set it; ; a request without it"
            for place in places
        )
        assert server.admit({"preset": "creative", "top_p": 0.5}, None, CHAT) is not None

    def test_a_locked_parameter_beside_others(self, admission: Admission) -> None:
        """Values out of bounds and values of no sense are reported beside a locked parameter."""
        server = restricted(admission, locked={"top_k": Bounds(), "temperature": Bounds(max=1.0)})

        assert ["top_k", "temperature"] == paths(server, {"top_k": 5, "temperature": 1.5})
        assert ["top_k", "logit_bias.100"] == paths(
            server, {"top_k": 5, "logit_bias": {"100": 1}, "min_p": 0.1}
        )
        assert ["preset", "top_k", "min_p"] == paths(
            server, {"preset": "no-such", "top_k": 5, "min_p": 7, "temperature": 1.5}
        )

    def test_a_preset_is_forced(self, admission: Admission, catalogue: Catalogue) -> None:
        """An operator can leave requests only lengths, stops, seeds and numbers of samples."""
        server = replace(
            admission,
            default=catalogue["chat"],
            restrictions=Restrictions(allow=(), inline=False, locked={"*": Bounds()}),
        )
        bodies: tuple[dict[str, Any], ...] = (
            {"preset": "code"},
            {"preset": {}},
            {"temperature": 0},
            {"top_p": 0.1},
            {"min_p": 0.1},
            {"logit_bias": {"5": 100}},
            {"do_sample": False},
            {"order": ["top_p"]},
            {"modes": {"a": {}}},
        )
        for body in bodies:
            assert refused(server, body)
        admitted = server.admit({"max_tokens": 5, "stop": "x", "seed": 3, "n": 2}, None, CHAT)

        assert admitted is not None
        assert 0.6 == admitted.body["temperature"]
        assert f"chat@{catalogue['chat'].digest}" == admitted.label

    def test_how_many_and_how_long(self, admission: Admission) -> None:
        """Each spelling of a length is bounded; a request without one is beyond every bound."""
        locked = {"max_tokens": Bounds(max=10), "num_return_sequences": Bounds(max=2)}
        server = restricted(admission, locked=locked)
        for body in ({"max_tokens": 10}, {"max_completion_tokens": 3, "n": 2}):
            server.admit(body, None, CHAT)
        server.admit({"max_tokens": 3}, None, MESSAGES)

        assert [
            "max_tokens: out of this server's bounds; 11; at most 10",
            "num_return_sequences: out of this server's bounds; 3; at most 2",
        ] == refused(server, {"max_tokens": 11, "n": 3})
        assert refused(server, {"max_completion_tokens": 11, "max_tokens": 1})
        assert refused(server, {"max_tokens": "many"})
        assert "inf, its value when it isn't set" in refused(server, {})[0]

    def test_large_bodies_are_looked_at(self, admission: Admission) -> None:
        """With bounds, every large body is parsed."""
        raw = b'{"model": "m", "temperature": 2, "image": "' + b"x" * 100_000 + b'"}'

        assert not admission.may_change(raw, CHAT)
        assert restricted(admission, locked=CAP).may_change(raw, CHAT)


class TestSettings:
    """Mistakes in an operator's settings."""

    @pytest.mark.parametrize(
        ("allow", "locked", "message"),
        [
            (["chta"], {}, "allow.0: no such preset; given: 'chta'"),
            (["answers*", "x*"], {}, "allow.1: no such preset; given: 'x*'"),
            (None, {"temprature": Bounds()}, "locked.temprature: unknown parameter; did you mean"),
            (None, {"stop": Bounds(max=1)}, "locked.stop: can't have bounds; given: at most 1"),
            (None, {"reproducible": Bounds(min=1)}, "locked.reproducible: can't have bounds"),
            (None, {"*": Bounds(min=1)}, "locked.*: can't have bounds; given: at least 1"),
            (
                None,
                {"top_p": Bounds(min=0.9, max=0.5)},
                "locked.top_p: min is greater than max: no value is allowed;"
                " given: at least 0.9 and at most 0.5",
            ),
        ],
        ids=str,
    )
    def test_wrong_ones(
        self, catalogue: Catalogue, allow: Any, locked: dict[str, Bounds], message: str
    ) -> None:
        """Every mistake is reported, with its path."""
        [problem] = problems(allow, locked, catalogue, "here")

        assert message in str(problem)

    def test_right_ones(self, catalogue: Catalogue) -> None:
        """Settings without a mistake have no problems."""
        locked = {"*": Bounds(), "top_p": Bounds(min=0.5, max=0.5), "max_tokens": Bounds(max=5)}

        assert not list(problems(["chat", "answers*"], locked, catalogue, "here"))


def test_all_problems_at_once(admission: Admission) -> None:
    """A wrong name and a wrong preset in one answer, each with its place."""
    server = restricted(admission, allow=("chat",), inline=False)

    assert [
        "model",
        "preset",
    ] == [p.partition(":")[0] for p in refused(server, {"preset": {"a": 1}, "model": "m:no"})]
