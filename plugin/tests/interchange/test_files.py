"""Files as other programs write them: what they say here, and what is told about them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from temperament import Catalogue, PresetError
from temperament.interchange import BY_NAME, FORMATS, export, read
from temperament.presets import as_preset

NOTHING = Catalogue({})


@dataclass(frozen=True)
class File:
    """A file, its name, and what is to be read from it."""

    format: str
    name: str
    text: str
    words: dict[str, Any]
    # (kind, name) of the notes
    notes: set[tuple[str, str]] = field(default_factory=set)
    section: str = ""


FILES = [
    File(
        "transformers",
        "generation_config.json",
        """{"bos_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
        "temperature": 0.6, "top_p": 0.95, "exponential_decay_length_penalty": [100, 1.05],
        "max_new_tokens": 512, "transformers_version": "4.51.0"}""",
        {
            "exponential_decay_length_penalty": 1.05, "exponential_decay_start": 100,
            "temperature": 0.6, "top_k": 50, "top_p": 0.95, "max_tokens": 512,
        },
        {("left", "bos_token_id"), ("left", "eos_token_id"), ("left", "transformers_version"),
         ("default", "top_k")},
    ),
    File(
        "transformers",
        "generation_config.json",
        """{"do_sample": false, "temperature": 0.6, "repetition_penalty": 1.1,
        "top_h": 0.4, "num_beams": 4}""",
        {"repetition_penalty": 1.1, "do_sample": False, "num_beams": 4},
        {("lost", "temperature"), ("lost", "top_h")},
    ),
    File(
        "transformers",
        "generation_config.json",
        '{"do_sample": true, "top_k": 20, "top_h": 0.4}',
        {"order": ["top_h", "top_k"], "top_k": 20, "top_h": 0.4},
    ),
    File(
        "vllm",
        "",
        '{"temperature": 0.7, "top_k": -1, "top_p": 0.8, "min_p": 0.1, "max_new_tokens": 9}',
        {
            "order": ["temperature", "min_p", "top_p"],
            "temperature": 0.7, "top_k": 0, "top_p": 0.8, "min_p": 0.1, "max_tokens": 9,
        },
    ),
    File(
        "vllm-config",
        "serve.yaml",
        "model: Qwen/Qwen3-8B\nmax-model-len: 4096\n"
        "override-generation-config: '{\"temperature\": 0.6, \"top_k\": 20}'\n",
        {"temperature": 0.6, "top_k": 20},
        {("left", "model"), ("left", "max-model-len")},
    ),
    File(
        "vllm-extra-body",
        "request.json",
        """{"temperature": 0.8, "extra_body": {"top_k": 20, "min_tokens": 4, "n": 2,
        "stop_token_ids": [7], "ignore_eos": true, "logit_bias": {"5": -100}}, "model": "m"}""",
        {
            "min_new_tokens": 4, "logit_bias": {5: -100.0}, "temperature": 0.8, "top_k": 20,
            "num_return_sequences": 2, "eos_token_id": [7],
        },
        {("left", "model")},
    ),
    File(
        "llamacpp",
        "request.json",
        """{"temperature": 0.9, "dynatemp_range": 0.4, "dynatemp_exponent": 2, "top_k": 30,
        "top_p": 0.9, "repeat_penalty": 1.1, "xtc_probability": 0.5, "xtc_threshold": 0.2,
        "dry_multiplier": 0.8, "dry_penalty_last_n": 1048576,
        "logit_bias": [[15, 2.5], [16, false]],
        "samplers": ["penalties", "dry", "top_k", "top_p", "temperature", "xtc"], "n_predict": 40,
        "seed": 4294967295, "min_p": 0.05, "cache_prompt": true}""",
        {
            "order": ["top_k", "top_p", "dynamic_temperature", "xtc"],
            "suppress_tokens": [16], "logit_bias": {15: 2.5}, "repetition_penalty": 1.1,
            "repetition_range": 64, "dry_multiplier": 0.8, "dry_range": 0, "temperature": 1.0,
            "dynatemp_low": 0.5, "dynatemp_high": 1.3, "dynatemp_exponent": 2.0, "top_k": 30,
            "top_p": 0.9, "xtc_probability": 0.5, "xtc_threshold": 0.2,
            "xtc_protect_structure": False, "max_tokens": 40,
        },
        {("lost", "min_p"), ("left", "cache_prompt")},
    ),
    File(
        "llamacpp",
        "request.json",
        '{"mirostat": 2, "mirostat_tau": 4, "repeat_penalty": 1.2, "temperature": 0.7, "top_k": 5}',
        {"temperature": 0.7, "mirostat": 2, "mirostat_tau": 4.0},
        {("lost", "repeat_penalty")},
    ),
    File(
        "llamacpp",
        "request.json",
        """{"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0, "repeat_last_n": 0,
        "repeat_penalty": 1.3, "samplers": "kt", "top_n_sigma": -1, "adaptive_target": -1}""",
        {
            "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "top_n_sigma": 0.0,
            "adaptive_target": -1.0,
        },
        {("lost", "repeat_penalty")},
    ),
    File(
        "llamacpp-args",
        "run.sh",
        "llama-server -m model.gguf --temp 0.7 --top-k 20 --min-p 0 --top-p=0.95 \\\n"
        "  --samplers 'top_k;top_p;temperature' --logit-bias 15043-1.5 -n 200 --flash-attn\n",
        {
            "order": ["top_k", "top_p", "temperature"], "logit_bias": {15043: -1.5},
            "temperature": 0.7, "top_k": 20, "top_p": 0.95, "min_p": 0.0, "max_tokens": 200,
        },
        {("left", "--m"), ("left", "--flash-attn")},
    ),
    File(
        "llamacpp-ini",
        "preset.ini",
        "[*]\nctx-size = 0\ntemp = 0.8\nmin-p = 0\n\n[Qwen]\nhf = a/b\ntop-p = 0.8\ntop-k = 20\n",
        {
            "order": ["top_k", "top_p", "temperature"],
            "temperature": 0.8, "top_k": 20, "top_p": 0.8, "min_p": 0.0,
        },
        {("left", "ctx-size"), ("left", "hf")},
        "Qwen",
    ),
    File(
        "webui",
        "Mine.yaml",
        "temperature: 1.31\ntop_p: 0.14\nepsilon_cutoff: 1.49\neta_cutoff: 10.42\n"
        "repetition_penalty: 1.17\ntop_k: 49\ntemperature_last: true\nmin_length: 3\n",
        {
            "order": ["top_k", "top_p", "epsilon_cutoff", "eta_cutoff", "temperature"],
            "repetition_penalty": 1.17, "repetition_range": 1024, "temperature": 1.31, "top_k": 49,
            "top_p": 0.14, "epsilon_cutoff": 0.000149, "eta_cutoff": 0.001042,
        },
        {("default", "repetition_penalty_range"), ("lost", "min_length")},
    ),
    File(
        "webui",
        "Mine.yaml",
        "temperature: 0.7\ndynamic_temperature: true\ndynatemp_low: 0.5\ndynatemp_high: 1.5\n"
        "min_p: 0.02\nadaptive_target: 0\nxtc_probability: 0.5\n"
        "dry_multiplier: 0.8\ndry_sequence_breakers: '\"\\n\", \":\"'\n"
        "repetition_penalty_range: 0\n"
        "sampler_priority: |-\n  min_p\n  dynamic_temperature\n  xtc\n",
        {
            "order": ["min_p", "dynamic_temperature", "xtc"],
            "dry_multiplier": 0.8, "dry_sequence_breakers": ["\n", ":"],
            "dynatemp_low": 0.5, "dynatemp_high": 1.5, "min_p": 0.02, "xtc_probability": 0.5,
            "adaptive_target": -1.0,
        },
        {("lost", "temperature"), ("differs", "xtc_probability")},
    ),
    File(
        "sillytavern",
        "Mine.json",
        """{"temp": 1.25, "temperature_last": true, "top_p": 1, "top_k": 0, "min_p": 0.1,
        "tfs": 0.9, "epsilon_cutoff": 3, "rep_pen": 1.1, "rep_pen_range": 512, "rep_pen_slope": 0.9,
        "freq_pen": 0, "dynatemp": false, "min_temp": 0, "max_temp": 2, "nsigma": 1.5,
        "dry_multiplier": 0.8, "dry_penalty_last_n": 0, "add_bos_token": true, "genamt": 350,
        "dry_sequence_breakers": "[\\"\\\\n\\", \\":\\"]", "guidance_scale": 1,
        "sampler_order": [6, 0, 1, 3, 4, 2, 5]}""",
        {
            "order": ["top_n_sigma", "epsilon_cutoff", "tfs", "min_p", "temperature"],
            "repetition_penalty": 1.1, "repetition_range": 512, "frequency_penalty": 0.0,
            "dry_multiplier": 0.8, "dry_range": 0, "dry_sequence_breakers": ["\n", ":"],
            "temperature": 1.25, "top_k": 0, "top_p": 1.0, "min_p": 0.1, "epsilon_cutoff": 0.0003,
            "tfs": 0.9, "top_n_sigma": 1.5, "max_tokens": 350,
        },
        {("lost", "rep_pen_slope"), ("lost", "sampler_order")},
    ),
    File(
        "koboldcpp",
        "payload.json",
        """{"max_context_length": 4096, "max_length": 120, "temperature": 0.8, "top_p": 0.9,
        "top_k": 40, "typical": 0.95, "rep_pen": 1.07, "rep_pen_slope": 0.7, "min_p": 0.05,
        "sampler_order": [6, 5, 0, 2, 3, 1, 4], "nsigma": 2, "smoothing_factor": 0.2,
        "stop_sequence": ["### Input"], "sampler_seed": -1}""",
        {
            "order": [
                "temperature", "smoothing", "top_n_sigma", "top_k", "top_p", "min_p", "typical_p",
            ],
            "repetition_penalty": 1.07, "repetition_range": 320, "temperature": 0.8,
            "smoothing_factor": 0.2, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.95,
            "top_n_sigma": 2.0, "max_tokens": 120, "stop": ["### Input"],
        },
        {("lost", "rep_pen_slope"), ("left", "max_context_length")},
    ),
    File(
        "tabbyapi",
        "mine.yml",
        "temperature:\n  override: 0.8\n  force: true\ntop_p:\n  override: 0.9\n  force: false\n"
        "penalty_range:\n  override: -1\n  force: false\nrep_pen:\n  override: 1.1\n"
        "temperature_last:\n  override: true\nadaptive_target:\n  override: 1.0\n"
        "typical_p:\n  override: 0.9\n",
        {
            "order": ["top_p", "typical_p", "temperature"],
            "repetition_penalty": 1.1, "repetition_range": 0, "temperature": 0.8, "top_p": 0.9,
            "typical_p": 0.9, "adaptive_target": -1.0,
        },
        {("differs", "temperature"), ("differs", "top_p"), ("differs", "typical")},
    ),
    File(
        "ollama",
        "Modelfile",
        'FROM llama3.2\n# warmer\nPARAMETER temperature 1\nPARAMETER num_ctx 4096\n'
        'PARAMETER stop "<|user|>"\nPARAMETER stop """a\nb"""\nPARAMETER repeat_last_n -1\n'
        "SYSTEM You are Mario.\n",
        {
            "repetition_penalty": 1.1, "repetition_range": 0, "temperature": 1.0, "top_k": 40,
            "top_p": 0.9, "stop": ["<|user|>", "a\nb"],
        },
        {("left", "FROM"), ("left", "SYSTEM"), ("left", "num_ctx"), ("default", "top_k"),
         ("default", "top_p"), ("default", "repetition_penalty")},
    ),
    File(
        "sglang",
        "",
        '{"temperature": 0.7, "top_k": -1, "repetition_penalty": 1.05, "max_new_tokens": 256}',
        {"repetition_penalty": 1.05, "temperature": 0.7, "top_k": 0, "max_tokens": 256},
        {("differs", "repetition_penalty")},
    ),
    File(
        "litellm",
        "config.yaml",
        "model_list:\n- model_name: creative\n  litellm_params:\n    model: hosted_vllm/qwen\n"
        "    api_base: http://127.0.0.1:8000/v1\n    api_key: os.environ/KEY\n"
        "    temperature: 1.2\n"
        "    extra_body: {min_p: 0.05, dry_multiplier: 0.8}\n"
        "- model_name: other\n  litellm_params: {model: x}\n",
        {"dry_multiplier": 0.8, "temperature": 1.2, "min_p": 0.05},
        {("left", "model"), ("left", "api_base"), ("left", "api_key")},
        "creative",
    ),
]  # fmt: skip


class TestRead:
    """`interchange.read`."""

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.format)
    def test_what_a_file_says(self, file: File) -> None:
        """In our words; what differs, is lost, or stands for a default is told."""
        reading = read(file.text, name=file.name, format_name=file.format, section=file.section)

        assert file.words == reading.preset
        assert file.notes <= {(note.kind, note.name) for note in reading.notes}
        assert not {note.name for note in reading.notes if note.kind == "lost"} - {
            name for _, name in file.notes
        }

    @pytest.mark.parametrize(
        "file",
        [f for f in FILES if f.format not in ("vllm", "sglang")],
        ids=lambda file: file.format,
    )
    def test_the_format_is_seen(self, file: File) -> None:
        """From the file's name and text."""
        first = next(made.name for made in FORMATS if made.looks(file.name, file.text))

        assert file.format == first

    def test_all_formats_have_a_file(self) -> None:
        """None is left out above."""
        assert BY_NAME.keys() == {file.format for file in FILES}

    @pytest.mark.parametrize(
        ("format_name", "text", "message"),
        [
            ("transformers", "{", "not valid JSON"),
            ("koboldcpp", "[1]", "not a JSON object"),
            ("webui", "a: [", "not valid YAML"),
            ("tabbyapi", "- a", "not a map"),
            ("litellm", "a: 1", "no model_list"),
            ("litellm", "model_list: [{model_name: a}, {model_name: b}]", "which entry"),
            ("llamacpp-ini", "[a]\ntemp = 1\n[b]\ntemp = 2", "which section"),
            ("llamacpp-ini", "temp", "not an INI file"),
            ("llamacpp-args", "--temp hot", "--temp is not understood"),
            ("llamacpp-args", "--temp '1", "not a command line"),
            ("ollama", "", "no PARAMETER line"),
            ("transformers", '{"do_sample": true, "top_p": 7}', "top_p: not allowed; given: 7"),
            ("trasformers", "{}", "did you mean 'transformers'"),
            ("", "hello", "no format is recognised"),
        ],
    )
    def test_what_is_no_such_file(self, format_name: str, text: str, message: str) -> None:
        """Is told in our words."""
        with pytest.raises(PresetError, match=message):
            read(text, format_name=format_name)

    def test_an_unknown_field(self) -> None:
        """Is named, not dropped."""
        (note,) = read('{"temperature": 1, "hotness": 3}', format_name="sglang").notes

        assert ("lost", "hotness", 3) == (note.kind, note.name, note.value)


