"""LM Studio's presets: files, what they are read as, and what is written."""

import json

from tests.interchange.files import Export, File, Wrong, export_test, file_tests, refusal_test


def written(**values: object) -> dict[str, object]:
    """The content of a preset with these keys and values; `_` is the dot of a scope."""
    fields = [
        {"key": f"llm.prediction.{name.replace('_', '.')}", "value": value}
        for name, value in values.items()
    ]
    return {
        "identifier": "@local:inline",
        "name": "inline",
        "changed": False,
        "operation": {"fields": fields},
        "load": {"fields": []},
    }


def on(value: float) -> dict[str, object]:
    """A number whose checkbox is on."""
    return {"checked": True, "value": value}


def json_of(**values: object) -> str:
    """The text of such a preset."""
    return json.dumps(written(**values))


FILES = [
    File(
        "lmstudio",
        "a.preset.json",
        json_of(
            temperature=0.7,
            topKSampling=20,
            topPSampling=on(0.95),
            minPSampling={"checked": False, "value": 0.05},
            repeatPenalty=on(1.1),
            llama_presencePenalty=on(0.5),
            llama_cpuThreads=4,
            systemPrompt="Be brief.",
            maxPredictedTokens=on(512),
            seed={"checked": False, "value": -1},
            stopStrings=["##"],
        ),
        {
            "order": ["top_k", "top_p", "temperature"],
            "repetition_penalty": 1.1,
            "repetition_range": 64,
            "presence_penalty": 0.5,
            "temperature": 0.7,
            "top_k": 20,
            "top_p": 0.95,
            "min_p": 0.0,
            "max_tokens": 512,
            "stop": ["##"],
        },
        {
            ("left", "llm.prediction.systemPrompt"),
            ("left", "operation"),
            ("default", "repetition_range"),
            ("differs", "llm.prediction.llama.presencePenalty"),
        },
    ),
    File(
        "lmstudio",
        "b.preset.json",
        json_of(
            temperature=0.9,
            topKSampling=-1,
            topPSampling=on(0.9),
            llama_mirostatSampling={"version": 2, "learningRate": 0.2, "targetEntropy": 4},
            llama_logitBias=[[7, 1.5], [9, "-inf"]],
        ),
        {
            "logit_bias": {7: 1.5},
            "suppress_tokens": [9],
            "temperature": 0.9,
            "top_k": 0,
            "top_p": 0.9,
            "mirostat": 2,
            "mirostat_tau": 4.0,
            "mirostat_eta": 0.2,
        },
        {("left", "operation")},
    ),
    File(
        "lmstudio",
        "c.preset.json",
        json.dumps(
            {
                "operation": {
                    "fields": [
                        {"key": "llm.prediction.topPSampling", "value": 0.8},
                        {"key": "llm.prediction.newSampling", "value": 3},
                        {"key": "ext.virtualModel.a", "value": False},
                    ]
                },
                "load": {"fields": [{"key": "llm.load.contextLength", "value": 4096}]},
            }
        ),
        {"top_p": 0.8},
        {("lost", "llm.prediction.newSampling"), ("left", "load"), ("left", "ext.virtualModel.a")},
    ),
    File(  # values of other shapes: each is lost with a note
        "lmstudio",
        "d.preset.json",
        json.dumps(
            written(
                topPSampling={"value": 0.9},
                minPSampling={"checked": "false", "value": 0.1},
                repeatPenalty={"checked": True},
                llama_presencePenalty={"checked": True, "value": None},
                llama_mirostatSampling=[2],
                llama_logitBias=[[7, 1], [7, 2], {"8": 1}, "12", ["9", 1], [9, "-inf"]],
                topKSampling=5,
            )
            | {"load": None}
        ),
        {"logit_bias": {7: 2.0}, "suppress_tokens": [9], "top_k": 5},
        {
            ("lost", f"llm.prediction.{name}")
            for name in (
                "topPSampling",
                "minPSampling",
                "repeatPenalty",
                "llama.presencePenalty",
                "llama.mirostatSampling",
                "llama.logitBias",
            )
        },
    ),
    File(  # the last entry of a key counts, and mirostat of version 0 is off
        "lmstudio",
        "e.preset.json",
        json.dumps(
            {
                "operation": {
                    "fields": [
                        {"key": "llm.prediction.temperature", "value": 0.5},
                        {"key": "llm.prediction.temperature", "value": 0.7},
                        {
                            "key": "llm.prediction.llama.mirostatSampling",
                            "value": {"version": 0, "learningRate": 0.1, "decay": 1},
                        },
                    ]
                },
                "load": ["a"],
            }
        ),
        {"temperature": 0.7, "mirostat": 0},
        {
            ("lost", "llm.prediction.temperature"),
            ("lost", "llm.prediction.llama.mirostatSampling.decay"),
            ("left", "load"),
        },
    ),
]
EXPORTS = [
    Export(
        "lmstudio",
        {"temperature": 0.7, "min_p": 0.1, "presence_penalty": 0.5, "logit_bias": {7: 1}},
        written(
            llama_logitBias=[[7, 1.0]],
            llama_presencePenalty=on(0.5),
            temperature=0.7,
            minPSampling=on(0.1),
            topKSampling=0,
            topPSampling=on(1.0),
            repeatPenalty=on(1.0),
        ),
        {"order"},
    ),
    Export(
        "lmstudio",
        {"mirostat": 2, "repetition_penalty": 1.1, "dry_multiplier": 0.8, "max_tokens": 9},
        written(
            llama_mirostatSampling={"version": 2, "learningRate": 0.1, "targetEntropy": 5.0},
            repeatPenalty=on(1.1),
            maxPredictedTokens=on(9),
            temperature=1.0,
            topKSampling=0,
            topPSampling=on(1.0),
            minPSampling=on(0.0),
        ),
        {"dry_multiplier", "repetition_range"},
    ),
]
WRONG = [
    Wrong("lmstudio", '{"operation": {"fields": [1]}}', "not a preset"),
    Wrong("lmstudio", '{"name": "a"}', "not a preset"),
    Wrong("lmstudio", "[]", "not a JSON object"),
    Wrong("lmstudio", '{"operation": {"fields": [{"key": null, "value": 1}]}}', "not a preset"),
    Wrong("lmstudio", json_of(maxPredictedTokens=on(float("nan"))), "max_tokens: not allowed"),
    Wrong("lmstudio", json_of(a=[]).replace("[]", "[" * 400 + "]" * 400), "nested too deeply"),
]

test_reading, test_recognition = file_tests(FILES)
test_export = export_test(EXPORTS)
test_refusal = refusal_test(WRONG)
