"""Whether the plugin handles a large body is read from its bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temperament.errors import RequestError
from temperament.interchange.sillytavern_request import MARKERS, is_request
from temperament.plan.documented import BY_NAME
from temperament.presets import Catalogue, Preset
from temperament.presets.fields import SETTINGS
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.plugin_fields import PluginFields, plugin_fields
from temperament.server.scan import (
    LARGE_BYTES,
    MAX_SCANNED_QUOTES,
    MAX_UNUSUAL_BYTES,
    MAX_VALUES,
    has_too_many_values,
    may_have_plugin_fields,
    parse,
)
from tests.examples import examples

NAMES = PluginFields(frozenset({"preset", "min_p"}), frozenset({"temperature"}))
CATALOGUE = Catalogue({"chat": Preset("chat")})
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 9000}}
BODY: dict[str, Any] = {
    "model": "some-model",
    "messages": [{"role": "user", "content": [{"type": "text", "text": 'What: \n"?'}, IMAGE]}],
    "temperature": 0.5,
}


def text(**more: Any) -> bytes:
    """Returns the body with more fields, as JSON."""
    return json.dumps({**BODY, **more}).encode()


class TestScan:
    """`may_have_plugin_fields`."""

    def test_an_image_is_not_handled(self) -> None:
        """A large body of vLLM's own fields passes."""
        assert len(text()) > LARGE_BYTES
        assert not may_have_plugin_fields(text(), NAMES)

    @pytest.mark.parametrize(
        "raw",
        [
            text(preset="chat"),
            text(min_p=None),
            text(model="some-model:chat"),
            text(model='some-model":chat'),
            text(model="m" * 500 + ":chat"),
            json.dumps({**BODY, "preset": 1}, indent=4).encode(),
            text().replace(b'"model": ', b'"model"\n:\t').replace(b"some-model", b"some:model"),
            text(preset="chat").replace(b'"preset"', b'"\\u0070reset"'),
            text(messages=["preset"]),  # errs on this side
            text(messages=[""] * MAX_SCANNED_QUOTES),
            text(temperature={"from": 1.2, "to": 0.6, "over": 9}),
            text(temperature={}),
            text(temperature={}).replace(b'"temperature": ', b'"temperature"' + b" " * 900 + b":"),
            text(temperature={}).replace(b'"temperature": ', b'"temp\\u0065rature"\n:\t'),
            b'{"temperature": {',
        ],
        ids=range(15),
    )
    def test_what_may_have_a_field_of_the_plugin_is_parsed(self, raw: bytes) -> None:
        """A field of the plugin is found, however the JSON is written."""
        assert may_have_plugin_fields(raw, NAMES)

    def test_a_number_for_vllm_is_not_handled(self) -> None:
        """vLLM reads a temperature that is a number, whatever maps stand beside it."""
        assert not may_have_plugin_fields(text(temperature=0.3, other={"from": 1}), NAMES)

    @pytest.mark.parametrize("raw", [b"", b'"', b'{"model"', b'{"model":', b"\xff" * LARGE_BYTES])
    def test_what_is_no_json_raises_nothing(self, raw: bytes) -> None:
        """Bytes that aren't JSON pass: vLLM refuses them."""
        assert not may_have_plugin_fields(raw, NAMES)


SCHEDULE = {"from": 1.2, "to": 0.6, "over": 9, "curve": "linear"}
NAMED = sorted(
    {*SETTINGS, *BY_NAME, *MARKERS, "preset", "preset_trace", "model", "vllm_xargs", "n"}
    | {"use_beam_search", "max_completion_tokens", "stop_token_ids", "messages", "temperatur"}
)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 0.5, 5, -1, "x", "chat", "m:chat", "temperature", [], [5], ["preset"], {},
     {"5": 1.5}, {"scale": 1.2}, {"preset": "chat"}, {"temperature": {}}, SCHEDULE]
)  # fmt: skip
BODIES = st.dictionaries(st.sampled_from(NAMED), VALUES, max_size=4)


def escaped(raw: str, name: str) -> str:
    """Returns JSON text in which a name's first letter is escaped."""
    return raw.replace(f'"{name}"', f'"\\u{ord(name[0]):04x}{name[1:]}"')


