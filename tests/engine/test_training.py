"""Whole trainings: exact resume, divergence, interruption, refused folders."""

import os
import shlex
import signal
import time
from dataclasses import replace

import pytest
import torch

from helpers.training import (
    AUGMENTED,
    BY_CLASS,
    SETTINGS,
    TINY,
    assert_identical,
    final_state,
    metrics,
    start,
    timeless,
    tiny,
    wait_for_step,
)
from sngan import METHODS
from sngan.cli import main
from sngan.config import DataConfig
from sngan.engine import steps
from sngan.engine import train as training
from sngan.runs import checkpoint


class CrashError(Exception):
    pass


DIGITS = DataConfig(source="digits", flip=True)
GROUPED = replace(TINY, pack=2, minibatch_std=2)


@pytest.mark.parametrize(
    "settings",
    [
        {"data": DIGITS, "method": "sn"},
        *(
            pytest.param({"data": DIGITS, "method": method}, marks=pytest.mark.slow)
            for method in ("wgan-gp", "sn-operator", "r3gan")
        ),
        {"data": DIGITS, "method": "wn"},
        {"data": DIGITS, "method": "bn"},
        {"data": DataConfig(source="grid25"), "method": "sn"},
        pytest.param(
            {"data": AUGMENTED, "method": "sn", "model": BY_CLASS}, marks=pytest.mark.slow
        ),
        pytest.param(
            {"data": AUGMENTED, "method": "r3gan", "model": BY_CLASS}, marks=pytest.mark.slow
        ),
        {"data": DIGITS, "method": "r1", "model": GROUPED},
    ],
    ids=lambda settings: "-".join(
        [settings["method"], settings["data"].source, *["with-model"][: "model" in settings]]
    ),
)
@pytest.mark.bitwise
def test_resume_after_a_crash_is_bit_for_bit(tmp_path, monkeypatch, settings):
    settings = {
        **settings,
        "ema_decay": 0.9,
        "ema_start": 7,
        "schedule": "linear",
        "steps": 20,
        "sample_every": 10,
        "save_every": 5,
    }
    whole = tiny(tmp_path / "whole", **settings)
    training.train(whole)

    torch.manual_seed(999)
    broken = tiny(tmp_path / "broken", **settings)
    real_update = steps.update_average

    def crashing_update(state, *, start):
        # both networks have changed, and their average has not
        if state.step == 12:
            raise CrashError("power cut")
        real_update(state, start=start)

    monkeypatch.setattr(steps, "update_average", crashing_update)
    with pytest.raises(training.TrainingError, match="CrashError: power cut"):
        training.train(broken)
    assert metrics(tmp_path / "broken")[-1]["step"] == 10
    monkeypatch.setattr(steps, "update_average", real_update)
    training.train(broken, resume=True)

    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "broken"))
    records = metrics(tmp_path / "broken")
    assert [record["step"] for record in records] == list(range(5, 21, 5))
    assert timeless(records) == timeless(metrics(tmp_path / "whole"))
    for name in ("step-000020.png", "step-000010.png"):
        left, right = (tmp_path / run / "samples" / name for run in ("whole", "broken"))
        assert left.read_bytes() == right.read_bytes()


@pytest.mark.bitwise
def test_steps_may_grow(tmp_path):
    training.train(tiny(tmp_path / "whole", steps=12))
    training.train(tiny(tmp_path / "grown", steps=8))
    training.train(tiny(tmp_path / "grown", steps=12), resume=True)
    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "grown"))


def test_another_seed_is_another_run(tmp_path):
    for seed in (0, 1):
        training.train(tiny(tmp_path / str(seed), steps=5, seed=seed))
    first, second = (metrics(tmp_path / seed) for seed in "01")
    assert first[0]["critic_loss"] != second[0]["critic_loss"]


