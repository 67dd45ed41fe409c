"""Comparisons: the plan, equal starts, refusals, replacement, processes."""

import json
from dataclasses import replace

import pytest
import torch

import sngan
from helpers.comparisons import TINY, compared
from helpers.pages import Page
from sngan.engine import TrainState
from sngan.engine.train import TrainingError
from sngan.tasks.compare import SETTINGS, compare, plan_trials, runner


def test_the_settings_are_the_papers():
    # Miyato et al. 2018, arXiv:1802.05957, Table 1
    table = {
        "A": (0.0001, 0.5, 0.9, 5),
        "B": (0.0001, 0.5, 0.999, 1),
        "C": (0.0002, 0.5, 0.999, 1),
        "D": (0.001, 0.5, 0.9, 5),
        "E": (0.001, 0.5, 0.999, 5),
        "F": (0.001, 0.9, 0.999, 5),
    }
    assert {name: (s.lr, *s.betas, s.n_critic) for name, s in SETTINGS.items()} == table


def planned(**options):
    options = {"methods": ["sn", "wgan"], "seeds": 2, "settings": [], "out": "o"} | options
    return plan_trials(replace(TINY, seed=3), **options)


def test_the_plan_is_every_method_setting_and_seed():
    runs = planned(settings=["A", "F"])
    assert [(run.method, run.setting, run.seed) for run in runs] == [
        (method, setting, seed)
        for seed in (3, 4)
        for setting in ("A", "F")
        for method in ("sn", "wgan")
    ]
    assert len({run.folder for run in runs}) == 8
    method = runs[3].config.method
    assert (method.name, method.optimizer, method.lr) == ("wgan", "adam", 1e-3)
    assert (method.betas, method.n_critic, method.clip) == ((0.9, 0.999), 5, 0.01)
    assert str(runs[3]) == "wgan, setting F, seed 3"
    assert all(run.config.steps == 12 and run.config.data == TINY.data for run in runs)


def test_without_settings_each_method_has_its_own():
    sn, wgan = (run.config.method for run in planned(seeds=1, overrides={"n_critic": 2}))
    assert sn == replace(sngan.METHODS["sn"], n_critic=2)
    assert wgan == replace(sngan.METHODS["wgan"], n_critic=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["sm"]}, r"methods: expected one of .*, got 'sm' \(did you mean sn"),
        ({"methods": []}, r"methods: expected at least one method, got none"),
        ({"settings": ["G"]}, r"settings: expected one of A, B, C, D, E, F, got 'G'"),
        ({"seeds": 0}, r"seeds: expected an integer of at least 1, got 0"),
        (
            {"settings": ["A"], "overrides": {"lr": 1.0, "clip": 0.1}},
            r"settings: expected none where the optimizer is set by hand, got A and method.lr",
        ),
    ],
)
def test_what_cannot_be_planned_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        planned(**options)


@pytest.mark.parametrize("other", ["wgan", "wgan-gp", "vanilla"])
def test_runs_of_one_seed_start_from_the_same_weights(other):
    # spectral normalization divides the weights it starts from, so it is compared by its raw ones
    dataset = sngan.data.open_source("ring8")
    config = replace(
        planned()[0].config, model=replace(TINY.model, name="mlp", sample_shape=(2,)), seed=5
    )
    sn, rival = (
        TrainState.build(replace(config, method=sngan.METHODS[name]), dataset)
        for name in ("sn", other)
    )
    for left, right in zip(sn.generator.parameters(), rival.generator.parameters(), strict=True):
        assert torch.equal(left, right)
    scales = {name: 1.0 for name, _ in rival.critic.module.named_parameters()}
    coefficient = sn.spectral_norm.coefficient
    sigmas = sn.spectral_norm.sigmas()
    scales |= {f"{name}.weight": s.item() / coefficient for name, s in sigmas.items()}
    normalized = dict(sn.critic.module.named_parameters())
    for name, weight in rival.critic.module.named_parameters():
        torch.testing.assert_close(normalized[name] * scales[name], weight)
    another = TrainState.build(replace(config, seed=6), dataset)
    assert not torch.equal(next(another.generator.parameters()), next(sn.generator.parameters()))


def test_other_files_are_never_deleted(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"out: expected a new or empty folder, or a comparison"):
        compared(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_nothing_is_written_for_a_wrong_request(tmp_path):
    with pytest.raises(ValueError, match="methods: expected one of"):
        compared(tmp_path / "out", methods=["nothing"])
    assert not (tmp_path / "out").exists()


def test_overwriting_starts_anew_and_all_failed_is_an_error(quick_metrics, tmp_path, monkeypatch):
    def train(config, *, resume=False):
        raise TrainingError(f"broken at seed {config.seed}")

    monkeypatch.setattr(runner, "train", train)
    for steps in (12, 13):
        with pytest.raises(TrainingError, match="all 2 runs failed; the first: broken at seed 0"):
            compare(replace(TINY, steps=steps), methods=["sn"], seeds=2, out=tmp_path / "c",
                    overwrite=True)  # fmt: skip
    data = json.loads((tmp_path / "c" / "compare.json").read_text())
    assert data["steps"] == 13
    assert "Runs that failed (2)" in Page((tmp_path / "c" / "compare.html").read_text()).titles


def test_a_run_killed_before_its_first_checkpoint_starts_anew(tmp_path, monkeypatch):
    (run,) = plan_trials(TINY, methods=["sn"], seeds=1, settings=[], out=tmp_path)
    (run.folder / "samples").mkdir(parents=True)
    calls = []
    monkeypatch.setattr(runner, "train", lambda config, **o: calls.append((run.folder.exists(), o)))
    runner._train(run)
    assert calls == [(False, {"resume": False})]


def test_the_devices_are_shared_out(monkeypatch):
    runs = planned()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert runner._devices(runs) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    assert runner._devices(runs) == ["3", "5", "6"]
    cpu = replace(TINY, performance=replace(TINY.performance, device="cpu"))
    assert runner._devices(plan_trials(cpu, methods=["sn"], seeds=1, settings=[], out="o")) == []


@pytest.mark.slow
def test_runs_go_side_by_side_in_processes(tmp_path):
    runs = plan_trials(replace(TINY, steps=2), methods=["sn"], seeds=2, settings=[],
                out=tmp_path)  # fmt: skip
    ended = []
    rows = runner._side_by_side(runs, ["0", "1"], on_done=lambda run, row: ended.append(run.seed))
    assert [row.error for row in rows] == [None, None]
    assert sorted(ended) == [0, 1]
    assert [row.seed for row in rows] == [0, 1]
