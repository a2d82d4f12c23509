"""Asks whether switching modes helps: code under `code`, `chat` and `coding-assistant`, and loops.

    .venv/bin/python -m scripts.evaluate_modes            # 12 to 30 minutes on 2 cores
    .venv/bin/python -m scripts.evaluate_modes --docs     # and writes docs/reports/modes*.md

It starts `vllm serve` with SmolLM2-135M-Instruct and asks it the prompts of docs/modes/ over HTTP.
Every answer is kept in docs/modes/answers.jsonl at once: a run that was stopped goes on where it
was. To begin from nothing, delete that file.

What is measured: the share of closed Python fences that parse; distinct-2 and self-BLEU of the
prose (what stands in no fence and in no backticks) over four seeds; the share of answers that loop,
i.e. have the same eight words three times. Intervals are 95 %, by bootstrap over the prompts.
"""

import argparse
import ast
import json
import math
import re
import sys
import tempfile
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from integration_tests.harness.models import model_path
from integration_tests.harness.server import Server
from tqdm import tqdm

HOME = Path(__file__).resolve().parents[1] / "docs"
FOLDER = HOME / "modes"
SEEDS = 4
DIVERSE = 50  # prompts whose prose is compared over seeds
MILDER = 100  # prompts that are also asked with the milder prose
TOKENS = {"coding": 128, "open": 256}
AT_ONCE = 48
LOCAL = """
extends: coding-assistant
modes:
  prose: {temperature: 0.6}
"""
# Name of the condition -> (what the request says, whether its prose is compared over seeds).
CODING: dict[str, tuple[dict[str, Any], bool]] = {
    "chat": ({"preset": "chat"}, True),
    "code": ({"preset": "code"}, False),
    "coding-assistant": ({"preset": "coding-assistant"}, True),
    "chat, 0.6": ({"preset": "chat", "temperature": 0.6}, True),
    "coding-assistant, prose 0.6": ({"preset": "coding-assistant-local"}, True),
}
OPEN: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "anti-loop": {"preset": "anti-loop"},
}
Key = tuple[str, str, int, int]  # the set of prompts, the condition, the prompt, the seed


def prompts(name: str) -> list[str]:
    """The lines of a file of prompts."""
    return (FOLDER / f"{name}-prompts.txt").read_text(encoding="utf-8").splitlines()


def wanted(count: int | None) -> list[tuple[Key, dict[str, Any], str]]:
    """Every question: its key, what the request says, the prompt. `count`: prompts, for a test."""
    made = []
    for number, prompt in enumerate(prompts("coding")[:count]):
        for condition, (words, diverse) in CODING.items():
            if "0.6" in condition and number >= MILDER:
                continue
            seeds = SEEDS if diverse and number < DIVERSE else 1
            made += [(("coding", condition, number, seed), words, prompt) for seed in range(seeds)]
    for number, prompt in enumerate(prompts("open")[:count]):
        made += [(("open", name, number, 0), words, prompt) for name, words in OPEN.items()]
    return made


def ask(server: Server, key: Key, words: dict[str, Any], prompt: str) -> str:
    """The answer's text."""
    answer = server.client().chat.completions.create(
        model="smollm2",
        messages=[{"role": "user", "content": prompt}],
        max_tokens=TOKENS[key[0]],
        seed=1000 * key[3] + key[2],
        timeout=900,
        extra_body=words,
    )
    return answer.choices[0].message.content or ""


def known_answers(path: Path) -> dict[Key, str]:
    """What earlier runs have got."""
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {tuple(row["key"]): row["text"] for row in rows}  # type: ignore[misc]


def collect(path: Path, count: int | None) -> dict[Key, str]:
    """All answers; those that are missing are asked for."""
    answers = known_answers(path)
    missing = [one for one in wanted(count) if one[0] not in answers]
    if not missing:
        return answers
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (home / "coding-assistant-local.yaml").write_text(LOCAL, encoding="utf-8")
        config = json.dumps({"temperament": {"presets": [str(home)]}})
        args = ["--served-model-name", "smollm2", "--max-model-len", "1024"]
        args += ["--max-num-seqs", str(AT_ONCE), "--additional-config", config]
        # All prompts in one step: vLLM 0.32 on a CPU ends when it splits a prompt that has a seed.
        args += ["--max-num-batched-tokens", "16384"]
        print("vllm serve is starting", file=sys.stderr)
        server = stack.enter_context(Server(model_path("smollm2"), "v1", args))
        file = stack.enter_context(path.open("a", encoding="utf-8"))
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        asked = [(key, pool.submit(ask, server, key, words, text)) for key, words, text in missing]
        for key, future in tqdm(asked, unit="answer", desc="asking"):
            answers[key] = future.result()
            print(json.dumps({"key": key, "text": answers[key]}), file=file, flush=True)
    return answers


FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """What stands in closed fences of Python, or of no language."""
    return [code for language, code in FENCE.findall(text) if language.lower() in ("", "python")]


def parses(code: str) -> bool:
    """Whether Python can read it."""
    try:
        ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def prose(text: str) -> list[str]:
    """The words outside of code; an open fence reaches to the end."""
    text = FENCE.sub(" ", text)
    text = re.split(r"^[ \t]*```", text, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"\w+|[^\w\s]", re.sub(r"`[^`\n]*`", " ", text).lower())


def grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    """How often each run of so many words stands there."""
    return Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def distinct_2(texts: Sequence[Sequence[str]]) -> float:
    """Different pairs of neighbouring words, of all pairs, in the texts of a prompt."""
    pairs = sum((grams(text, 2) for text in texts), Counter[tuple[str, ...]]())
    return len(pairs) / pairs.total() if pairs else math.nan


def bleu(text: Sequence[str], others: Sequence[Sequence[str]]) -> float:
    """BLEU-4 with one added to the counts from pairs on (Lin and Och 2004), and brevity."""
    score = 0.0
    for size in range(1, 5):
        own = grams(text, size)
        best: Counter[tuple[str, ...]] = Counter()
        for other in others:
            best |= grams(other, size)
        more = size > 1
        hits = (own & best).total() + more
        if not hits:
            return 0.0
        score += math.log(hits / (own.total() + more)) / 4
    nearest = min((abs(len(other) - len(text)), len(other)) for other in others)[1]
    return math.exp(score + min(0.0, 1 - nearest / len(text)))


def self_bleu(texts: Sequence[Sequence[str]]) -> float:
    """The mean BLEU of each text against the others: 1 where all are equal."""
    spoken = [text for text in texts if text]
    if len(spoken) < 2:
        return math.nan
    scores = [bleu(t, [*spoken[:i], *spoken[i + 1 :]]) for i, t in enumerate(spoken)]
    return sum(scores) / len(scores)


def loops(text: str) -> bool:
    """Whether the same eight words stand there three times."""
    return max(grams(text.split(), 8).values(), default=0) >= 3


def interval(
    groups: Sequence[Any], statistic: Callable[[Sequence[Any]], float], resamples: int = 1000
) -> list[float]:
    """[value, lower, upper]: 95 %, by bootstrap over the groups (one for each prompt)."""
    random = Random(0)
    drawn = (statistic(random.choices(groups, k=len(groups))) for _ in range(resamples))
    found = sorted(value for value in drawn if not math.isnan(value))
    if not found:
        return [math.nan] * 3
    low, high = (found[int(len(found) * share)] for share in (0.025, 0.975))
    return [statistic(groups), low, high]