@pytest.mark.bitwise
@pytest.mark.slow
def test_resume_after_kill_9_is_bit_for_bit(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    victim = start(killed, "--steps", "120")
    wait_for_step(killed, 20, victim)
    victim.kill()
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    done = checkpoint.read_newest(killed / "checkpoints")[0]["step"]
    assert 20 <= done < 120
    # The process of this test goes on, which saves the start of two more.
    assert main(["train", "--out", str(killed), "--resume"]) == 0
    assert main(["train", "--out", str(whole), "--steps", "120", "--set", *SETTINGS]) == 0
    assert_identical(final_state(whole), final_state(killed))


def test_ctrl_c_saves_and_exits_130(tmp_path):
    run = tmp_path / "it's my run"
    process = start(run, "--steps", "1000000")
    wait_for_step(run, 10, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("sngan: interrupted at step ")
    assert len(errors.splitlines()) == 1
    assert f"step {checkpoint.read(run / 'checkpoints' / 'last.pt')['step']};" in errors
    assert (run / "report.html").stat().st_size > 10_000
    command = errors.rpartition("to go on: ")[2]
    assert shlex.split(command) == ["sngan", "train", "--out", str(run), "--resume"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", ["digits", pytest.param("ring8", marks=pytest.mark.slow)])
def test_every_method_trains_and_records(tmp_path, method, source):
    # recipes with self-attention need images, or to be asked for without it
    model = replace(TINY, attention=None) if source == "ring8" else TINY
    run = training.train(tiny(tmp_path / "run", data=source, method=method, model=model, steps=10))
    records = metrics(run.folder)
    assert [record["step"] for record in records] == [5, 10]
    for record in records:
        expected = {"critic_loss", "generator_loss", "w_estimate", "generator_gradient_norm"}
        assert expected <= set(record)
        assert ("penalty" in record) == (METHODS[method].penalty is not None)
        assert ("orthonormal" in record) == (method == "orthonormal")
        # infinity: batch norm while it trains, layer norm near constant inputs
        if record.get("lipschitz", 0.0) is None:
            assert method in ("bn", "ln")
            del record["lipschitz"]
        flat = [v for v in record.values() if not isinstance(v, dict)] + [*record["sigma"].values()]
        assert all(isinstance(value, int | float) for value in flat)
        assert all(value > 0 for value in record["sigma"].values())
    names = {path.name for path in run.folder.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "generator.safetensors", "train.log"} <= names
    assert any(name.startswith("events") for name in names)
    samples = sorted(path.name for path in (run.folder / "samples").iterdir())
    assert samples == ["real.png", "step-000000.png", "step-000010.png"]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("bn", {"penalty": "r1"}, "method.penalty: expected none with batch norm, .* got 'r1'"),
        ("wgan-gp", {"critic_norm": "batch"}, "method.penalty: expected none with batch norm"),
        ("wn", {"clip": 0.1}, "method.critic_norm: expected weight normalization without .* 0.1"),
        ("sn", {"critic_norm": "weight"}, "method.critic_norm: expected weight norm.* 'matrix'"),
        ("sn", {"critic_norm": "group"}, "method.critic_norm: expected one of batch, layer"),
        ("sn", {"orthonormal": -1.0}, "method.orthonormal: expected a finite number"),
    ],
)
def test_methods_that_do_not_go_together(name, changes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(METHODS[name], **changes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_data_is_read_ends_it_at_once(tmp_path, monkeypatch, number):
    def reading(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(5)
        pytest.fail("was not interrupted")

    former = signal.getsignal(number)
    monkeypatch.setattr("sngan.engine.setup.open_dataset", reading)
    with pytest.raises(KeyboardInterrupt):
        training.train(tiny(tmp_path / "run"))
    assert signal.getsignal(number) is former
    assert not (tmp_path / "run").exists()


def test_divergence_names_the_step_the_term_and_the_last_good_checkpoint(tmp_path, monkeypatch):
    real_step = steps.critic_step

    def breaking_step(config, state, batch):
        terms = real_step(config, state, batch)
        if state.step >= 12:
            terms["critic_loss"] = terms["critic_loss"] * float("nan")
        return terms

    monkeypatch.setattr(steps, "critic_step", breaking_step)
    with pytest.raises(training.TrainingError) as error:
        training.train(tiny(tmp_path / "run", log_every=10, save_every=5))
    message = str(error.value)
    assert message.startswith("critic_loss was not finite at step 13; last good checkpoint: ")
    assert "try a smaller learning rate" in message
    assert "\n" not in message
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 10


def test_a_huge_learning_rate_diverges_with_a_whole_checkpoint(tmp_path):
    method = replace(METHODS["vanilla"], lr=1e30, optimizer="sgd")
    with pytest.raises(training.TrainingError, match="was not finite at step"):
        training.train(tiny(tmp_path / "run", method=method))
    assert checkpoint.read(tmp_path / "run" / "checkpoints" / "last.pt")["step"] < 10


def test_resume_with_other_settings_names_them(tmp_path):
    training.train(tiny(tmp_path / "run", steps=5))
    other = tiny(tmp_path / "run", steps=9, seed=3, batch_size=4)
    with pytest.raises(ValueError, match=r"batch_size: 8 → 4; .*seed: 0 → 3|seed: 0 → 3; batch"):
        training.train(other, resume=True)
    with pytest.raises(ValueError, match="steps: expected at least the 5 steps"):
        training.train(tiny(tmp_path / "run", steps=3), resume=True)
    with pytest.raises(ValueError, match="resume: expected a run folder at --out"):
        training.train(tiny(tmp_path / "none"), resume=True)


@pytest.mark.bitwise
def test_resume_falls_back_to_the_checkpoint_before(tmp_path, caplog):
    training.train(tiny(tmp_path / "run", steps=20))
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:500])
    training.train(tiny(tmp_path / "run", steps=20), resume=True)
    assert checkpoint.read(last)["step"] == 20
    assert "last.pt" in caplog.text
    training.train(tiny(tmp_path / "whole", steps=20))
    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "run"))


def test_existing_folders_are_not_overwritten_unasked(tmp_path):
    run = tmp_path / "run"
    training.train(tiny(run, steps=5))
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"out: expected a new or empty folder .*, a run"):
        training.train(tiny(run, steps=6))
    assert (run / "metrics.jsonl").read_bytes() == before
    training.train(tiny(run, steps=6), overwrite=True)
    assert metrics(run)[-1]["step"] == 6

    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("…")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="which holds other files"):
            training.train(tiny(precious, steps=5), overwrite=overwrite)
    assert (precious / "chapter1.tex").read_text() == "…"


def test_bf16_autocast_trains_with_full_precision_weights(tmp_path):
    from sngan.config import PerformanceConfig

    sigmas = []
    for precision in ("32-true", "bf16-mixed"):
        performance = PerformanceConfig(device="cpu", precision=precision)
        for method in ("sn", "wgan-gp"):
            out = tmp_path / f"{precision}-{method}"
            training.train(tiny(out, performance=performance, method=method, steps=10))
        state = final_state(tmp_path / f"{precision}-sn")
        assert {t.dtype for t in state["critic"].values()} == {torch.float32}
        sigmas.append(list(metrics(tmp_path / f"{precision}-sn")[-1]["sigma"].values()))
    assert sigmas[1] == pytest.approx(sigmas[0], rel=0.05)
    assert sigmas[1] != sigmas[0]
