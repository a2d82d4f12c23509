"""What a server admits by, and how it is renewed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from temperament import Catalogue, PresetError
from temperament.server import served
from temperament.server.admission import Admission
from temperament.server.endpoints import ENDPOINTS
from temperament.server.routes import router
from temperament.server.served import Served, fingerprint

LOG = logging.getLogger("temperament.test")
CHAT = ENDPOINTS["/v1/chat/completions"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Returns the path of an operator's preset."""
    path = tmp_path / "mine.yaml"
    path.write_text("temperature: 0.5\n")
    return path


def started(file: Path) -> tuple[Served, list[bool]]:
    """Returns a server that has read the file, and the results of its reloads."""
    reloads: list[bool] = []
    served_presets = Served(on_reload=reloads.append)
    served_presets.start(lambda: Admission(Catalogue.load([file.parent], environment=False)))
    return served_presets, reloads


def rewrite(file: Path, text: str) -> None:
    """Writes a file of the same size, and sets its time back to what it was."""
    time.sleep(0.02)  # the clock of a file system may stand still so long
    status = file.stat()
    file.write_text(text)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def temperature(server: Served) -> object:
    """Returns the preset's temperature."""
    assert server.admission is not None
    admitted = server.admission.admit({"preset": "mine"}, None, CHAT)
    assert admitted is not None
    return admitted.body["temperature"]


