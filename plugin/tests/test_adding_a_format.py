"""The page that explains how to add a format is true: these tests carry it out on a copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.followed_page import Tree

PAGE = "plugin/temperament/interchange/README.md"
INDEX = "plugin/temperament/interchange/__init__.py"
NEW = {
    "plugin/temperament/interchange/kettle.py",
    "plugin/tests/interchange/test_kettle.py",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy of the tree in which the page was followed."""
    tree = Tree(tmp_path_factory.mktemp("tree"))
    tree.follow(PAGE)
    return tree


def test_the_page_changes_these_files_and_no_others(tree: Tree) -> None:
    """Two files are new, one has a line more, and the documents that list formats follow."""
    documents = {path for path in tree.changed if path.endswith(".md")}

    assert NEW == tree.new
    assert {INDEX} == tree.changed - documents
    assert {'    "kettle",'} == tree.added_lines(INDEX)
    assert {"docs/formats.md", "docs/formats.zh-CN.md"} == documents
    for path in documents:
        assert [] == [line for line in tree.added_lines(path) if "kettle" not in line], path


def test_the_command_line_knows_the_format(tree: Tree, tmp_path: Path) -> None:
    """`export` writes it, `import` recognises it, and the help texts list it."""
    sent = tree.python("-m", "temperament.cli", "export", "chat", "--to", "kettle")
    (tmp_path / "a.json").write_text('{"kettle": 1, "heat": 130, "topk": -1}', encoding="utf-8")
    read = tree.python("-m", "temperament.cli", "import", str(tmp_path / "a.json"))

    assert '"heat": 60' in sent
    assert "temperature: 1.3\ntop_k: 0\n" == read
    assert "kettle" in tree.python("-m", "temperament.cli", "export", "--help")


def test_the_tests_of_every_format_cover_it(tree: Tree) -> None:
    """Its own tests and those that go through all formats pass in the copy."""
    arguments = ("-q", "-p", "no:cacheprovider", "plugin/tests/interchange", "-k", "kettle")
    printed = tree.python("-m", "pytest", *arguments)
    passed = re.search(r"(\d+) passed", printed)

    assert passed is not None, printed
    assert int(passed[1]) > 20
