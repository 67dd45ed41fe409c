"""Fairness of comparisons: equal budgets, what each method spent, bounds below zero."""

import json
from dataclasses import replace

import pytest

from helpers.comparisons import TINY, compared
from helpers.pages import Page
from sngan import data
from sngan.config import Config
from sngan.report import write_comparison
from sngan.tasks.compare import budget, compare, plan_trials
from sngan.tasks.compare.plan import ComparisonPlan


def trials_of(tmp_path, *methods, base=TINY, **overrides):
    return plan_trials(
        base, methods=methods, seeds=1, settings=(), out=tmp_path, overrides=overrides
    )


@pytest.mark.parametrize("total", [1, 12, 100, 999])
def test_all_methods_take_the_same_critic_steps(tmp_path, total):
    trials = trials_of(tmp_path, "sn", "wgan", "wgan-gp", "vanilla")
    for is_images in (True, False):
        given = budget.critic_step_trials(trials, total, is_images=is_images)
        for trial in given:
            n_critic = trial.config.of_family(is_images=is_images).method.n_critic
            taken = trial.config.steps * n_critic
            assert total - n_critic < taken <= max(total, n_critic)


def test_all_methods_take_the_same_time(tmp_path):
    trials = trials_of(tmp_path, "sn", "wgan", "vanilla")
    speeds = {"sn own": 0.5, "wgan own": 0.125, "vanilla own": 400.0}
    given = budget.timed_trials(trials, 40, speeds)
    assert [trial.config.steps for trial in given] == [40, 160, 1]


def test_speeds_that_are_known_are_not_measured_again(tmp_path, capsys):
    trials = trials_of(tmp_path, "sn", "wgan", n_critic=1)
    dataset = data.open_source("ring8")
    known = {"sn own": 123.0}
    speeds = budget.measured_speeds(trials, dataset, known)
    assert list(speeds) == ["sn own", "wgan own"]
    assert speeds["sn own"] == 123.0
    assert 0 < speeds["wgan own"] < 10
    assert capsys.readouterr().out == "timing wgan\n"


@pytest.mark.slow
def test_a_comparison_by_time_goes_on_with_the_same_steps(tmp_path, quick_metrics, monkeypatch):
    times = iter([0.5, 0.25, 7.0])
    monkeypatch.setattr(budget, "_seconds_per_step", lambda *_: next(times))
    out = tmp_path / "ring"
    base = replace(TINY, steps=4)
    options = {"seeds": 1, "out": out, "same_budget": "seconds"}
    first = compare(base, methods=["sn", "wgan"], **options)
    assert [run.effort.steps for run in first.result.runs] == [4, 8]
    again = compare(base, methods=["sn", "wgan"], **options)
    assert again.to_dict() == first.to_dict()
    more = compare(base, methods=["wgan", "vanilla"], **options)
    # the first speed is still that of the first method of the first call
    assert [run.effort.steps for run in more.result.runs] == [8, 1]
    assert "the time that sn needs for 4 generator steps" in (out / "compare.html").read_text()
    with pytest.raises(ValueError, match=r"same_budget: 'seconds' → 'steps'"):
        compare(base, methods=["sn"], seeds=1, out=out)


def test_the_table_says_what_each_method_spent(finished):
    table = finished.table()
    lines = table.splitlines()
    place = next(
        k for k, line in enumerate(lines) if line.startswith("method  setting       steps")
    )
    sn, wgan = (line.split() for line in lines[place + 1 : place + 3])
    assert sn[0] == "sn"
    assert wgan[0] == "wgan"
    assert {"hinge", "12", "16"} <= set(sn)
    assert "wasserstein" in wgan
    for run in (run for run in finished.result.runs if run.error is None):
        assert run.effort.critic_steps == run.effort.steps * run.effort.n_critic
        assert 0 < run.cpu_seconds < 600
    page = Page((finished.folder / "compare.html").read_text())
    assert "What each method spent" in page.titles


def test_one_failed_seed_leaves_nothing_to_test(finished):
    found = finished.to_dict()["differences"]
    assert [(one["left"], one["right"], one["p"]) for one in found] == [("sn", "wgan", None)]
    assert "cannot be tested with these seeds" in finished.table()


def test_one_seed_decides_nothing(finished, tmp_path):
    values = json.loads((finished.folder / "compare.json").read_text())
    values |= {"seeds": [0], "animations": {}}
    (tmp_path / "compare.json").write_text(json.dumps(values))
    text = write_comparison(tmp_path).read_text()
    assert "nothing can be said about differences" in text


@pytest.mark.usefixtures("real_pictures")
def test_a_bound_below_zero_is_drawn_as_zero(finished, tmp_path):
    drawn = {}
    for low in (-5.0, 0.0):
        values = json.loads((finished.folder / "compare.json").read_text())
        values["animations"] = {}
        for cell in values["summary"]:
            cell["curves"]["w1_bound"] = [[step, low, low, low] for step in (2, 12)]
        (tmp_path / "compare.json").write_text(json.dumps(values))
        text = write_comparison(tmp_path).read_text()
        drawn[low] = text.partition("The critic's estimate and the exact distance")[2]
    assert drawn[-5.0] == drawn[0.0]


def test_a_comparison_of_an_earlier_version_is_read(finished, tmp_path):
    values = json.loads((finished.folder / "compare.json").read_text())
    for row in (*values["summary"], *values["runs"]):
        for key in ("effort", "cpu_seconds"):
            row.pop(key, None)
    for key in ("same_budget", "differences"):
        values.pop(key, None)
    values["animations"] = {}
    (tmp_path / "compare.json").write_text(json.dumps(values))
    assert "12 generator steps" in write_comparison(tmp_path).read_text()


def test_a_plan_of_an_earlier_version_goes_on(tmp_path):
    plan = ComparisonPlan.of(Config(data="ring8").for_points, {}, "steps")
    path = tmp_path / "plan.json"
    plan.write(path)
    values = json.loads(path.read_text())
    values["base"]["evaluation"]["every"] = 0
    del values["base"]["evaluation"]["features"], values["same_budget"], values["speeds"]
    path.write_text(json.dumps(values))
    before = ComparisonPlan.read(path)
    assert before.differences(plan) == []
    # it keeps what ``extractor: auto`` meant when it began
    assert (before.features, plan.features) == (1, 2)


@pytest.mark.parametrize("word", ["step", "critic_steps", "time"])
def test_an_unknown_budget_is_refused(tmp_path, word):
    expected = "same_budget: expected one of critic-steps, seconds, steps"
    with pytest.raises(ValueError, match=expected):
        compared(tmp_path / "out", same_budget=word)
