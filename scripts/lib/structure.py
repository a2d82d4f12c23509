"""Prints the numbers of the package's structure, for this checkout or for any commits beside it.

    ./scripts/structure                          this checkout
    ./scripts/structure --commit e31d940         a commit, and this checkout beside it
    ./scripts/structure --commit e31d940 --longest 20
    ./scripts/structure --commit e31d940 --json docs/reports/structure.json
                                                 the report's table (then ./scripts/generate_docs)

Takes: two seconds for each tree.
Writes: the file of --json (a commit is unpacked into a temporary folder and removed).

It prints: the longest files of plugin/temperament, of scripts and of the tests; the number of
imports from each folder of the package to each other one; the files that adding a stage, an engine
or a format touches; how often `# fmt: skip` and the words of the project's former dialect stand in
the package.

The files that an addition touches are printed twice: those that the page about it names
(`plugin/temperament/*/README.md`; a test carries it out literally where `plugin/tests` has one),
and those that name an example: the stage `top_h`, the format `tabbyapi`, the engine
`transformers`. The second list is an upper bound: some files compare or measure the example.
"""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from scripts.lib.command import ROOT, parser

PACKAGE = "plugin/temperament"
TOPS = {
    "the package": [PACKAGE],
    "scripts": ["scripts"],
    "the tests": ["plugin/tests", "integration_tests"],
}
DIALECT = ("made", "own", "words", "told", "said", "given")
EXAMPLES = {"stage": "top_h", "engine": "transformers", "format": "tabbyapi"}
PAGES = {"stage": f"{PACKAGE}/stages/README.md", "format": f"{PACKAGE}/interchange/README.md"}


def python_files(tree: Path, top: str) -> list[Path]:
    """The Python files under a folder of the tree, commands without a suffix among them."""
    files = [path for path in (tree / top).rglob("*") if path.is_file()]
    return sorted(path for path in files if path.suffix == ".py" or is_python(path))


def is_python(path: Path) -> bool:
    """Whether a file without a suffix is Python: these begin with a docstring or `python`."""
    if path.suffix:
        return False
    first = path.read_bytes().partition(b"\n")[0]
    return first.startswith(b'"""') or (first.startswith(b"#!") and b"python" in first)


def longest(tree: Path, tops: Iterable[str], count: int) -> list[tuple[int, str]]:
    """The longest files as (lines, path), longest first."""
    files = [path for top in tops for path in python_files(tree, top)]
    sizes = [(len(path.read_bytes().splitlines()), str(path.relative_to(tree))) for path in files]
    return sorted(sizes, key=lambda size: (-size[0], size[1]))[:count]


