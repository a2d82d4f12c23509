"""Writes the parts of the documents that follow from the code; with --check, only compares.

Takes: some ten seconds.
Writes: the marked parts of the READMEs and of docs/.

A page marks the place of a table: `<!-- stages -->` before it and `<!-- /stages -->` after it. Any
page of the READMEs and of docs/ may have any table; a page whose name ends in `.zh-CN.md` gets the
Chinese one.

| table | follows from |
| --- | --- |
| scenarios, presets | `configs/presets`, `configs/vendor`, `configs/modes`, `configs/examples` |
| modes | `configs/modes` |
| evaluation | docs/modes/numbers.json, which scripts/evaluate_modes writes |
| stages | `temperament.stages` |
| parameters | `temperament.plan.targets` |
| formats | `temperament.interchange` |
| clients | docs/clients.json |
| programs | docs/programs.json, which scripts/programs writes |
| matrix | docs/matrix.json, which scripts/matrix writes |
| those of the study | docs/study/numbers.json, which scripts/study writes |
| automata, docs/images/automaton.svg | the page's example: scripts/lib/automata_page.py |
| reliability, soak, flood, fuzz, cost, structure | JSON in docs/: scripts/lib/report_tables.py |
| vocabularies | docs/reports/tokenizers.json: scripts/lib/report_tables.py |
| surveyed | docs/surveyed.json: scripts/lib/report_tables.py |
| launches, drafts, many presets, kernels, scale, slow disk | the same, of docs/benchmarks/ |
| chains | the same, of docs/benchmarks/ |
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.lib.automata_page import DRAWING, automata_tables, drawing
from scripts.lib.command import ROOT, parser
from scripts.lib.documents import with_part
from scripts.lib.evaluate_modes.tables import tables as evaluation
from scripts.lib.report_tables import report_tables

from temperament.interchange import FORMATS
from temperament.plan.documented import DOCUMENTED, SECTIONS
from temperament.plan.targets import ENTRY_POINTS, TARGETS, Route
from temperament.presets import Catalogue, Preset
from temperament.presets.groups import in_groups
from temperament.stages import STAGES, Stage
from temperament.studio.study import tables

HEADS = {
    "en": ("stage", "parameters", "what it does", "vLLM", "Transformers", "source"),
    "zh": ("阶段", "参数", "作用", "vLLM", "Transformers", "来源"),
}
FROM_MODEL = {"en": "the model's", "zh": "模型推荐值"}
PRESET_HEADS = {
    "en": ("preset", "parameters", "also called", "for"),
    "zh": ("预设", "参数", "别名", "用途"),
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def parameters(stage: Stage) -> str:
    """Each parameter with what it may be."""
    cells = []
    for parameter in stage.parameters:
        off = parameter.neutral is not None
        unset = f"off: {parameter.neutral!r}" if off else f"default: {parameter.default!r}"
        cells.append(f"`{parameter.name}`: {parameter.allowed}; {unset}")
    return "<br>".join(cells).replace("|", "\\|").replace("*", "\\*")


def stages(language: str) -> str:
    """All stages in their default order; those that no engine has are bold."""
    rows = []
    for stage in STAGES:
        has = [stage.name in TARGETS[engine].has for engine in ("vllm", "transformers")]
        name = stage.name if any(has) else f"**{stage.name}**"
        summary = stage.summary if language == "en" else stage.summary_zh
        marks = ["✓" if has_it else "" for has_it in has]
        rows.append((name, parameters(stage), summary, *marks, stage.source))
    return table(HEADS[language], rows)


SCENARIOS = ("code", "math", "data", "chat", "translation", "creative")
SCENARIO_HEADS = {
    "en": ("preset", "temperature of DeepSeek's API", "drawn at", "for"),
    "zh": ("预设", "DeepSeek API 的温度", "实际采样温度", "用途"),
}


def scenarios(language: str) -> str:
    """The six presets of DeepSeek's recommendations."""
    catalogue = Catalogue.load(environment=False)
    rows = [
        (
            f"`{name}`",
            f"{catalogue[name].values['temperature']}",
            f"{catalogue[name].drawn.values['temperature']}",
            catalogue[name].summary[language],
        )
        for name in SCENARIOS
    ]
    return table(SCENARIO_HEADS[language], rows)


DRAWN = {"en": " (drawn at {})", "zh": "（实际为 {}）"}


