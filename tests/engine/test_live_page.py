"""The page of a run that goes on: it is rewritten at little cost, and the last one stays."""

import pytest

from helpers import tiny_run
from helpers.clock import Clock
from sngan.engine import cadence, live_page
from sngan.engine import train as training
from sngan.engine.errors import TrainingError
from sngan.runs import checkpoint
from sngan.tasks import report
from sngan.tasks.train import train

_BOTH = ("with", "without")
RELOADS = '<meta http-equiv="refresh"'


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    for module in (live_page, cadence):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.mark.parametrize("cost", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("between", [0.5, 7.0])
def test_pages_take_one_percent_of_the_time(clock, tmp_path, cost, between):
    written = []

    def write(_):
        written.append(clock.now)
        clock.now += cost
        return True

    page = live_page.LivePage(write, tmp_path)
    while clock.now < 7200:
        clock.now += between
        page.update()
    assert written[0] < 60
    assert len(written) * cost <= 0.01 * 7200
    # the budget is used, so a page is never much older than it must be
    assert len(written) * cost >= min(0.8 * 72, 0.8 * cost * 7200 / max(between, 100 * cost))


def test_a_page_that_cannot_be_written_is_tried_once(clock, tmp_path):
    tried = []
    page = live_page.LivePage(lambda folder: tried.append(folder) is not None, tmp_path)
    for _ in range(100):
        clock.now += 50
        page.update()
    assert tried == [tmp_path]


@pytest.fixture
def pages(clock, monkeypatch):
    """The texts of all pages that a training writes, one after each output."""
    texts = []
    original = report.write_report

    def write(folder, **options):
        path = original(folder, **options)
        texts.append(path.read_text())
        return path

    monkeypatch.setattr(report, "write_report", write)
    monkeypatch.setattr(live_page, "FIRST_PAGE", 0.0)
    return texts


def test_only_pages_of_a_run_that_goes_on_reload(pages, tmp_path):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    train(tiny_run.config_of(tmp_path / "run", source))
    assert len(pages) >= 3
    assert all(RELOADS in page and "The run goes on" in page for page in pages[:-1])
    assert RELOADS not in pages[-1]
    assert "The run goes on" not in pages[-1]
    assert "script" not in pages[0]
    report.report(tmp_path / "run")
    assert RELOADS not in (tmp_path / "run" / "report.html").read_text()


def test_a_run_that_fails_leaves_a_page_that_does_not_reload(pages, tmp_path, monkeypatch):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    monkeypatch.setattr("sngan.engine.loop.train_step", lambda *_: 1 / 0)
    with pytest.raises(TrainingError):
        train(tiny_run.config_of(tmp_path / "run", source))
    assert RELOADS in pages[0]
    assert RELOADS not in pages[-1]


def test_a_run_with_pages_is_bit_for_bit_one_without(pages, tmp_path):
    source = tiny_run.pictures(tmp_path / "pictures.npz")
    train(tiny_run.config_of(tmp_path / _BOTH[0], source, log_every=50, sample_every=50))
    training.train(tiny_run.config_of(tmp_path / _BOTH[1], source, log_every=50, sample_every=50))
    states = [checkpoint.read(tmp_path / name / "checkpoints/last.pt") for name in _BOTH]
    for state in states:
        del state["seconds"]
    assert tiny_run.same(*states)