def folder_of(module: str) -> str:
    """The folder of the package that a module belongs to: `temperament.ops.x` -> `ops`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(tree: Path) -> Counter[tuple[str, str]]:
    """(importing folder, imported folder) -> number of import statements, `TYPE_CHECKING` too."""
    found: Counter[tuple[str, str]] = Counter()
    for path in python_files(tree, PACKAGE):
        relative = path.relative_to(tree / "plugin").with_suffix("")
        source = folder_of(".".join(relative.parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "temperament":
                modules = [f"temperament.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                continue
            for module in modules:
                target = folder_of(module)
                if module.split(".")[0] == "temperament" and target != source:
                    found[source, target] += 1
    return found


def touched(tree: Path, kind: str) -> list[str]:
    """Lines: the files that the page names, then those that name the example, with their number."""
    lines = []
    page = tree / PAGES.get(kind, "")
    if page.is_file():
        headings = re.findall(r"^## \d\. .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
        files = {name for heading in headings for name in re.findall(r"`([\w./]+\.py)`", heading)}
        lines += [f"the page names {len(files)}", *(f"  {name}" for name in sorted(files))]
    files_ = naming(tree, EXAMPLES[kind])
    return [*lines, f"{len(files_)} name `{EXAMPLES[kind]}`", *(f"  {name}" for name in files_)]


def naming(tree: Path, name: str) -> list[str]:
    """The files that name a stage, an engine or a format, or are named for it."""
    pattern = re.compile(rf"[\"'`]{name}[\"'`]|\bimport.*\b{name}\b|\b{name}\.py\b")
    found = []
    for top in (PACKAGE, "plugin/tests", "scripts"):
        for path in python_files(tree, top):
            if path.name != Path(__file__).name and (
                name in path.stem or pattern.search(path.read_text(encoding="utf-8"))
            ):
                found.append(str(path.relative_to(tree)))
    return found


def occurrences(tree: Path, text: str) -> int:
    """Returns how often a text stands in the package without a letter beside it."""
    pattern = re.compile(rf"(?<![A-Za-z]){re.escape(text)}(?![A-Za-z])")
    files = python_files(tree, PACKAGE)
    return sum(len(pattern.findall(path.read_text(encoding="utf-8"))) for path in files)


def unpack(commit: str, folder: Path) -> Path:
    """Unpacks a commit of this repository into the folder. Exits if there is no such commit."""
    command = ["git", "-C", str(ROOT), "archive", commit]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"scripts/structure: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def side_by_side(columns: Sequence[list[str]]) -> str:
    """Blocks of lines as columns."""
    widths = [max(map(len, column), default=0) for column in columns]
    height = max(map(len, columns))
    rows = []
    for number in range(height):
        cells = [column[number] if number < len(column) else "" for column in columns]
        rows.append("   ".join(f"{c:{w}}" for c, w in zip(cells, widths, strict=True)).rstrip())
    return "\n".join(rows)


def matrix(counts: Counter[tuple[str, str]]) -> list[str]:
    """The imports as a matrix: a line for each importing folder, a column for each imported one."""
    names = sorted({name for pair in counts for name in pair})
    width = max(map(len, names))
    short = [name[:6] for name in names]
    lines = [" " * width + "".join(f" {name:>6}" for name in short)]
    for source in names:
        cells = (counts.get((source, target), 0) for target in names)
        lines.append(f"{source:{width}}" + "".join(f" {count or '·':>6}" for count in cells))
    return [*lines, f"{sum(counts.values())} imports, {len(counts)} pairs of folders"]


def main() -> None:
    """Prints the tables, a column for each tree."""
    options = parser("structure", __doc__)
    options.add_argument("--commit", action="append", default=[], help="may be repeated")
    options.add_argument("--longest", type=int, default=10, help="files of each kind (10)")
    options.add_argument("--json", type=Path, help="write one number of each kind, print nothing")
    chosen = options.parse_args()
    with ExitStack() as stack:
        trees = {}
        for commit in chosen.commit:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            trees[commit] = unpack(commit, folder)
        trees["this checkout"] = ROOT
        if chosen.json:
            numbers = {name: summary(tree) for name, tree in trees.items()}
            chosen.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
            return
        for title, tops in TOPS.items():
            columns = {
                name: [f"{size:5} {path}" for size, path in longest(tree, tops, chosen.longest)]
                for name, tree in trees.items()
            }
            show(f"The longest files of {title}, in lines", columns)
        for name, tree in trees.items():  # too wide for two columns
            print(f"\n## Imports between folders: {name}\n\n" + "\n".join(matrix(imports(tree))))
        for kind in EXAMPLES:
            columns = {name: touched(tree, kind) for name, tree in trees.items()}
            show(f"Files that one more {kind} touches", columns)
        show("In the package", {name: vocabulary(tree) for name, tree in trees.items()})


def vocabulary(tree: Path) -> list[str]:
    """How often `# fmt: skip` and each word of the dialect stand in the package."""
    return [f"{occurrences(tree, text):5} {text}" for text in ("fmt: skip", *DIALECT)]


def summary(tree: Path) -> dict[str, int]:
    """The numbers of docs/reports/structure.md by their meaning."""
    numbers = {
        f"lines of the longest file of {title}": longest(tree, tops, 1)[0][0]
        for title, tops in TOPS.items()
    }
    counts = imports(tree)
    numbers["imports between folders"] = sum(counts.values())
    numbers["pairs of folders of which one imports the other"] = len(counts)
    numbers["pairs of folders that import each other"] = sum(
        (target, source) in counts for source, target in counts if source < target
    )
    for kind, example in EXAMPLES.items():
        files = naming(tree, example)
        numbers[f"files of the package that name the {kind} `{example}`"] = sum(
            file.startswith(PACKAGE) for file in files
        )
    return numbers | {f"`{text}`": occurrences(tree, text) for text in ("fmt: skip", *DIALECT)}


def show(title: str, columns: dict[str, list[str]]) -> None:
    """Prints a table with a column for each tree."""
    blocks = [[name, "-" * len(name), *lines] for name, lines in columns.items()]
    print(f"\n## {title}\n\n{side_by_side(blocks)}")


if __name__ == "__main__":
    main()
