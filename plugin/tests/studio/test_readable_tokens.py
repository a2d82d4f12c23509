"""How a token is shown."""

import pytest

from temperament.studio.readable_tokens import readable


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (b" the", "␣the"),
        (b"\n\n", "↵↵"),
        (b"\t\r", "⇥␍"),
        ("猫".encode(), "猫"),
        ("猫".encode()[:2], "<E7><8C>"),
        (b"a\xffb", "a<FF>b"),
        (b"\x00\x1b", "<00><1B>"),
        ("\u3000\u200b", "□<200B>"),
        (" mat\ufffd", "␣mat\ufffd"),
        (b"", ""),
    ],
)
def test_a_token_is_readable(token: bytes | str, expected: str) -> None:
    """Spaces, line breaks, control characters and bytes that are no text can all be seen."""

    assert expected == readable(token)
