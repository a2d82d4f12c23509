"""What MkDocs does beside its plugins to build the site; mkdocs.yml names this file.

The pages are written to be read in the repository too. Therefore:

- A page that is nothing but a link to another file of the repository shows that file. The README is
  the site's first page in this way.
- Every link is rewritten: between pages into a link of the site, to any other file of the
  repository into one to its web page. A link to a file that doesn't exist is a warning, which ends
  a strict build.
- A picture with a dark and a light version follows the theme that the reader chooses.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

log = logging.getLogger("mkdocs.hooks.links")
ROOT = Path(__file__).resolve().parents[2]
ONLY_A_LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)\)\s*")
OTHER_LANGUAGE = re.compile(r"^\[(中文|English)\]\([^)]+\)\n", re.MULTILINE)
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
PICTURE = re.compile(
    r'<picture>\s*<source media="[^"]*dark[^"]*" srcset="([^"]+)">\s*'
    r'<img src="([^"]+)" alt="([^"]+)">\s*</picture>'
)


def shown_files() -> dict[str, str]:
    """The pages that show another file: page -> file, both from the top of the repository."""
    shown = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        if link := ONLY_A_LINK.fullmatch(page.read_text(encoding="utf-8")):
            shown[f"docs/{page.name}"] = posixpath.normpath(f"docs/{link[1]}")
    return shown


SHOWN = shown_files()
PAGE_OF = {file: page for page, file in SHOWN.items()}


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """The text of a page, with its links and pictures rewritten."""
    here = f"docs/{page.file.src_uri}"
    source = SHOWN.get(here, here)
    if source != here:
        markdown = (ROOT / source).read_text(encoding="utf-8")
    markdown = OTHER_LANGUAGE.sub("", markdown)  # the site has a menu for that
    parts = CODE.split(markdown)  # code is at the odd places, and stays as it is
    parts[::2] = [
        LINK.sub(
            lambda match: _link(match[1], source, here, config["repo_url"]) + (match[2] or ""),
            PICTURE.sub(r"![\3](\1#only-dark)\n![\3](\2#only-light)", part),
        )
        for part in parts[::2]
    ]
    return "".join(parts)


def on_page_content(html: str, **_: Any) -> str:
    """The page's HTML, without the `::` with which docstrings introduce code."""
    return re.sub(r"<p>::</p>\n|(?<=:):(?=</p>)", "", html)


def _link(target: str, source: str, here: str, repository: str) -> str:
    """A link in the file `source`, which the page `here` shows, as a link of the site."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if not (ROOT / path).exists():
        log.warning("%s: a link to %s, which doesn't exist", source, target)
    page = PAGE_OF.get(path, path)
    if re.fullmatch(r"docs/.*\.(md|png|svg)", page):
        return posixpath.relpath(page, posixpath.dirname(here))
    return f"{repository}/blob/main/{path}"
