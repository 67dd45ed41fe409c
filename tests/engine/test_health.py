"""Health of a run while it trains: held-out images, figures, and lines in the log."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from helpers.health import records
from helpers.training import TINY, assert_identical, build, final_state, metrics, tiny
from sngan import METHODS, Config, config, data, load
from sngan.config import DataConfig
from sngan.engine import train as training
from sngan.engine.errors import TrainingError
from sngan.engine.health.clouds import Reference, nearest, share_above
from sngan.engine.health.extremes import Extremes
from sngan.engine.health.figures import HealthFigures
from sngan.engine.health.watch import HealthWatch
from sngan.engine.resolve import resolve_config

ONE = replace(METHODS["sn"], n_critic=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("health") / "run"
    return training.train(tiny(out, method=ONE, batch_size=32, steps=100, log_every=10))


def test_the_run_records_its_health(run):
    measured = [record for record in metrics(run.folder) if "health" in record]
    assert [record["step"] for record in measured] == [50, 100]
    figures = measured[-1]["health"]
    assert 0 <= figures["real_above_generated"] <= 1
    assert figures["generator_gradient_norm_least"] <= figures["generator_gradient_norm_largest"]
    assert {"spread", "reach", "energy", "held_out_score", "copy_distance"} <= figures.keys()
    assert all(isinstance(value, float) for value in figures.values())


@pytest.mark.parametrize("source", ["digits", "ring8"])
@pytest.mark.parametrize("pack", [2, 3])
def test_a_critic_of_packs_scores_whole_packs(tmp_path, monkeypatch, source, pack):
    settings = tiny(tmp_path, data=source, model=replace(TINY, pack=pack), batch_size=12)
    state, dataset = build(settings), data.open_source(source)
    forward, seen = state.critic.module.forward, []

    def note(samples, labels=None):
        seen.append((samples, forward(samples, labels)))
        return seen[-1][1]

    monkeypatch.setattr(state.critic.module, "forward", note)
    found = HealthFigures(resolve_config(settings, dataset), dataset).measure(state, copies=False)
    (real, scores), *_ = seen
    channels, *rest = dataset.sample_shape
    assert real.shape == ((256 if rest == [] else 128) // pack, pack * channels, *rest)
    assert found["real_score"] == pytest.approx(scores.mean().item())
    # each place of a pack has a sample of the data
    known = dataset.values(torch.arange(len(dataset))).flatten(1)
    for one in real[0].unflatten(0, (pack, channels)):
        assert (known == one.flatten()).all(1).any()
    assert ("trained_above_held_out" in found) == (source == "digits")
    assert found["slope"] > 0


def test_data_of_less_than_a_pack_has_no_scores(tmp_path):
    settings = tiny(tmp_path, model=replace(TINY, pack=4))
    state = build(settings)
    few = replace(data.open_source("digits"), labels=None)
    few = replace(few, samples=few.samples[:3])
    found = HealthFigures(resolve_config(settings, few), few).measure(state, copies=True)
    assert "real_score" not in found
    assert "reach" in found


def test_the_held_out_images_are_said_and_recorded(run):
    assert "held out: 100 of 1797 images" in (run.folder / "train.log").read_text()
    assert yaml.safe_load((run.folder / "config.yaml").read_text())["data"]["held_out"] == 100
    assert run.config.data.held_out == load(run.folder).config.data.held_out == 100


def test_a_resumed_run_keeps_its_held_out_images(run, tmp_path):
    out = shutil.copytree(run.folder, tmp_path / "run")
    asked = replace(run.config, out=str(out), steps=120, data=DataConfig(source="digits"))
    training.train(asked, resume=True)
    whole = training.train(replace(asked, out=str(tmp_path / "whole")))
    assert_identical(final_state(out), final_state(whole.folder))
    with pytest.raises(ValueError, match=r"data\.held_out: 100 → 50"):
        training.train(replace(asked, data=DataConfig(held_out=50), steps=130), resume=True)


def test_a_run_of_before_goes_on_with_all_images(tmp_path):
    before = tiny(tmp_path / "run", data=DataConfig(held_out=None), steps=10)
    training.train(before)
    path = tmp_path / "run" / "config.yaml"
    values = yaml.safe_load(path.read_text())
    del values["data"]["held_out"]
    path.write_text(yaml.safe_dump(values))
    assert config.load(path).data.held_out is None
    training.train(replace(before, data=DataConfig(), steps=20), resume=True)
    whole = training.train(replace(before, out=str(tmp_path / "whole"), steps=20))
    assert_identical(final_state(tmp_path / "run"), final_state(whole.folder))


@pytest.mark.parametrize("method", ["sn", "bn"])
def test_the_figures_change_neither_networks_nor_random_numbers(tmp_path, method):
    state = build(tiny(tmp_path, method=method))
    settings = replace(tiny(tmp_path, method=method), data=DataConfig(held_out=100))
    dataset = data.open_source("digits")
    before = state.state_dict()
    kept = {key: value for key, value in before.items() if key not in ("critic", "generator")}
    copies = {
        key: {name: value.clone() for name, value in before[key].items()}
        for key in ("critic", "generator")
    }
    found = HealthFigures(settings, dataset).measure(state, copies=True)
    after = state.state_dict()
    assert_identical({**kept, **copies}, after)
    assert found["trained_above_held_out"] == pytest.approx(0.5, abs=0.2)
    assert state.generator.module.training
    assert state.critic.module.training


def test_a_conditional_run_is_measured_by_class(tmp_path):
    by_class = replace(TINY, conditional=True)
    state = build(settings := tiny(tmp_path, model=by_class))
    from sngan.engine.resolve import resolve_config

    dataset = data.open_source("digits")
    found = HealthFigures(resolve_config(settings, dataset), dataset).measure(state, copies=False)
    assert 0 <= found["real_above_generated"] <= 1


def test_share_above_is_mann_whitney():
    from scipy.stats import mannwhitneyu

    left, right = torch.randn(40).round(decimals=1), torch.randn(30).round(decimals=1)
    expected = mannwhitneyu(left.numpy(), right.numpy()).statistic / (40 * 30)
    assert share_above(left, right).item() == pytest.approx(expected, abs=1e-6)


def test_figures_of_clouds_have_their_closed_forms():
    real = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    reference = Reference(real, real + 0.1)
    same = reference.compare(real)
    assert same["spread"].item() == pytest.approx(1)
    assert same["reach"].item() == pytest.approx(1)
    assert same["duplicates"].item() == 0
    one = reference.compare(torch.zeros(4, 1))
    assert one["spread"].item() == 0
    assert one["reach"].item() == pytest.approx(0.25)
    assert one["duplicates"].item() == 1
    # 2·E|x−y| − E|x−x'| − E|y−y'| = 2·1.5 − 0 − 5/3, over 5/3
    assert one["energy"].item() == pytest.approx((3 - 5 / 3) / (5 / 3))
    far = reference.compare(real + 10)
    assert far["energy"].item() == pytest.approx((20 - 2 * 5 / 3) / (5 / 3), rel=1e-4)


def test_the_nearest_rows_are_those_of_brute_force():
    x, y = torch.randn(20, 3), torch.randn(50, 3)
    expected = (x[:, None] - y).norm(dim=2).min(dim=1).values
    torch.testing.assert_close(nearest(x, y.split(7)), expected, rtol=1e-4, atol=1e-4)
    among = (y[:, None] - y).norm(dim=2).fill_diagonal_(torch.inf).min(dim=1).values[:20]
    found = nearest(y[:20], y.split(7), leave_out_first=True)
    torch.testing.assert_close(found, among, rtol=1e-4, atol=1e-4)


def test_extremes_are_those_since_the_last_reset():
    extremes = Extremes(torch.device("cpu"))
    for value in (3.0, 1.0, 2.0):
        terms = {f"{name}_gradient_norm": torch.tensor(value) for name in ("generator", "critic")}
        extremes.update(terms)
    found = {name: term.item() for name, term in extremes.terms().items()}
    assert found["critic_gradient_norm_least"] == 1
    assert found["generator_gradient_norm_largest"] == 3
    extremes.reset()
    assert extremes.terms()["critic_gradient_norm_largest"] == 0


def settings_of(out: Path) -> Config:
    return replace(tiny(out), steps=10**6, data=DataConfig(held_out=100))


def test_a_condition_is_logged_once_also_after_a_resume(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="sngan")
    made, log = records(24, spread=lambda k: 0.9 if k < 4 else 0.1), tmp_path / "train.log"
    watch = HealthWatch(settings_of(tmp_path), (), log=log)
    for record in made[:16]:
        watch.follow(record)
    lines = [line for line in caplog.messages if line.startswith("health: ")]
    assert len(lines) == 1
    assert lines[0].startswith("health: collapse since step 300 (")
    assert lines[0].endswith(": --set batch_size=64")
    log.write_text(f"2026-01-01 WARNING {lines[0]}\n")
    caplog.clear()
    again = HealthWatch(settings_of(tmp_path), made[:16], log=log)
    for record in made[16:]:
        again.follow(record)
    assert [line for line in caplog.messages if line.startswith("health: collapse")] == []


def test_a_failed_run_says_in_its_records_what_was_not_finite(tmp_path):
    wild = replace(METHODS["vanilla"], optimizer="sgd", lr=1e30)
    with pytest.raises(TrainingError, match="was not finite at step"):
        training.train(tiny(tmp_path / "run", method=wild))
    last = metrics(tmp_path / "run")[-1]
    assert last.keys() == {"step", "not_finite"}
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("health: exploding gradient since step") == 1
    assert json.loads(json.dumps(load(tmp_path / "run").diagnose().to_dict()))["healthy"] is False
