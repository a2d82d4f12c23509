"""The tables of docs/reliability.md, docs/benchmarks.md and of the reports, from JSON in docs/.

docs/reports/soak*.json, fuzz*.json, flood.json, structure.json and tokenizers.json are what the
scripts `soak`, `fuzz`, `flood`, `structure` and `vocabularies` write with `--json`;
docs/benchmarks/*.json is what `scripts/benchmark` writes with `--write`, and
docs/benchmarks/kernels.json what `scripts/kernels` writes with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.lib.command import ROOT

DOCS = ROOT / "docs"
PEERS = ("Transformers", "vLLM", "llama.cpp")

# English -> Chinese. What isn't here (kinds of requests and cases) is shown in English.
CHINESE = {
    "command": "命令",
    "requests": "请求",
    "kinds": "种类",
    "answers": "回答",
    "reason of each 400": "400 的原因",
    "preemptions": "抢占",
    "prompt tokens from the prefix cache": "来自前缀缓存的提示词元",
    "processes that were restarted": "重新启动的进程",
    "answers of 5xx": "5xx 回答",
    "errors in the server's log": "服务器日志中的错误",
    "memory of all processes, MiB": "所有进程的内存，MiB",
    "texts repeated alone": "单独重复的文本",
    "texts that parted on equal logits": "logits 相同而分开的文本",
    "cases": "用例",
    "refused": "被拒绝",
    "format": "格式",
    "files": "文件",
    "passed": "通过",
    "not for Temperament, left to vLLM": "与 Temperament 无关，交给 vLLM",
    "rows sampled with what passed": "用通过的预设抽取的行",
    "slowest refusal, ms of processor time": "最慢的拒绝，毫秒（处理器时间）",
    "largest refusal, MiB": "最大的拒绝，MiB",
    "failures": "失败",
    "ends": "结局",
    "finished": "完成",
    "cancelled": "取消",
    "can't run": "无法运行",
    "refused at the door": "在入口被拒绝",
    "requests that lost their cache": "失去缓存的请求",
    "presets given up": "放弃的预设",
    "places kept after the end": "结束后仍占用的位置",
    "same": "相同",
    "parted": "分开",
    "memory after the first third, and at the end, MiB": "前三分之一之后与结束时的内存，MiB",
    "admission, microseconds": "接纳，微秒",
    "median": "中位数",
    "longest": "最长",
    "first request for each preset": "每个预设的第一个请求",
    "later requests": "之后的请求",
    "rows: presets with modes among them": "行：其中带模式的预设数",
    "a step, ms": "一步，毫秒",
    "a slow disk": "慢速磁盘",
    "the first time": "第一次",
    "nothing has changed": "没有变化",
    "a file has changed": "一个文件变了",
    "the disk stalls": "磁盘停顿",
    "the disk of the tables stalls": "存放表的磁盘停顿",
    "looks at files": "查看文件的次数",
    "s": "秒",
    "requests meanwhile": "其间的请求",
    "median, ms": "中位数，毫秒",
    "longest, ms": "最长，毫秒",
    "as torch operators, ms": "torch 算子，毫秒",
    "compiled, ms": "编译后，毫秒",
    "rows": "行",
    "until after the first step, s": "到第一步结束，秒",
    "runner": "runner",
    "presets": "预设",
    "steps": "步",
    "rows run alone": "单独运行的行",
    "changed by a preset": "被预设改变的行",
    "that differ": "不同的",
    "check": "检查",
    "extent": "规模",
    "soak": "长时间运行",
    "captured rows": "逐行重放",
    "fuzz": "模糊测试",
    "fuzz over HTTP": "HTTP 模糊测试",
    "chain": "链",
    "operators": "算子",
    "kernels": "内核",
    "passes of operators": "算子的遍数",
    "passes of kernels": "内核的遍数",
    "launches": "启动",
    "with draft tokens": "有草稿词元",
    "tokenizer": "分词器",
    "lines exact": "完全一致的行",
    "with a space before them": "前面多一个空格的行",
    "changed by the tokenizer": "被分词器改动的行",
    "that name a special token": "含特殊词元名称的行",
    "with other bytes": "字节不同的行",
    "tokens": "词元",
    "with a fence": "含围栏",
    "with a fence and a line end": "含围栏与换行",
    "with half a character": "含半个字符",
    "with three marks": "含三个标记",
    "most marks": "最多的标记",
    "triggers found": "找到的触发",
    "launches: presets in a batch that have": "启动次数：一批中的各个预设有",
    "the same stages": "相同的阶段",
    "other stages": "不同的阶段",
    "modes of their own": "各自的模式",
    "modes": "模式",
    "bytes of texts that are copied": "复制的文本字节",
    "repetition, frequency and presence penalty": "重复、频率与存在惩罚",
    "everything": "全部",
    "target": "目标",
    "kernel": "内核",
    "registers": "寄存器",
    "stack, bytes": "栈，字节",
    "shared memory, bytes": "共享内存，字节",
    "work": "工作",
    "ours, ms": "我们，毫秒",
    "tokens/s": "词元/秒",
    "vLLM's own": "vLLM 自带",
    "as a preset": "作为预设",
    "this checkout": "现在",
    "lines of the longest file of the package": "软件包最长的文件，行",
    "lines of the longest file of scripts": "scripts 最长的文件，行",
    "lines of the longest file of the tests": "测试最长的文件，行",
    "imports between folders": "目录之间的导入",
    "pairs of folders of which one imports the other": "一个导入另一个的目录对",
    "pairs of folders that import each other": "互相导入的目录对",
    "files of the package that name the stage `top_h`": "提到阶段 `top_h` 的文件",
    "files of the package that name the engine `transformers`": "提到引擎 `transformers` 的文件",
    "files of the package that name the format `tabbyapi`": "提到格式 `tabbyapi` 的文件",
}


def translated(text: str, language: str) -> str:
    """The text in the language of a page."""
    return CHINESE.get(text, text) if language == "zh" else text


def read(path: str) -> Any:
    """The content of a JSON file in docs/."""
    return json.loads((DOCS / path).read_text(encoding="utf-8"))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], language: str) -> str:
    """A table in Markdown."""
    lines = [[translated(name, language) for name in head], ["---"] * len(head)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in [*lines, *rows])


def facts(values: Mapping[str, object], language: str) -> str:
    """A table of two columns."""
    head = "| | |\n| --- | --- |\n"
    lines = (f"| {translated(name, language)} | {value} |" for name, value in values.items())
    return head + "\n".join(lines)


def listed(counts: Mapping[str, float]) -> str:
    """Counts in one cell."""
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def fives(statuses: Mapping[str, int]) -> int:
    """How many answers were a server's error."""
    return sum(count for status, count in statuses.items() if status.startswith("5"))


