"""The page that explains how to add a stage is true: these tests carry it out on a copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = "plugin/temperament/stages/README.md"
COPIED = ("plugin", "configs", "docs", "scripts", "pyproject.toml", "README.md", "README.zh-CN.md")
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


class Tree:
    """A copy of the tree, in which commands run with the copied package."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, root / name, ignore=ignored)
            else:
                shutil.copy(source, root / name)
        self.before = self.contents()

    def contents(self) -> dict[str, bytes]:
        """Returns every file's bytes by its path."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    def python(self, *arguments: str) -> str:
        """Returns what a Python command prints; fails with its output if it fails."""
        path = os.pathsep.join([str(self.root / "plugin"), str(self.root)])
        done = subprocess.run(
            [sys.executable, "-B", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def follow_the_page(self) -> None:
        """Writes each block to the file that its heading names, and runs the command."""
        page = (ROOT / PAGE).read_text(encoding="utf-8")
        sections = re.findall(
            r"^## (\d\. .*?)$.*?```(\w+)\n(.*?)```", page, re.DOTALL | re.MULTILINE
        )
        for heading, language, block in sections:
            names = re.findall(r"`([^`]+)`", heading)
            if language == "python":
                (self.root / names[0]).write_text(block, encoding="utf-8")
            elif language == "text":
                before, path = names
                file = self.root / path
                line = f"    {before}\n"
                text = file.read_text(encoding="utf-8")
                assert text.count(line) == 1
                file.write_text(text.replace(line, line + block), encoding="utf-8")
            else:
                self.python(*block.split())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy of the tree in which the page was followed."""
    tree = Tree(tmp_path_factory.mktemp("tree"))
    tree.follow_the_page()
    return tree


def test_the_page_changes_these_files_and_no_others(tree: Tree) -> None:
    """Three files are new, one has a line more, and the documents that list stages follow."""
    after = tree.contents()
    changed = {path for path in after if after[path] != tree.before.get(path)}
    documents = {path for path in changed if path.endswith(".md")}

    assert NEW == after.keys() - tree.before.keys()
    assert {INDEX} == changed - NEW - documents
    assert documents
    for path in documents:
        lines = set(after[path].decode().splitlines()) - set(
            tree.before[path].decode().splitlines()
        )
        assert [line for line in lines if "max_gap" not in line] == [], path


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
    """The tests that go through all stages, and the new stage's own table, pass in the copy."""
    printed = tree.python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "plugin/tests", "-k", "max_gap")
    )
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
