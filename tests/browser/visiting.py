"""What is asked of a page that a browser opened: see `Visit.faults`."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

GRAVE = {"serious", "critical"}
SIZES = {"wide": (1440, 1000), "narrow": (360, 780)}
EVERY = (("wide", "light"), ("narrow", "dark"), ("wide", "dark"), ("narrow", "light"))
SHORT = EVERY[:2]  # each size once, each scheme once
WIDER = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return null;
  const over = [...document.body.querySelectorAll("*")].filter((one) => {
    const box = one.getBoundingClientRect();
    if (box.right <= root.clientWidth + 1 || !box.width) return false;
    for (let up = one.parentElement; up && up !== root; up = up.parentElement)
      if (getComputedStyle(up).overflowX !== "visible") return false;
    return true;
  });
  return `${root.scrollWidth} px of ${root.clientWidth}: ` + over.slice(0, 3).map((one) =>
    `${one.tagName}.${one.getAttribute("class")} ${one.outerHTML.slice(0, 80)}`).join(" | ");
}"""
HARM = """() => [
  window.pwned === undefined ? null : "a script of the data ran",
  document.querySelector("iframe") ? "a frame" : null,
  ...[...document.querySelectorAll("a[href], form[action]")]
    .map((one) => one.getAttribute("href") ?? one.getAttribute("action"))
    .filter((to) => /^\\s*(javascript|data|vbscript):/i.test(to)).map((to) => "link " + to),
].filter(Boolean)"""


class Visit:
    """A tab that opens page after page and remembers all that went wrong with the one it shows."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self._axe = Axe()
        self._wrong: list[str] = []
        self._expected = 200
        self.page.on("console", self._said)
        self.page.on("pageerror", self._broke)
        self.page.on("request", self._asked)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)
        self.page.on("dialog", lambda dialog: (self._wrong.append("dialog"), dialog.dismiss()))

    def faults(self, address: str, looks: Any = SHORT, status: int = 200) -> list[str]:
        """What is wrong with the page at *address*, in each of *looks* (size, colour scheme).

        Console errors, failed requests, requests to elsewhere, scripts of the data, what axe calls
        serious or critical, content wider than the window.
        """
        self._wrong, self._expected = [], status
        self._look(looks[0])
        self.page.goto(address, wait_until="load")
        found = [fault for look in looks for fault in self._in(look)]
        return [*self._wrong, *found, *self.page.evaluate(HARM)]

    def _look(self, look: tuple[str, str]) -> None:
        width, height = SIZES[look[0]]
        self.page.emulate_media(color_scheme=look[1], reduced_motion="reduce")
        self.page.set_viewport_size({"width": width, "height": height})

    def _in(self, look: tuple[str, str]) -> Iterator[str]:
        self._look(look)
        name = " ".join(look)
        if wide := self.page.evaluate(WIDER):
            yield f"{name}: wider than the window, {wide}"
        told = self._axe.run(self.page, options={"resultTypes": ["violations"]}).response
        for violation in told["violations"]:
            if violation["impact"] in GRAVE:
                nodes = [node["html"][:160] for node in violation["nodes"][:2]]
                why = violation["nodes"][0].get("failureSummary", "").splitlines()[-1:]
                yield f"{name}: {violation['id']} ({len(violation['nodes'])}) {nodes} {why}"

    def _said(self, message: Any) -> None:
        # Chromium says of every answer of 400 or more that it could not be loaded.
        wanted = self._expected >= 400 and f"status of {self._expected}" in message.text
        if message.type in ("error", "warning") and not wanted:
            self._wrong.append(f"console: {message.text[:300]}")

    def _broke(self, error: Any) -> None:
        # datasette-vega 0.6.2 looks for the table of a page that has no rows, and does no harm.
        known = "datasette_vega" in (error.stack or "") and "'parentNode'" in error.message
        if not known:
            self._wrong.append(f"error {error}")

    def _asked(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "file") and parts.hostname != "127.0.0.1":
            self._wrong.append(f"asked {request.url[:200]}")

    def _failed(self, request: Any) -> None:
        # A stream or a look for news that was under way when the page was left.
        if request.failure != "net::ERR_ABORTED":
            self._wrong.append(f"failed {request.url[:200]} {request.failure}")

    def _answered(self, response: Any) -> None:
        document = response.request.is_navigation_request()
        if response.status >= 400 and not (document and response.status == self._expected):
            self._wrong.append(f"{response.status} {response.url[:200]}")
        elif document and response.status < 300 and self._expected != response.status:
            self._wrong.append(f"{response.status} rather than {self._expected}")