def soak(report: Mapping[str, Any], language: str) -> str:
    """One run of `scripts/soak`."""
    return facts(
        {
            "command": f"`{report['command']}`",
            "requests": f"{report['requests']:,} ({report['seconds']:,.0f} s)",
            "presets": report["presets"],
            "kinds": listed(report["kinds"]),
            "answers": listed(report["statuses"]),
            "reason of each 400": listed(report["refusals"]),
            "preemptions": report["preemptions"],
            "prompt tokens from the prefix cache": f"{report['prefix_hits']:,}",
            "processes that were restarted": report["restarts"],
            "answers of 5xx": fives(report["statuses"]),
            "errors in the server's log": len(report["errors_in_log"]),
            "memory of all processes, MiB": listed(report["memory"]),
            "texts repeated alone": listed(report["repeated"]),
            "texts that parted on equal logits": len(report["parted"]),
        },
        language,
    )


def fuzz(report: Mapping[str, Any], language: str) -> str:
    """One run of `scripts/fuzz` in a process."""
    return facts(
        {
            "command": f"`{report['command']}`",
            "cases": f"{sum(report['cases'].values()):,} ({report['seconds']:,.0f} s)",
            **{kind: f"{count:,}" for kind, count in sorted(report["cases"].items())},
            "refused": f"{report['refused']:,}",
            "passed": f"{report['passed']:,}",
            "not for Temperament, left to vLLM": f"{report['untouched']:,}",
            "rows sampled with what passed": f"{report['drawn']:,}",
            "slowest refusal, ms of processor time": report["slowest"],
            "largest refusal, MiB": f"{report['largest']} / {report['weighed']:,}",
            "failures": len(report["failures"]),
        },
        language,
    )


