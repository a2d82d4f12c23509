"""The documents as a whole: the site builds, links lead somewhere, both languages agree."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import temperament
from temperament.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "plugin" / "temperament"
ENGLISH = {"changelog.md"}  # pages that exist in English alone
PAGES = sorted(
    str(path.relative_to(DOCS))
    for path in DOCS.rglob("*.md")
    if not path.name.endswith(".zh-CN.md")
)


def chinese(page: str) -> str:
    """Returns the name of a page's Chinese twin."""
    return page.replace(".md", ".zh-CN.md")


def text_of(page: str) -> str:
    """Returns a page's text: that of the file which it shows, if it is only a link to one."""
    text = (DOCS / page).read_text(encoding="utf-8")
    link = re.fullmatch(r"\[[^\]]*\]\(([^)]+)\)\s*", text)
    return (DOCS / page).parent.joinpath(link[1]).read_text(encoding="utf-8") if link else text


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Proxies that don't exist show that building needs no network."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr[-3000:]
    return folder


def test_the_site_has_every_page_in_both_languages(site: Path) -> None:
    """A strict build has no broken link or anchor, and every page can be found by the search."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    for page in PAGES:
        place = "" if page == "index.md" else page.removesuffix(".md") + "/"

        assert place in found
        assert page in ENGLISH or f"zh-CN/{place}" in found
        assert (site / "zh-CN" / place / "index.html").is_file()


def test_the_reference_documents_every_public_name(site: Path) -> None:
    """Each name of `temperament.__all__` has an entry with an anchor, in both languages."""
    for folder in (site, site / "zh-CN"):
        html = (folder / "api" / "index.html").read_text(encoding="utf-8")
        anchors = set(re.findall(r'id="(temperament\.[\w.]+)"', html))
        for name in temperament.__all__:
            assert any(f"{anchor}.".startswith(f"temperament.{name}.") for anchor in anchors), name


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """The hooks that mkdocs.yml names."""
    spec = importlib.util.spec_from_file_location(
        "hooks", ROOT / "scripts" / "lib" / "site_hooks.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("target", "source", "expected"),
    [
        ("modes.md", "docs/requests.md", "modes.md"),
        ("../modes.md", "docs/reports/modes.md", "../modes.md"),
        ("docs/modes.md", "README.md", "modes.md"),
        ("../README.md", "docs/modes.md", "index.md"),
        ("../configs/markers.yaml", "docs/modes.md", "web/blob/main/configs/markers.yaml"),
    ],
)
def test_links_between_files_become_links_between_pages(
    hooks: ModuleType, target: str, source: str, expected: str
) -> None:
    """A link to a page stays in the site, and any other goes to the repository's web page."""
    here = hooks.PAGE_OF.get(source, source)

    assert expected == hooks._link(target, source, here, "web")


def test_a_link_to_nowhere_is_noticed(hooks: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """A link to a file that doesn't exist is a warning, with which a strict build fails."""
    with caplog.at_level(logging.WARNING, "mkdocs.hooks.links"):
        hooks._link("nowhere.md", "docs/modes.md", "docs/modes.md", "web")

    assert "docs/modes.md: a link to nowhere.md, which doesn't exist" in caplog.text


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ENGLISH])
def test_both_languages_have_the_same_parts(page: str) -> None:
    """The Chinese page has the same headings, list items, table rows and pictures in order."""

    def parts(text: str) -> list[str]:
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        return re.findall(r"^(#+ |- |\d+\. |\||!\[|<img|<!-- [/\w ]+)", text, flags=re.MULTILINE)

    assert parts(text_of(page)) == parts(text_of(chinese(page)))


@pytest.mark.parametrize("page", ["adding-a-format.md", "adding-a-stage.md"])
def test_both_languages_show_the_same_code(page: str) -> None:
    """The Chinese page has the code and the names of files of the page that a test carries out."""

    def code(text: str) -> list[str]:
        blocks = re.findall(r"```.*?```", text, flags=re.DOTALL)
        headings = re.findall(r"^## .*", text, flags=re.MULTILINE)
        return [*blocks, *sorted(re.findall("`[^`]+`", "".join(headings)))]

    assert code(text_of(page)) == code(text_of(chinese(page)))


def test_each_english_page_has_a_chinese_one() -> None:
    """Only the pages of `ENGLISH` lack one, and the READMEs link each other."""
    alone = {page for page in PAGES if not (DOCS / chinese(page)).is_file()}

    assert ENGLISH == alone


@pytest.mark.parametrize("page", ["architecture.md", "architecture.zh-CN.md", "contributing.md",
                                  "contributing.zh-CN.md"])  # fmt: skip
def test_the_files_that_are_named_exist(page: str) -> None:
    """Every path in backticks is a file or a folder of the repository or of the package."""
    text = re.sub(r"```bash.*?```", "", text_of(page), flags=re.DOTALL)
    named = set(re.findall(r"(?:`|^|\s)([\w./-]+(?:/|\.py|\.toml|\.yml))(?=`|\s)", text))
    paths = {path for path in named if path not in {"conftest.py", "/"}}

    assert len(paths) >= 4
    for path in paths:
        assert any((top / path).exists() for top in (ROOT, PACKAGE)), path


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/contributing.zh-CN.md"])
def test_the_commands_for_developers_exist(page: str) -> None:
    """Each command of the page is a script that can be run."""
    text = (ROOT / page).read_text(encoding="utf-8")
    [*blocks] = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    commands = {line.split()[0] for block in blocks for line in block.splitlines()}

    assert {"./scripts/setup", "./scripts/test", "./scripts/site"} == commands
    for command in commands:
        assert os.access(ROOT / command, os.X_OK)


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_counts_the_samplers(readme: str) -> None:
    """The number of samplers in the README is that of `STAGES`."""
    text = (ROOT / readme).read_text(encoding="utf-8")

    assert re.search(rf"\b{len(STAGES)} (个)?\[", text)
