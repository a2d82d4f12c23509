"""Request bodies and preset files that nobody should send: each follows from a seed alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from integration_tests.harness.random_presets import Fields, Vocabulary, preset
from temperament.interchange.sillytavern_request import MARKERS
from temperament.plan.documented import BY_NAME
from temperament.presets.fields import MOVABLE, SETTINGS
from temperament.presets.generation_fields import GENERATION, SYNONYMS
from temperament.server.endpoints import ENDPOINTS
from temperament.stages import PARAMETERS

VOCABULARY = Vocabulary(512)
PATHS = tuple(ENDPOINTS)
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Request:
    """One request."""

    kind: str
    raw: bytes = field(repr=False)
    path: str = "/v1/chat/completions"
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class File:
    """One preset file."""

    kind: str
    raw: bytes = field(repr=False)
    name: str = "hostile.yaml"


class Raw:
    """JSON text that no Python value gives."""

    def __init__(self, text: str) -> None:
        self.text = text


def _deep(depth: int, left: str = "[", right: str = "]") -> Raw:
    return Raw(left * depth + right * depth)


# Whatever may stand where a value is wanted; `Raw` is JSON as it is written.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -0.0, 1, -1, 2, 0.5, 1.0, -1.5, 1e-46, 1e-40, -1e-300, 5e-324,
    3.4028234663852886e38, 3.5e38, 1e300, 1.7976931348623157e308, 2**31 - 1, 2**31, -(2**31), 2**32,
    2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, Raw("1" * 400), Raw("9" * 5000),
    Raw("-" + "9" * 309), Raw("1e400"), Raw("-1e999999999"), Raw("1e-999999999"), Raw("0." + "0" * 999 + "1"),
    Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("[NaN]"), Raw('{"5": NaN}'),
    "", " ", "1", "0.5", "nan", "inf", "-1", "true", "null", "off", "\x00", "\ud800", "\udfff\ud800",
    "é" * 200, "\U0001f600" * 130, "a" * 129, "\n", "\r\n\t", "../../etc/passwd", "/dev/zero", "creative",
    "no-such", "CHAT", "chat\n", "${HOME}", "%s%n", "{{7*7}}", "!!python/object:os.system", "ﬃ", "İ",
    "a:b:c", "m:chat", "m:", ":", "__class__", "x" * 2000,
    [], [None], [[]], [[[]]], [True], [1.5], ["a"], [-1], [0], [511], [512], [2**31], [10**30], [""],
    [0, 0, 0], [[0]], [[0, 511]], [[512]], [[-1]], [[0] * 65], [[[0], 1.0]], [[[0], None]], [[[], 1]],
    [[[0], 1e39]], [[0, 1]], [["a"]], ["chat", "code"], list(range(500)), [0] * 5000, [[0]] * 5000,
    list(MOVABLE), ["top_p", "top_p"], ["dry"], ["temperature", 5], ["a"] * 65, ["b" * 128] * 4,
    ["\ud800"], [{"text": "a"}], {}, {"": 0}, {"a": 1}, {"5": 1}, {"5": "1"}, {"5": None}, {"-1": 1},
    {"05": 1}, {"5.0": 1}, {"512": 1}, {"99999999999": 1}, {"5": 1e39}, {"5": [1]}, {"5": {}},
    {str(i): 1 for i in range(4097)}, {"scale": 2}, {"scale": -1}, {"scale": "a"}, {"scale": 1, "x": 1},
    {"from": 0, "to": 1, "over": 5}, {"from": 0.5, "to": 1e39, "over": 1}, {"from": 1, "to": 2},
    {"from": "a", "to": [], "over": {}}, {"from": 0.1, "to": 0.9, "over": 2**31}, {"from": None},
    {"from": 0.1, "to": 0.9, "over": 3, "curve": "sine"}, {"from": True, "to": False, "over": True},
    {"from": 1, "to": 1, "over": 0}, {"from": -5, "to": 5, "over": 2, "extra": 1},
    {"one": {}}, {"one": {"temperature": 0.5}}, {"one": {"modes": {}}}, {"one": {"extends": "one"}},
    {"one": {"extends": "two"}, "two": {"extends": "one"}}, {"one": None}, {"one": []}, {"ONE": {}},
    {"back": {}, "auto": {}}, {f"m{i}": {} for i in range(9)}, {"one": {"logit_bias": {"9" * 50: 1}}},
    [{"on": {"text": "a"}, "to": "one"}], [{"on": "reasoning.end", "to": "back"}], [{"on": "nothing"}],
    [{"on": {"text": "a", "tokens": 5}, "to": "one"}], [{"on": {"entropy": {}}, "to": "one"}],
    [{"on": {"text": ["x" * 128] * 32}, "to": "one"}] * 8, [{"on": {"token": "no such"}, "to": "one"}],
    [{"on": {"token": 2**31 - 1}, "to": "one"}], [{"from": ["one"] * 99, "on": {"tokens": 1}, "to": "b"}],
    [{"on": {"repeat": {"span": 2**31 - 1, "times": 2**31 - 1}}, "to": "one"}], [{}] * 33, [None], [[]],
    {"*": {"temperature": 1}}, {"[": {"top_p": 0.5}}, {"(a+)+$": {"top_k": 1}}, {"smollm*": {"extends": "a"}},
    _deep(50), _deep(900), _deep(5000), _deep(100_000), _deep(3000, '{"a":', "}"), Raw('{"a":1,"a":2}'),
)  # fmt: skip
# Values by the mebibyte, created when they are needed.
BIG: tuple[Callable[[int], bytes], ...] = (
    lambda size: b'"' + b"a" * size + b'"',
    lambda size: b'"' + "é".encode() * (size // 2) + b'"',
    lambda size: b'"' + "\U0001f600".encode() * (size // 4) + b'"',
    lambda size: b'"' + b"\\u00e9" * (size // 6) + b'"',
    lambda size: '"\U0001f600'.encode() + b"a" * size + b'"',
    lambda size: '{"a":"\U0001f600'.encode() + b"a" * size + b'"}',
    lambda size: '["\\ud800","\U0001f600'.encode() + b"a" * size + b'"]',
    lambda size: b'"' + b'\\"' * (size // 2) + b'"',
    lambda size: b'"' + b'{\\"[,' * (size // 5) + b'"',
    lambda size: b'"' + b"\\n" * (size // 2) + b'"',
    lambda size: b"[" + b"0," * (size // 2) + b"0]",
    lambda size: b"[" + b"1234567," * (size // 8) + b"0]",
    lambda size: b"[" + b'"a",' * (size // 4) + b"0]",
    lambda size: b"[" + b"0.5," * (size // 4) + b"0]",
    lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
    lambda size: b"[" + b"[]," * (size // 3) + b"[]]",
    lambda size: b"[" + b'{"a":[]},' * (size // 9) + b"{}]",
    lambda size: b"{" + b",".join(b'"%d":1' % i for i in range(size // 10)) + b"}",
    lambda size: b"{" + b'"5":1,' * (size // 6) + b'"5":1}',
    lambda size: b"[" * size,
    lambda size: b"1" * size,
    lambda size: b"\xff" * size,
    lambda size: b"\x00" * size,
    lambda size: b" " * size,
)
OTHERS = (
    "preset", "temperament_trace", "trace", "vllm_xargs", "model", "use_beam_search", "n", "stop",
    "max_tokens", "messages", "prompt", "input", "include_reasoning", "return_token_ids", "stream",
    "extends", "models", "aliases", "summary", "source", "from_model", "temperature_scale", "order",
    *sorted(MARKERS),
)  # fmt: skip
FIELDS = tuple(dict.fromkeys([*sorted(SETTINGS), *sorted(BY_NAME), *OTHERS]))
PRESETS = ("chat", "creative", "code", "coding-assistant", "reasoning", "story")
IN_FILES = tuple(
    dict.fromkeys([*PARAMETERS, *GENERATION, *SYNONYMS, "order", "modes", "start", "switch",
                   "extends", "aliases", "summary", "source", "from_model", "temperature_scale",
                   "models"])
)  # fmt: skip


@dataclass(frozen=True)
class Pairs:
    """A map in which a name may stand more than once."""

    pairs: list[tuple[str, Any]]


def text(value: Any) -> str:
    """A value as JSON; a list of pairs in `Pairs` may hold a name twice."""
    known = _TEXTS.get(id(value))
    if known is not None:
        return known
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(k)}:{text(v)}" for k, v in value.pairs) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return json.dumps(value)


_TEXTS: dict[int, str] = {}  # of `VALUES`, some of which are long
_TEXTS.update({id(value): text(value) for value in VALUES})


def plain(random: Random) -> Fields:
    """A body that every endpoint would read."""
    body: Fields = {"model": random.choice(["m", "m", "m:chat", "m:code"])}
    body |= {"messages": [{"role": "user", "content": "Say a colour."}], "max_tokens": 2}
    body |= {"prompt": "Say a colour.", "input": "Say a colour."}
    if random.random() < 0.6:
        body["preset"] = random.choice(PRESETS)
    return body


def grid() -> list[Callable[[], Request]]:
    """Every field with every value, once."""
    return [
        partial(_cell, number, place)
        for number in range(len(FIELDS))
        for place in range(len(VALUES))
    ]


def _cell(number: int, place: int) -> Request:
    random = Random(number * 1000 + place)
    body = plain(random) | {FIELDS[number]: VALUES[place]}
    return Request("every field with every value", text(body).encode(), random.choice(PATHS))


def request(random: Random, big: float = 0.002) -> Request:
    """One request; `big` is the share of those of mebibytes."""
    path = random.choice(PATHS)
    if random.random() < big:
        name = random.choice(FIELDS)
        value = random.choice(BIG)(random.choice([1, 10]) * MEBIBYTE)
        raw = text(plain(random)).encode()[:-1] + b"," + json.dumps(name).encode() + b":" + value
        return Request("mebibytes", raw + b"}", path)
    kind = random.choice(_REQUESTS)
    raw, headers = kind(random)
    return Request(kind.__name__.strip("_").replace("_", " "), raw, path, headers)


Made = tuple[bytes, tuple[tuple[bytes, bytes], ...]]


def _hostile_values(random: Random) -> Made:
    body = plain(random)
    for _ in range(random.randint(1, 4)):
        body[random.choice(FIELDS)] = _value(random)
    return text(body).encode(), ()


def _spoilt_presets(random: Random) -> Made:
    body = plain(random) | _spoilt(preset(random, VOCABULARY), random)
    return text(body).encode(), ()


def _good_presets(random: Random) -> Made:
    return text(plain(random) | preset(random, VOCABULARY)).encode(), ()


def _inline_presets(random: Random) -> Made:
    body = preset(random, VOCABULARY)
    body = _spoilt(body, random) if random.random() < 0.7 else body
    return text(plain(random) | {"preset": body}).encode(), ()


def _names_twice(random: Random) -> Made:
    pairs = list((plain(random) | preset(random, VOCABULARY)).items())
    for name, _ in random.sample(pairs, min(3, len(pairs))):
        pairs.insert(random.randrange(len(pairs)), (name, _value(random)))
    return text(Pairs(pairs)).encode(), ()


def _hostile_names(random: Random) -> Made:
    body, name = plain(random), random.choice([v for v in VALUES if isinstance(v, str)])
    headers: tuple[tuple[bytes, bytes], ...] = ()
    match random.randrange(4):
        case 0:
            body["preset"] = name
        case 1:
            body["model"] = f"m:{name}"
        case 2:
            header = random.choice(
                [name.encode("utf-8", "replace"), random.randbytes(20), b"%ff%00"]
            )
            headers = ((b"x-sampling-preset", header),) * random.randint(1, 3)
        case _:
            body["vllm_xargs"] = {random.choice(["preset", "temperament", "x"]): _value(random)}
    return text(body).encode(), headers


def _broken_text(random: Random) -> Made:
    body = plain(random) | preset(random, VOCABULARY)
    raw = text(body).encode()
    for _ in range(random.randint(1, 3)):
        raw = _broken(raw, random)
    return raw, ()


def _other_encodings(random: Random) -> Made:
    body = plain(random) | preset(random, VOCABULARY)
    if random.random() < 0.3:
        body["messages"] = [{"role": "user", "content": "a" * 70_000}]
    coding = random.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig"])
    return json.dumps(body, ensure_ascii=False).encode(coding), ()


def _not_maps(random: Random) -> Made:
    return text(_value(random)).encode("utf-8", "surrogatepass"), ()


def _other_programs(random: Random) -> Made:
    body = plain(random) | {name: _value(random) for name in random.sample(sorted(MARKERS), 3)}
    more = ("dry_sequence_breakers", "sampler_priority", "samplers", "sampler_order", "mirostat_mode",
            "rep_pen_range", "typical", "temperature_last", "dynatemp_min", "logit_bias", "nsigma",
            "banned_strings", "json_schema", "grammar", "early_stopping", "seed")  # fmt: skip
    body |= {name: _value(random) for name in random.sample(more, random.randint(0, 5))}
    return text(body).encode(), ()


_REQUESTS = (
    _hostile_values, _hostile_values, _spoilt_presets, _spoilt_presets, _good_presets,
    _inline_presets, _names_twice, _hostile_names, _broken_text, _other_encodings, _not_maps,
    _other_programs,
)  # fmt: skip


def _value(random: Random) -> Any:
    """One of `VALUES`, sometimes in a list or a map of others."""
    value = random.choice(VALUES)
    if random.random() < 0.15:
        return [random.choice(VALUES) for _ in range(random.randint(1, 4))]
    if random.random() < 0.1:
        return {random.choice(FIELDS): random.choice(VALUES) for _ in range(random.randint(1, 4))}
    return value


def _spoilt(body: Fields, random: Random) -> Fields:
    """Fields in which something, somewhere, is wrong."""
    spoilt: Fields = json.loads(json.dumps(body))
    for _ in range(random.randint(1, 3)):
        inside: Any = spoilt
        while inside:
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            key = random.choice(keys)
            deeper = inside[key]
            if isinstance(deeper, (dict, list)) and deeper and random.random() < 0.75:
                inside = deeper
                continue
            what = random.randrange(4)
            if what == 0:
                del inside[key]
            elif what == 1 and isinstance(inside, dict):
                inside[random.choice(FIELDS)] = inside.pop(key)
            elif what == 2 and isinstance(inside, list):
                inside.extend([deeper] * random.choice([1, 40]))
            else:
                inside[key] = _value(random)
            break
    return spoilt


def _broken(raw: bytes, random: Random) -> bytes:
    """Text with bytes that are missing, turned or too many."""
    place = random.randrange(len(raw) + 1)
    other = random.randrange(len(raw) + 1)
    junk = random.choice([b"\xff\xfe", b"\x00", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"{", b"[", b",",
                          b'"', b"}", b"\\", b"\\u12", b"NaN", b"//", b"\xef\xbb\xbf", b"\n", b"\x1b[2J", b"'"])  # fmt: skip
    match random.randrange(5):
        case 0:
            return raw[:place]
        case 1:
            return raw[:place] + junk + raw[place:]
        case 2:
            return raw[:place] + random.randbytes(random.randint(1, 4)) + raw[place + 2 :]
        case 3:
            return raw[:place] + raw[min(place, other) : max(place, other)] + raw[place:]
    return raw[: min(place, other)] + raw[max(place, other) :]


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
YAML: tuple[str, ...] = (
    _BOMB, "a: &a\n  b: *a\n", "&a [*a]\n", "base: &b {top_p: 0.5}\n<<: *b\n", "<<: {top_p: 0.5}\n",
    "<<: [{top_p: 1}, {top_p: 0}]\ntop_k: 3\n", "!!python/object/apply:os.system ['true']\n",
    "temperature: !!python/name:os.system\n", "!!python/object/new:type {}\n", "top_p: !!float x\n",
    "x: !!binary aGVsbG8=\n", "top_k: !!int '0x' \n", "top_p: !!bool maybe\n", "!!set {a, b}\n", "!!omap [a: 1]\n",
    "!local {a: 1}\n", "!<tag:yaml.org,2002:str> a\n", "summary: !!timestamp 2001-01-01\n", "top_p: !!null ''\n",
    "? [a, b]\n: c\n", "? {a: b}\n: c\n", "? |\n  text\n: 1\n", "{? : 1}\n", "1: 2\n", "1.5: 2\n", "true: 1\n", "null: 1\n",
    "~: 1\n", "'': 1\n", "- 1\n- 2\n", "text\n", "", "---\n---\n", "--- a\n--- b\n", "%YAML 1.1\n---\na: 1\n", "%YAML 9.9\n---\n{}\n",
    "%TAG ! tag:x,2000:\n---\n!a {}\n", "%FOO bar\n---\n{}\n", "\t a: 1\n", "a: b: c\n", "a: [1, 2\n", "a: 'x\n", 'a: "\\q"\n', "{a: 1}}\n", "@a\n",
    "`a\n", "a: |9\n x\n", "a: >+-\n x\n", "a: *b\n", "a: &\n", "\x01\n", "\x00", "a: \x7f\n", "a: \u2028b\n", "\ufeff\ufefftop_p: 1\n",
    "top_p: .inf\n", "top_p: .nan\n", "top_p: -.INF\n", "top_k: 0x1F\n", "top_k: 0o17\n", "top_k: 017\n", "top_k: 1_000\n",
    "top_p: 1e400\n", "top_k: " + "9" * 5000 + "\n", "top_p: " + "9" * 50_000 + ".5\n", "seed: 1:30:00\n", "top_k: +5\n", "temperature: 1.e3\n",
    "top_p: 0.5\ntop_p: 0.6\n", "modes: {a: {}, a: {}}\n", "logit_bias: {5: 1, '5': 2}\n", "logit_bias: {5: 1, 05: 2}\n",
    "models: {'*': {top_p: 0.5}, '*': {}}\n", "extends: hostile\n", "extends: ../../etc/passwd\n", "extends: [a]\n",
    "extends: chat\naliases: [chat]\n", "aliases: [a, A, ａ]\n", "aliases: ['" + "a" * 65 + "']\n", "aliases: ['a:b', 'c/d', '']\n",
    "summary: {en: '" + "x" * 301 + "'}\n", "summary: text\n", "source: " + "s" * 1001 + "\n", "source: [1]\n",
)  # fmt: skip
# Files by size.
WIDE: tuple[Callable[[int], bytes], ...] = (
    lambda size: b"[" * size,
    lambda size: b"{a: " * (size // 4),
    lambda size: b"- " * (size // 2) + b"a\n",
    lambda size: b"".join(b"k%d: 1\n" % i for i in range(size // 9)),
    lambda size: b"- a\n" * (size // 4),
    lambda size: b"[" + b"a," * (size // 2) + b"]",
    lambda size: b"[" + b"[]," * (size // 3) + b"]",
    lambda size: b"top_p: 1\n" * (size // 9),
    lambda size: b"suppress_tokens: [" + b"1," * (size // 2) + b"]",
    lambda size: b"stop: [" + b"'a'," * (size // 4) + b"]",
    lambda size: b"logit_bias: {" + b",".join(b"%d: 1" % i for i in range(size // 9)) + b"}",
    lambda size: b"source: " + b"a" * size,
    lambda size: b"source: '" + b"a''" * (size // 3) + b"'",
    lambda size: b'source: "' + b"\\n" * (size // 2) + b'"',
    lambda size: b"? " * (size // 2),
    lambda size: b"&a " * (size // 3),
    lambda size: b"# " * (size // 2),
    lambda size: b"\n" * size,
    lambda size: b"a" * size + b": 1",
    lambda size: b"!" * size,
    lambda size: b"%" * size,
    lambda size: "\U0001f600".encode() * (size // 4),
    lambda size: b"\xff" * size,
    lambda size: b"".join(b"%*s- a\n" % (i % 300, b"") for i in range(size // 150)),
)
NAMES = ("hostile.yaml", "hostile.yml", "Hostile.yaml", "a b.yaml", ".yaml", "é.yaml", "x" * 70 + ".yaml", "chat.yaml", "-.yaml")  # fmt: skip


def file_grid() -> list[Callable[[], File]]:
    """Every field with every value as files, each hostile document, and each kind of size."""
    files: list[Callable[[], File]] = [
        partial(_field, name, place)
        for number, name in enumerate(IN_FILES)
        for place, value in enumerate(VALUES)
        if len(text(value)) < 10_000 or (number + place) % 8 == 0  # YAML takes its time
    ]
    files += [
        partial(File, "tags, aliases, syntax", document.encode("utf-8", "surrogatepass"))
        for document in YAML
    ]
    sizes = (200, 20_000, 60_000, 250_000, 10 * MEBIBYTE)
    return [*files, *(partial(_sized, make, size) for size in sizes for make in WIDE)]


def _field(name: str, place: int) -> File:
    return File("every field with every value", text({name: VALUES[place]}).encode())


def _sized(make: Callable[[int], bytes], size: int) -> File:
    return File("by size", make(size))


def file(random: Random) -> File:
    """One file."""
    name = random.choice(NAMES) if random.random() < 0.05 else "hostile.yaml"
    match random.randrange(8):
        case 0 | 1:
            body = _spoilt(preset(random, VOCABULARY), random)
            return File("spoilt presets", text(body).encode(), name)
        case 2:
            body = preset(random, VOCABULARY)
            return File("good presets", text(body).encode(), name)
        case 3:
            raw = text(preset(random, VOCABULARY)).encode()
            return File("broken text", _broken(_broken(raw, random), random), name)
        case 4:
            documents = random.sample(YAML, 2)
            raw = "".join(documents).encode("utf-8", "surrogatepass")
            return File("tags, aliases, syntax", _broken(raw, random), name)
        case 5:
            pairs = [(random.choice(IN_FILES), _value(random)) for _ in range(random.randint(1, 6))]
            return File("hostile values", text(Pairs(pairs)).encode(), name)
        case 6:
            body = preset(random, VOCABULARY)
            sections = {p: _spoilt(body, random) for p in ("smollm*", "*", "")}
            return File("sections", text({**body, "models": sections}).encode(), name)
    return File("random bytes", random.randbytes(random.randint(0, 400)), name)