def flood(report: Mapping[str, Any], language: str) -> str:
    """One run of `scripts/flood`."""
    ends, repeated = (
        {translated(name, language): count for name, count in report[field].items()}
        for field in ("ends", "repeated")
    )
    memory = report["memory"]
    return facts(
        {
            "command": f"`{report['command']}`",
            "ends": listed(ends),
            "failures": len(report["failures"]),
            "presets given up": sum(report["given_up"].values()),
            "places kept after the end": report["left"],
            "requests that lost their cache": report["offloaded"],
            "texts repeated alone": listed(repeated),
            "memory after the first third, and at the end, MiB": (
                f"{memory['warm']:.0f}, {memory['last']:.0f}"
            ),
        },
        language,
    )


def over_http(report: Mapping[str, Any], language: str) -> str:
    """One run of `scripts/fuzz` against a server."""
    return facts(
        {
            "command": f"`{report['command']}`",
            "answers": listed(report["http"]),
            "answers of 5xx": fives(report["http"]),
            "failures": len(report["failures"]),
        },
        language,
    )


def captured(reports: Sequence[Mapping[str, Any]], language: str) -> str:
    """Rows of an engine that were run alone, by runner."""
    head = ("runner", "presets", "steps", "rows run alone", "changed by a preset", "preemptions",
            "that differ")  # fmt: skip
    rows = [
        (
            *(each["runner"], each["presets"], each["steps"], f"{each['rows']:,}"),
            *(f"{each['changed']:,}", each["preemptions"], len(each["differing"])),
        )
        for each in reports
    ]
    return table(head, rows, language)


def reliability(language: str) -> str:
    """The extent and the failures of each check, in one table."""
    chinese = language == "zh"
    run, rows, cases, http = (
        read(f"reports/{name}.json") for name in ("soak", "captured", "fuzz", "fuzz-http")
    )
    requests, presets = f"{run['requests']:,}", run["presets"]
    alone = f"{sum(each['rows'] for each in rows):,}"
    tried, sent = f"{sum(cases['cases'].values()):,}", f"{sum(http['http'].values()):,}"
    wrong = fives(run["statuses"]) + run["restarts"] + len(run["errors_in_log"] + run["parted"])
    lines = [
        ("soak", f"{requests} 个请求，{presets} 个预设" if chinese
         else f"{requests} requests with {presets} presets", wrong),
        ("captured rows", f"{alone} 行" if chinese else f"{alone} rows",
         sum(len(each["differing"]) for each in rows)),
        ("fuzz", f"{tried} 个请求体和文件" if chinese else f"{tried} bodies and files",
         len(cases["failures"])),
        ("fuzz over HTTP", f"{sent} 个请求" if chinese else f"{sent} requests",
         fives(http["http"]) + len(http["failures"])),
    ]  # fmt: skip
    rows_of_table = [(translated(name, language), *rest) for name, *rest in lines]
    return table(("check", "extent", "failures"), rows_of_table, language)


def cost(language: str) -> str:
    """A step's cost on a batch of 64 rows, and how many times as long the others take."""
    batch = [
        each
        for each in read("benchmarks/ops.json")["costs"]
        if (each["logits"], each["rows"], each["vocabulary"]) == ("normal", 64, 151936)
    ]
    times = {(each["work"], each["peer"]): each["milliseconds"] for each in batch}
    rows = []
    for work in dict.fromkeys(each["work"] for each in batch):
        ours = times[work, "ours"]
        peers = [times.get((work, peer)) for peer in PEERS]
        if any(peers):
            compared = (f"{peer / ours:.1f} x" if peer else "" for peer in peers)
            rows.append((work, f"{ours:.1f}", *compared))
    return table(("work", "ours, ms", *PEERS), rows, language)


