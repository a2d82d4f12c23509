"""Measures whether switching modes helps: code under three presets, and answers that loop.

    ./scripts/evaluate_modes           prints the tables
    ./scripts/evaluate_modes --docs    and writes them to docs/reports/modes*.md

Takes: 12 to 30 minutes on 2 cores, a minute where the answers are known; a bar shows the progress.
Writes: docs/modes/answers.jsonl, each answer at once, so that a run that was stopped goes on where
it ended (delete the file to start again); with --docs also docs/modes/numbers.json and the tables.

It starts `vllm serve` with SmolLM2-135M-Instruct and sends it the prompts of docs/modes/ under
`code`, `chat` and `coding-assistant`, and under `greedy` and `anti-loop`. It measures the share of
closed Python fences that parse; distinct-2 and self-BLEU of the prose (the text outside of fences
and backticks) over four seeds; and the share of answers that loop, that is, contain the same eight
words three times. Intervals are 95 %, by bootstrap over the prompts.
"""

from __future__ import annotations

import json
from pathlib import Path

from scripts.lib.command import ROOT, parser
from scripts.lib.documents import with_part


def main() -> None:
    """Collects the answers, measures them and prints the tables; with --docs also writes them."""
    options = parser("evaluate_modes", __doc__)
    folder = ROOT / "docs" / "modes"
    options.add_argument("--answers", type=Path, default=folder / "answers.jsonl")
    options.add_argument("--prompts", type=int, help="the number of prompts of each kind")
    options.add_argument("--docs", action="store_true", help="write docs/reports/modes*.md")
    chosen = options.parse_args()
    from scripts.lib.evaluate_modes.answers import collect, questions
    from scripts.lib.evaluate_modes.measures import measure
    from scripts.lib.evaluate_modes.tables import tables

    answers = collect(chosen.answers, chosen.prompts)
    numbers = measure({key: answers[key] for key, _, _ in questions(chosen.prompts)})
    print(tables(numbers, "en"))
    if chosen.docs:
        text = json.dumps(numbers, indent=1)
        (folder / "numbers.json").write_text(f"{text}\n", encoding="utf-8")
        for name, language in (("modes.md", "en"), ("modes.zh-CN.md", "zh")):
            path, table = ROOT / "docs" / "reports" / name, tables(numbers, language)
            page = path.read_text(encoding="utf-8")
            path.write_text(with_part(page, "evaluation", table), encoding="utf-8")


if __name__ == "__main__":
    main()
