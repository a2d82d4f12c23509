"""The command line that all programs of scripts/lib have in common."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]


def parser(name: str, document: str | None) -> argparse.ArgumentParser:
    """A parser of `./scripts/name`, whose help is the module's docstring and its options."""
    return argparse.ArgumentParser(
        prog=f"scripts/{name}",
        description=document,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def finish(report: Any, table: str, failures: Sequence[str], file: Path | None) -> NoReturn:
    """Prints the table of a study, and its failures on stderr; exits with 1 if there are any.

    The report, a dataclass, is written to `file` as JSON if there is one.
    """
    if file:
        text = json.dumps(asdict(report), indent=1, ensure_ascii=False)
        file.write_text(f"{text}\n", encoding="utf-8")
    print(table)
    for line in failures[:50]:
        print(line[:1500], file=sys.stderr)
    sys.exit(bool(failures))
