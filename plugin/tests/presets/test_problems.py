"""Each problem of a preset file is reported with file, line, path, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from temperament.cli import main
from temperament.errors import PresetError
from temperament.presets import Catalogue
from temperament.presets.fields import ALLOWED, MOVABLE
from temperament.presets.groups import FOLDERS as PRESET_FOLDERS
from temperament.presets.markers import configs as shipped
from temperament.presets.parsing import parse_preset
from temperament.presets.source import MAX_BYTES, MAX_DEPTH
from temperament.stages.kinds import MAX_ENTRIES

NUMBER = "a number in [0, inf)"
SHARE = "a number in [0, 1]"
PENALTY = "a number in [-2, 2]"
COUNT = "an integer in [0, 2147483647] or -1 (off)"
BIASES = "a map of token id to a finite number"
SEED = "an integer in [0, 2^63), or -1 for none"
STOP = "a text or a list of 1 to 64 texts, none of them empty"
ALIASES = "a list of texts of 1 to 64 characters without ':', '/', '@' or ','"
ORDER = f"a list of one or more stages, each once, of {', '.join(MOVABLE)}"
PICK = ALLOWED["pick"]
SUMMARY = "a map of en and zh to a sentence each"
NAME = "1 to 64 of a-z, 0-9, '.', '_', '-', the first a letter or digit"
MANY = repr(["x"] * 16)[:-1]
SHIPPED = shipped() / "presets"
NAMES = ", ".join(
    path.stem for folder in PRESET_FOLDERS for path in sorted((shipped() / folder).glob("*.yaml"))
)

# One file `bad.yaml`, and what follows its name in each problem.
FILES: list[tuple[str, str | bytes, list[str]]] = [
    # Names.
    ("unknown name", "colour: red", [":1: colour: unknown name"]),
    (
        "misspelt name",
        "temperture: 1",
        [":1: temperture: unknown name; did you mean 'temperature' or 'temperature_scale'?"],
    ),
    (
        "upper case",
        "SUMMARY: text",
        [":1: SUMMARY: unknown name; did you mean 'summary'?"],
    ),
    (
        "misspelt flag of a rule that picks",
        "pick:\n  - {when: toolz, preset: chat}",
        [
            ":2: pick.0.when: not allowed; given: 'toolz'; allowed: "
            + PICK
            + "; did you mean 'tools'?"
        ],
    ),
    ("number as a name", "3: 1", [":1: 3: unknown name"]),
    (
        "flag as a name",
        "true: 1",
        [":1: a key that isn't a name; given: 'true'; allowed: text or an integer"],
    ),
    (
        "list as a name",
        "? [a, b]\n: 1",
        [":1: a key that isn't a name; allowed: text or an integer"],
    ),
    ("line break in a name", '"a\\nb": 1', [":1: a\\nb: unknown name"]),
    ("no value", "top_p: 0.5\ntemperature:", [f":2: temperature: has no value; allowed: {NUMBER}"]),
    ("null", "temperature: null", [f":1: temperature: has no value; allowed: {NUMBER}"]),
    (
        "same name twice",
        "temperature: 1\n# again\ntemperature: 2",
        [":3: temperature: occurs twice, first in line 1; allowed: each name once"],
    ),
    (
        "same name twice, the first wrong",
        "temperature: -1\ntemperature: 2",
        [
            ":2: temperature: occurs twice, first in line 1; allowed: each name once",
            f":1: temperature: not allowed; given: -1; allowed: {NUMBER}",
        ],
    ),
    (
        "same token twice",
        "logit_bias:\n  5: 1\n  5: 2",
        [":3: logit_bias.5: occurs twice, first in line 2; allowed: each name once"],
    ),
    ("merge key", "<<: {temperature: 1}", [":1: <<: unknown name"]),
    # Values.
    (
        "text for a number",
        "temperature: hot",
        [f":1: temperature: not allowed; given: 'hot'; allowed: {NUMBER}"],
    ),
    (
        "quoted number",
        'temperature: "1.0"',
        [f":1: temperature: not allowed; given: '1.0'; allowed: {NUMBER}"],
    ),
    (
        "empty text for a number",
        'temperature: ""',
        [f":1: temperature: not allowed; given: ''; allowed: {NUMBER}"],
    ),
    (
        "flag for a number",
        "temperature: true",
        [f":1: temperature: not allowed; given: True; allowed: {NUMBER}"],
    ),
    (
        "list for a number",
        "temperature: [1]",
        [f":1: temperature: not allowed; given: [1]; allowed: {NUMBER}"],
    ),
    (
        "map for a number",
        "temperature: {value: 1}",
        [f":1: temperature: not allowed; given: {{'value': 1}}; allowed: {NUMBER}"],
    ),
    ("off as a word", "top_p: off", [f":1: top_p: not allowed; given: 'off'; allowed: {SHARE}"]),
    ("yes as a word", "min_p: yes", [f":1: min_p: not allowed; given: 'yes'; allowed: {SHARE}"]),
    (
        "underscore in a number",
        "top_k: 1_000",
        [f":1: top_k: not allowed; given: '1_000'; allowed: {COUNT}"],
    ),
    ("hexadecimal", "top_k: 0x10", [f":1: top_k: not allowed; given: '0x10'; allowed: {COUNT}"]),
    (
        "full-width digits",
        "temperature: １",
        [f":1: temperature: not allowed; given: '１'; allowed: {NUMBER}"],
    ),
    ("nan", "temperature: .nan", [f":1: temperature: not allowed; given: nan; allowed: {NUMBER}"]),
    ("inf", "temperature: .inf", [f":1: temperature: not allowed; given: inf; allowed: {NUMBER}"]),
    (
        "minus inf",
        "frequency_penalty: -.inf",
        [f":1: frequency_penalty: not allowed; given: -inf; allowed: {PENALTY}"],
    ),
    (
        "too large for a float",
        "temperature: 1e999",
        [f":1: temperature: not allowed; given: inf; allowed: {NUMBER}"],
    ),
    (
        "too large for float32",
        "temperature: 3.5e38",
        [f":1: temperature: too large for float32; given: 3.5e+38; allowed: {NUMBER}"],
    ),
    (
        "an integer too large for float32",
        f"temperature: 1{'0' * 39}",
        [
            f":1: temperature: too large for float32; given: 1{'0' * 39}; allowed: {NUMBER}",
        ],
    ),
    (
        "too small for float32",
        "temperature: 1e-38",
        [f":1: temperature: too close to 0 for float32; given: 1e-38; allowed: {NUMBER}"],
    ),
    (
        "temperature below",
        "temperature: -0.0001",
        [f":1: temperature: not allowed; given: -0.0001; allowed: {NUMBER}"],
    ),
    (
        "top_p below",
        "top_p: -0.0001",
        [f":1: top_p: not allowed; given: -0.0001; allowed: {SHARE}"],
    ),
    ("top_p above", "top_p: 1.0001", [f":1: top_p: not allowed; given: 1.0001; allowed: {SHARE}"]),
    (
        "min_p below",
        "min_p: -0.0001",
        [f":1: min_p: not allowed; given: -0.0001; allowed: {SHARE}"],
    ),
    ("min_p above", "min_p: 1.0001", [f":1: min_p: not allowed; given: 1.0001; allowed: {SHARE}"]),
    ("top_k below", "top_k: -2", [f":1: top_k: not allowed; given: -2; allowed: {COUNT}"]),
    (
        "top_k above",
        "top_k: 2147483648",
        [f":1: top_k: not allowed; given: 2147483648; allowed: {COUNT}"],
    ),
    (
        "top_k as a fraction",
        "top_k: 40.5",
        [f":1: top_k: not allowed; given: 40.5; allowed: {COUNT}"],
    ),
    (
        "top_k off as a fraction",
        "top_k: -1.5",
        [f":1: top_k: not allowed; given: -1.5; allowed: {COUNT}"],
    ),
    (
        "repetition_penalty at its open end",
        "repetition_penalty: 0",
        [":1: repetition_penalty: not allowed; given: 0; allowed: a number in (0, inf)"],
    ),
    (
        "repetition_penalty below",
        "repetition_penalty: -1",
        [":1: repetition_penalty: not allowed; given: -1; allowed: a number in (0, inf)"],
    ),
    (
        "frequency_penalty below",
        "frequency_penalty: -2.0001",
        [f":1: frequency_penalty: not allowed; given: -2.0001; allowed: {PENALTY}"],
    ),
    (
        "frequency_penalty above",
        "frequency_penalty: 2.0001",
        [f":1: frequency_penalty: not allowed; given: 2.0001; allowed: {PENALTY}"],
    ),
    (
        "presence_penalty below",
        "presence_penalty: -2.0001",
        [f":1: presence_penalty: not allowed; given: -2.0001; allowed: {PENALTY}"],
    ),
    (
        "presence_penalty above",
        "presence_penalty: 2.0001",
        [f":1: presence_penalty: not allowed; given: 2.0001; allowed: {PENALTY}"],
    ),
    (
        "biases as a list",
        "logit_bias: [1, 2]",
        [f":1: logit_bias: not allowed; given: [1, 2]; allowed: {BIASES}"],
    ),
    (
        "bias of a word",
        "logit_bias: {hello: 1}",
        [f":1: logit_bias.hello: not a token id; given: 'hello'; allowed: {BIASES}"],
    ),
    (
        "bias of a negative token",
        "logit_bias:\n  5: 1\n  -5: 1",
        [f":3: logit_bias.-5: not a token id; given: -5; allowed: {BIASES}"],
    ),
    (
        "bias of a token beyond int32",
        "logit_bias: {2147483648: 1}",
        [f":1: logit_bias.2147483648: not allowed; given: 2147483648; allowed: {BIASES}"],
    ),
    (
        "bias as a text",
        "logit_bias:\n  5: 1\n  6: much",
        [f":3: logit_bias.6: not allowed; given: 'much'; allowed: {BIASES}"],
    ),
    (
        "bias as a flag",
        "logit_bias: {5: false}",
        [f":1: logit_bias.5: not allowed; given: False; allowed: {BIASES}"],
    ),
    (
        "infinite bias",
        "logit_bias: {5: -.inf}",
        [f":1: logit_bias.5: not allowed; given: -inf; allowed: {BIASES}"],
    ),
    (
        "one token in two spellings",
        'logit_bias: {5: 1, "5": 2}',
        [
            ":1: logit_bias: a token id occurs twice, as a number and as a text; "
            f"given: {{5: 1, '5': 2}}; allowed: {BIASES}"
        ],
    ),
    (
        "a token with leading zeros",
        'logit_bias: {"05": 1}',
        [f":1: logit_bias.05: not a token id; given: '05'; allowed: {BIASES}"],
    ),
    (
        "too many biases",
        "logit_bias:\n" + "".join(f"  {token}: 1\n" for token in range(MAX_ENTRIES + 1)),
        [
            ":1: logit_bias: more than 4096 entries; given: {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, "
            f"6: 1, 7: 1, 8: 1, 9: 1, 10: 1, 11: 1, 12: …; allowed: {BIASES}"
        ],
    ),
    # Order.
    (
        "order as a text",
        "order: top_k",
        [f":1: order: not a list; given: 'top_k'; allowed: {ORDER}"],
    ),
    ("empty order", "order: []", [f":1: order: not allowed; given: []; allowed: {ORDER}"]),
    (
        "stage twice in order",
        "order: [top_k, top_p, top_k]",
        [f":1: order: a stage occurs twice; given: ['top_k', 'top_p', 'top_k']; allowed: {ORDER}"],
    ),
    (
        "misspelt stage in order",
        "order:\n  - top_k\n  - temprature",
        [
            ":3: order.1: not allowed; given: 'temprature'; "
            f"allowed: {ORDER}; did you mean 'temperature' or 'dynamic_temperature'?"
        ],
    ),
    (
        "penalty in order",
        "order: [frequency_penalty]",
        [f":1: order.0: not allowed; given: 'frequency_penalty'; allowed: {ORDER}"],
    ),
    (
        "flag as a number",
        "p_less: 1",
        [":1: p_less: not allowed; given: 1; allowed: true or false"],
    ),
    (
        "flag as a word",
        "renormalize_logits: on",
        [":1: renormalize_logits: not allowed; given: 'on'; allowed: true or false"],
    ),
    (
        "nothing typical",
        "typical_p: 0",
        [":1: typical_p: not allowed; given: 0; allowed: a number in (0, 1]"],
    ),
    (
        "a cutoff in units of 1e-4",
        "epsilon_cutoff: 3",
        [":1: epsilon_cutoff: not allowed; given: 3; allowed: a number in [0, 1)"],
    ),
    (
        "too steep a curve",
        "smoothing_curve: 10.1",
        [":1: smoothing_curve: not allowed; given: 10.1; allowed: a number in [1, 10]"],
    ),
    (
        "last stage in order",
        "order: [renormalize_logits]",
        [f":1: order.0: not allowed; given: 'renormalize_logits'; allowed: {ORDER}"],
    ),
    ("number in order", "order: [1]", [f":1: order.0: not allowed; given: 1; allowed: {ORDER}"]),
    # When to stop, and from which seed.
    (
        "max_tokens below",
        "max_tokens: 0",
        [":1: max_tokens: not allowed; given: 0; allowed: an integer in [1, 2147483647]"],
    ),
    (
        "max_tokens above",
        "max_tokens: 2147483648",
        [":1: max_tokens: not allowed; given: 2147483648; allowed: an integer in [1, 2147483647]"],
    ),
    (
        "max_tokens as a fraction",
        "max_tokens: 1.5",
        [":1: max_tokens: not allowed; given: 1.5; allowed: an integer in [1, 2147483647]"],
    ),
    ("empty stop", 'stop: ""', [f":1: stop: not allowed; given: ''; allowed: {STOP}"]),
    ("empty list of stops", "stop: []", [f":1: stop: not allowed; given: []; allowed: {STOP}"]),
    (
        "empty text in stops",
        'stop:\n  - "a"\n  - ""',
        [f":3: stop.1: not allowed; given: ''; allowed: {STOP}"],
    ),
    ("number in stops", "stop: [1]", [f":1: stop.0: not allowed; given: 1; allowed: {STOP}"]),
    (
        "too many stops",
        f"stop: [{', '.join(['x'] * 65)}]",
        [
            f":1: stop: more than 64 entries; given: {MANY}…; allowed: {STOP}",
        ],
    ),
    ("negative seed", "seed: -2", [f":1: seed: not allowed; given: -2; allowed: {SEED}"]),
    (
        "a number of samples, by vLLM's name",
        "n: 4",
        [":1: n: unknown name; did you mean 'num_return_sequences'?"],
    ),
    (
        "a pair beside its first number",
        "exponential_decay_start: 3\nexponential_decay_length_penalty: [3, 1.5]",
        [
            ":2: exponential_decay_length_penalty: not allowed; given: [3, 1.5];"
            " allowed: a number in (0, inf)"
        ],
    ),
    (
        "a pair with a wrong first number",
        "exponential_decay_length_penalty: [3.5, 1.5]",
        [
            ":1: exponential_decay_start: not allowed; given: 3.5;"
            " allowed: an integer in [0, 2147483647]"
        ],
    ),
    (
        "seed above",
        "seed: 9223372036854775808",
        [f":1: seed: not allowed; given: 9223372036854775808; allowed: {SEED}"],
    ),
    (
        "very long seed",
        f"seed: {'9' * 5000}",
        [f":1: seed: not allowed; given: inf; allowed: {SEED}"],
    ),
    ("flag as seed", "seed: true", [f":1: seed: not allowed; given: True; allowed: {SEED}"]),
    # What describes the preset.
    (
        "unknown language",
        "summary:\n  en: A summary.\n  fr: Un résumé.",
        [f":3: summary.fr: unknown name; given: 'Un résumé.'; allowed: {SUMMARY}"],
    ),
    (
        "summary as a text",
        "summary: A summary.",
        [f":1: summary: not allowed; given: 'A summary.'; allowed: {SUMMARY}"],
    ),
    (
        "summary as a number",
        "summary: {en: 1}",
        [f":1: summary.en: not allowed; given: 1; allowed: {SUMMARY}"],
    ),
    (
        "long summary",
        f"summary: {{en: {'x' * 301}}}",
        [f":1: summary.en: more than 300 characters; given: '{'x' * 78}…; allowed: {SUMMARY}"],
    ),
    (
        "source as a list",
        "source: [a]",
        [":1: source: not allowed; given: ['a']; allowed: a text: where the values come from"],
    ),
    (
        "aliases as a text",
        "aliases: other",
        [f":1: aliases: not allowed; given: 'other'; allowed: {ALIASES}"],
    ),
    (
        "empty alias",
        'aliases: ["", good]',
        [f":1: aliases.0: not allowed; given: ''; allowed: {ALIASES}"],
    ),
    (
        "alias with a colon",
        'aliases:\n  - good\n  - "a:b"',
        [f":3: aliases.1: not allowed; given: 'a:b'; allowed: {ALIASES}"],
    ),
    (
        "alias with spaces around",
        'aliases: [" a "]',
        [f":1: aliases.0: not allowed; given: ' a '; allowed: {ALIASES}"],
    ),
    (
        "alias with a line break",
        'aliases: ["a\\nb"]',
        [f":1: aliases.0: not allowed; given: 'a\\nb'; allowed: {ALIASES}"],
    ),
    (
        "long alias",
        f"aliases: [{'x' * 65}]",
        [
            f":1: aliases.0: not allowed; given: '{'x' * 65}'; allowed: {ALIASES}",
        ],
    ),
    (
        "number as alias",
        "aliases: [1]",
        [f":1: aliases.0: not allowed; given: 1; allowed: {ALIASES}"],
    ),
    # What it extends.
    (
        "extends unknown",
        "temperature: 1\nextends: creativ",
        [
            ":2: extends: unknown preset; given: 'creativ'; "
            f"allowed: {NAMES}; did you mean 'creative'?"
        ],
    ),
    (
        "extends nothing alike",
        "extends: zzz",
        [f":1: extends: unknown preset; given: 'zzz'; allowed: {NAMES}"],
    ),
    (
        "extends an empty name",
        'extends: ""',
        [f":1: extends: unknown preset; given: ''; allowed: {NAMES}"],
    ),
    (
        "extends a list",
        "extends: [chat, code]",
        [":1: extends: not allowed; given: ['chat', 'code']; allowed: the name of another preset"],
    ),
    ("extends itself", "extends: bad", [":1: extends: goes in a circle: bad -> bad"]),
    # The text itself.
    (
        "a list",
        "- temperature: 1",
        [":1: not a preset; given: [{'temperature': 1}]; allowed: a map of names to values"],
    ),
    (
        "a word",
        "temperature",
        [":1: not a preset; given: 'temperature'; allowed: a map of names to values"],
    ),
    (
        "not closed",
        "order: [top_k",
        [":1: not valid YAML: did not find expected ',' or ']'"],
    ),
    (
        "tab as indentation",
        "logit_bias:\n\t5: 1",
        [":2: not valid YAML: found character that cannot start any token"],
    ),
    (
        "two documents",
        "temperature: 1\n---\ntemperature: 2",
        [":2: not valid YAML: but found another document"],
    ),
    (
        "control character",
        "top_p: 1\ntemperature: 1\x00",
        [":2: not valid YAML: unacceptable character #x0000: control characters are not allowed"],
    ),
    (
        "not UTF-8",
        b"# \xe6\x97\xa5\ntemperature: 1 # \xff",
        [":2: not UTF-8 at byte 23; allowed: UTF-8 text"],
    ),
    ("UTF-16", "temperature: 1".encode("utf-16"), [":1: not UTF-8 at byte 0; allowed: UTF-8 text"]),
    (
        "too large",
        f"#{'x' * MAX_BYTES}",
        [": the file is too large; allowed: at most 262144 bytes"],
    ),
    (
        "too deep",
        f"\nsource: {'[' * MAX_DEPTH}{']' * MAX_DEPTH}",
        [":2: nested too deeply; allowed: at most 16 levels"],
    ),
    ("far too deep", "[" * 100_000, [":1: nested too deeply; allowed: at most 16 levels"]),
    (
        "YAML bomb",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        [":2: an alias; given: *a; allowed: values written out, or `extends`"],
    ),
    (
        "Python object",
        "temperature: !!python/object/apply:os.getcwd []",
        [":1: temperature: a tag; given: '!!python/object/apply:os.getcwd'; allowed: plain values"],
    ),
    (
        "tagged map",
        "summary: !!python/dict {en: A summary.}",
        [":1: summary: a tag; given: '!!python/dict'; allowed: plain values"],
    ),
    ("tagged list", "stop: !!set {a}", [":1: stop: a tag; given: '!!set'; allowed: plain values"]),
    (
        "tagged text",
        "source: !secret a",
        [":1: source: a tag; given: '!secret'; allowed: plain values"],
    ),
    ("wrong flag by tag", "source: !!bool maybe", [":1: source: not of type bool; given: 'maybe'"]),
    (
        "wrong number by tag",
        "temperature: !!float ''",
        [":1: temperature: not of type float; given: ''"],
    ),
    (
        "date by tag",
        "source: !!timestamp 2026-01-01",
        [":1: source: a tag; given: '!!timestamp'; allowed: plain values"],
    ),
]

# Several files, and every problem in them.
FOLDERS: list[tuple[str, dict[str, str], list[str]]] = [
    (
        "circle of two",
        {"a.yaml": "extends: b", "b.yaml": "top_k: 1\nextends: a"},
        [
            "b.yaml:2: extends: goes in a circle: a -> b -> a",
            "a.yaml:1: extends: goes in a circle: b -> a -> b",
        ],
    ),
    (
        "circle of three, and one outside that leads into it",
        {
            "a.yaml": "extends: b",
            "b.yaml": "extends: c",
            "c.yaml": "extends: a",
            "d.yaml": "extends: a",
        },
        [
            "c.yaml:1: extends: goes in a circle: a -> b -> c -> a",
            "a.yaml:1: extends: goes in a circle: b -> c -> a -> b",
            "b.yaml:1: extends: goes in a circle: c -> a -> b -> c",
        ],
    ),
    (
        "circle through the default",
        {"default.yaml": "extends: a", "a.yaml": "extends: default"},
        [
            "a.yaml:1: extends: goes in a circle: default -> a -> default",
            "default.yaml:1: extends: goes in a circle: a -> default -> a",
        ],
    ),
    (
        "alias of two presets",
        {"a.yaml": "aliases: [same]", "b.yaml": "top_k: 1\naliases: [SAME]"},
        [
            "b.yaml:2: aliases: 'SAME' is taken by 'a' (a.yaml:1); given: 'SAME'; "
            "allowed: an alias of one preset only"
        ],
    ),
    (
        "alias that is another's name",
        {"a.yaml": "aliases: [b]", "b.yaml": "top_k: 1"},
        [
            "a.yaml:1: aliases: 'b' is taken by 'b' (b.yaml:1); given: 'b'; "
            "allowed: an alias of one preset only"
        ],
    ),
    (
        "alias that is a shipped preset's name",
        {"a.yaml": "aliases: [Ｃhat]"},
        [
            f"a.yaml:1: aliases: 'Ｃhat' is taken by 'chat' ({SHIPPED / 'chat.yaml'}:1); "
            "given: 'Ｃhat'; allowed: an alias of one preset only"
        ],
    ),
    (
        "alias that is a shipped preset's alias",
        {"a.yaml": "aliases: [对话]"},
        [
            f"a.yaml:1: aliases: '对话' is taken by 'chat' ({SHIPPED / 'chat.yaml'}:1); "
            "given: '对话'; allowed: an alias of one preset only"
        ],
    ),
    (
        "file name in upper case",
        {"Chat2.yaml": "top_k: 1"},
        [f"Chat2.yaml: a file's name is its preset's name; given: 'Chat2'; allowed: {NAME}"],
    ),
    (
        "file name with a space",
        {"my chat.yaml": "top_k: 1"},
        [f"my chat.yaml: a file's name is its preset's name; given: 'my chat'; allowed: {NAME}"],
    ),
    (
        "file name in Chinese",
        {"聊天.yaml": "top_k: 1"},
        [f"聊天.yaml: a file's name is its preset's name; given: '聊天'; allowed: {NAME}"],
    ),
    (
        "long file name",
        {f"{'x' * 65}.yaml": "top_k: 1"},
        [
            f"{'x' * 65}.yaml: a file's name is its preset's name; given: '{'x' * 65}'; "
            f"allowed: {NAME}"
        ],
    ),
    (
        "one name in two files",
        {"a.yaml": "top_k: 1", "a.yml": "top_k: 2"},
        ["a.yml: defines 'a', and so does a.yaml"],
    ),
    (
        "child of a broken file",
        {"a.yaml": "top_k: x", "b.yaml": "extends: a"},
        [f"a.yaml:1: top_k: not allowed; given: 'x'; allowed: {COUNT}"],
    ),
    (
        "child of an unreadable file",
        {"a.yaml": "[", "b.yaml": "extends: a"},
        ["a.yaml:1: not valid YAML: did not find expected node content"],
    ),
    (
        "child of a badly named file",
        {"A.yaml": "top_k: 1", "b.yaml": "extends: A"},
        [f"A.yaml: a file's name is its preset's name; given: 'A'; allowed: {NAME}"],
    ),
    (
        "all problems of all files",
        {
            "a.yaml": "top_k: -5\ntop_p: 2\naliasses: [x]\ntemperature:",
            "b.yaml": "extends: nobody\naliases: [x]",
            "c.yaml": "- 1",
            "d.yaml": "seed: 1\nseed: 2\nstop: [1]",
        },
        [
            f"a.yaml:4: temperature: has no value; allowed: {NUMBER}",
            f"a.yaml:1: top_k: not allowed; given: -5; allowed: {COUNT}",
            f"a.yaml:2: top_p: not allowed; given: 2; allowed: {SHARE}",
            "a.yaml:3: aliasses: unknown name; did you mean 'aliases'?",
            "c.yaml:1: not a preset; given: [1]; allowed: a map of names to values",
            "d.yaml:2: seed: occurs twice, first in line 1; allowed: each name once",
            f"d.yaml:3: stop.0: not allowed; given: 1; allowed: {STOP}",
            f"b.yaml:1: extends: unknown preset; given: 'nobody'; allowed: {NAMES}",
        ],
    ),
]

Files = dict[str, str | bytes]

CASES = [
    *(
        pytest.param({"bad.yaml": content}, [f"bad.yaml{line}" for line in lines], id=name)
        for name, content, lines in FILES
    ),
    *(pytest.param(files, lines, id=name) for name, files, lines in FOLDERS),
]


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(raw)


@pytest.mark.parametrize(("files", "expected"), CASES)
def test_every_problem_is_told(tmp_path: Path, files: Files, expected: list[str]) -> None:
    """Each problem has file, line, path, the wrong value, what is allowed and the nearest name."""
    write(tmp_path, files)

    with pytest.raises(PresetError) as caught:
        Catalogue.load([tmp_path], environment=False)

    assert expected == [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems]


@pytest.mark.parametrize(("files", "expected"), CASES)
def test_check_tells_the_same_and_exits_with_1(
    tmp_path: Path,
    files: Files,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`temperament check` prints the same problems on stderr, one a line, and nothing on stdout."""
    monkeypatch.delenv("TEMPERAMENT_PRESETS", raising=False)
    write(tmp_path, files)

    code = main(["check", str(tmp_path)])
    printed = capsys.readouterr()

    assert (1, "", expected) == (
        code,
        printed.out,
        printed.err.replace(f"{tmp_path}/", "").splitlines(),
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("suppress_tokens: [" + "1," * 12_300 + "1]", "bad.yaml:1: too many values"),
        ("stop_strings: [" + "[0]," * 5_000 + "[0]]", "bad.yaml:1: too many values"),
        ("a: 1\n" * 9_000, "too many values"),
        ("stop: [" + "1," * 4_000 + "1]", "and more problems"),
        ("".join(f"k{number}: 1\n" for number in range(500)), "and more problems"),
    ],
    ids=["values", "lists", "names", "wrong entries", "unknown names"],
)
def test_there_is_an_end_to_it(tmp_path: Path, content: str, expected: str) -> None:
    """The values of a file and the problems of an error are limited in number."""
    write(tmp_path, {"bad.yaml": content})

    with pytest.raises(PresetError) as caught:
        Catalogue.load([tmp_path], environment=False)

    assert expected in str(caught.value).replace(f"{tmp_path}/", "")
    assert len(caught.value.problems) <= 101


def test_a_request_has_no_more_values_than_a_file() -> None:
    """The limit of values applies to requests too."""
    for fields in ({"bad_words_ids": [[1, 2, 3]] * 4096}, {"stop": ["a" * 300_000]}):
        with pytest.raises(PresetError, match="request: too large; allowed: at most 12288 values"):
            parse_preset("request", fields, where="request")
