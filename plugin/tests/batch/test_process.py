"""`process` and `Run`: presets in any decoding loop."""

import importlib
import math
import os
import sys
import warnings
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from temperament import Catalogue, InputError, Preset, PresetError, Run, process
from temperament.errors import UnknownPreset
from temperament.stages import STAGES
from temperament.stages.base import Stage
from temperament.stages.kinds import TEXTS
from tests import rows, small_tokenizers

process_module = importlib.import_module("temperament.batch.process")

VOCABULARY = 500


def mixed(random: Random, count: int) -> list[Preset]:
    """Presets of some stages each, in orders of their own: stages without state or tokenizer."""
    usable = [
        stage
        for stage in STAGES
        if not stage.needs & {"state", "ends", "vocabulary"}
        and all(parameter.kind is not TEXTS for parameter in stage.parameters)
    ]
    drawn = []
    for row in range(count):
        values: dict[str, Any] = {}
        for stage in random.sample(usable, random.randint(1, 6)):
            values |= rows.values(stage, random, VOCABULARY)
        movable = [stage.name for stage in STAGES if stage.movable]
        drawn.append(Preset(str(row), values, tuple(random.sample(movable, len(movable)))))
    return drawn


class TestProcess:
    """One step."""

    @pytest.mark.parametrize("seed", range(10))
    def test_mixed_presets_give_what_each_row_gives_alone(self, seed: int) -> None:
        """Rows with different stages in different orders have the bits that they have alone."""
        random = Random(seed)
        presets = mixed(random, 9)
        logits = rows.logits(9, VOCABULARY, random)
        prompts, outputs = (rows.ids(9, VOCABULARY, 40, random) for _ in range(2))
        together = process(
            logits,
            presets,
            prompt_ids=prompts,
            output_ids=outputs,
            seeds=range(9),
            catalogue=rows.NOTHING,
        )

        for row, preset in enumerate(presets):
            alone = process(
                logits[[row]],
                preset,
                prompt_ids=[prompts[row]],
                output_ids=[outputs[row]],
                seeds=[row],
                catalogue=rows.NOTHING,
            )
            assert rows.same_bits(alone, together[[row]])

    def test_one_preset_for_all_rows(self) -> None:
        """A name, a map or a `Preset`; and the same, one for each row."""
        logits = rows.logits(3, VOCABULARY, Random(0))
        by_name = process(logits, "creative")
        preset = Catalogue.load()["creative"]

        assert rows.same_bits(by_name, logits / 0.8)
        for same in ({"temperature": 0.8}, {"extends": "creative"}, preset, ["creative"] * 3):
            assert rows.same_bits(process(logits, same), by_name)

    def test_ids_may_be_lists_or_tensors(self) -> None:
        """The tokens count in the same way."""
        logits = rows.logits(2, VOCABULARY, Random(1))
        values = {"repetition_penalty": 2.0, "frequency_penalty": 1.0}
        ids = [[1, 2, 3], [3, 3, 1]]

        assert rows.same_bits(
            process(logits, values, prompt_ids=ids, output_ids=ids),
            process(logits, values, prompt_ids=torch.tensor(ids), output_ids=torch.tensor(ids)),
        )

    def test_in_place(self) -> None:
        """The tensor that is given is changed and returned; by default it stays as it is."""
        presets: list[dict[str, Any]] = [{"temperature": 0.5}, {"top_k": 3}, {}]
        logits = rows.logits(3, VOCABULARY, Random(2))
        before = logits.clone()
        expected = process(logits, presets)

        assert rows.same_bits(logits, before)
        after = process(logits, presets, inplace=True)
        assert logits.data_ptr() == after.data_ptr()
        assert rows.same_bits(after, expected)

    def test_an_empty_catalogue_is_a_catalogue(self) -> None:
        """An empty catalogue knows no name, not even the shipped ones."""
        with pytest.raises(UnknownPreset):
            process(torch.zeros(1, 5), "creative", catalogue=Catalogue({}))

    @pytest.mark.parametrize(
        ("presets", "options", "message"),
        [
            ("no-such-preset", {}, "unknown preset"),
            ("creativ", {}, "did you mean 'creative'"),
            (None, {}, "unknown preset; given: None"),
            (3, {}, "unknown preset; given: 3"),
            (["code", None, "chat"], {}, "unknown preset; given: None"),
            ({"temperature": -1}, {}, "temperature: not allowed; given: -1"),
            ({"temprature": 1.0}, {}, "did you mean 'temperature'"),
            (["code", {"top_k": "many"}, "chat"], {}, "top_k: not allowed; given: 'many'"),
            ({"banned_strings": ["a"]}, {}, "the tokenizer must be given"),
        ],
    )
    def test_what_is_wrong_is_said(self, presets: Any, options: Any, message: str) -> None:
        """What is wrong is a `PresetError`, raised before any logits are touched."""
        with pytest.raises(PresetError) as caught:
            process(torch.zeros(3, 5), presets, **options)

        assert message in str(caught.value)