# preset, format -> what the file must hold, and what is told to be lost
EXPORTS: list[tuple[dict[str, Any], str, dict[str, Any], set[str]]] = [
    ({"temperature": 0}, "transformers", {"do_sample": False}, set()),
    ({"temperature": 0.7}, "transformers",
     {"do_sample": True, "temperature": 0.7, "top_k": 0}, set()),
    ({"temperature": 3.0, "dry_multiplier": 1.0}, "vllm", {}, {"temperature", "dry_multiplier"}),
    ({"top_p": 0.9, "min_p": 0.1}, "vllm", {"top_p": 0.9, "min_p": 0.1}, {"order"}),
    (
        {"dynatemp_low": 0.5, "dynatemp_high": 1.3},
        "llamacpp",
        {
            "temperature": 0.9, "dynatemp_range": 0.4, "dynatemp_exponent": 1.0, "top_k": 0,
            "top_p": 1.0, "min_p": 0.0, "samplers": ["penalties", "dry", "temperature"],
        },
        set(),
    ),
    ({"eta_cutoff": 0.0003, "epsilon_cutoff": 0.0001}, "sillytavern",
     {"eta_cutoff": 3, "epsilon_cutoff": 1}, set()),
    (
        {"top_p": 0.9, "temperature": 0.8, "order": ["top_p", "temperature"]},
        "koboldcpp",
        {"temperature": 0.8, "top_p": 0.9, "top_k": 0, "sampler_order": [6, 2, 5, 0, 1, 3, 4]},
        set(),
    ),
    ({"xtc_probability": 0.5}, "koboldcpp",
     {"xtc_probability": 0.5, "xtc_threshold": 0.1, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
      "sampler_order": [6, 0, 1, 3, 4, 2, 5]}, {"xtc_protect_structure"}),
    ({"frequency_penalty": 0.5}, "koboldcpp",
     {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "sampler_order": [6, 0, 1, 3, 4, 2, 5]},
     {"frequency_penalty"}),
    ({"adaptive_target": 0.4}, "sglang", {}, {"adaptive_target"}),
    ({"top_p": 0.5, "temperature": 0.7, "seed": 3, "min_p": 0.1}, "vllm-extra-body",
     {"top_p": 0.5, "temperature": 0.7, "min_p": 0.1, "seed": 3}, set()),
]  # fmt: skip


