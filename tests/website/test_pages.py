"""A walk through all pages of the built site in headless Chromium."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.website import SITE, Visit, chromium, pages

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not SITE.exists(), reason="the site is not built: `make docs`"),
]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
WIDGETS = [
    (place, name)
    for place in pages()
    for name in [Path(place).stem]
    if f'data-widget="{name}"' in (SITE / place).read_text()
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("place", pages())
def test_a_page_has_no_fault_and_fits_its_width(browser: Any, place: str, width: int) -> None:
    with Visit(browser, place, width=width) as visit:
        assert visit.faults == []
        assert visit.width_of_content() <= width
        assert visit.page.locator("[data-widget]:not([data-ready])").count() == 0
        # KaTeX marks a formula that it does not understand
        assert visit.page.locator(".katex-error").count() == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("place", pages())
def test_a_page_is_accessible(browser: Any, place: str, dark: bool) -> None:
    with Visit(browser, place, dark=dark) as visit:
        visit.page.add_script_tag(path=AXE)
        found = visit.page.evaluate(f"axe.run(document, {json.dumps(RULES)})")["violations"]
    serious = [
        (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize(("place", "name"), WIDGETS)
def test_a_thing_to_move_shows_the_librarys_numbers(browser: Any, place: str, name: str) -> None:
    with Visit(browser, place) as visit:
        box = visit.page.locator(f'[data-widget="{name}"]')
        checks = json.loads((SITE.parent / "website/guide" / f"{name}.json").read_text())["checks"]
        assert len(checks) >= 3
        for check in checks:
            for control, value in check["move"].items():
                _move(visit.page, control, value)
            for key, value in check["read"].items():
                shown = box.locator(f'[id="{key}"]').text_content()
                _assert_shows(shown, value, check.get("tolerance", 0))
        assert visit.faults == []


@pytest.mark.parametrize(("place", "name"), WIDGETS)
def test_a_thing_to_move_obeys_the_keyboard(browser: Any, place: str, name: str) -> None:
    with Visit(browser, place) as visit:
        box = visit.page.locator(f'[data-widget="{name}"]')
        controls = box.locator("input, select, button, [role=slider]")
        assert controls.count() >= 1
        for index in range(controls.count()):
            control = controls.nth(index)
            control.focus()
            assert control.evaluate("one => one === document.activeElement")
        before = box.inner_html()
        for index in range(controls.count()):
            controls.nth(index).focus()
            for key in ("ArrowRight", "ArrowDown", "Space", "Enter"):
                visit.page.keyboard.press(key)
        assert box.inner_html() != before
        assert visit.faults == []


def _move(page: Any, control: str, value: Any) -> None:
    target = page.locator(f'[id="{control}"]')
    kind = target.evaluate("one => one.getAttribute('role') || one.tagName.toLowerCase()")
    if kind == "button":
        for _ in range(int(value)):
            target.click()
    elif kind == "slider":
        target.evaluate("(one, value) => one.sngan.set(value)", value)
    else:
        target.evaluate(
            "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value
        )


def _assert_shows(shown: str, value: Any, tolerance: float) -> None:
    if isinstance(value, str):
        assert shown == value
    else:
        assert float(shown.replace("−", "-")) == pytest.approx(value, abs=tolerance)