def served(language: str) -> str:
    """A server's tokens per second under 32 streams, by its own fields and by a preset."""
    speed = {
        each["work"]: each["tokens_per_second"]
        for each in read("benchmarks/serve.json")["served"]
        if each["streams"] == 32
    }
    both = [work.removeprefix("native: ") for work in speed if work.startswith("native: ")]
    rows = [
        (work, f"{speed[f'native: {work}']:.0f}", f"{speed[f'preset: {work}']:.0f}")
        for work in both
        if f"preset: {work}" in speed
    ]
    return table(("tokens/s", "vLLM's own", "as a preset"), rows, language)


def launches(language: str) -> str:
    """The launches and passes of a step of each chain, by torch's operators and by the kernels."""
    rows = []
    for chain, ways in read("benchmarks/launches.json")["chains"].items():
        (operators, before), (kernels, now) = ways["operators"], ways["kernels"]
        counted = (f"{operators:,}", kernels, f"{before:.1f}", f"{now:.1f}")
        rows.append((translated(chain, language), *counted))
    head = ("chain", "operators", "kernels", "passes of operators", "passes of kernels")
    return table(head, rows, language)


def drafts(language: str) -> str:
    """The launches of a step without and with draft tokens, and what it copies of texts."""
    rows = [
        (translated(chain, language), plain[0], drafting[0], f"{drafting[1]:,}")
        for chain, (plain, drafting) in read("benchmarks/launches.json")["drafts"].items()
    ]
    head = ("chain", "launches", "with draft tokens", "bytes of texts that are copied")
    return table(head, rows, language)


def measured(numbers: Mapping[str, Any]) -> str:
    """Where and when a benchmark's times were measured."""
    return f"{numbers['machine']}, {numbers['month']}"


def scale_admission(numbers: Mapping[str, Any], language: str) -> str:
    """How long requests for presets at random are admitted, by the processor's clock."""
    times = numbers["admission"]["microseconds"]
    rows = [
        (
            translated(name, language),
            *(f"{times[name][key]:,.0f}" for key in ("p50", "p99", "longest")),
        )
        for name in ("first request for each preset", "later requests")
    ]
    head = translated("admission, microseconds", language)
    return table((f"{head} ({measured(numbers)})", "median", "99 %", "longest"), rows, language)


def slow_disk(numbers: Mapping[str, Any], language: str) -> str:
    """Readings of preset files from a slow disk, and requests meanwhile, by the clock."""
    rows = []
    for name in dict.fromkeys(["the first time", *numbers["requests"]]):
        readings, asked = numbers.get(name), numbers["requests"].get(name)
        cells = [f"{readings['looks']:,}", f"{readings['s']:.1f}"] if readings else ["", ""]
        times = ("p50", "p99", "longest")
        cells += [f"{asked['count']:,}", *(f"{asked[t]:.1f}" for t in times)] if asked else [""] * 4
        rows.append([translated(name, language), *cells])
    head = f"{translated('a slow disk', language)} ({measured(numbers)})"
    names = ("looks at files", "s", "requests meanwhile", "median, ms", "99 %", "longest, ms")
    return table((head, *names), rows, language)


def scale_steps(numbers: Mapping[str, Any], language: str) -> str:
    """A step by the number of presets with modes among its rows, by the processor's clock."""
    rows = [
        (f"{int(distinct):,}", f"{found['step, ms']:.1f}", f"{found['start, s']:.1f}")
        for distinct, found in numbers["steps"].items()
    ]
    head = translated("rows: presets with modes among them", language)
    first = f"{numbers['size']['rows']} {head} ({measured(numbers)})"
    return table((first, "a step, ms", "until after the first step, s"), rows, language)


def chains(numbers: Mapping[str, Any], language: str) -> str:
    """A chain with top-k as torch operators, compiled, and by the peers, by the number of rows."""
    rows = []
    for count, found in numbers["times"].items():
        name = "`temperament.process`" if count == "process" else count
        compared = (f"{found[peer]:g} x" if peer in found else "" for peer in PEERS)
        rows.append(
            (name, *(f"{found[way]:g}" for way in ("operators, ms", "compiled, ms")), *compared)
        )
    first = f"{translated('rows', language)} ({measured(numbers)})"
    return table((first, "as torch operators, ms", "compiled, ms", *PEERS), rows, language)