def equations(stated: Mapping[str, Any], drawn: Mapping[str, Any], language: str) -> str:
    """The values of a preset or a mode, as text, with the temperature at which it is drawn."""
    return ", ".join(
        f"{name} {value}" + DRAWN[language].format(drawn[name]) * (drawn[name] != value)
        for name, value in stated.items()
    )


def presets(language: str) -> str:
    """The shipped presets, in groups."""
    parts = []
    for group, members in in_groups(Catalogue.load(environment=False).values()):
        parts.append(f"## {group.title[language]}\n\n{presets_table(members, language)}")
    return "\n\n".join(parts)


def presets_table(listed: Iterable[Preset], language: str) -> str:
    """A row for each preset."""
    rows = []
    for preset in listed:
        drawn = preset.drawn
        values = equations(preset.values, drawn.values, language)
        factors = [f"{name} {factor:g} x" for name, factor in preset.relative.items()]
        if preset.from_model:
            factors.insert(0, FROM_MODEL[language])
        values = ", ".join(filter(None, [values, *factors]))
        if preset.order:
            values += f"; {', '.join(preset.order)}"
        for mode, drawn_mode in zip(preset.modes, drawn.modes, strict=True):
            text = equations(mode.values, drawn_mode.values, language)
            values = f"{values}<br>" * bool(values) + f"*{mode.name}*: {text}"
        summary = preset.summary[language]
        rows.append((f"`{preset.name}`", values, ", ".join(preset.aliases), summary))
    return table(PRESET_HEADS[language], rows)


MODES_HEADS = {"en": ("preset", "modes", "for"), "zh": ("预设", "模式", "用途")}


def modes(language: str) -> str:
    """The shipped presets that switch between modes, each with its file."""
    comma = ", " if language == "en" else "、"
    groups = in_groups(Catalogue.load(environment=False).values())
    members = next(members for group, members in groups if group.name == "modes")
    rows = [
        (
            f"[`{preset.name}`](../configs/modes/{preset.name}.yaml)",
            comma.join(mode.name for mode in preset.modes),
            preset.summary[language],
        )
        for preset in members
    ]
    return table(MODES_HEADS[language], rows)


PARAMETER_HEADS = {
    "en": ("parameter", "in a preset", "Transformers", "vLLM, offline", "vLLM, server"),
    "zh": ("参数", "预设中的名字", "Transformers", "vLLM 离线", "vLLM 服务器"),
}
HOWS = {
    "en": {
        "native": "native",
        "residual": "Temperament",
        "flag": "at start only",
        "refused": "refused",
    },
    "zh": {"native": "引擎自带", "residual": "Temperament", "flag": "仅启动时", "refused": "拒绝"},
}


def route_cell(route: Route, language: str) -> str:
    """What an engine does with a parameter, in a cell."""
    text = HOWS[language][route.how]
    colon, stop = (": ", "; ") if language == "en" else ("：", "；")
    if route.where:
        text += f"{colon}`{route.where}`"
    reason = route.reason[language == "zh"]
    return text + (stop if route.where else colon) + reason if reason else text


def parameters_page(language: str) -> str:
    """All 67, by the sections of the reference document."""
    parts = []
    for key, titles in SECTIONS.items():
        rows = []
        for each in DOCUMENTED:
            if each.section == key:
                cells = (
                    route_cell(entry_point.route(each.field), language)
                    for entry_point in ENTRY_POINTS.values()
                )
                rows.append((f"`{each.name}`", f"`{each.field}`", *cells))
        title = titles[language == "zh"]
        parts.append(f"## {title}\n\n{table(PARAMETER_HEADS[language], rows)}")
    return "\n\n".join(parts)


MATRIX_HEADS = {
    "en": ("Python", "vLLM", "Transformers", "torch", "Triton", "unit tests", "generate", "serve"),
    "zh": ("Python", "vLLM", "Transformers", "torch", "Triton", "单元测试", "generate", "serve"),
}
KERNELS = {"en": "of the kernels", "zh": "内核的"}
TOO_OLD = {"en": "too old: ", "zh": "太旧："}


