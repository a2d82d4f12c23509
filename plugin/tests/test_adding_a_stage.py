"""The page that tells how to add a stage is true: it is carried out here on a copy."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "temperament"

CHECK = """
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


def blocks() -> list[str]:
    """The page's pieces of code, in order."""
    page = (PACKAGE / "stages" / "README.md").read_text()
    return re.findall(r"```(?:python|text)\n(.*?)```", page, flags=re.DOTALL)


def test_the_worked_example_works(tmp_path: Path) -> None:
    """Two files and a line are enough for `process`, for orders and for the command line."""
    copy = tmp_path / "temperament"
    shutil.copytree(PACKAGE, copy)
    shutil.copytree(PACKAGE.parents[1] / "configs", copy / "configs")
    stage, op, line, _ = blocks()
    (copy / "stages" / "max_gap.py").write_text(stage)
    (copy / "ops" / "max_gap.py").write_text(op)
    index = copy / "stages" / "__init__.py"
    before = '    "min_p",\n'
    assert before in index.read_text()
    index.write_text(index.read_text().replace(before, before + line))

    def run(*words: str) -> str:
        environment = {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    preset = tmp_path / "near.yaml"
    preset.write_text("max_gap: 2\ntop_k: 4\n")

    assert run("-c", CHECK) == "True\n"
    shown = run("-m", "temperament.cli", "--presets", str(preset), "explain", "near",
                "--engine", "vllm")  # fmt: skip
    assert "max_gap" in shown


def test_the_worked_reference_agrees_with_the_worked_op(tmp_path: Path) -> None:
    """The row function of the page gives what the op of the page gives."""
    names: dict[str, object] = {}
    exec("import math\n" + blocks()[3], names)
    reference = names["max_gap"]

    assert callable(reference)
    assert reference([0.0, 1.0, 3.0], max_gap=2.0) == [float("-inf"), 1.0, 3.0]
