"""Lines of mixed text, the same for a seed."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random

from scripts.lib.command import ROOT

# Where characters come from: (first, last) code point.
BLOCKS = (
    (0x00, 0x7F), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0x97F),
    (0xE00, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x2190, 0x22FF), (0x2500, 0x27BF),
    (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xF900, 0xFAFF),
    (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1D400, 0x1D4FF), (0x1F300, 0x1F6FF), (0x20000, 0x2005F),
    (0xE0100, 0xE010F),
)  # fmt: skip
MARKS = ("```", "~~~", "`", '"', "“", "”", ">", "\\", "{", "}", "[", "]", '": "', '"}', '"]}', "\t")
SPACES = (" ", "  ", "    ", "\t", "\r\n", "\n", "\n\n", "\u00a0", "\u3000", "\u2028", "\u200d")


def lines(count: int, seed: int) -> list[str]:
    """So many lines: prose, code, JSON, Chinese, marks between spaces, characters at random."""
    random = Random(seed)
    files = [
        *(ROOT / "docs").glob("*.md"),
        *sorted(Path(sys.base_prefix, "lib").glob("*/[a-f]*.py")),
    ]
    written = [line for file in sorted(files)[:150] for line in _lines(file)]

    def makers() -> Iterator[str]:
        yield random.choice(written)
        yield "\n".join(random.choices(written, k=3))
        yield json.dumps({random.choice(written)[:30]: [random.random(), _odd(random)]})
        yield "".join(_odd(random) + random.choice(SPACES) for _ in range(4))
        yield "".join(random.choice((*MARKS, *SPACES, "a", "的")) for _ in range(12))
        yield random.choice(SPACES) + "```py\n" + random.choice(written) + "\n```\n"

    found: list[str] = []
    while len(found) < count:
        found += makers()
    return found[:count]


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8", errors="ignore").splitlines() if line]


def _odd(random: Random) -> str:
    """Assigned characters of one block, seldom of several."""
    first, last = random.choice(BLOCKS)
    drawn = (chr(random.randint(first, last)) for _ in range(random.randint(1, 9)))
    return "".join(c for c in drawn if unicodedata.category(c) not in ("Cn", "Cs"))
