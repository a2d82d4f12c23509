"""How the files of the package and the tests are laid out, and how tests are described."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("plugin/tests", "integration_tests", "scripts")


def imported(file: Path) -> set[str]:
    """Returns the parts of the names that a file imports, and of the modules they come from."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {part for name in names for part in name.split(".")}


def test_no_test_module_is_imported() -> None:
    """Tests share helpers through helper modules and `conftest.py`, not through other tests."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    tests = {file.stem for file in files if file.stem.startswith("test_")}

    assert {} == {str(file): found for file in files if (found := imported(file) & tests)}


def vague(docstring: str) -> bool:
    """Whether a test's docstring is no sentence, or one of five words or fewer."""
    first = docstring.split("\n\n", maxsplit=1)[0].rstrip()
    return len(first.split()) <= 5 or not first.endswith((".", "?"))


def test_each_test_says_what_it_asserts() -> None:
    """The docstring of every test is a sentence of more than five words."""
    wrong = [
        f"{file.relative_to(ROOT)}: {node.name}"
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and vague(ast.get_docstring(node) or "")
    ]

    assert [] == wrong


# In these folders the file of a stage, an operation or a program has the same name on purpose.
PAIRED = (
    {"stages", "ops", "kernels/device"},
    {"kernels", "kernels/device"},
    {"plan/targets", "interchange"},
)


def test_a_file_name_stands_once() -> None:
    """Two files of the package have the same name only in folders that belong together."""
    package = ROOT / "plugin/temperament"
    folders: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        folders.setdefault(file.stem, set()).add(file.parent.relative_to(package).as_posix())

    assert {} == {
        stem: sorted(found)
        for stem, found in folders.items()
        if len(found) > 1 and stem != "__init__"
        if not any(found <= together for together in PAIRED)
    }


LAYERING = {"over", "over_model", "extending"}  # the methods of `Preset` that merge two layers


def test_layers_are_merged_in_one_place() -> None:
    """No folder but `presets/` merges two layers itself: the others call `presets/resolve.py`."""
    package = ROOT / "plugin/temperament"
    wrong = [
        f"{file.relative_to(package)}:{node.lineno}"
        for file in package.rglob("*.py")
        if file.parent.name != "presets"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        if isinstance(node.func, ast.Attribute) and node.func.attr in LAYERING
    ]

    assert [] == wrong


# Methods that vLLM and Transformers call, and a class that vLLM finds by an entry point.
CALLED_BY_OTHERS = {
    "TemperamentEndpoint",
    "TemperamentLogitsProcessor",
    "apply_staged_writes",
    "attach_router",
    "fill_defaults",
    "init_state",
    "is_argmax_invariant",
    "update_state",
}


def test_nothing_is_called_by_tests_alone() -> None:
    """Each function and class of the package is named elsewhere in it, or in a script."""
    files = [
        file
        for folder in ("plugin/temperament", "scripts")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix in ("", ".py")
    ]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    named = Counter(name for text in texts.values() for name in re.findall(r"\w+", text))
    unnamed = {
        node.name
        for file, text in texts.items()
        if file.is_relative_to(ROOT / "plugin/temperament") and file.suffix == ".py"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if named[node.name] == 1 and not node.decorator_list and not node.name.startswith("__")
    }

    assert CALLED_BY_OTHERS == unnamed


LITERALS = (ast.Constant, ast.Dict, ast.JoinedStr, ast.List, ast.Set, ast.Tuple)


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is a literal, or a constant such as `-math.inf`."""
    match node:
        case ast.UnaryOp(operand=operand):
            return is_literal(operand)
        case ast.Attribute(value=ast.Name(id="math" | "torch"), attr="inf" | "nan"):
            return True
    return isinstance(node, LITERALS)


def backwards(node: ast.AST) -> bool:
    """Whether an assertion compares a value with a literal that stands behind it."""
    match node:
        case ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right])):
            named = isinstance(left, ast.Name) and left.id.startswith("expected")
            return is_literal(right) and not is_literal(left) and not named
    return False


def test_the_expected_value_comes_first() -> None:
    """An assertion reads `expected == actual` in all tests."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for folder in ("plugin/tests", "integration_tests")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if backwards(node) and isinstance(node, ast.Assert)
    ]

    assert [] == wrong
