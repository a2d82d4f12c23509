"""`process` and `Run`: presets in a decoding loop of one's own."""

from random import Random
from typing import Any

import pytest
import torch

from temperament import Catalogue, Preset, PresetError, Run, process
from temperament.errors import UnknownPreset
from temperament.stages import STAGES
from temperament.stages.kinds import TEXTS
from tests import rows

VOCABULARY = 500


def mixed(random: Random, count: int) -> list[Preset]:
    """Presets of some stages each, in orders of their own: stages without state or tokenizer."""
    usable = [
        stage
        for stage in STAGES
        if not stage.needs & {"state", "ends", "vocabulary"}
        and all(parameter.kind is not TEXTS for parameter in stage.parameters)
    ]
    made = []
    for row in range(count):
        values: dict[str, Any] = {}
        for stage in random.sample(usable, random.randint(1, 6)):
            values |= rows.values(stage, random, VOCABULARY)
        movable = [stage.name for stage in STAGES if stage.movable]
        made.append(Preset(str(row), values, tuple(random.sample(movable, len(movable)))))
    return made


class TestProcess:
    """One step."""

    @pytest.mark.parametrize("seed", range(10))
    def test_mixed_presets_give_what_each_row_gives_alone(self, seed: int) -> None:
        """Different stages in different orders in one batch: bit for bit."""
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

        assert rows.same_bits(by_name, logits / 1.5)
        for same in ({"temperature": 1.5}, {"extends": "creative"}, preset, ["creative"] * 3):
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
        assert after.data_ptr() == logits.data_ptr()
        assert rows.same_bits(after, expected)

    def test_an_empty_catalogue_is_a_catalogue(self) -> None:
        """It knows no name, not even the shipped ones."""
        with pytest.raises(UnknownPreset):
            process(torch.zeros(1, 5), "creative", catalogue=Catalogue({}))

    @pytest.mark.parametrize(
        ("presets", "options", "message"),
        [
            (["code", "chat"], {}, "presets: one for each row; given: 2; allowed: 3"),
            ([], {}, "presets: one for each row; given: 0; allowed: 3"),
            ("no-such-preset", {}, "unknown preset"),
            ("creativ", {}, "did you mean 'creative'"),
            ({"temperature": -1}, {}, "temperature: not allowed; given: -1"),
            ({"temprature": 1.0}, {}, "did you mean 'temperature'"),
            (["code", {"top_k": "many"}, "chat"], {}, "top_k: not allowed; given: 'many'"),
            ("code", {"prompt_ids": [[1], [2]]}, "prompt_ids: one list of ids a row; given: 2"),
            ("code", {"output_ids": [[1]]}, "output_ids: one list of ids a row; given: 1"),
            ("code", {"seeds": [1]}, "seeds: one for each row; given: 1"),
            ({"banned_strings": ["a"]}, {}, "the tokenizer must be given"),
        ],
    )
    def test_what_is_wrong_is_said(self, presets: Any, options: Any, message: str) -> None:
        """As a `PresetError`, before any logits are touched."""
        with pytest.raises(PresetError) as caught:
            process(torch.zeros(3, 5), presets, **options)

        assert message in str(caught.value)

    @pytest.mark.parametrize("shape", [(), (5,), (2, 5), (1, 3, 5)])
    def test_wrong_shapes(self, shape: tuple[int, ...]) -> None:
        """Logits are [rows, vocab], with a row for each preset."""
        with pytest.raises(PresetError):
            process(torch.zeros(shape), ["code", "chat", "data"])

    def test_half_precision_can_not_be_changed_in_place(self) -> None:
        """The result is float32."""
        with pytest.raises(PresetError, match="inplace needs float32"):
            process(torch.zeros(1, 5, dtype=torch.float16), "code", inplace=True)


class TestRun:
    """Many steps."""

    @pytest.mark.parametrize("seed", range(10))
    def test_steps_are_what_process_gives_for_the_tokens_so_far(self, seed: int) -> None:
        """Bit for bit, whatever was drawn."""
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
        """It is told by `rows`, the ids or the presets."""
        assert len(Run(["code", "chat"]).presets) == 2
        assert Run("code", rows=3).run(torch.zeros(3, 5)).shape == (3, 5)
        assert Run("code", prompt_ids=[[1], [2]]).run(torch.zeros(2, 5)).shape == (2, 5)
        assert Run("code").run(torch.zeros(1, 5)).shape == (1, 5)

    @pytest.mark.parametrize("shape", [(3, 5), (5,), (2, 1, 5)])
    def test_wrong_shapes(self, shape: tuple[int, ...]) -> None:
        """Every step has the run's rows."""
        with pytest.raises(PresetError, match="wrong shape"):
            Run(["code", "chat"]).run(torch.zeros(shape))

    def test_a_wrong_number_of_tokens(self) -> None:
        """One token for each row."""
        with pytest.raises(PresetError, match="tokens: one for each row"):
            Run(["code", "chat"]).accept([1])
