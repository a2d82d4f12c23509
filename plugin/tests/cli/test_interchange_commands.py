"""`import`, `export`, `new`, `set`, and what depends on a model."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from temperament.cli import import_folder, main
from temperament.interchange import BY_NAME
from temperament.presets import Catalogue


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No presets but the shipped ones, and an empty folder."""
    for name in ("TEMPERAMENT_PRESETS", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


class Ran:
    """What a command printed, and its code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        try:
            self.code = main(list(arguments))
        except SystemExit as error:
            self.code = int(error.code or 0)
        printed = capsys.readouterr()
        self.out, self.err = printed.out, printed.err


class TestImportAndExport:
    """Files of other programs."""

    @pytest.mark.parametrize("name", BY_NAME)
    def test_there_and_back(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """What `export` prints, `import` reads; the preset is the same."""
        sent = Ran(capsys, "export", "joint", "--to", name)
        monkeypatch.setattr("sys.stdin", io.StringIO(sent.out))
        section = ("--section", "joint") if name.startswith("litellm") else ()
        brought = Ran(capsys, "import", "-", "--from", name, *section)
        Path("joint2.yaml").write_text(brought.out, encoding="utf-8")
        again = Catalogue.load(["joint2.yaml"])["joint2"].chain

        assert (0, 0) == (sent.code, brought.code)
        assert again.values == Catalogue.load()["joint"].chain.values or name in (
            "ollama", "litellm-deepseek"
        )  # fmt: skip

    def test_a_folder(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each preset of a folder becomes a file, and the report says what was refused and why."""
        Path("in/deep").mkdir(parents=True)
        Path("in/Warm.json").write_text('{"temp": 1.5, "rep_pen": 1}')
        Path("in/deep/warm.json").write_text('{"temp": 0.5, "rep_pen": 1, "grammar_string": "x"}')
        Path("in/notes.txt").write_text("hello")
        Path("in/models.ini").write_text("[*]\ntemp = 1\n[a]\ntop-k = 3\n[b]\ntop-k = hot\n")
        ran = Ran(capsys, "import", "in", "--folder", "out")
        presets = Catalogue.load(["out"], environment=False)

        assert 0 == ran.code
        assert ["a", "warm", "warm-2"] == sorted(each.stem for each in Path("out").iterdir())
        assert (1.5, 0.5) == tuple(presets[n].values["temperature"] for n in ("warm", "warm-2"))
        assert "notes.txt: refused: notes.txt: no format is recognised" in ran.out
        assert "models.ini: refused: llama.cpp: top-k is not understood; given: 'hot'" in ran.out
        assert "deep/warm.json: sillytavern: warm-2.yaml\n  lost: grammar_string" in ran.out
        assert "3 written, 2 refused" in ran.out

    @pytest.mark.parametrize("kind", ["zip", "gztar"])
    def test_an_archive(self, capsys: pytest.CaptureFixture[str], kind: str) -> None:
        """An archive is read like a folder, and its report can be JSON."""
        Path("in").mkdir()
        Path("in/x.json").write_text('{"temp": 1.5, "rep_pen": 1}')
        Path("in/big.json").write_text(" " * 300_000)
        archive = shutil.make_archive("all", kind, "in")
        ran = Ran(capsys, "import", archive, "--folder", "out", "--json")

        report = {Path(each["file"]).name: each for each in json.loads(ran.out)}
        assert "x" == report["x.json"]["preset"]
        assert "the file is too large" in report["big.json"]["refused"]
        assert ["x.yaml"] == [each.name for each in Path("out").iterdir()]

    def test_nothing_is_half_written(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where one of the files exists already, none is written."""
        Path("in").mkdir()
        for name in ("a", "b"):
            Path(f"in/{name}.json").write_text('{"temp": 1.5, "rep_pen": 1}')
        Path("out").mkdir()
        Path("out/b.yaml").write_text("temperature: 1")
        ran = Ran(capsys, "import", "in", "--folder", "out")

        assert ran.code != 0
        assert "exists already" in ran.err
        assert ["b.yaml"] == [each.name for each in Path("out").iterdir()]

    def test_a_failure_leaves_nothing(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If a file can't be written, those before it are removed."""
        Path("in").mkdir()
        for name in ("a", "b"):
            Path(f"in/{name}.json").write_text('{"temp": 1.5, "rep_pen": 1}')
        opened = Path.open

        def full(self: Path, mode: str = "r", **more: Any) -> Any:
            """A disk that is full when b.yaml is written."""
            if self.name == "b.yaml":
                raise OSError(28, "No space left on device", str(self))
            return opened(self, mode, **more)

        monkeypatch.setattr(Path, "open", full)
        ran = Ran(capsys, "import", "in", "--folder", "out")

        assert "b.yaml: can't be written: No space left on device" in ran.err
        assert [] == list(Path("out").iterdir())

    def test_an_interruption_leaves_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the command is interrupted between two files, the first one is removed."""
        Path("in").mkdir()
        for name in ("a", "b"):
            Path(f"in/{name}.json").write_text('{"temp": 1.5, "rep_pen": 1}')
        opened = Path.open

        def interrupted(self: Path, mode: str = "r", **more: Any) -> Any:
            if self.name == "b.yaml":
                raise KeyboardInterrupt
            return opened(self, mode, **more)

        monkeypatch.setattr(Path, "open", interrupted)
        with pytest.raises(KeyboardInterrupt):
            import_folder.import_many("in", "", Path("out"))

        assert [] == list(Path("out").iterdir())

    @pytest.mark.parametrize("kind", ["folder", "zip", "gztar"])
    def test_too_many_files(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """More files than are read at once are refused, and none is left out in silence."""
        Path("in").mkdir()
        for name in ("a", "b"):
            Path(f"in/{name}.json").write_text('{"temp": 1.5, "rep_pen": 1}')
        monkeypatch.setattr(import_folder, "MAX_FILES", 1)
        path = "in" if kind == "folder" else shutil.make_archive("all", kind, "in")
        ran = Ran(capsys, "import", path, "--folder", "out")

        assert "has too many files; allowed: at most 1 files" in ran.err
        assert not Path("out").exists()

    def test_utf_16(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A Modelfile in UTF-16, which Ollama 0.33.0 reads, is read."""
        Path("Modelfile").write_text('FROM m\nPARAMETER stop "用户"', encoding="utf-16")

        assert "用户" in Ran(capsys, "import", "Modelfile").out

    def test_a_mark_on_standard_input(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A byte order mark on standard input is no text."""
        raw = '{"temp": 1.5, "rep_pen": 1}'.encode("utf-8-sig")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))

        assert "temperature: 1.5" in Ran(capsys, "import", "-").out

    def test_notes_go_to_stderr(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Notes go to stderr, so that stdout is the file."""
        Path("generation_config.json").write_text('{"do_sample": true, "eos_token_id": 2}')
        ran = Ran(capsys, "import", "generation_config.json")

        assert "top_k: 50\n" == ran.out
        assert [
            "left: eos_token_id = 2: belongs to the model, not to a preset",
            "default: top_k = 50: not in the file: Transformers' default",
        ] == ran.err.splitlines()

    def test_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With `--json` the notes are beside the text."""
        shown = json.loads(Ran(capsys, "export", "reasoning", "--to", "webui", "--json").out)
        one = json.loads(
            Ran(capsys, "export", "reasoning", "--to", "sglang", "--mode", "think", "--json").out
        )
        Path("a.json").write_text('{"temperature": 0.5, "sampling_seed": 3, "max_new_tokens": 4}')
        brought = json.loads(Ran(capsys, "import", "a.json", "--json").out)

        assert ("lost", "modes") == (shown["notes"][0]["kind"], shown["notes"][0]["name"])
        assert [("lost", "order")] == [(note["kind"], note["name"]) for note in one["notes"]]
        assert 0.6 == json.loads(one["text"])["temperature"]
        assert {"temperature": 0.5, "seed": 3, "max_tokens": 4} == brought["preset"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("import", "none.json"), "none.json: can't be read"),
            (("export", "chat", "--to", "ollma"), "did you mean 'ollama'"),
            (("export", "caht", "--to", "ollama"), "did you mean 'chat'"),
            (("export", "chat", "--to", "ollama", "--mode", "x"), "no such mode"),
            (("export", "warmer", "--to", "ollama"), "the model must be known"),
        ],
    )
    def test_what_is_wrong(
        self, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
    ) -> None:
        """The command prints the problem and exits with 1."""
        ran = Ran(capsys, *arguments)

        assert (1, "") == (ran.code, ran.out)
        assert message in ran.err

    def test_for_a_model(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A preset that is exported for a model has that model's numbers."""
        ran = Ran(capsys, "export", "warmer", "--to", "sglang", "--model", "Qwen/Qwen3-8B")

        assert {
            "temperature": 0.72, "top_k": 20, "top_p": 0.95, "min_p": 0.0
        } == json.loads(ran.out)  # fmt: skip


class TestFilesOfOnesOwn:
    """`new` and `set`."""

    def test_a_new_preset(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Extends another one, and editors find the schema beside it."""
        ran = Ran(capsys, "new", "poems", "--from", "创意写作", "--set", "top_p=0.9")
        preset = Catalogue.load(["poems.yaml"])["poems"]

        assert 0 == ran.code
        assert {"temperature": 1.5, "top_p": 0.9} == preset.values
        assert "$schema=./preset.schema.json" in Path("poems.yaml").read_text()
        assert "top_p" in json.loads(Path("preset.schema.json").read_text())["properties"]

    def test_comments_stay(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`set` changes the values that it names and nothing else."""
        Path("p.yaml").write_text("# mine\ntop_p: 0.9  # the nucleus\nmin_p: 0.1\n")
        ran = Ran(capsys, "set", "p.yaml", "top_p=0.8", "top_k=5", "--unset", "min_p")

        assert 0 == ran.code
        assert "# mine\ntop_p: 0.8  # the nucleus\ntop_k: 5\n" == Path("p.yaml").read_text()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("set", "p.yaml", "top_p=2"), "p.yaml:1: top_p: not allowed"),
            (("set", "p.yaml", "top_p"), "not NAME=VALUE"),
            (("set", "none.yaml", "top_p=1"), "none.yaml: can't be read"),
            (("new", "p", "--from", "chat"), "exists already"),
            (("new", "A B", "--from", "chat"), "not a preset's name"),
            (("new", "x", "--from", "caht"), "did you mean 'chat'"),
        ],
    )
    def test_what_is_wrong(
        self, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
    ) -> None:
        """The command prints the problem and changes no file."""
        Path("p.yaml").write_text("top_p: 0.9\n")
        ran = Ran(capsys, *arguments)

        assert (1, "") == (ran.code, ran.out)
        assert message in ran.err
        assert "top_p: 0.9\n" == Path("p.yaml").read_text()
        assert ["p.yaml"] == [path.name for path in Path().iterdir()]


class TestModels:
    """`--model`."""

    def test_list_from_a_folder_with_a_config(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`Qwen/Qwen3-8B` with only `config.json`: the vendor's numbers, the presets, and why."""
        folder = Path("Qwen/Qwen3-8B")
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"model_type": "qwen3"}')
        ran = Ran(capsys, "list", "--model", "Qwen/Qwen3-8B")
        listed = json.loads(Ran(capsys, "list", "--model", "Qwen/Qwen3-8B", "--json").out)
        creative = next(p for p in listed["presets"] if p["name"] == "creative")

        assert ran.out.startswith("Qwen3\n")
        assert "thinking (recommended)  temperature=0.6, top_k=20, top_p=0.95, min_p=0.0" in ran.out
        assert "QwenLM/Qwen3@7a2f61f" in ran.out
        assert listed["model"]["values"]["instruct"]["verified"]
        assert {"temperature": 1.5} == creative["values"]
        assert {"temperature": 0.8} == creative["drawn"]
        assert "temperature 1.5 on deepseek-api is drawn at 0.8" in creative["notes"][0]

    def test_by_config_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The folder's name may say nothing."""
        Path("config.json").write_text('{"model_type": "qwen3"}')

        assert Ran(capsys, "list", "--model", ".").out.startswith("Qwen3\n")

    def test_check_warns(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`check --model` warns of temperatures that no vendor recommends, where nothing cuts."""
        unknown = Ran(capsys, "check", "--model", "someone/something")
        known = Ran(capsys, "check", "--model", "Qwen/Qwen3-8B")

        assert (0, 0) == (unknown.code, known.code)
        assert "stories-1.2  temperature 1.2 without truncation is outside" in unknown.out
        assert "\nchat " not in unknown.out
        assert "no problems, 0 warnings" in known.out

    def test_show_tells_the_reason(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Both numbers are shown, and why one is drawn as the other."""
        shown = Ran(capsys, "show", "chat", "--model", "deepseek-ai/DeepSeek-V3-0324").out

        assert "values      temperature=1.3 (drawn at 0.6)\n" in shown
        assert "chain       temperature=0.6\n" in shown
        assert "temperature 1.3 on deepseek-api is drawn at 0.6: DeepSeek-V3-0324 model" in shown
