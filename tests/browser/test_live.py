"""Open pages show what is recorded as it is recorded, however many there are, and hold nothing up.

AGENTTRACE_BROWSER=full also asks how long that takes, which says something on an idle machine only:
no other browser test runs meanwhile.
"""

import asyncio
import contextlib
import json
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.async_api import BrowserContext, Page, Request, Route, async_playwright

from agenttrace_mitm import access
from tests.support.providers import Played, json_answer, played
from tests.support.web import FULL, QUIET, chromium

# The system's browser, which .ci/run installs: a package of tests must not download one.
pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="chromium is not installed"),
    pytest.mark.alone,
]
PATIENCE_S = 60
TABS = 10
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def _answer(request):
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    asked = json.loads(request.body)
    return json_answer({"id": "x", "model": asked["model"], "choices": [said], "usage": usage})


class Calls:
    """A program that calls a model through the proxy of *providers*."""

    def __init__(self, providers: Played, port: int) -> None:
        trust = ssl.create_default_context(cafile=str(providers.home / "ca" / "root.pem"))
        self._client = httpx.AsyncClient(verify=trust, proxy=f"http://127.0.0.1:{port}", timeout=60)

    async def make(self, model: str) -> float:
        """Call *model*; when that had ended."""
        url = "https://api.openai.com/v1/chat/completions"
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        answer = await self._client.post(url, json=body)
        assert answer.status_code == 200
        return time.monotonic()


async def _shows(tab: Page, model: str, where: str = "main > :not(.at-filters)") -> None:
    """Until something says *model*, by default other than the choices of the filters."""
    found = tab.locator(where, has_text=model)
    await found.first.wait_for(timeout=PATIENCE_S * 1000)


async def _is_quiet(folder: Path) -> None:
    """Until nothing in *folder* was written to for two seconds."""
    async with asyncio.timeout(PATIENCE_S):
        while time.time() - _last_written(folder) < 2:
            await asyncio.sleep(0.1)


def _last_written(folder: Path) -> float:
    """When a database in *folder* was; one that vanishes meanwhile is being written."""
    try:
        return max(one.stat().st_mtime for one in folder.rglob("*.db*"))
    except FileNotFoundError:
        return time.time()


async def _until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.05)