IDS = torch.ones(3, 2, dtype=torch.int64)
INPUTS = [
    ({"rows": -1}, "rows: not a number of rows; given: -1; allowed: an integer from 0"),
    ({"rows": 1.5}, "rows: not a number of rows; given: 1.5"),
    ({"rows": True}, "rows: not a number of rows; given: True"),
    ({"presets": ["code", "chat"]}, "presets: one for each row; given: 2; allowed: 3 of them"),
    ({"presets": []}, "presets: one for each row; given: 0; allowed: 3 of them"),
    ({"prompt_ids": [[1], [2]]}, "prompt_ids: one list of token ids for each row; given: 2"),
    ({"output_ids": [[1]]}, "output_ids: one list of token ids for each row; given: 1"),
    ({"prompt_ids": 5}, "prompt_ids: not lists of token ids; given: 5; allowed: a list of"),
    ({"prompt_ids": "abc"}, "prompt_ids: not lists of token ids; given: 'abc'"),
    ({"prompt_ids": {"input_ids": []}}, "prompt_ids: not lists of token ids; given: {'inp"),
    ({"prompt_ids": [1, 2, 3]}, "prompt_ids: 0: not a list of token ids; given: 1"),
    ({"prompt_ids": IDS[0]}, "prompt_ids: 0: not a list of token ids; given: 1"),
    ({"output_ids": [[1], "ab", [2]]}, "output_ids: 1: not a list of token ids; given: 'ab'"),
    ({"output_ids": [[1], [2], None]}, "output_ids: 2: not a list of token ids; given: None"),
    ({"prompt_ids": [[], [1, "b"], []]}, "prompt_ids: 1.1: not a token id; given: 'b'"),
    ({"prompt_ids": [[[1]], [], []]}, "prompt_ids: 0.0: not a token id; given: [1]"),
    ({"prompt_ids": [[1.0], [], []]}, "prompt_ids: 0.0: not a token id; given: 1.0"),
    ({"prompt_ids": IDS.float()}, "prompt_ids: 0.0: not a token id; given: 1.0"),
    ({"prompt_ids": IDS.to_sparse()}, "prompt_ids: not lists of token ids; given: tensor("),
    ({"prompt_ids": IDS.to("meta")}, "prompt_ids: not lists of token ids; given: tensor("),
    ({"seeds": IDS[0].to_sparse()}, "seeds: one for each row; given: tensor("),
    ({"prompt_ids": IDS > 0}, "prompt_ids: 0.0: not a token id; given: True"),
    ({"prompt_ids": [[2**32 + 1], [], []]}, "prompt_ids: 0.0: not a token id; given: 42949"),
    ({"seeds": [1]}, "seeds: one for each row; given: 1; allowed: 3 of them"),
    ({"seeds": 7}, "seeds: one for each row; given: 7; allowed: 3 integers"),
    ({"seeds": "abc"}, "seeds: one for each row; given: 'abc'; allowed: 3 integers"),
    ({"seeds": [1, 2.0, 3]}, "seeds: 1: not a seed; given: 2.0; allowed: an integer of 64"),
    ({"seeds": [1, 2, True]}, "seeds: 2: not a seed; given: True"),
    ({"seeds": [2**63, 1, 2]}, "seeds: 0: not a seed; given: 9223372036854775808"),
]
LOGITS = [
    ([[1.0, 2.0]] * 2, "logits: not a tensor; given: list; allowed: a torch.Tensor"),
    (np.zeros((2, 5)), "logits: not a tensor; given: ndarray"),
    (torch.zeros(2, 5).long(), "logits: not floating point; given: torch.int64; allowed: float32"),
    (torch.zeros(2, 5).bool(), "logits: not floating point; given: torch.bool"),
    (torch.zeros(()), "logits: wrong shape; given: (); allowed: ("),
    (torch.zeros(5), "logits: wrong shape; given: (5,); allowed: ("),
    (torch.zeros(2, 1, 5), "logits: wrong shape; given: (2, 1, 5); allowed: ("),
    (torch.zeros(2, 0), "logits: wrong shape; given: (2, 0); allowed: ("),
    (torch.zeros(2, 5).to_sparse(), "logits: not a dense tensor; given: torch.sparse_coo"),
    (torch.zeros(2, 5).to_sparse_csr(), "logits: not a dense tensor; given: torch.sparse_csr"),
    (
        torch.nested.nested_tensor([torch.zeros(5)] * 2),
        "not a dense tensor; given: a nested tensor",
    ),
    (torch.zeros(2, 5, device="meta"), "logits: wrong device; given: meta; allowed: "),
]
IN_PLACE = [
    (
        torch.zeros(2, 5).half(),
        "inplace needs float32; given: torch.float16; allowed: torch.",
    ),
    (torch.zeros(2, 5, requires_grad=True), "inplace needs no gradient; given: requires_grad=True"),
    (torch.zeros(1, 5).expand(2, 5), "inplace needs memory for every number; given: an expanded"),
]