def surveyed(language: str) -> str:
    """The files of other people that were imported, by format."""
    rows = [
        (each["format"][language], each["files"], each["presets"] or "", each["refused"][language])
        for each in read("surveyed.json")
    ]
    return table(("format", "files", "presets", "refused"), rows, language)


def many_presets(language: str) -> str:
    """The launches of a step by the number of different presets that its rows have."""
    counted = read("benchmarks/launches.json")["presets"]
    distinct = list(counted["the same stages"]["kernels"])
    rows = [
        [translated(name, language), translated(way, language), *found.values()]
        for name, ways in counted.items()
        for way, found in ways.items()
    ]
    return table(("launches: presets in a batch that have", "", *distinct), rows, language)


def found_of(kernel: Mapping[str, Any]) -> list[object]:
    """A compiled kernel's registers, stack and shared memory; of AMD's, the last alone."""
    return [kernel.get(name, "") for name in ("reg", "stack", "shared")]


def kernels(language: str) -> str:
    """What the compiled kernels take of a GPU, for the vocabulary of the benchmarks."""
    rows = [
        [triton, each["target"], f"`{each['kernel']}`", *found_of(each)]
        for triton, compiled in read("benchmarks/kernels.json").items()
        for each in compiled
        if each.get("vocabulary", 151_936) == 151_936
    ]
    head = ("Triton", "target", "kernel", "registers", "stack, bytes", "shared memory, bytes")
    return table(head, rows, language)


def vocabularies(report: Mapping[str, Any], language: str) -> str:
    """What `scripts/vocabularies` found: a row for each tokenizer."""
    numbers = {
        "lines exact": "exact",
        "with a space before them": "space",
        "changed by the tokenizer": "lossy",
        "that name a special token": "special",
        "with other bytes": "wrong",
        "tokens": "tokens",
        "with a fence": "fence",
        "with a fence and a line end": "fence and line end",
        "with half a character": "half a character",
        "with three marks": "three marks",
        "most marks": "most marks",
    }
    rows = [
        [name, *(f"{found[key]:,}" for key in numbers.values()), found["triggers"]]
        for name, found in report["tokenizers"].items()
    ]
    return table(("tokenizer", *numbers, "triggers found"), rows, language)


def structure(trees: Mapping[str, Mapping[str, int]], language: str) -> str:
    """The numbers of the package's structure, a column for each tree."""
    rows = [
        [translated(name, language), *(numbers[name] for numbers in trees.values())]
        for name in next(iter(trees.values()))
    ]
    return table(("", *trees), rows, language)


def report_tables(language: str) -> dict[str, str]:
    """Every table of this file by the name of its place."""
    return {
        "reliability": reliability(language),
        "soak": soak(read("reports/soak.json"), language),
        "soak v2": soak(read("reports/soak-v2.json"), language),
        "captured": captured(read("reports/captured.json"), language),
        "fuzz": fuzz(read("reports/fuzz-first.json"), language),
        "fuzz second": fuzz(read("reports/fuzz.json"), language),
        "http": over_http(read("reports/fuzz-http.json"), language),
        "flood": flood(read("reports/flood.json"), language),
        "scale admission": scale_admission(read("benchmarks/scale.json"), language),
        "slow disk": slow_disk(read("benchmarks/disk.json"), language),
        "scale steps": scale_steps(read("benchmarks/scale.json"), language),
        "chains": chains(read("benchmarks/chains.json"), language),
        "cost": cost(language),
        "surveyed": surveyed(language),
        "cost serve": served(language),
        "launches": launches(language),
        "drafts": drafts(language),
        "many presets": many_presets(language),
        "kernels": kernels(language),
        "vocabularies": vocabularies(read("reports/tokenizers.json"), language),
        "structure": structure(read("reports/structure.json"), language),
    }
