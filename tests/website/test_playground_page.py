"""The playground in Chromium: training as in node, every control, keyboard, speed of its parts."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.playground import CALLS, CORE, STEPS, deviation, double_run, library_run
from helpers.website import SITE, Visit, chromium

PAGE = "playground.html"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (SITE / PAGE).exists(), reason="the site is not built: `make docs`"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def read(page: Any, name: str) -> str:
    return page.locator(f"#playground-{name}-out").text_content()


def number(page: Any, name: str) -> float:
    return float(re.match(r"-?[\d.]+(e[+-]\d+)?", read(page, name))[0])  # pyright: ignore[reportOptionalSubscript]


@pytest.mark.parametrize("method", ["sn", "wgan", "wgan-gp", "r1", "vanilla"])
def test_twenty_steps_equal_the_librarys(browser: Any, method: str) -> None:
    start, _ = library_run(method, "swissroll", seed=0)
    with Visit(browser, PAGE) as visit:
        visit.page.add_script_tag(path=CALLS)
        found = visit.page.evaluate("start => calls.train(start)", start)
    assert len(found["terms"]) == STEPS
    assert deviation(found, double_run(method, "swissroll", start, seed=0)) < 1e-5


def test_steps_of_one_network_and_reset(browser: Any) -> None:
    with Visit(browser, PAGE) as visit:
        page = visit.page
        first = {name: read(page, name) for name in ("w1", "value", "longest", "step")}
        page.click("#playground-critic-step")
        assert read(page, "step") == "0 (critic moved)"
        assert read(page, "w1") == first["w1"]  # the generator did not move
        assert read(page, "value") != first["value"]
        page.click("#playground-generator-step")
        assert read(page, "step") == "1 (generator moved)"
        assert read(page, "w1") != first["w1"]
        page.click("#playground-reset")
        assert {name: read(page, name) for name in first} == first
        page.fill("#playground-seed", "5")
        page.press("#playground-seed", "Enter")
        assert read(page, "w1") != first["w1"]
        assert visit.faults == []


@pytest.mark.parametrize(
    ("button", "data", "method", "limit", "total"),
    [
        ("vanilla", "grid25", "vanilla", "", "25"),
        ("clip", "grid25", "wgan", "0.01", "25"),
        ("sn", "grid25", "sn", "2", "25"),
    ],
)
def test_an_experiment_fills_the_controls_and_plays(
    browser: Any, button: str, data: str, method: str, limit: str, total: str
) -> None:
    with Visit(browser, PAGE) as visit:
        page = visit.page
        page.click(f"#playground-try-{button}")
        page.wait_for_function("parseInt(document.querySelector('#playground-step-out').value) > 5")
        page.click("#playground-play")
        step = read(page, "step")
        values = [page.input_value(f"#playground-{name}") for name in ("data", "method", "limit")]
        assert values == [data, method, limit]
        assert read(page, "modes").endswith(f"of {total}")
        assert number(page, "bound") <= number(page, "w1")
        page.wait_for_timeout(300)
        assert read(page, "step") == step  # paused
        assert visit.faults == []


def test_settings_act_at_once(browser: Any) -> None:
    with Visit(browser, PAGE) as visit:
        page = visit.page
        product = 2.0**4 / 0.566  # four norms of 2; the standard deviation of ring8
        assert number(page, "lipschitz") == pytest.approx(product, rel=0.05)
        page.fill("#playground-limit", "1")
        page.press("#playground-limit", "Enter")
        for _ in range(2):
            page.click("#playground-critic-step")
        assert number(page, "lipschitz") == pytest.approx(product / 16, rel=0.1)
        page.select_option("#playground-method", "vanilla")
        assert page.locator("#playground-limit").is_disabled()
        page.select_option("#playground-data", "swissroll")
        assert read(page, "modes") == "–"
        page.check("#playground-slow")
        page.fill("#playground-critic-steps", "3")
        page.press("#playground-critic-steps", "Enter")
        page.click("#playground-play")
        page.wait_for_function(
            "document.querySelector('#playground-step-out').value.includes('critic moved')"
        )
        page.wait_for_function(
            "document.querySelector('#playground-step-out').value === '1 (generator moved)'"
        )
        assert visit.faults == []


def test_a_run_ends_after_its_steps(browser: Any) -> None:
    with Visit(browser, PAGE) as visit:
        page = visit.page
        page.fill("#playground-steps", "100")
        page.press("#playground-steps", "Enter")
        page.click("#playground-play")
        page.wait_for_function("document.querySelector('#playground-play').textContent === 'Play'")
        assert read(page, "step") == "100 (both moved)"


def test_data_are_drawn_by_mouse_and_by_keyboard(browser: Any) -> None:
    with Visit(browser, PAGE, width=390) as visit:
        page = visit.page
        assert not page.locator("#playground-clear").is_visible()
        page.select_option("#playground-data", "drawn")
        alone = number(page, "floor")
        assert alone < 0.05  # all data lie at one place
        plane = page.locator("#playground-plane")
        plane.focus()
        for key in [" ", *["ArrowRight"] * 10, " "]:
            page.keyboard.press(key)
        by_keyboard = number(page, "floor")
        assert by_keyboard > alone
        box = plane.bounding_box()
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 240, steps=6)
        page.mouse.up()
        assert number(page, "floor") > by_keyboard
        page.click("#playground-clear")
        assert number(page, "floor") == pytest.approx(alone, rel=1e-9)
        assert visit.faults == []


def test_every_control_has_a_label_and_shows_its_focus(browser: Any) -> None:
    with Visit(browser, PAGE, width=390) as visit:
        page = visit.page
        controls = page.locator(".playground :is(input, select, button, canvas[tabindex])")
        assert controls.count() >= 16
        seen = set()
        page.locator("#playground-try-vanilla").focus()
        for _ in range(controls.count()):
            seen.add(page.evaluate("document.activeElement.id"))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", page.evaluate("document.activeElement.id")
            page.keyboard.press("Tab")
        visible = [one for one in controls.all() if one.is_visible() and one.is_enabled()]
        assert {one.get_attribute("id") for one in visible} <= seen
        for one in controls.all():
            name = one.evaluate("e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent")
            assert name.strip()
        assert visit.width_of_content() <= 390


def test_scripts_of_the_page_are_those_that_are_tested(browser: Any) -> None:
    with Visit(browser, PAGE) as visit:
        sources = visit.page.evaluate("[...document.scripts].map(script => script.src)")
    places = [Path(source.removeprefix("file://")) for source in sources if source]
    built = [path for path in places if path.parent == SITE / "playground"]
    assert [path.name for path in built] == ["engine.js", "session.js", "page.js"]
    assert [path.read_text() for path in built[:2]] == [path.read_text() for path in CORE]