class TestInputs:
    """Arguments of a wrong form."""

    @pytest.mark.parametrize(("options", "message"), INPUTS)
    def test_a_wrong_argument_is_an_input_error(self, options: Any, message: str) -> None:
        """An `InputError` names the argument, the row, the value and what is allowed."""
        with pytest.raises(InputError) as caught:
            Run(**{"presets": "code", "rows": 3, **options})

        assert message in str(caught.value)
        assert not isinstance(caught.value, PresetError)

    def test_all_problems_are_reported_at_once(self) -> None:
        """One error names every wrong argument."""
        wrong: Any = {"prompt_ids": [[1]], "output_ids": [["a"], 3], "seeds": [None, 1, 2]}
        with pytest.raises(InputError) as caught:
            Run(["code"], rows=2, **wrong)

        expected = ["output_ids", "output_ids", "presets", "prompt_ids", "seeds", "seeds"]
        assert expected == [problem.where for problem in caught.value.problems]

    @pytest.mark.parametrize(("logits", "message"), LOGITS)
    def test_wrong_logits_are_an_input_error(self, logits: Any, message: str) -> None:
        """Logits are a dense [rows, vocab] tensor of floating-point numbers, in every step."""
        for call in (process, lambda wrong, presets: Run(presets).run(wrong)):
            with pytest.raises(InputError) as caught:
                call(logits, ["code", "chat"])

            assert message in str(caught.value)

    @pytest.mark.parametrize("rows", [1, 3])
    def test_every_step_has_the_rows_of_the_run(self, rows: int) -> None:
        """A tensor of fewer or more rows is refused, and the message has the right shape."""
        with pytest.raises(InputError) as caught:
            Run(["code", "chat"]).run(torch.zeros(rows, 5))

        assert f"wrong shape; given: ({rows}, 5); allowed: (2, vocab)" in str(caught.value)

    def test_logits_stay_on_the_device_of_the_run(self) -> None:
        """A tensor of another device is refused, with all else that is wrong with it."""
        with pytest.raises(InputError) as caught:
            Run(["code", "chat"]).run(torch.zeros(5, dtype=torch.int32, device="meta"))

        expected = ["not floating point", "wrong shape", "wrong device"]
        assert expected == [problem.message for problem in caught.value.problems]

    @pytest.mark.parametrize(("logits", "message"), IN_PLACE)
    def test_a_tensor_that_cannot_be_changed_in_place(self, logits: Any, message: str) -> None:
        """The same tensor is accepted without `inplace`."""
        with pytest.raises(InputError) as caught:
            process(logits, "code", inplace=True)

        assert message in str(caught.value)
        assert (2, 5) == process(logits, "code").shape

    def test_a_tensor_of_inference_mode(self) -> None:
        """Outside of that mode it can't be changed in place, and can be copied."""
        with torch.inference_mode():
            logits = torch.zeros(2, 5)
            assert process(logits, "code", inplace=True) is logits
        with pytest.raises(InputError, match="inplace needs inference mode"):
            process(logits, "code", inplace=True)

        assert (2, 5) == process(logits, "code").shape

    def test_the_result_has_no_gradient(self) -> None:
        """Logits of a model outside of `torch.no_grad` give what they give inside."""
        logits = rows.logits(2, VOCABULARY, Random(4))
        values = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.01}
        after = process(logits.clone().requires_grad_(), values)

        assert not after.requires_grad
        assert rows.same_bits(after, process(logits, values))

    def test_no_check_looks_at_the_numbers(self) -> None:
        """NaN and infinities raise nothing: `remove_invalid_values` is for them."""
        logits = torch.tensor([[math.nan, 1.0], [math.inf, -math.inf]])

        assert (2, 2) == process(logits, "code").shape

    @pytest.mark.parametrize(
        ("tokens", "message"),
        [
            ([1], "tokens: one for each row; given: (1,); allowed: (2,) or (2, 1)"),
            ([1, 2, 3], "tokens: one for each row; given: (3,)"),
            ([[1, 2]], "tokens: one for each row; given: (1, 2)"),
            (torch.ones(2, 2).long(), "tokens: one for each row; given: (2, 2)"),
            ([1.0, 2.0], "tokens: not integers; given: torch.float32; allowed: int64"),
            (torch.ones(2).bool(), "tokens: not integers; given: torch.bool"),
            (["a", "b"], "tokens: not token ids; given: ['a', 'b']; allowed: 2 integers"),
            ([1, None], "tokens: not token ids; given: [1, None]"),
            ([1, 2**70], "tokens: not token ids; given: [1, 11805"),
            ([[1], [2, 3]], "tokens: not token ids; given: [[1], [2, 3]]"),
            (None, "tokens: not token ids; given: None"),
            (torch.ones(2).long().to_sparse(), "tokens: not a dense tensor; given: torch.sparse"),
            (torch.ones(2, device="meta").long(), "tokens: wrong device; given: meta"),
        ],
    )
    def test_wrong_tokens_are_an_input_error(self, tokens: Any, message: str) -> None:
        """`accept` takes one integer for each row."""
        with pytest.raises(InputError) as caught:
            Run({"frequency_penalty": 1.0}, rows=2).accept(tokens)

        assert message in str(caught.value)

    @pytest.mark.parametrize(
        "tokens",
        [[1, 2], (1, 2), np.array([1, 2]), torch.tensor([1, 2]).int(), torch.tensor([[1], [2]])],
    )
    def test_tokens_may_be_a_list_an_array_or_a_tensor(self, tokens: Any) -> None:
        """`accept` takes [rows] or [rows, 1] of any integer type."""
        run = Run({"frequency_penalty": 1.0}, rows=2)
        run.accept(tokens)

        assert [[0, -1, 0], [0, 0, -1]] == run.run(torch.zeros(2, 3)).tolist()

    @pytest.mark.parametrize(
        "ids",
        [
            [[1, 1], [2, 2]],
            ((1, 1), (2, 2)),
            np.array([[1, 1], [2, 2]]),
            [torch.tensor([1, 1]), np.array([2, 2])],
            [[torch.tensor(1), np.int32(1)], range(2, 3)],
            torch.tensor([[1, -1], [2, -1]]),
            [[1, 2**31 - 1], [2, -(2**31)]],
        ],
    )
    def test_ids_may_be_lists_arrays_or_tensors(self, ids: Any) -> None:
        """Ids outside the vocabulary, such as a padding of -1, count for nothing."""
        after = process(torch.zeros(2, 3), {"presence_penalty": 1.0}, output_ids=ids)

        assert [[0, -1, 0], [0, 0, -1]] == after.tolist()

    @pytest.mark.parametrize(
        "seeds", [range(5, 7), np.array([5, 6]), torch.tensor([5, 6]), [np.int32(5), 6]]
    )
    def test_seeds_may_be_any_integers(self, seeds: Any) -> None:
        """Seeds in an array or a tensor draw what a list of them draws."""
        logits = torch.zeros(2, 100)
        values = {"reproducible": True}

        assert rows.same_bits(
            process(logits, values, seeds=[5, 6]), process(logits, values, seeds=seeds)
        )

    def test_no_rows(self) -> None:
        """A batch of no rows takes no tokens and gives no logits."""
        run = Run("code", rows=0, prompt_ids=[], seeds=[])
        run.accept([])

        assert (0, 5) == run.run(torch.zeros(0, 5)).shape