class TestExport:
    """`interchange.export`."""

    @pytest.mark.parametrize(("values", "name", "expected", "lost"), EXPORTS, ids=str)
    def test_what_is_written(
        self, values: dict[str, Any], name: str, expected: dict[str, Any], lost: set[str]
    ) -> None:
        """The program's own names, units and order; its defaults are undone."""
        text, notes = export(as_preset(values, NOTHING), name)

        assert expected == json.loads(text)
        assert lost == {note.name for note in notes if note.kind == "lost"}

    def test_a_command_line(self) -> None:
        """Quoted for a shell."""
        preset = as_preset({"temperature": 0.7, "dry_multiplier": 0.8, "stop": "a b"}, NOTHING)
        text, notes = export(preset, "llamacpp-args")

        assert text == (
            "--dry-multiplier 0.8 --temp 0.7 --dry-base 1.75 --dry-allowed-length 2"
            " --dry-penalty-last-n 1048576 --reverse-prompt 'a b' --top-k 0 --top-p 1.0 --min-p 0.0"
            " --samplers 'penalties;dry;temperature'"
        )
        assert notes == []

    def test_a_modelfile(self) -> None:
        """A line for each parameter, and one for each text that ends."""
        preset = as_preset({"temperature": 0.7, "stop": ["<|x|>", "a\nb"]}, NOTHING)

        assert export(preset, "ollama")[0].splitlines() == [
            "PARAMETER temperature 0.7",
            'PARAMETER stop "<|x|>"',
            'PARAMETER stop """a',
            'b"""',
            "PARAMETER top_k 0",
            "PARAMETER top_p 1.0",
            "PARAMETER repeat_penalty 1.0",
        ]

    def test_modes_are_told(self) -> None:
        """No other program switches while the text is written."""
        preset = Catalogue.load(environment=False)["reasoning"]
        for name in BY_NAME:
            assert "modes" in {note.name for note in export(preset, name)[1]}

    def test_a_schedule_is_told(self) -> None:
        """Nor has one a number that changes with the position."""
        preset = as_preset({"temperature": {"from": 1.0, "to": 0.5, "over": 9}}, NOTHING)
        for name in BY_NAME:
            assert "temperature" in {n.name for n in export(preset, name)[1] if n.kind == "lost"}

    def test_what_depends_on_a_model(self) -> None:
        """Can't be written before the model is known."""
        catalogue = Catalogue.load(environment=False)
        with pytest.raises(PresetError, match="the model must be known"):
            export(catalogue["recommended"], "ollama")

        text, _ = export(catalogue.for_model("qwen3-8b")["recommended"], "webui")

        assert "top_k: 20" in text
