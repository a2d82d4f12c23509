#!/usr/bin/env bash
# Guess: Whisper's `generate` draws where `do_sample` is true, as every other model's does.
# Fact: `do_sample` has no effect, either way. The temperature alone decides: above zero it draws,
#   also with `do_sample=False`; without a temperature it is greedy, also with `do_sample=True`.
# Package: transformers 5.19.0. Its documentation says that a temperature and `do_sample=True`
#   together activate sampling.
# Why it matters: code that turns sampling off with `do_sample=False`, or a seed that is set only
#   where `do_sample` is true, is wrong for this one model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
source "$(dirname "$0")/steps.bash"

pip install torch==2.13.0 transformers==5.19.0
observe <<'PY'
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration, logging

logging.set_verbosity_error()
torch.manual_seed(0)
tiny = WhisperConfig(
    vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
    decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=8,
    max_source_positions=30, decoder_start_token_id=1, pad_token_id=0, bos_token_id=0,
    eos_token_id=2, suppress_tokens=None, begin_suppress_tokens=None,
)  # fmt: skip
model = WhisperForConditionalGeneration(tiny).eval()
model.generation_config.no_timestamps_token_id = 50
model.generation_config.max_length = 12
sound = torch.randn(1, 8, 60)
for do_sample in (False, True):
    for temperature in (None, 0.0, 5.0):
        answers = {
            tuple(model.generate(sound, do_sample=do_sample, temperature=temperature)[0].tolist())
            for _ in range(8)
        }
        way = "greedy" if len(answers) == 1 else "drawn"
        print(f"do_sample={do_sample}, temperature={temperature}: {way}")
PY
expect <<'SEEN'
do_sample=False, temperature=None: greedy
do_sample=False, temperature=0.0: greedy
do_sample=False, temperature=5.0: drawn
do_sample=True, temperature=None: greedy
do_sample=True, temperature=0.0: greedy
do_sample=True, temperature=5.0: drawn
SEEN
