"""A preset as text to paste: a file, a request, a call of `generate`, a server's command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pprint import pformat
from typing import Any

from temperament.presets import Preset
from temperament.presets.yaml_text import yaml_text


def texts(
    preset: Preset,
    *,
    name: str,
    model: str,
    served: str,
    prompt: str,
    chat: bool,
    seed: int,
    max_tokens: int,
) -> dict[str, str]:
    """The texts of each form: `yaml`, `extra_body`, `generate`, `serve`.

    `name` is the preset's file name without its suffix, `model` the model's name in a request, and
    `served` the model that `vllm serve` gets.
    """
    return {
        "yaml": yaml_text(preset),
        "extra_body": _request(preset, model, prompt, chat, seed, max_tokens),
        "generate": _generate(preset, prompt, chat, seed, max_tokens),
        "serve": _serve(name, served),
    }


def _request(
    preset: Preset, model: str, prompt: str, chat: bool, seed: int, max_tokens: int
) -> str:
    """A call of an OpenAI client named `client`."""
    fields = preset.plain()
    limit, seed = fields.pop("max_tokens", max_tokens), fields.pop("seed", seed)
    stop = f"    stop={fields.pop('stop')!r},\n" if "stop" in fields else ""
    if chat:
        call, asked = "chat.completions", f"messages={_user(prompt)!r}"
    else:
        call, asked = "completions", f"prompt={prompt!r}"
    return (
        f"client.{call}.create(\n    model={model!r},\n    {asked},\n"
        f"    max_tokens={limit},\n    seed={seed},\n{stop}"
        f"    extra_body={_literal(fields)},\n)\n"
    )


def _generate(preset: Preset, prompt: str, chat: bool, seed: int, max_tokens: int) -> str:
    """A call of Transformers with a `model` and a `tokenizer`."""
    fields = preset.plain()
    seed = fields.pop("seed", seed)
    fields.setdefault("max_tokens", max_tokens)
    encode = f"tokenizer({prompt!r}, return_tensors='pt')"
    if chat:
        encode = (
            f"tokenizer.apply_chat_template(\n    {_user(prompt)!r},\n"
            "    add_generation_prompt=True,\n    return_tensors='pt',\n    return_dict=True,\n)"
        )
    return (
        "import temperament\nimport torch\n\n"
        f"preset = {_literal(fields, 0)}\n"
        "kwargs = temperament.transformers.generate_kwargs(\n"
        f"    preset, tokenizer, model=model, seeds=[{seed}]\n)\n"
        f"torch.manual_seed({seed})\n"
        f"inputs = {encode}\n"
        "outputs = model.generate(**inputs, **kwargs)\n"
        "print(tokenizer.decode(outputs[0, inputs['input_ids'].shape[1] :]))\n"
    )


def _serve(name: str, model: str) -> str:
    """A command for a shell in the folder of the saved preset."""
    config = {"temperament": {"presets": [f"{name}.yaml"], "default": name}}
    return (
        f"VLLM_PLUGINS=temperament vllm serve {shlex.quote(model)}"
        f" --additional-config {shlex.quote(json.dumps(config))}\n"
    )


def _user(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _literal(fields: Mapping[str, Any], indent: int = 4) -> str:
    lines = pformat(dict(fields), sort_dicts=False, width=88 - indent).splitlines()
    return f"\n{' ' * (indent + len('extra_body=') if indent else len('preset = '))}".join(lines)
