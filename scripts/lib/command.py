"""The command line that all programs of scripts/lib have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def parser(name: str, document: str | None) -> argparse.ArgumentParser:
    """A parser of `./scripts/name`, whose help is the module's docstring and its options."""
    return argparse.ArgumentParser(
        prog=f"scripts/{name}",
        description=document,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