class TestAdmission:
    """A body that the scan lets pass is one that admission leaves alone."""

    @pytest.mark.parametrize("path", sorted(ENDPOINTS))
    @given(
        body=BODIES,
        indent=st.sampled_from([None, 0, 500]),
        escape=st.sampled_from(["", *NAMED]),
        separators=st.sampled_from([None, (",", ":"), (" ,\n", "\t:\r\n ")]),
    )
    @examples(80)
    def test_the_scan_never_misses_a_body(
        self, path: str, body: dict[str, Any], indent: Any, escape: str, separators: Any
    ) -> None:
        """A body that isn't found by its bytes is one that admission doesn't change or refuse."""
        endpoint = ENDPOINTS[path]
        admission = Admission(CATALOGUE, serves=lambda name: name == "m")
        text = json.dumps(body, indent=indent, separators=separators)
        raw = (escaped(text, escape) if escape else text).encode()
        if not admission.may_change(raw, endpoint):
            assert admission.admit(body, None, endpoint) is None
            assert not is_request(body)

    @pytest.mark.parametrize("path", sorted(ENDPOINTS))
    def test_each_field_of_the_plugin_is_found_alone(self, path: str) -> None:
        """Fields of the plugin with any value; those that vLLM reads too, with a map."""
        fields = plugin_fields(ENDPOINTS[path])
        for name in fields.always:
            assert may_have_plugin_fields(json.dumps({name: 1}).encode(), fields)
        for name in fields.as_map:
            assert may_have_plugin_fields(json.dumps({name: SCHEDULE}).encode(), fields)
            assert not may_have_plugin_fields(json.dumps({name: 1}).encode(), fields)
        assert "temperature" in fields.as_map

    @pytest.mark.parametrize("path", sorted(ENDPOINTS))
    def test_every_field_that_matters_is_looked_for(self, path: str) -> None:
        """Each field that would make admission act is found alone."""
        endpoint = ENDPOINTS[path]
        admission = Admission(CATALOGUE, serves=lambda name: name == "m")
        fields: dict[str, Any] = {
            "min_p": 0.1,
            "dry_multiplier": 0.8,
            "banned_strings": ["x"],
            "order": ["top_p", "temperature"],
            "preset": "chat",
            "vllm_xargs": {"preset": "chat"},
            "top_k": 5,
            "temperature": 0.5,
            "stop": ["x"],
            "top_p": {"from": 1.0, "to": 0.6, "over": 9},
            "logit_bias": {"5": 1},
        }
        for name, value in fields.items():
            body = {"model": "m", "messages": [], name: value}
            if not admission.may_change(json.dumps(body).encode(), endpoint):
                assert admission.admit(body, None, endpoint) is None

    def test_with_a_default_every_body_matters(self) -> None:
        """With a default preset every body is handled."""
        admission = Admission(Catalogue({}), default=Preset("chat"))

        assert admission.may_change(text(), ENDPOINTS["/v1/chat/completions"])


class TestEncodings:
    """vLLM reads what Python's JSON reads: UTF-16 and UTF-32 too."""

    @pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-be"])
    def test_a_body_in_another_encoding_is_parsed(self, coding: str) -> None:
        """A body in another encoding is parsed: its bytes don't show its fields."""
        assert may_have_plugin_fields(text(preset="chat").decode().encode(coding), NAMES)

    def test_a_mark_before_utf_8(self) -> None:
        """A byte order mark doesn't change what is found."""
        assert may_have_plugin_fields(text(preset="chat").decode().encode("utf-8-sig"), NAMES)
        assert not may_have_plugin_fields(text().decode().encode("utf-8-sig"), NAMES)


class TestParsing:
    """`parse` agrees with Python's parser, but refuses what would take too much."""

    @pytest.mark.parametrize(
        "more",
        [
            {"a": [1, -0.0, 1e300, 10**30, float("inf"), None, True, {"b": {}}]},
            {"a": "\ud800 half a character"},
            {"a": '\U0001f600\n\\"'},
        ],
    )
    def test_a_large_body(self, more: dict[str, Any]) -> None:
        """A large body is parsed to the same values."""
        assert {**BODY, **more} == parse(text(**more))

    def test_the_last_of_a_name_counts(self) -> None:
        """Of a repeated name, the last value counts, as for vLLM."""
        raw = text()[:-1] + b', "preset": "a", "preset": "b"}'

        assert parse(raw)["preset"] == json.loads(raw)["preset"] == "b"

    @pytest.mark.parametrize("raw", [text()[:-1], b"[" * 200_000, b'{"a": ' + b"1" * 100_000])
    def test_what_is_no_json(self, raw: bytes) -> None:
        """What isn't JSON raises, as in Python's parser."""
        with pytest.raises((ValueError, RecursionError)):
            parse(raw)

    @pytest.mark.parametrize(
        "part", ["0,", "[],", '{"a":[]},', '"a",', '"\\\\",', '"\\"",'], ids=repr
    )
    def test_too_many_values(self, part: str) -> None:
        """Too many values are refused before they are parsed."""
        raw = f'{{"preset": "chat", "prompt": [{part * MAX_VALUES}0]}}'.encode()

        with pytest.raises(RequestError, match="the body has too many values"):
            parse(raw)

    def test_a_text_of_commas_and_brackets(self) -> None:
        """A text of commas and brackets is one value."""
        prompt = '[{"a", "b"}], ' * 40_000
        raw = json.dumps({"preset": "chat", "prompt": prompt * 2}).encode()

        assert raw.count(b",") + 8 * (raw.count(b"[") + raw.count(b"{")) > MAX_VALUES
        assert has_too_many_values(raw)  # more quotes than are looked at
        assert not has_too_many_values(raw.replace(b'\\"', b""))

    def test_a_very_large_body_that_is_unusual(self) -> None:
        """A very large body with a lone surrogate is refused: it would take too much memory."""
        raw = json.dumps({"preset": "chat", "prompt": "\ud800" + "a" * MAX_UNUSUAL_BYTES}).encode()

        with pytest.raises(RequestError, match="JSON in UTF-8"):
            parse(raw)