@dataclass
class Running:
    """A recorder that was started as a user does, and a browser that may look at it."""

    providers: Played
    process: asyncio.subprocess.Process
    context: BrowserContext
    calls: Calls
    url: str
    token: str

    async def calls_page(self) -> Page:
        """A tab, logged in, with the list of calls."""
        tab = await self.context.new_page()
        code = access.login_code(self.token, time.time())
        await tab.goto(f"{self.url}/-/agenttrace/login?code={code}&next=/-/agenttrace/calls")
        return tab

    async def end(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        await self.process.wait()

    async def start_again(self) -> None:
        """The same pages at the same address."""
        self.process = await _start(self.providers, "--port", self.url.rpartition(":")[2])


async def _start(providers: Played, *options: str) -> asyncio.subprocess.Process:
    """A recorder whose pages answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agenttrace_mitm", "start", "--no-open", *options,
        env=providers.environ, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said = providers.home / "run" / "daemon.json"
    async with asyncio.timeout(PATIENCE_S):
        while not (said.exists() and json.loads(said.read_text())["port"]):
            await asyncio.sleep(0.05)
    return process


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    """A recorder that has nothing yet."""
    async with played(folder, _answer) as providers, async_playwright() as playwright:
        process = await _start(providers)
        daemon = json.loads((providers.home / "run" / "daemon.json").read_text())
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        calls = Calls(providers, daemon["proxy_port"])
        token = access.read_or_create_token(providers.home / "token")
        url = f"http://127.0.0.1:{daemon['port']}"
        one = Running(providers, process, await browser.new_context(), calls, url, token)
        yield one
        if one.process.returncode is None:
            await one.end()
        await browser.close()


async def test_ten_tabs_are_live_and_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        open_streams: set[Request] = set()
        one.context.on(
            "request", lambda sent: "/agenttrace/live?" in sent.url and open_streams.add(sent)
        )
        for ended in ("requestfinished", "requestfailed"):
            one.context.on(ended, lambda sent: open_streams.discard(sent))  # noqa: PLW0108  # C has no place for a mark

        tabs = [await one.calls_page()]
        for _ in range(TABS - 1):  # each whole: a browser opens six connections, streams hold some
            tabs.append(await one.context.new_page())
            await tabs[-1].goto(f"{one.url}/-/agenttrace/calls", wait_until="load")
        ended = await one.calls.make("seen-everywhere")
        await _shows(tabs[0], "seen-everywhere")
        took_s = time.monotonic() - ended
        print(f"a call was shown {took_s:.2f} s after it ended")
        await asyncio.gather(*(_shows(tab, "seen-everywhere") for tab in tabs))
        await _until(lambda: len(open_streams) == 1)  # one for all tabs
        assert took_s < (1 if FULL else PATIENCE_S)

        for tab in tabs[:-1]:
            await tab.evaluate(HIDE, True)
        await one.calls.make("seen-by-one")
        await _shows(tabs[-1], "seen-by-one")
        await _until(lambda: len(open_streams) == 1)  # of the tab that is looked at: it took over
        assert "seen-by-one" not in await tabs[0].inner_text("main")
        await tabs[0].evaluate(HIDE, False)
        await _shows(tabs[0], "seen-by-one")

        one.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            assert await one.process.wait() == 0
        print(f"Ctrl-C with {TABS} tabs open took {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < (2 if FULL else PATIENCE_S)


async def test_empty_pages_show_the_first_call(tmp_path: Path) -> None:
    """Somebody has one open while they try their first program."""
    async with running(tmp_path) as one:
        tabs = [await one.calls_page()]
        for page in ("", "/costs", "/agents", "/latency"):
            tabs.append(await one.context.new_page())
            await tabs[-1].goto(f"{one.url}/-/agenttrace{page}", wait_until="load")
        for tab in tabs:
            assert "Nothing is recorded yet" in await tab.inner_text("main")
        await tabs[0].evaluate("window.before = true")
        await one.calls.make("gpt-5.1")
        await asyncio.gather(*(_shows(tab, "gpt-5.1", "main") for tab in tabs))
        assert await tabs[0].evaluate("window.before"), "no new page for what this one can show"
        provider = tabs[0].locator("#filters select[name=provider]")
        await provider.select_option("openai")
        await tabs[0].wait_for_url("**provider=openai**")


async def test_what_somebody_is_inside_of_waits_until_they_leave(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        tab = await one.calls_page()
        await one.calls.make("seen-before")
        await _shows(tab, "seen-before")
        await tab.locator("main tbody a").first.focus()
        async with tab.expect_response("**/-/agenttrace/calls"):
            await one.calls.make("seen-after")
        await _is_quiet(tmp_path)
        assert "seen-after" not in await tab.inner_text("#live-calls")
        await tab.evaluate("document.activeElement.blur()")
        await _shows(tab, "seen-after")


MARK = "getSelection().selectAllChildren(document.querySelector('main'))"


async def test_who_marks_what_an_empty_page_tells_them_to_run_sees_the_call(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        tab = await one.calls_page()
        await tab.evaluate(MARK)
        await one.calls.make("seen-beside")
        await _shows(tab, "seen-beside")
        await tab.evaluate(MARK)
        async with tab.expect_response("**/-/agenttrace/calls"):
            await one.calls.make("seen-later")
        await _is_quiet(tmp_path)
        assert "seen-later" not in await tab.inner_text("#live-calls")
        await tab.evaluate("getSelection().removeAllRanges()")
        await _shows(tab, "seen-later")


async def test_a_page_that_is_live_while_empty_only_asks_no_more(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.calls_page()
        tab = await one.context.new_page()
        await tab.goto(f"{one.url}/-/agenttrace/agents", wait_until="load")
        await one.calls.make("seen-once")
        await _shows(tab, "seen-once", "main")
        await _is_quiet(tmp_path)
        asked: list[str] = []
        tab.on("request", lambda sent: asked.append(sent.url))
        await one.calls.make("seen-by-others")
        await _is_quiet(tmp_path)
        assert asked == []


async def test_what_somebody_types_stays(tmp_path: Path) -> None:
    """Calls come that were filtered for, while a search is being written."""
    async with running(tmp_path) as one:
        await one.calls.make("seen-before")
        tab = await one.calls_page()
        await tab.goto(f"{one.url}/-/agenttrace/calls?model=seen-now", wait_until="load")
        await tab.locator("#filters input[name=q]").fill("compiler")
        await tab.evaluate("document.activeElement.blur()")
        async with tab.expect_response("**/-/agenttrace/calls?*"):
            await one.calls.make("seen-now")
        await _is_quiet(tmp_path)
        assert await tab.locator("#filters input[name=q]").input_value() == "compiler"
        await tab.locator("#filters input[name=q]").fill("")
        await tab.evaluate("document.activeElement.blur()")
        await tab.locator("main tbody tr").first.wait_for()


async def test_a_page_on_its_way_misses_nothing(tmp_path: Path) -> None:
    """It came before a call did, and listens only after the others were told of it."""
    async with running(tmp_path) as one:
        first = await one.calls_page()
        await one.calls.make("seen-before")
        await _shows(first, "seen-before")
        may_listen = asyncio.Event()

        async def slow(route: Route) -> None:
            await may_listen.wait()
            await route.continue_()

        second = await one.context.new_page()
        await second.route("**/live*.js*", slow)
        await second.goto(f"{one.url}/-/agenttrace/calls", wait_until="commit")
        await _shows(second, "seen-before")
        await one.calls.make("seen-meanwhile")
        await _shows(first, "seen-meanwhile")
        assert "seen-meanwhile" not in await second.inner_text("main")
        may_listen.set()
        await _shows(second, "seen-meanwhile")


async def test_a_page_nobody_looked_at_catches_up_beside_a_newer_one(tmp_path: Path) -> None:
    """The one that listens now was not there when the call was recorded."""
    async with running(tmp_path) as one:
        first = await one.calls_page()
        await one.calls.make("seen-before")
        await _shows(first, "seen-before")
        await first.evaluate(HIDE, True)
        await one.calls.make("seen-by-nobody")
        await _is_quiet(tmp_path)
        newer = await one.context.new_page()
        await newer.goto(f"{one.url}/-/agenttrace/calls", wait_until="load")
        await _shows(newer, "seen-by-nobody")
        await asyncio.sleep(1)  # it is told of nothing that it would pass on
        await first.evaluate(HIDE, False)
        await _shows(first, "seen-by-nobody")


async def test_a_page_asks_again_when_the_server_was_too_busy(tmp_path: Path) -> None:
    """Nothing is recorded after it that would make the page look once more."""
    async with running(tmp_path) as one:
        tab = await one.calls_page()
        refused: list[str] = []

        async def busy(route: Route) -> None:
            if len(refused) == 2:
                await route.continue_()
            else:
                refused.append(route.request.url)
                await route.fulfill(status=503)

        await tab.route("**/-/agenttrace/calls", busy)
        await one.calls.make("seen-late")
        await _shows(tab, "seen-late")
        assert len(refused) == 2


async def test_a_stream_that_was_refused_is_asked_for_again(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        refused: list[str] = []

        async def busy(route: Route) -> None:
            if refused:
                await route.continue_()
            else:
                refused.append(route.request.url)
                await route.fulfill(status=503)

        await one.context.route("**/agenttrace/live?*", busy)
        tab = await one.calls_page()
        await _until(lambda: refused)
        await one.calls.make("seen-after-all")
        await _shows(tab, "seen-after-all")


GONE = "Not live: the server does not answer."


async def _says(tab: Page, words: str) -> None:
    """Until the line that says whether the page is live is *words*."""
    line = tab.locator(".at-away[role=status]")
    async with asyncio.timeout(PATIENCE_S):
        while await line.text_content() != words:
            await asyncio.sleep(0.05)


async def test_pages_say_that_the_server_has_gone_until_it_is_back(tmp_path: Path) -> None:
    """All that are looked at, though one alone listens; who comes back to one is told as well."""
    async with running(tmp_path) as one:
        await one.calls.make("seen-before")
        tabs = [await one.calls_page(), await one.context.new_page(), await one.context.new_page()]
        await tabs[1].goto(f"{one.url}/-/agenttrace", wait_until="load")
        await tabs[2].goto(f"{one.url}/-/agenttrace/traces", wait_until="load")
        await tabs[2].evaluate(HIDE, True)
        for tab in tabs:
            await _says(tab, "")
        await one.end()
        ended = time.monotonic()
        for tab in tabs[:2]:
            await _says(tab, GONE)
        assert time.monotonic() - ended > 2, "a server may be started anew"
        await _says(tabs[2], "")
        await tabs[2].evaluate(HIDE, False)
        await _says(tabs[2], GONE)
        await one.start_again()
        for tab in tabs:
            await _says(tab, "")


async def test_a_server_that_is_started_anew_is_not_missed(tmp_path: Path) -> None:
    """Nor is one while a page is left."""
    async with running(tmp_path) as one:
        missed: list[str] = []

        async def away(route: Route) -> None:
            if len(missed) == 2:
                await route.continue_()
            else:
                missed.append(route.request.url)
                await route.abort("connectionrefused")

        await one.context.route("**/agenttrace/live?*", away)
        tab = await one.calls_page()
        await tab.evaluate(
            """window.said = [];
            const line = document.querySelector(".at-away");
            const heard = new MutationObserver(() => said.push(line.textContent));
            heard.observe(line, { childList: true });"""
        )
        async with asyncio.timeout(PATIENCE_S):
            while len(missed) < 2:
                await asyncio.sleep(0.05)
        await asyncio.sleep(3)
        await one.calls.make("seen-after")
        await _shows(tab, "seen-after")
        assert await tab.evaluate("window.said") == []
        await tab.get_by_role("link", name="Traces").click()
        await _says(tab, "")


async def test_a_page_that_is_refused_says_so(tmp_path: Path) -> None:
    """The server answers, and the page cannot be had: a database that is away, another token."""
    async with running(tmp_path) as one:
        tab = await one.calls_page()
        may_answer = asyncio.Event()

        async def busy(route: Route) -> None:
            await (route.continue_() if may_answer.is_set() else route.fulfill(status=503))

        await tab.route("**/-/agenttrace/calls", busy)
        await one.calls.make("seen-late")
        await _says(tab, "Not live: reload this page to see why.")
        may_answer.set()
        await _shows(tab, "seen-late")
        await _says(tab, "")


async def test_a_new_model_can_be_chosen(tmp_path: Path) -> None:
    """What somebody chose, has open or types in the bar stays; it is renewed when they leave it."""
    async with running(tmp_path) as one:
        await one.calls.make("seen-first")
        tab = await one.calls_page()
        await tab.goto(f"{one.url}/-/agenttrace/calls?provider=openai", wait_until="load")
        models = tab.locator("#filters select[name=model] option")
        search = tab.locator("#filters input[name=q]")
        await one.calls.make("seen-then")
        await _shows(tab, "seen-then")
        assert await models.all_text_contents() == ["all", "seen-first", "seen-then"]
        assert await tab.locator("#filters select[name=provider]").input_value() == "openai"
        await search.fill("compiler")
        await one.calls.make("seen-last")
        await _shows(tab, "seen-last")
        assert await models.count() == 3
        assert await search.input_value() == "compiler"
        await search.fill("")
        await tab.evaluate("document.activeElement.blur()")
        await models.get_by_text("seen-last").wait_for(state="attached")
        await tab.locator("#filters select[name=model]").select_option("seen-last")
        await tab.wait_for_url("**model=seen-last**")
