"""A large body that isn't ours is told from its bytes."""

import json
from typing import Any

import pytest

from temperament.presets import Catalogue, Preset
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.scan import LARGE, MANY, may_concern

NAMES = frozenset({b"preset", b"min_p"})
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 9000}}
BODY: dict[str, Any] = {
    "model": "some-model",
    "messages": [{"role": "user", "content": [{"type": "text", "text": 'What: \n"?'}, IMAGE]}],
    "temperature": 0.5,
}


def text(**more: Any) -> bytes:
    """The body with more fields, as JSON."""
    return json.dumps({**BODY, **more}).encode()


class TestScan:
    """From the bytes."""

    def test_an_image_is_none_of_our_business(self) -> None:
        """Nor is the rest of this body."""
        assert len(text()) > LARGE
        assert not may_concern(text(), NAMES)

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
            text(messages=[""] * MANY),
        ],
        ids=range(10),
    )
    def test_what_may_be_ours_is_parsed(self, raw: bytes) -> None:
        """However it is written."""
        assert may_concern(raw, NAMES)

    @pytest.mark.parametrize("raw", [b"", b'"', b'{"model"', b'{"model":', b"\xff" * LARGE])
    def test_what_is_no_json_raises_nothing(self, raw: bytes) -> None:
        """VLLM has its own answer to it."""
        assert not may_concern(raw, NAMES)


class TestAdmission:
    """A body that is told apart would not have been changed."""

    @pytest.mark.parametrize("path", sorted(ENDPOINTS))
    def test_every_field_that_matters_is_looked_for(self, path: str) -> None:
        """Each of a request's fields that would make us change it, alone."""
        endpoint = ENDPOINTS[path]
        admission = Admission(Catalogue({"chat": Preset("chat")}), serves=lambda name: name == "m")
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
        }
        for name, value in fields.items():
            body = {"model": "m", "messages": [], name: value}
            if not admission.may_concern(json.dumps(body).encode(), endpoint):
                assert admission.admit(body, None, endpoint) is None

    def test_with_a_default_every_body_matters(self) -> None:
        """It lies below each of them."""
        admission = Admission(Catalogue({}), default=Preset("chat"))

        assert admission.may_concern(text(), ENDPOINTS["/v1/chat/completions"])