def matrix(results: Mapping[str, Any], language: str) -> str:
    """What scripts/matrix found: a row for each environment, a column for each check."""
    rows = []
    for cell in results.values():
        names = ("python", "vllm", "transformers", "torch", "triton")
        versions = tuple(cell.get(name, "") for name in names)
        results_of = dict(cell["checks"])
        if "install" in results_of or "import" in results_of:
            reason = str(next(iter(results_of.values()))).partition(": ")[2]
            result = TOO_OLD[language] if cell["fails"] else "✗ "
            checks: tuple[str, ...] = (f"{result}`{reason}`", "", "")
        else:
            unit, generate, serve = (
                mark(results_of.get(name, "")) for name in ("unit", "generate", "serve")
            )
            if "serve_v2" in results_of:
                serve = f"V1 {serve}, V2 {mark(results_of['serve_v2'])}"
            if "kernels" in results_of:
                unit += f", {KERNELS[language]} {mark(results_of['kernels'])}"
                serve = f"`scripts/gpu --device cpu` {mark(results_of['gpu'])}"
            checks = (unit, generate, serve)
        rows.append((*versions, *checks))
    return table(MATRIX_HEADS[language], rows)


def mark(result: str) -> str:
    """A check's result in a cell: "ok: 12 passed" is a tick and the count."""
    what, _, more = result.partition(": ")
    return " ".join(filter(None, [{"ok": "✓", "": ""}.get(what, "✗"), more]))


FORMAT_HEADS = {
    "en": ("`--from`, `--to`", "format", "held against"),
    "zh": ("`--from`、`--to`", "格式", "对照版本"),
}


def formats(language: str) -> str:
    """The formats of other programs, by title."""
    rows = [
        (f"`{each.name}`", each.title, each.version)
        for each in sorted(FORMATS, key=lambda f: f.title.lower())
    ]
    return table(FORMAT_HEADS[language], rows)


PROGRAMS_HEAD = {"en": "stage", "zh": "阶段"}
CANT = {"en": {"lost": "—", "order": "another order"}, "zh": {"lost": "—", "order": "次序不同"}}


def programs(measured: Mapping[str, Any], language: str) -> str:
    """How far each program's probabilities are from those of `process`, by stage."""
    heads = [f"{name} {numbers['version']}" for name, numbers in measured.items()]
    columns = [numbers["differences"] for numbers in measured.values()]
    rows = [
        (stage, *(CANT[language].get(each[stage], each[stage]) for each in columns))
        for stage in columns[0]
    ]
    return table(
        (PROGRAMS_HEAD[language], *heads),
        [tuple(f"{c:.1g}" if isinstance(c, float) else c for c in row) for row in rows],
    )


CLIENT_HEADS = {"en": ("client", "a line"), "zh": ("客户端", "写法")}


def clients(lines: Mapping[str, str], language: str) -> str:
    """How each tested client names a preset."""
    return table(CLIENT_HEADS[language], [(name, f"`{line}`") for name, line in lines.items()])


def documents() -> dict[Path, str]:
    """Every page with its language."""
    pages = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
    return {page: "zh" if page.name.endswith(".zh-CN.md") else "en" for page in pages}


def data(path: str) -> Any:
    """The content of a JSON file in docs/."""
    return json.loads((ROOT / "docs" / path).read_text(encoding="utf-8"))


def parts(language: str) -> dict[str, str]:
    """Every part by its name."""
    return {
        "scenarios": scenarios(language),
        "presets": presets(language),
        "modes": modes(language),
        "stages": stages(language),
        "parameters": parameters_page(language),
        "formats": formats(language),
        "programs": programs(data("programs.json"), language),
        "clients": clients(data("clients.json"), language),
        "matrix": matrix(data("matrix.json"), language),
        "evaluation": evaluation(data("modes/numbers.json"), language),
        **tables.all_tables(data("study/numbers.json"), language),
        **report_tables(language),
        **automata_tables(language),
    }


def main() -> None:
    """Brings every document up to date, or tells which isn't and exits with 1."""
    options = parser("generate_docs", __doc__)
    options.add_argument("--check", action="store_true", help="write nothing; 1 if one is stale")
    check = options.parse_args().check
    stale = []
    tables_in = {language: parts(language) for language in ("en", "zh")}
    if drawing() != (DRAWING.read_text(encoding="utf-8") if DRAWING.exists() else ""):
        stale.append(str(DRAWING.relative_to(ROOT)))
        if not check:
            DRAWING.write_text(drawing(), encoding="utf-8")
    for page, language in documents().items():
        before = page.read_text(encoding="utf-8")
        text = before
        for part, content in tables_in[language].items():
            text = with_part(text, part, content)
        if text != before:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(text, encoding="utf-8")
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; run ./scripts/generate_docs")


if __name__ == "__main__":
    main()