class TestWithoutIds:
    """A call that leaves ids out warns of what would read them."""

    PENALTY: ClassVar[dict[str, Any]] = {"repetition_penalty": 1.2, "presence_penalty": 1}
    MODES: ClassVar[dict[str, Any]] = {
        "modes": {"a": {"top_k": 1}, "b": {"no_repeat_ngram_size": 2}},
        "switch": [{"from": "a", "on": {"tokens": 2}, "to": "b"}],
    }
    PROMPT = "can't see the prompts: no prompt_ids ([] for a row without a prompt)"
    OUTPUT = "can't see the text so far: no output_ids ([] for a row without any)"

    @pytest.mark.parametrize(
        ("presets", "ids", "expected"),
        [
            ([PENALTY, MODES], {}, [f"no_repeat_ngram_size, repetition_penalty: {PROMPT}"]),
            ([{**MODES, "start": "auto"}], {}, [f"no_repeat_ngram_size, start: auto: {PROMPT}"]),
            ([PENALTY], {"prompt_ids": [[]]}, []),
            ([{"presence_penalty": 1, "top_k": 5}], {}, []),
            (
                [{"forced_eos_token_id": 2}],
                {},
                ["forced_eos_token_id: never acts: the preset sets no max_tokens"],
            ),
            ([{"forced_eos_token_id": 2, "max_tokens": 9}], {}, []),
        ],
    )
    def test_a_run(self, presets: list[Any], ids: Any, expected: list[str]) -> None:
        """A `Run` names what reads the prompt, where its caller stands; its text begins empty."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Run(presets, **ids, tokenizer=small_tokenizers.byte_level())

        assert expected == [str(warning.message) for warning in caught]
        assert {__file__} >= {warning.filename for warning in caught}

    @pytest.mark.parametrize(
        ("preset", "ids", "expected"),
        [
            (
                PENALTY,
                {},
                [
                    f"repetition_penalty: {PROMPT}",
                    f"presence_penalty, repetition_penalty: {OUTPUT}",
                ],
            ),
            (PENALTY, {"prompt_ids": [[1]], "output_ids": [[]]}, []),
            (MODES, {"prompt_ids": [[1]]}, [f"modes, no_repeat_ngram_size: {OUTPUT}"]),
            ({"min_p": 0.1, "xtc_probability": 0.5, "xtc_protect_structure": False}, {}, []),
        ],
    )
    def test_process(self, preset: dict[str, Any], ids: Any, expected: list[str]) -> None:
        """`process` names what reads the text too, at each call."""
        logits = torch.zeros(1, 9)
        for _ in range(2):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                process(logits, preset, **ids)

            assert expected == [str(warning.message) for warning in caught]
            assert {__file__} >= {warning.filename for warning in caught}


def test_a_row_alone_takes_few_calls() -> None:
    """One row of the top-k chain takes less than 300 calls of Python and torch."""
    run = Run({"temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.05}, rows=1)
    logits = rows.logits(1, 20_000, Random(0))
    run.run(logits)
    calls = []

    def note(_frame: object, event: str, _argument: object) -> None:
        if event in ("call", "c_call"):
            calls.append(event)

    earlier = sys.getprofile()
    sys.setprofile(note)
    try:
        run.run(logits)
    finally:
        sys.setprofile(earlier)

    assert 0 < len(calls) < 300


class TestCallsAlike:
    """Calls of `process` with the presets of an earlier call, whose run is kept."""

    @pytest.mark.filterwarnings("ignore:.*can't see the")
    @pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
    def test_each_call_is_a_first_one(self, stage: Stage) -> None:
        """A second call gives what it gives alone, whatever the first one was given."""
        random = Random(7)
        values = {**rows.values(stage, random, VOCABULARY), "seed": 1}
        if stage.why_tokenizer({p.name: values.get(p.name, p.unset) for p in stage.parameters}):
            pytest.skip("it is refused without a tokenizer")
        one, other = (rows.logits(2, VOCABULARY, random) for _ in range(2))

        def called(logits: torch.Tensor) -> torch.Tensor:
            return process(logits, values)

        try:
            first, second = called(one), called(other)
        except PresetError:
            pytest.skip("it is refused without what ends the text")
        process_module._kept.clear()
        assert rows.same_bits(called(other), second)
        assert rows.same_bits(called(one), first)

    def test_a_run_is_made_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the first of two equal calls makes a `Run`."""
        made = []

        def make(*args: Any, **settings: Any) -> Run:
            made.append(1)
            return Run(*args, **settings)

        monkeypatch.setattr(process_module, "Run", make)
        process_module._kept.clear()
        for _ in range(2):
            process(torch.zeros(1, 9), {"temperature": 0.5})

        assert [1] == made

    def test_no_seed_is_a_new_one(self) -> None:
        """Without a seed each call draws for itself."""
        logits = torch.zeros(1, VOCABULARY)
        drawn = {int(process(logits, {"reproducible": True}).argmax()) for _ in range(5)}

        assert len(drawn) > 1

    def test_equal_numbers_of_other_types(self) -> None:
        """`True` is refused although `1`, which equals it, was taken before."""
        process(torch.zeros(1, 9), {"top_k": 1})

        with pytest.raises(PresetError, match="top_k"):
            process(torch.zeros(1, 9), {"top_k": True})

    def test_a_changed_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A preset's file that changed is read again."""
        file = tmp_path / "mine.yaml"
        monkeypatch.setenv("TEMPERAMENT_PRESETS", str(file))
        kept = []
        for number in (1, 2):
            file.write_text(f"top_k: {number}", encoding="utf-8")
            os.utime(file, (number, number))  # long ago, so that its time can be relied on
            drawn = process(torch.arange(9.0)[None], "mine")
            kept.append(int(drawn.isfinite().sum()))

        assert [1, 2] == kept

    def test_numbers_wait_for_no_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the presets are numbers alone, only a first call looks at the presets' files."""
        loaded = []
        load = Catalogue.load

        def counted() -> Catalogue:
            loaded.append(1)
            return load()

        monkeypatch.setattr(Catalogue, "load", counted)
        process_module._kept.clear()
        calls = []
        for presets in ({"temperature": 0.5}, {"extends": "code", "temperature": 0.5}):
            for _ in range(2):
                process(torch.zeros(1, 9), presets)
                calls.append(len(loaded))

        assert [1, 1, 2, 3] == calls

    def test_lists_and_maps_that_are_empty(self) -> None:
        """A list without presets is refused although a map without values was taken before."""
        logits = torch.zeros(2, 9)
        process(logits, {})
        process(logits, [{}, {}])

        with pytest.raises(InputError, match="presets: one for each row; given: 0"):
            process(logits, [])
        with pytest.raises(UnknownPreset):
            process(logits, [[], []])  # type: ignore[list-item]

    def test_a_list_in_itself(self) -> None:
        """A list that contains itself is refused as any other wrong preset is."""
        presets: list[Any] = []
        presets.append(presets)

        with pytest.raises(UnknownPreset):
            process(torch.zeros(1, 9), presets)

    def test_numbers_of_numpy(self) -> None:
        """A `Preset` whose values JSON doesn't have, and which so has no digest."""
        preset = Preset("a", {"temperature": np.float32(0.5)})

        assert torch.equal(torch.ones(1, 9) / 0.5, process(torch.ones(1, 9), preset))

    def test_a_list_that_grows(self) -> None:
        """A list in a preset's values may be changed by its owner between calls."""
        values = {"suppress_tokens": [1]}
        process(torch.zeros(1, 9), values)
        values["suppress_tokens"].append(2)

        assert 7 == int(process(torch.zeros(1, 9), values).isfinite().sum())


