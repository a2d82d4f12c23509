"""Tries real tokenizers: the bytes of their tokens, and this project's texts under each.

    ./scripts/vocabularies                      all tokenizers, 10,000 lines
    ./scripts/vocabularies --only DeepSeek --lines 500

It downloads the packages that bring tokenizers (litellm, dashscope, openai-whisper) from your
index, and unpacks their data; mistral-common's are installed already, and SmolLM2's and Gemma's
come from ./scripts/fetch_model.

Takes: 20 minutes on one core, and 200 MB in a temporary folder.
Writes: nothing but its table on stdout; with --json FILE also the report.

For each tokenizer: the joined bytes of a line's tokens against what it decodes; how many tokens
hold a fence and a line's end, or half a character; every trigger, between other texts, as the
tokenizer cuts it and cut at random; tokens that hold several marks, against their single bytes;
texts that are drawn from banned strings' own pieces. The status is 1 if anything differs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from scripts.lib.command import ROOT, finish, parser

PACKAGES = ("litellm==1.110.2", "dashscope==2.0.2", "openai-whisper==20250625")
MODELS = {"SmolLM2": "smollm2", "Gemma 3": "gemma"}


@dataclass
class Report:
    """A line for each tokenizer, and what was wrong."""

    lines: int
    tokenizers: dict[str, dict[str, Any]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    """Tries them, and prints the table."""
    options = parser("vocabularies", __doc__)
    options.add_argument("--lines", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", help="the tokenizers whose name contains this")
    options.add_argument("--packages", type=Path, help="the packages' folder, unpacked already")
    options.add_argument("--json", type=Path, help="the file for the report")
    chosen = options.parse_args()
    from scripts.lib.vocabularies.lines import lines
    from scripts.lib.vocabularies.tokenizers import available

    report = Report(chosen.lines)
    written = lines(chosen.lines, chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        packages = chosen.packages or unpacked(scratch)
        models = {name: fetched(model) for name, model in MODELS.items()}
        for name, make in available(packages, models, scratch):
            if not chosen.only or chosen.only in name:
                ask(name, make(), written, chosen.seed, report)
                print(f"{name}: {report.tokenizers[name]}", file=sys.stderr, flush=True)
    finish(report, table(report), report.wrong, chosen.json)


def ask(name: str, tokenizer: Any, written: list[str], seed: int, report: Report) -> None:
    """Tries one tokenizer."""
    from scripts.lib.vocabularies import measures, texts

    from temperament.plan.vocabulary import TokenBytes

    known = TokenBytes.of(tokenizer)
    compared = measures.bytes_against_decode(tokenizer, known, written)
    looked, missed = measures.triggers_missed(tokenizer, known, Random(seed))
    most, three, split = measures.many_marks(known)
    drawn, banned = measures.banned_drawn(tokenizer, known, seed)
    report.tokenizers[name] = {
        "tokens": len(known),
        **{kind: compared[kind] for kind in ("exact", "space", "lossy", "special", "wrong")},
        **measures.single_tokens(known),
        "most marks": max(most.values()),
        "three marks": len(three),
        "of": max(most, key=lambda preset: most[preset]),
        "triggers": f"{looked - len(missed)} of {looked}",
        "breakers": [sum(b.encode() in token for token in known.tokens) for b in texts.breakers()],
        "drawn under a ban": drawn,
    }
    if compared["wrong"]:
        report.wrong.append(f"{name}: {compared['wrong']} lines decode to other bytes")
    report.wrong += [f"{name}: {line}" for line in (*missed, *split, *banned)]


def unpacked(scratch: Path) -> Path:
    """Downloads the packages and unpacks them, without installing them."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary"]
    command += ["openai-whisper", "-d", str(scratch), *PACKAGES]
    subprocess.run(command, check=True)
    folder = scratch / "packages"
    for wheel in scratch.glob("*.whl"):
        shutil.unpack_archive(wheel, folder, format="zip")
    for sdist in scratch.glob("*.tar.gz"):
        shutil.unpack_archive(sdist, scratch / "sdist", filter="data")
        shutil.copytree(next((scratch / "sdist").iterdir()), folder, dirs_exist_ok=True)
    return folder


def fetched(model: str) -> Path:
    """The folder of a small model."""
    command = [str(ROOT / "scripts/fetch_model"), model]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


def table(report: Report) -> str:
    """The report as a table."""
    if not report.tokenizers:
        return "no tokenizer has such a name"
    heads = list(next(iter(report.tokenizers.values())))
    rows = [["tokenizer", *heads], ["---"] * (len(heads) + 1)]
    rows += [[name, *(str(row[h]) for h in heads)] for name, row in report.tokenizers.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
