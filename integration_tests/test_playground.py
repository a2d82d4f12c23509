"""The playground in a real browser: Debian's Chromium, headless, driven by Playwright."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from transformers import AutoModelForCausalLM, AutoTokenizer

from integration_tests.harness import forks
from integration_tests.harness.models import model_path
from integration_tests.harness.server import ON_SHARED_CORES, Server, environment
from temperament import Catalogue
from temperament.presets import as_preset

CHROMIUM = shutil.which("chromium")
ARGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# Where pictures of every state are kept, to be looked at; by default nowhere for long.
PICTURES = os.environ.get("TEMPERAMENT_SCREENSHOTS")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Debian's Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for this file alone: no other test can `asyncio.run` while Playwright runs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """`temperament playground` with more arguments; the URL of its root."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    command = [forks.python("v1"), "-m", "temperament.cli", "playground", "--port", str(port)]
    process = subprocess.Popen(
        [*command, *arguments],
        env=environment(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{url}playground/", timeout=5):
                break
            assert process.poll() is None, "the playground ended"
            time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


@pytest.fixture(scope="module")
def local_url() -> Iterator[str]:
    """The URL of a playground with SmolLM2's weights."""
    with serving("--model", str(model_path("smollm2"))) as url:
        yield url


class Tab:
    """The page in a tab, with its requests, its errors and its pictures."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page, self.url, self.pictures = page, url, pictures
        self.requests: list[str] = []
        self.errors: list[str] = []
        # Chromium also reports on the console the 400 of a request that is refused on purpose.
        self.refusals = 0
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.goto(f"{url}playground/")
        self.settle()

    def _hear(self, message: Any) -> None:
        if "400 (Bad Request)" in message.text:
            self.refusals += 1
        elif message.type in ("error", "warning"):
            self.errors.append(message.text)

    def settle(self) -> None:
        """Waits until the last change was answered."""
        self.page.wait_for_timeout(250)
        self.page.wait_for_selector("body[data-state=ready]", timeout=300_000)

    def side(self, place: int) -> Locator:
        return self.page.locator(".side").nth(place)

    def choose(self, place: int, preset: str) -> None:
        self.side(place).locator("select.preset").select_option(preset)
        self.settle()

    def stage(self, place: int, name: str) -> Locator:
        return self.side(place).locator(f'[data-stage="{name}"]')

    def set(self, place: int, parameter: str, value: str) -> None:
        """Types a value into a parameter's box."""
        control = self.control(place, parameter)
        control.locator("input:not([type=range])").fill(value)
        self.settle()

    def control(self, place: int, parameter: str) -> Locator:
        """A parameter's control, its group and its stage opened as a user opens them."""
        field = self.page.locator(f'[data-parameter="{parameter}"]')
        control = self.side(place).locator(field)
        if not control.is_visible():
            group = self.side(place).locator("details.group", has=field)
            if group.get_attribute("open") is None:
                group.locator("summary").click()
            if not control.is_visible():
                self.side(place).locator(".stage", has=field).locator(".stage-name").click()
        return control

    def slide(self, place: int, parameter: str, value: str) -> None:
        """Moves a parameter's slider to a value."""
        control = self.control(place, parameter)
        control.locator("input[type=range]").fill(value)
        self.settle()

    def shares(self, place: int, stage: str) -> list[str]:
        """The labels of the bars below a stage: a number, or "removed"."""
        return self.stage(place, stage).locator(".bar .share").all_inner_texts()

    def widths(self, box: Locator) -> list[float]:
        """The widths of the bars in pixels."""
        script = "bars => bars.map(bar => bar.getBoundingClientRect().width)"
        return list(box.locator(".bar .filled").evaluate_all(script))

    def kept(self, place: int, stage: str) -> int:
        """How many tokens a stage leaves, as its line says."""
        return int(self.stage(place, stage).locator(".numbers").inner_text().split()[1])

    def generate(self, tokens: int = 12) -> list[str]:
        """Draws texts on both sides, and returns them."""
        self.page.locator("#max_tokens").fill(str(tokens))
        self.page.locator("#generate").click()
        self.page.wait_for_selector("body[data-writing=no]", timeout=300_000)
        return self.page.locator(".written .text").all_inner_texts()

    def picture(self, name: str) -> None:
        self.page.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@pytest.fixture
def open_tab(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Tab]]:
    """Opens the page; at the end it has reported no error and asked no other host."""
    pictures = Path(PICTURES) if PICTURES else tmp_path
    pictures.mkdir(parents=True, exist_ok=True)
    tabs: list[Tab] = []

    def make(url: str, **window: Any) -> Tab:
        window.setdefault("viewport", {"width": 1200, "height": 900})
        context = browser.new_context(**window)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
        tabs.append(Tab(context.new_page(), url, pictures))
        return tabs[-1]

    yield make
    for tab in tabs:
        assert [] == tab.errors
        assert [] == [
            url for url in tab.requests if not url.startswith((tab.url, "data:", "blob:"))
        ]
        tab.page.context.close()


def test_sliders_move_the_bars(open_tab: Callable[..., Tab], local_url: str) -> None:
    """Heat flattens the bars below it, and a smaller top_k removes tokens, at once."""
    tab = open_tab(local_url)
    tab.choose(0, "")
    tab.slide(0, "temperature", "0.5")
    sharp = [float(share) for share in tab.shares(0, "temperature")]
    sharp_widths = tab.widths(tab.stage(0, "temperature"))
    tab.slide(0, "temperature", "1.5")
    flat = [float(share) for share in tab.shares(0, "temperature")]
    flat_widths = tab.widths(tab.stage(0, "temperature"))
    tab.slide(0, "top_k", "3")
    removed = tab.shares(0, "top_k")
    tab.picture("sliders")

    assert sharp[0] > flat[0] * 3
    assert sharp_widths[0] > flat_widths[0] * 3
    assert sharp == sorted(sharp, reverse=True)
    assert 3 == tab.kept(0, "top_k")
    assert ["removed"] * 7 == removed[3:]
    assert "removed" not in removed[:3]


def test_reordering_changes_the_kept_set(open_tab: Callable[..., Tab], local_url: str) -> None:
    """top_p keeps fewer tokens before the heat than behind it, moved by mouse or by keyboard."""
    tab = open_tab(local_url)
    tab.choose(0, "")
    tab.set(0, "temperature", "2")
    tab.set(0, "top_p", "0.8")
    behind = tab.kept(0, "top_p")
    handle = tab.stage(0, "top_p").locator(".handle")
    start, end = handle.bounding_box(), tab.stage(0, "temperature").bounding_box()
    assert start is not None
    assert end is not None
    tab.page.mouse.move(start["x"] + 8, start["y"] + 8)
    tab.page.mouse.down()
    tab.page.mouse.move(end["x"] + 20, end["y"] + 60, steps=8)
    tab.picture("dragging")
    tab.page.mouse.move(end["x"] + 20, end["y"] + 4, steps=4)
    tab.page.mouse.up()
    tab.settle()
    dragged = tab.kept(0, "top_p")
    names = (
        tab.side(0)
        .locator(".stage[data-stage]")
        .evaluate_all("stages => stages.map(stage => stage.dataset.stage)")
    )
    tab.picture("reordered")
    handle.focus()
    tab.page.keyboard.press("ArrowDown")
    tab.settle()
    by_keyboard = tab.kept(0, "top_p")

    assert dragged < behind / 10
    assert ["top_p", "temperature"] == names[:2]
    assert behind == by_keyboard
    expect(handle).to_be_focused()
    expect(tab.page.locator("#announcement")).to_contain_text("top_p is now number 2 of")


def test_two_presets_differ(open_tab: Callable[..., Tab], local_url: str) -> None:
    """Side by side: greedy keeps one token, the other keeps all, and so they write."""
    tab = open_tab(local_url)
    tab.choose(0, "code")
    tab.choose(1, "creative")
    greedy, lively = tab.shares(0, "temperature"), tab.shares(1, "temperature")
    one, other = tab.generate()
    again = tab.generate()
    tab.page.locator("#seed").fill("1")
    tab.settle()
    another = tab.generate()
    tab.picture("two-presets")

    assert ["1.0000", *["removed"] * 9] == greedy
    assert "removed" not in lively
    assert one != other
    assert [one, other] == again
    assert one == another[0]
    assert other != another[1]


def test_generated_text_is_coloured(open_tab: Callable[..., Tab], local_url: str) -> None:
    """The page colours each token by its probability and by its mode."""
    tab = open_tab(local_url)
    tab.page.locator("#prompt").fill('She opened the door and said, "')
    tab.choose(0, "story")
    tab.choose(1, "creative")
    tab.generate(24)
    tokens, lively = (tab.side(place).locator(".token") for place in (0, 1))
    shares = [
        [float(share) for share in side.evaluate_all(
            "tokens => tokens.map(token => token.style.getPropertyValue('--share'))"
        )]
        for side in (tokens, lively)
    ]  # fmt: skip
    modes = tokens.evaluate_all("tokens => tokens.map(token => token.dataset.mode)")
    colours = lively.evaluate_all("tokens => tokens.map(t => getComputedStyle(t).backgroundColor)")
    tab.picture("coloured")

    assert "dialogue" == modes[0]
    assert all(0 <= share <= 1 for share in shares[0] + shares[1])
    assert max(shares[1]) > 2 * min(shares[1])
    assert len(set(colours)) > 3
    assert "surprise" in str(tokens.first.get_attribute("title"))
    expect(tab.side(0).locator(".legend")).to_contain_text("dialogue")


def test_errors_are_shown_in_place(open_tab: Callable[..., Tab], local_url: str) -> None:
    """An error is shown below the box that it is about, and vanishes once that is right."""
    tab = open_tab(local_url)
    tab.set(0, "top_p", "3")
    tab.set(1, "repetition_penalty", "-1")
    tab.set(1, "logit_bias", "{5:")
    tab.side(1).locator('[data-parameter="logit_bias"] input').blur()
    wrong = tab.stage(0, "top_p").locator(".problem")
    tab.picture("errors")

    expect(wrong).to_contain_text("given: 3")
    expect(wrong).to_contain_text("allowed: a number in [0, 1]")
    expect(tab.stage(0, "top_p").locator("[aria-invalid=true]")).to_have_count(1)
    expect(tab.control(1, "repetition_penalty").locator(".problem")).to_be_visible()
    expect(tab.stage(1, "logit_bias").locator(".problem")).to_contain_text("not JSON")
    tab.set(0, "top_p", "0.9")
    tab.set(1, "repetition_penalty", "1.1")
    expect(wrong).to_be_hidden()
    tab.page.locator("#prompt").fill("")
    expect(tab.page.locator("#problem-prompt")).to_contain_text("a text of 1 to")
    tab.page.locator("#prompt").fill("Hello")
    expect(tab.page.locator("#problem-prompt")).to_be_hidden()
    assert tab.refusals > 0


def test_a_phone(open_tab: Callable[..., Tab], local_url: str) -> None:
    """360 pixels wide, dark, in Chinese: one column, nothing to scroll sideways, all works."""
    tab = open_tab(
        local_url, viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True,
        color_scheme="dark", locale="zh-CN",
    )  # fmt: skip
    tab.set(0, "top_k", "2")
    kept = tab.kept(0, "top_k")
    tab.generate(12)
    for group in tab.page.locator("details").all():
        group.evaluate("details => details.open = true")
    wide = tab.overflow()
    tab.picture("phone")
    first, second = (tab.side(place).bounding_box() for place in (0, 1))
    dark = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert 2 == kept
    assert 0 == wide
    assert first is not None
    assert second is not None
    assert second["y"] >= first["y"] + first["height"]
    assert "rgb(13, 17, 23)" == dark
    expect(tab.page.locator("#generate")).to_have_text("生成")
    expect(tab.page.locator("html")).to_have_attribute("lang", "zh-CN")


def test_the_keyboard_alone(open_tab: Callable[..., Tab], local_url: str) -> None:
    """Every control is reached by Tab, and the focus can be seen."""
    tab = open_tab(local_url)
    tab.page.locator("#prompt").focus()
    seen = []
    for _ in range(14):
        tab.page.keyboard.press("Tab")
        seen.append(tab.page.evaluate(
            "(e => e.id || e.className || e.closest('[data-parameter]')?.dataset.parameter)"
            "(document.activeElement)"
        ))  # fmt: skip
    outline = tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")

    assert ["chat", "seed", "max_tokens", "generate", "preset", "reset"] == seen[:6]
    assert "handle" in seen
    assert "stage-name" in seen
    assert "solid" == outline


@pytest.fixture
def forms(open_tab: Callable[..., Tab], tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Everything that can be copied from a page at this URL, and the saved file in tmp_path."""

    def make(url: str) -> dict[str, str]:
        tab = open_tab(url)
        tab.choose(0, "creative")
        tab.set(0, "top_p", "0.9")
        tab.set(0, "dry_multiplier", "0.8")
        tab.stage(0, "top_p").locator(".handle").focus()
        for _ in range(4):
            tab.page.keyboard.press("ArrowUp")
        tab.settle()
        side = tab.side(0)
        side.locator("details.copy summary").click()
        side.locator("input.name").fill("poems")
        copied = {}
        for form in ("yaml", "extra_body", "generate", "serve"):
            side.locator("select.form").select_option(form)
            tab.page.wait_for_timeout(600)
            side.locator(".to-clipboard").click()
            expect(tab.page.locator("#announcement")).to_have_text("Copied")
            copied[form] = str(tab.page.evaluate("navigator.clipboard.readText()"))
        tab.picture("copy")
        with tab.page.expect_download() as download:
            side.locator(".save").click()
        assert "poems.yaml" == download.value.suggested_filename
        download.value.save_as(tmp_path / "poems.yaml")
        return copied

    return make


WANTED = as_preset(
    {
        "temperature": 0.8,
        "top_p": 0.9,
        "dry_multiplier": 0.8,
        "order": ["top_p", "temperature"],
    },
    Catalogue({}),
)


def test_what_is_copied_runs(
    forms: Callable[[str], dict[str, str]], local_url: str, smollm2_path: Path, tmp_path: Path
) -> None:
    """The file is the preset, the call of `generate` generates, the flags start a server."""
    copied = forms(local_url)
    saved = Catalogue.load([tmp_path / "poems.yaml"], environment=False)["poems"]
    tokenizer = AutoTokenizer.from_pretrained(smollm2_path)
    names: dict[str, Any] = {
        "tokenizer": tokenizer,
        "model": AutoModelForCausalLM.from_pretrained(smollm2_path),
    }
    exec(copied["generate"].replace('"max_tokens": 40', '"max_tokens": 8'), names)

    assert copied["yaml"] == (tmp_path / "poems.yaml").read_text(encoding="utf-8")
    assert WANTED.digest == saved.digest
    assert 1 == names["outputs"].shape[0]
    assert f"vllm serve {smollm2_path}" in copied["serve"]


def test_a_server_offers_the_page(
    forms: Callable[[str], dict[str, str]],
    open_tab: Callable[..., Tab],
    v1_server: Server,
    tmp_path: Path,
) -> None:
    """With `playground: true` the server has the page, which talks to the server itself."""
    tab = open_tab(f"{v1_server.url}/")
    tab.choose(0, "code")
    tab.choose(1, "creative")
    greedy, lively = tab.shares(0, "temperature"), tab.shares(1, "temperature")
    one, other = tab.generate(16)
    tab.picture("server")
    request = forms(f"{v1_server.url}/")["extra_body"]
    names: dict[str, Any] = {"client": v1_server.client()}
    exec(f"answer = {request}", names)

    assert ["1.0000", *["removed"] * 9] == greedy
    assert "removed" not in lively
    assert one.strip()
    assert one != other
    expect(tab.page.locator("#model")).to_have_text("smollm2")
    assert names["answer"].choices[0].text


def test_alone_before_a_server(open_tab: Callable[..., Tab], v1_server: Server) -> None:
    """`temperament playground --server` asks the server for everything, drawing too."""
    with serving("--server", v1_server.url) as url:
        tab = open_tab(url)
        tab.choose(0, "code")
        greedy = tab.shares(0, "temperature")
        one, other = tab.generate(8)

    assert ["1.0000", *["removed"] * 9] == greedy
    assert one.strip()
    assert one != other
    expect(tab.page.locator("#model")).to_have_text("smollm2")


def test_the_copied_flags_start_a_server(
    forms: Callable[[str], dict[str, str]], local_url: str, smollm2_path: Path, tmp_path: Path
) -> None:
    """Pasted into a shell in the folder of the saved file, they serve the preset as the default."""
    flags = forms(local_url)["serve"].strip()
    server = Server(smollm2_path, env=ON_SHARED_CORES)
    programs = [*forks.programs("v1"), str(Path(sys.executable).parent), server.env["PATH"]]
    server.env["PATH"] = os.pathsep.join(programs)
    more = f"--host 127.0.0.1 --port {server.port} --enforce-eager --max-model-len 512"
    server.command = ["bash", "-c", f"cd '{tmp_path}' && {flags} {more}"]
    with server, urllib.request.urlopen(f"{server.url}/v1/presets") as answer:
        served = json.loads(answer.read())

    assert "poems" == served["default"]
    assert WANTED.digest in [preset["digest"] for preset in served["data"]]
