"""SGLang's sampling parameters, penalties and sampler in torch, in a process of their own.

The package needs a GPU's kernels to be imported. Its modules of sampling alone are taken; what they
import of the rest is replaced by stand-ins that are false. The sampler is that of the backend
`pytorch`, of which SGLang says that it is the slower one of the same meaning.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from scripts.lib.programs.child import answering
from scripts.lib.programs.stages import Program, drawn_logits, measured

# Takes the package's folder; a request's fields, logits and tokens in, probabilities out.
SGLANG = """
import importlib, importlib.abc, importlib.machinery, json, sys, types
import torch

PACKAGE = "sglang.srt."
TAKEN = [PACKAGE + name for name in (
    "sampling", "sampling.sampling_params", "sampling.sampling_batch_info", "sampling.watermarking",
    "sampling.penaltylib", "layers", "layers.sampler")]

class Nothing(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_, **__):
        return self

    def __bool__(self):
        return False

class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        parts = name.rpartition(".")[0]
        if name.startswith("sglang.") and name not in TAKEN and parts not in TAKEN[3:5]:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Nothing(spec.name)

    def exec_module(self, module):
        pass

def package(name, folder):
    sys.modules[name] = module = types.ModuleType(name)
    module.__path__ = [folder]

sys.meta_path.insert(0, StandIns())
package("sglang", sys.argv[1])
package("sglang.srt", sys.argv[1] + "/srt")
importlib.import_module("sglang.srt.utils.common").is_pin_memory_available = lambda *_: False
importlib.import_module("sglang.srt.managers.schedule_batch").ScheduleBatch = object
from sglang.srt.layers.sampler import top_k_top_p_min_p_sampling_from_probs_torch as sample
from sglang.srt.sampling.sampling_batch_info import SamplingBatchInfo
from sglang.srt.sampling.sampling_params import SamplingParams

class Batch:  # which the penalties keep a weak reference to
    def __init__(self, reqs, device):
        self.reqs, self.device = reqs, device

for line in sys.stdin:
    body, logits, tokens = json.loads(line)
    row = torch.tensor([logits])
    params = SamplingParams(**body)
    params.verify(row.shape[-1])
    request = types.SimpleNamespace(
        sampling_params=params, custom_logit_processor=None, return_sampling_mask=False)
    batch = Batch([request], "cpu")
    info = SamplingBatchInfo.from_schedule_batch(batch, row.shape[-1])
    for token in tokens:
        info.penalizer_orchestrator.cumulate_output_tokens(torch.tensor([token]))
    info.apply_logits_bias(row)
    probs = (row / info.temperatures).softmax(-1)
    _, kept, ids, _ = sample(
        probs, info.top_ks, info.top_ps, info.min_ps, info.need_min_p_sampling, None, None,
        return_filtered_probs=True)
    kept = torch.zeros_like(kept).scatter(1, ids.long(), kept)[0]
    print(json.dumps((kept / kept.sum()).tolist()), flush=True)
"""


def sglang(package: Path) -> Program:
    """Exported `--preferred-sampling-params`, with the package of this folder."""
    logits, tokens = drawn_logits()
    command = [sys.executable, "-c", SGLANG, str(package)]
    with answering(command, {"TORCH_COMPILE_DISABLE": "1"}) as ask:

        def drawn(text: str) -> torch.Tensor:
            return torch.tensor(ask([json.loads(text), logits.tolist(), tokens]))

        results = measured("sglang", drawn, logits, tokens)
    [told] = package.parent.glob("sglang-*.dist-info")
    return Program(told.name.removesuffix(".dist-info").partition("-")[2], results)