class TestReload:
    """Reloads on request."""

    def test_what_has_changed_holds(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A changed preset is in use after a reload, and the log names it."""
        caplog.set_level(logging.INFO, logger=LOG.name)
        server, reloads = started(file)
        file.write_text("temperature: 0.75\n")
        (file.parent / "new.yaml").write_text("top_p: 0.5\n")

        assert 0.5 == temperature(server)
        assert server.reload(LOG)
        assert 0.75 == temperature(server)
        assert [True] == reloads
        assert ["temperament: presets read again; changed: mine, new"] == caplog.messages

    @pytest.mark.parametrize("text", ["temperature: hot\n", "{", "tempreature: 1\n"])
    def test_a_broken_file_changes_nothing(
        self, file: Path, text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A broken file changes nothing, and its problem is reported until it is mended."""
        server, reloads = started(file)
        loaded = server.loaded
        file.write_text(text)

        assert not server.reload(LOG)
        assert 0.5 == temperature(server)
        assert server.loaded == loaded
        assert "mine.yaml:1" in str(server.problems[0])
        assert "the presets stay as they were" in caplog.text
        file.write_text("temperature: 0.25\n")
        assert server.reload(LOG)
        assert (0.25, (), [False, True]) == (temperature(server), server.problems, reloads)

    def test_a_start_with_a_broken_file(self, file: Path) -> None:
        """A problem at the first load is raised."""
        file.write_text("temperature: hot\n")

        with pytest.raises(PresetError):
            started(file)

    def test_a_folder_that_is_gone(self, file: Path) -> None:
        """A missing file is treated as a broken one."""
        server, reloads = started(file)
        file.unlink()
        file.parent.rmdir()

        assert not server.reload(LOG)
        assert [False] == reloads
        assert 0.5 == temperature(server)

    def test_a_request_that_runs_keeps_its_plan(self, file: Path) -> None:
        """A request that was admitted before a reload keeps its preset."""
        server, _ = started(file)
        file.write_text("temperature: 0.5\nmin_p: 0.1\ndry_multiplier: 1.0\n")
        server.reload(LOG)
        assert server.admission is not None
        before = server.admission.admit({"preset": "mine"}, None, CHAT)
        assert before is not None
        text = json.dumps(before.body)
        file.write_text("temperature: 2.0\n")
        server.reload(LOG)

        assert json.dumps(before.body) == text


class TestWatch:
    """Reloads when files change."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda file: file.write_text("temperature: 0.75\n# longer\n"),
            lambda file: (file.parent / "z.yaml").write_text("extends: mine\n"),
            lambda file: file.rename(file.with_name("mine.yml")),
            lambda file: rewrite(file, "temperature: 0.7\n"),
        ],
    )
    def test_a_change_is_noticed(
        self, file: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A changed file, or a file in a folder, leads to a reload; nothing else does."""
        monkeypatch.setattr(served, "CHECK_INTERVAL", 0.01)
        server, reloads = started(file)

        async def run() -> None:
            server.watch([file.parent], LOG)
            await asyncio.sleep(0.1)
            assert [] == reloads
            change(file)
            for _ in range(300):
                await asyncio.sleep(0.01)
                if reloads:
                    break
            await asyncio.sleep(0.1)

        asyncio.run(run())

        assert [True] == reloads

    def test_a_disk_that_stalls(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the disk stalls, the loop that answers requests goes on."""
        stalls, goes_on = threading.Event(), threading.Event()
        in_time: list[bool] = []

        def stalling(_paths: object) -> tuple[()]:
            stalls.set()
            in_time.append(goes_on.wait(2))
            return ()

        monkeypatch.setattr(served, "fingerprint", stalling)
        server, _ = started(file)

        async def run() -> None:
            server.watch([file.parent], LOG)
            while not stalls.is_set():
                await asyncio.sleep(0.001)
            goes_on.set()
            while not in_time:
                await asyncio.sleep(0.001)

        asyncio.run(run())

        assert [True] == in_time

    def test_reloads_of_a_disk_that_stalls(self, file: Path) -> None:
        """Reloads that wait for the disk take no thread that a request needs."""
        server, reloads = started(file)
        goes_on, build = threading.Event(), server._build
        assert build is not None

        def stalling() -> Admission:
            goes_on.wait(2)
            return build()

        server._build = stalling

        async def run() -> tuple[object, list[bool]]:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
            waiting = [asyncio.create_task(server.renew(LOG)) for _ in range(3)]
            await asyncio.sleep(0)
            admitted = await asyncio.to_thread(temperature, server)
            meanwhile = [*reloads]
            goes_on.set()
            await asyncio.gather(*waiting)
            return admitted, meanwhile

        assert (0.5, []) == asyncio.run(run())
        assert [True] * 3 == reloads

    def test_nothing_to_watch(self) -> None:
        """Without an operator's files nothing is watched."""
        server = Served()

        async def run() -> None:
            server.watch([], LOG)

        asyncio.run(run())

        assert server._task is None

    def test_what_cannot_be_looked_at(self, tmp_path: Path) -> None:
        """A path that doesn't exist has a fingerprint too."""
        missing = tmp_path / "missing"
        before = fingerprint([missing])
        missing.mkdir()

        assert before != fingerprint([missing]) == ()


class TestRoutes:
    """`POST /v1/presets/reload`."""

    def test_reload(self, file: Path) -> None:
        """The answer and the list say whether the reload succeeded."""
        server, _ = started(file)
        app = FastAPI()
        app.include_router(router(server, LOG))
        client = TestClient(app)
        file.write_text("temperature: hot\n")
        broken = client.post("/v1/presets/reload")
        listed = client.get("/v1/presets").json()

        assert 400 == broken.status_code
        assert "mine.yaml:1: temperature: not allowed" in broken.json()["error"]["message"]
        assert "mine.yaml:1: temperature" in listed["problems"][0]
        file.write_text("temperature: 0.75\n")
        answer = client.post("/v1/presets/reload").json()
        listed = client.get("/v1/presets").json()
        assert {"object": "reload", "loaded": server.loaded} == answer
        assert [] == listed["problems"]
        assert server.loaded == listed["loaded"]
        assert {"temperature": 0.75} == client.get("/v1/presets/mine").json()["parameters"]

    def test_before_the_start(self) -> None:
        """Until the server has started, the answer is 503."""
        app = FastAPI()
        app.include_router(router(Served(), LOG))

        assert 503 == TestClient(app).post("/v1/presets/reload").status_code
