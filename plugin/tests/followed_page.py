"""Pages that explain how to add something, carried out on a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("plugin", "configs", "docs", "scripts", "pyproject.toml", "README.md", "README.zh-CN.md")


class Tree:
    """A copy of the tree in which a page is followed, and commands run with the copied package."""

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
        """Returns the output of a Python command; fails with it if the command fails."""
        return self.run(sys.executable, "-B", *arguments)

    def run(self, *command: str) -> str:
        """Returns the output of a command; fails with it if the command fails."""
        path = os.pathsep.join([str(self.root / "plugin"), str(self.root)])
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": path, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def follow(self, page: str) -> None:
        """Writes each block of a page to the file that its heading names, and runs its command."""
        text = (ROOT / page).read_text(encoding="utf-8")
        sections = re.findall(
            r"^## (\d\. .*?)$.*?```(\w+)\n(.*?)```", text, re.DOTALL | re.MULTILINE
        )
        for heading, language, block in sections:
            names = re.findall(r"`([^`]+)`", heading)
            if language == "python":
                (self.root / names[0]).write_text(block, encoding="utf-8")
            elif language == "text":
                before, path = names
                file = self.root / path
                line = f"    {before}\n"
                lines = file.read_text(encoding="utf-8")
                assert 1 == lines.count(line)
                file.write_text(lines.replace(line, line + block), encoding="utf-8")
            else:
                self.run(*block.split())

    @property
    def new(self) -> set[str]:
        """The files that weren't there before."""
        return self.contents().keys() - self.before.keys()

    @property
    def changed(self) -> set[str]:
        """The files of before that have other bytes now."""
        after = self.contents()
        return {path for path in self.before if self.before[path] != after.get(path)}

    def added_lines(self, path: str) -> set[str]:
        """The lines of a file that it didn't have before."""
        after = (self.root / path).read_text(encoding="utf-8")
        return set(after.splitlines()) - set(self.before[path].decode().splitlines())
