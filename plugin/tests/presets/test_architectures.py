"""Each family of 2026 that vLLM serves has a file in `configs/models`, or a line why not.

`architectures.yaml` beside this file says which: vLLM's registries name architectures, not the
models that have them.
"""

from __future__ import annotations

import ast
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from temperament.presets.families import families
from temperament.presets.markers import configs

LISTED = yaml.safe_load(Path(__file__).with_name("architectures.yaml").read_text(encoding="utf-8"))
EARLIER = set(LISTED["earlier"].split())
ENTRY = [name for names in LISTED["entry"].values() for name in names]
WITHOUT = [name for names in LISTED["without"].values() for name in names]
# vLLM's registries of models that write text.
TEXT = {"_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS"}
# Those that vLLM 0.33 brought.
SINCE_0_33 = {
    *("AliceAIForCausalLM", "Alpamayo2Super", "BeamForCausalLM", "DomynEdgeForCausalLM"),
    *("DoryForCausalLM", "FlintForCausalLM", "Kolibri1ForCausalLM"),
    *("MiniCPMOcrForConditionalGeneration", "MuseSparkForConditionalGeneration"),
    *("RadioMBartPrefixForCausalLM", "Step5ForCausalLM", "Step5ForConditionalGeneration"),
}


@pytest.fixture(scope="module")
def registered() -> set[str]:
    """The architectures of the installed vLLM that write text: read in its file, not imported."""
    spec = find_spec("vllm")
    assert spec is not None and spec.origin is not None
    file = Path(spec.origin).parent / "model_executor" / "models" / "registry.py"
    tables = {
        ast.unparse(target): node.value
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    return {ast.literal_eval(key) for table in TEXT for key in tables[table].keys if key}


def test_each_architecture_is_listed(registered: set[str]) -> None:
    """vLLM registers no architecture that the list lacks; a new version's show up here."""
    assert set() == registered - EARLIER - {*ENTRY, *WITHOUT}


@pytest.mark.skipif(
    Version(version("vllm")).release[:2] != (0, 32), reason="the list was made with vLLM 0.32"
)
def test_the_list_has_no_other_architecture(registered: set[str]) -> None:
    """What vLLM 0.32 doesn't register, 0.33 brought."""
    assert SINCE_0_33 == (EARLIER | {*ENTRY, *WITHOUT}) - registered


def test_each_is_listed_once() -> None:
    """An architecture of 2026 has a family or a reason, not both, and isn't an earlier one."""
    assert len({*ENTRY, *WITHOUT}) == len(ENTRY) + len(WITHOUT)
    assert set() == EARLIER & {*ENTRY, *WITHOUT}


def test_the_entries_exist() -> None:
    """Each file that the list names is in `configs/models`."""
    assert set() == LISTED["entry"].keys() - {family.name for family in families()}


@pytest.mark.parametrize("page", ["models.md", "models.zh-CN.md"])
def test_the_reasons_stand_in_the_documents(page: str) -> None:
    """The table of both languages names each family that has no file."""
    text = (configs().parent / "docs" / page).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]

    assert set() == {name for name in LISTED["without"] if not any(name in row for row in rows)}