class TestRun:
    """Many steps."""

    @pytest.mark.parametrize("seed", range(10))
    def test_steps_are_what_process_gives_for_the_tokens_so_far(self, seed: int) -> None:
        """Each step has the bits that `process` gives for the tokens so far."""
        random = Random(seed)
        presets = mixed(random, 5)
        prompts = rows.ids(5, VOCABULARY, 20, random)
        outputs: list[list[int]] = [[] for _ in range(5)]
        options: dict[str, Any] = {"seeds": range(5), "catalogue": rows.NOTHING}
        run = Run(presets, prompt_ids=prompts, **options)
        for step in range(12):
            logits = rows.logits(5, VOCABULARY, random)
            expected = process(logits, presets, prompt_ids=prompts, output_ids=outputs, **options)

            assert rows.same_bits(run.run(logits), expected)
            tokens = [random.choice([step, 7, 8]) for _ in range(5)]
            run.accept(torch.tensor(tokens) if step % 2 else tokens)
            for output, token in zip(outputs, tokens, strict=True):
                output.append(token)

    def test_a_run_may_begin_in_the_middle(self) -> None:
        """`output_ids` are tokens that were drawn before."""
        logits = rows.logits(2, VOCABULARY, Random(3))
        begun = Run({"frequency_penalty": 1.0}, output_ids=[[1, 1], [2, 3]])
        followed = Run({"frequency_penalty": 1.0}, rows=2)
        followed.accept([1, 2])
        followed.accept([1, 3])

        assert rows.same_bits(begun.run(logits), followed.run(logits))

    def test_the_number_of_rows(self) -> None:
        """The number of rows is that of `rows`, of the ids or of the presets."""
        assert 2 == len(Run(["code", "chat"]).presets)
        assert (3, 5) == Run("code", rows=3).run(torch.zeros(3, 5)).shape
        assert (2, 5) == Run("code", prompt_ids=[[1], [2]]).run(torch.zeros(2, 5)).shape
        assert (1, 5) == Run("code").run(torch.zeros(1, 5)).shape

    @pytest.mark.parametrize(
        "values",
        [
            {"allowed_token_ids": [5]},
            {"logit_bias": {7: 1.0, 1: 2.0}},
            {"modes": {"a": {"bad_words_ids": [[1, 5]]}}},
            {"modes": {"a": {}, "b": {}}, "switch": [{"on": {"token": 5}, "to": "b"}]},
        ],
        ids=str,
    )
    def test_token_ids_beyond_the_vocabulary(self, values: dict[str, Any]) -> None:
        """Token ids beyond the vocabulary are refused at the first logits, which show its size."""
        run = Run(values, rows=1, catalogue=rows.NOTHING)
        with pytest.raises(PresetError, match="no such token"):
            run.run(torch.zeros(1, 5))
        with pytest.raises(PresetError, match="ids below 5"):
            process(torch.zeros(1, 5), values, catalogue=rows.NOTHING)
        process(torch.zeros(1, 8), values, catalogue=rows.NOTHING)