def mean(values: Iterable[float]) -> float:
    """The mean of those that are numbers."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def pooled(groups: Iterable[Sequence[bool]]) -> float:
    """The share of what is true, of all that the groups hold."""
    return mean(float(value) for group in groups for value in group)


def measure(answers: dict[Key, str]) -> dict[str, Any]:
    """Every number of the tables, with its interval, and the differences that are claimed."""
    of: dict[tuple[str, str], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (group, condition, prompt, _), text in sorted(answers.items()):
        of[group, condition][prompt].append(text)
    rows = []
    per_prompt: dict[str, dict[str, dict[int, Any]]] = {}
    for condition in tqdm(CODING, desc="measuring"):
        texts = of["coding", condition]
        first = {prompt: own[0] for prompt, own in texts.items()}
        parsed = {prompt: [parses(b) for b in blocks(text)] for prompt, text in first.items()}
        spoken = {p: [prose(t) for t in own] for p, own in texts.items() if len(own) == SEEDS}
        some = {
            "parse": parsed,
            "distinct_2": {prompt: distinct_2(own) for prompt, own in spoken.items()},
            "self_bleu": {prompt: self_bleu(own) for prompt, own in spoken.items()},
        }
        per_prompt[condition] = some
        rows.append(
            {
                "condition": condition,
                "answers": len(first),
                "blocks": sum(map(len, parsed.values())),
                "parse": interval(list(parsed.values()), pooled),
                "working": interval([any(own) for own in parsed.values()], mean),
                "distinct_2": interval(list(some["distinct_2"].values()) or [math.nan], mean),
                "self_bleu": interval(list(some["self_bleu"].values()) or [math.nan], mean),
                "loops": interval([loops(text) for text in first.values()], mean),
            }
        )

    def difference(one: str, other: str, name: str) -> list[float]:
        left, right = per_prompt[one][name], per_prompt[other][name]
        both = [(left[prompt], right[prompt]) for prompt in left.keys() & right.keys()]
        summary: Any = pooled if name == "parse" else mean
        return interval(both, lambda pairs: summary(p[0] for p in pairs) - summary(
            p[1] for p in pairs))  # fmt: skip

    claims = [
        {"of": mixed, "parse_minus_code": difference(mixed, "code", "parse"),
         "parse_minus_chat": difference(mixed, lively, "parse"),
         "distinct_2_minus_chat": difference(mixed, lively, "distinct_2"),
         "self_bleu_minus_chat": difference(mixed, lively, "self_bleu")}
        for mixed, lively in (("coding-assistant", "chat"),
                              ("coding-assistant, prose 0.6", "chat, 0.6"))
    ]  # fmt: skip
    looping = {name: {p: loops(own[0]) for p, own in of["open", name].items()} for name in OPEN}
    prompts_ = sorted(looping["greedy"].keys() & looping["anti-loop"].keys())
    pairs = [(looping["anti-loop"][p], looping["greedy"][p]) for p in prompts_]
    return {
        "coding": rows,
        "claims": claims,
        "open": [{"condition": name, "answers": len(own),
                  "loops": interval(list(own.values()), mean)} for name, own in looping.items()],
        "open_difference": interval(
            pairs, lambda some: mean(a for a, _ in some) - mean(g for _, g in some)
        ),
    }  # fmt: skip


HEADS = {
    "en": ("condition", "answers", "closed fences", "fences that parse, %",
           "answers with one that does, %", "distinct-2", "self-BLEU", "loops, %"),
    "zh": ("条件", "回答数", "闭合代码块数", "可解析的代码块 %", "含可解析代码块的回答 %",
           "distinct-2", "self-BLEU", "循环 %"),
}  # fmt: skip
CLAIMS = {
    "en": ("difference", "fences that parse, against `code`", "the same, against chat",
           "distinct-2, against chat", "self-BLEU, against chat"),
    "zh": ("差值", "可解析的代码块，对比 `code`", "同上，对比 chat", "distinct-2，对比 chat",
           "self-BLEU，对比 chat"),
}  # fmt: skip
LOOPS = {"en": ("condition", "answers", "loops, %"), "zh": ("条件", "回答数", "循环 %")}
DIFFERENCE = {"en": "difference", "zh": "差值"}


def shown(values: Sequence[float], percent: bool = False, sign: bool = False) -> str:
    """A value with its interval."""
    if math.isnan(values[0]):
        return "—"
    form = (
        "{:+.1f}" if sign and percent else "{:.1f}" if percent else "{:+.3f}" if sign else "{:.3f}"
    )
    value, low, high = (form.format(number * (100 if percent else 1)) for number in values)
    return f"{value} ({low} … {high})"


def tables(numbers: dict[str, Any], language: str) -> str:
    """The tables in Markdown."""

    def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)

    coding = [
        (r["condition"], r["answers"], r["blocks"], shown(r["parse"], True),
         shown(r["working"], True), shown(r["distinct_2"]), shown(r["self_bleu"]),
         shown(r["loops"], True))
        for r in numbers["coding"]
    ]  # fmt: skip
    claims = [
        (c["of"], shown(c["parse_minus_code"], True, True),
         shown(c["parse_minus_chat"], True, True),
         shown(c["distinct_2_minus_chat"], sign=True), shown(c["self_bleu_minus_chat"], sign=True))
        for c in numbers["claims"]
    ]  # fmt: skip
    looping = [(r["condition"], r["answers"], shown(r["loops"], True)) for r in numbers["open"]]
    looping.append((DIFFERENCE[language], "", shown(numbers["open_difference"], True, True)))
    parts = (table(HEADS[language], coding), table(CLAIMS[language], claims),
             table(LOOPS[language], looping))  # fmt: skip
    return "\n\n".join(parts)


def main() -> None:
    """Collects, measures, prints; with --docs also writes the documents' tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--answers", type=Path, default=FOLDER / "answers.jsonl")
    parser.add_argument("--prompts", type=int, help="only so many prompts of each kind")
    parser.add_argument(
        "--docs", action="store_true", help="write the tables of docs/reports/modes*.md"
    )
    words = parser.parse_args()
    answers = collect(words.answers, words.prompts)
    numbers = measure({key: answers[key] for key, _, _ in wanted(words.prompts)})
    print(tables(numbers, "en"))
    if words.docs:
        text = json.dumps(numbers, indent=1)
        (FOLDER / "numbers.json").write_text(f"{text}\n", encoding="utf-8")
        for name, language in (("reports/modes.md", "en"), ("reports/modes.zh-CN.md", "zh")):
            path, made = HOME / name, tables(numbers, language)
            old = path.read_text(encoding="utf-8")
            pattern = r"(<!-- evaluation -->\n).*?(\n<!-- /evaluation -->)"
            new = re.sub(pattern, lambda m, made=made: m[1] + made + m[2], old, flags=re.DOTALL)
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
