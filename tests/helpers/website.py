"""The built site in headless Chromium, for tests of its pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SITE = Path(__file__).resolve().parents[2] / "build" / "site"
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
)


def pages() -> list[str]:
    """List the built pages by their place in the site; 404.html only works on a server."""
    found = (path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    return sorted(place for place in found if place != "404.html")


@contextmanager
def chromium() -> Iterator[Any]:
    """Open Chromium without a window; skip the test where it or Playwright is missing."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if program is None:
        pytest.skip("needs Chromium on the PATH, or its place in the variable CHROMIUM")
    api = pytest.importorskip("playwright.sync_api", reason="needs `pip install playwright`")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield browser
        browser.close()


class Visit:
    """A page that is open, and everything that went wrong on it."""

    def __init__(self, browser: Any, place: str, *, width: int = 1200, dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.faults: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", lambda one: self.faults.append(f"missing: {one.url}"))
        self.page.goto((SITE / place).as_uri(), wait_until="load")

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()

    def width_of_content(self) -> int:
        """Return the width that the page needs, in pixels."""
        return self.page.evaluate("document.documentElement.scrollWidth")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"request to another host: {request.url}")
