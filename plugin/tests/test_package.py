"""The package: what an import loads, what the wheel contains, and that it works when installed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import temperament

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ["torch", "vllm", "transformers", "pydantic", "yaml", "numpy"]


def python(*arguments: str, path: Path = ROOT / "plugin") -> str:
    """Returns the output of a new interpreter with `path` on its import path."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(path)},
    )
    return done.stdout


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("temperament", []),
        ("temperament.errors", []),
        ("temperament.stages", []),
        ("temperament.cli", []),
        ("temperament.presets", ["pydantic", "yaml"]),
        ("temperament.plan", ["pydantic", "yaml"]),
        ("temperament.cli.preset_commands", ["pydantic", "yaml"]),
    ],
)
def test_an_import_loads_no_engine(module: str, allowed: list[str]) -> None:
    """Only the engines load torch or vLLM; `import temperament` loads not even pydantic."""
    code = (
        f"import {module}, json, sys; print(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    )

    assert allowed == json.loads(python("-c", code))


def test_an_import_takes_less_than_50_ms() -> None:
    """The best of five runs of `import temperament` takes less than 50 ms of processor time.

    Processor time, because other programs on the machine must not fail this test.
    """
    clock = "time.process_time()"
    code = f"import time; start = {clock}; import temperament; print({clock} - start)"

    assert 0.05 > min(float(python("-c", code)) for _ in range(5))


def test_the_public_names_are_sorted_and_there() -> None:
    """`dir` lists every public name, and a misspelt name raises an AttributeError."""
    assert sorted(temperament.__all__) == temperament.__all__
    assert set(temperament.__all__) <= set(dir(temperament))
    assert issubclass(temperament.PresetError, temperament.TemperamentError)
    assert "chat" in temperament.Catalogue.load(environment=False)
    with pytest.raises(AttributeError, match="has no attribute 'Presets'"):
        _ = temperament.Presets


def processor_seconds() -> float:
    """Returns how long the programs that ended were on a processor: other programs don't count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as the project's build backend builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_code_and_the_configs(wheel: Path) -> None:
    """The wheel contains every file of the package and of `configs/`, and no test."""
    names = set(zipfile.ZipFile(wheel).namelist())
    package, configs = ROOT / "plugin" / "temperament", ROOT / "configs"
    code = {f"temperament/{path.relative_to(package)}" for path in package.rglob("*.py")}
    data = {
        f"temperament/configs/{path.relative_to(configs)}"
        for path in configs.rglob("*")
        if path.is_file()
    }

    assert set() == {*code, *data, "temperament/py.typed"} - names
    assert set() == {name for name in names if "/test" in name or name.endswith(".pyc")}


def test_the_configs_are_found_beside_the_code(wheel: Path, tmp_path: Path) -> None:
    """A copy inside another project reads its own configs, not that project's `configs/`."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "configs").mkdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "vendored")
    code = "from temperament.presets.catalogue import shipped; print(shipped())"
    printed = python("-c", code, path=tmp_path / "vendored")

    assert f"{tmp_path / 'vendored' / 'temperament' / 'configs'}\n" == printed


def test_the_version_stands_once(wheel: Path) -> None:
    """The wheel's version is that of `temperament.__version__`."""
    metadata = f"temperament-{temperament.__version__}.dist-info/METADATA"
    lines = zipfile.ZipFile(wheel).read(metadata).decode().splitlines()

    assert f"Version: {temperament.__version__}" in lines


def test_the_wheel_works_without_torch(wheel: Path, tmp_path: Path) -> None:
    """The installed command works in an environment with the wheel's requirements alone."""
    begin = processor_seconds()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TEMPERA"))}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
        )
        return done.stdout

    listed = json.loads(run(scripts / "temperament", "list", "--json"))
    installed = run(
        scripts / "python", "-c", "import importlib.util as u; print(u.find_spec('torch'))"
    )

    assert 1.3 == {preset["name"]: preset for preset in listed}["chat"]["values"]["temperature"]
    assert {True} == {preset["origin"].startswith(str(tmp_path)) for preset in listed}
    assert "None\n" == installed
    assert 40 > processor_seconds() - begin
