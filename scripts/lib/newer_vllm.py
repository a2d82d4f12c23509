"""Gives the running environment the Python files of a newer vLLM that has no wheel for CPUs.

The argument is a folder into which that version's wheel was unpacked. The kernels for CPUs stay
those of the version that is installed: all else of the newer version runs.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

newer = Path(sys.argv[1], "vllm")
installed = Path(sysconfig.get_path("purelib"), "vllm")
for kernels in installed.glob("_C*.so"):
    shutil.move(kernels, newer)
shutil.rmtree(installed)
shutil.move(newer, installed)
