"""The parts of a page that programs write, between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import re


def with_part(page: str, name: str, content: str) -> str:
    """Returns the page with this content between the marks of each part of this name."""
    pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", page, flags=re.DOTALL)
