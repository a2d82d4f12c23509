"""The page that explains how to add a stage is true: these tests carry it out on a copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.followed_page import Tree

PAGE = "plugin/temperament/stages/README.md"
INDEX = "plugin/temperament/stages/__init__.py"
# What the page says beside its code: three new files, one line, and the documents' tables.
NEW = {
    "plugin/temperament/stages/max_gap.py",
    "plugin/temperament/ops/max_gap.py",
    "plugin/tests/stages/test_max_gap.py",
}

USE = """
import math
import torch
import temperament
from temperament.stages import STAGES

after = temperament.process(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), {"max_gap": 1.5})
assert after.tolist() == [[-math.inf, -math.inf, 2.0, 3.0]], after
order = {"max_gap": 1.0, "temperature": 0.5, "order": ["max_gap", "temperature"]}
after = temperament.process(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), order)
assert after.tolist() == [[-math.inf, -math.inf, 4.0, 6.0]], after
print("max_gap" in [stage.name for stage in STAGES])
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy of the tree in which the page was followed."""
    tree = Tree(tmp_path_factory.mktemp("tree"))
    tree.follow(PAGE)
    return tree


def test_the_page_changes_these_files_and_no_others(tree: Tree) -> None:
    """Three files are new, one has a line more, and the documents that list stages follow."""
    documents = {path for path in tree.changed if path.endswith(".md")}

    assert NEW == tree.new
    assert {INDEX} == tree.changed - documents
    assert documents
    for path in documents:
        assert [] == [line for line in tree.added_lines(path) if "max_gap" not in line], path


def test_the_stage_works_everywhere(tree: Tree, tmp_path: Path) -> None:
    """`process`, orders and the command line know the new stage."""
    preset = tmp_path / "near.yaml"
    preset.write_text("max_gap: 2\ntop_k: 4\n")

    assert "True\n" == tree.python("-c", USE)
    explained = tree.python(
        *("-m", "temperament.cli", "--presets", str(preset), "explain", "near", "--engine", "vllm")
    )
    assert "max_gap" in explained


def test_the_tests_of_every_stage_cover_it(tree: Tree) -> None:
    """The tests that go through all stages, and the new stage's own table, pass in the copy.

    Those of the engines, whose imports take most of the time, are left to the run of all tests.
    """
    tests = [
        str(path)
        for path in (tree.root / "plugin/tests").glob("[!e]*/**/test_*.py")
        if "temperament.stages" in path.read_text(encoding="utf-8") or "max_gap" in path.name
    ]
    printed = tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", "max_gap")
    passed = re.search(r"(\d+) passed", printed)

    assert passed is not None, printed
    assert int(passed[1]) > 30


def test_a_stage_without_its_test_file_is_noticed(tree: Tree) -> None:
    """The check that each stage has a definition and a table fails where one is missing."""
    file = tree.root / "plugin/tests/stages/test_max_gap.py"
    hidden = file.rename(file.with_suffix(".hidden"))
    try:
        check = "plugin/tests/ops/test_reference.py::test_every_stage_has_a_definition_and_a_table"
        with pytest.raises(AssertionError, match="max_gap"):
            tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", check)
    finally:
        hidden.rename(file)
