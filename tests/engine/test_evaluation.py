"""The engine: its two steps, exact resume, divergence, interruption, the average."""

import copy
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.training import (
    AUGMENTED,
    BY_CLASS,
    TINY,
    NoWaiting,
    assert_identical,
    build,
    final_state,
    metrics,
    start,
    timeless,
    tiny,
    wait_for_step,
)
from sngan import METHODS, Config, data
from sngan.config import DataConfig, EvaluationConfig
from sngan.engine import train as training
from sngan.losses import LOSSES
from sngan.runs import checkpoint
from sngan.transport import wasserstein


class CrashError(Exception):
    pass


DIGITS = DataConfig(source="digits", flip=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"data": DIGITS, "method": "sn"},
        {"data": DIGITS, "method": "wgan-gp"},
        {"data": DIGITS, "method": "sn-operator"},
        {"data": DIGITS, "method": "r3gan"},
        {"data": DIGITS, "method": "wn"},
        {"data": DIGITS, "method": "bn"},
        {"data": DataConfig(source="grid25"), "method": "sn"},
        {"data": AUGMENTED, "method": "sn", "model": BY_CLASS},
        {"data": AUGMENTED, "method": "r3gan", "model": BY_CLASS},
    ],
    ids=lambda settings: "-".join(
        [settings["method"], settings["data"].source, *["by-class"][: "model" in settings]]
    ),
)
@pytest.mark.bitwise
def test_resume_after_a_crash_is_bit_for_bit(tmp_path, monkeypatch, settings):
    settings = {
        **settings,
        "ema_decay": 0.9,
        "ema_start": 15,
        "schedule": "linear",
    }
    whole = tiny(tmp_path / "whole", **settings)
    training.train(whole)

    torch.manual_seed(999)
    broken = tiny(tmp_path / "broken", **settings)
    real_step = training.generator_step

    def crashing_step(state, *rest):
        if state.step == 26:
            raise CrashError("power cut")
        return real_step(state, *rest)

    monkeypatch.setattr(training, "generator_step", crashing_step)
    with pytest.raises(training.TrainingError, match="CrashError: power cut"):
        training.train(broken)
    assert metrics(tmp_path / "broken")[-1]["step"] == 25
    monkeypatch.setattr(training, "generator_step", real_step)
    training.train(broken, resume=True)

    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "broken"))
    records = metrics(tmp_path / "broken")
    assert [record["step"] for record in records] == list(range(5, 41, 5))
    assert timeless(records) == timeless(metrics(tmp_path / "whole"))
    for name in ("step-000040.png", "step-000020.png"):
        left, right = (tmp_path / run / "samples" / name for run in ("whole", "broken"))
        assert left.read_bytes() == right.read_bytes()


@pytest.mark.bitwise
def test_steps_may_grow(tmp_path):
    training.train(tiny(tmp_path / "whole", steps=30))
    training.train(tiny(tmp_path / "grown", steps=20))
    training.train(tiny(tmp_path / "grown", steps=30), resume=True)
    assert_identical(final_state(tmp_path / "whole"), final_state(tmp_path / "grown"))


def test_another_seed_is_another_run(tmp_path):
    for seed in (0, 1):
        training.train(tiny(tmp_path / str(seed), steps=5, seed=seed))
    first, second = (metrics(tmp_path / seed) for seed in "01")
    assert first[0]["critic_loss"] != second[0]["critic_loss"]


@pytest.mark.bitwise
def test_resume_after_kill_9_is_bit_for_bit(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    victim = start(killed, "--steps", "120")
    wait_for_step(killed, 20, victim)
    victim.kill()
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    done = checkpoint.read_newest(killed / "checkpoints")[0]["step"]
    assert 20 <= done < 120
    again = start(killed, "--resume")
    other = start(whole, "--steps", "120")
    for process in (again, other):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert_identical(final_state(whole), final_state(killed))


def test_ctrl_c_saves_and_exits_130(tmp_path):
    run = tmp_path / "run"
    process = start(run, "--steps", "1000000")
    wait_for_step(run, 10, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("sngan: error: interrupted at step ")
    assert len(errors.splitlines()) == 1
    assert f"step {checkpoint.read(run / 'checkpoints' / 'last.pt')['step']};" in errors
    assert (run / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", ["digits", "ring8"])
def test_every_method_trains_and_records(tmp_path, method, source):
    run = training.train(tiny(tmp_path / "run", data=source, method=method, steps=10))
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
    assert samples == ["step-000000.png", "step-000010.png"]


def test_the_guard_against_waiting_works():
    known = torch.ones(())
    with NoWaiting([known]):
        known.item()
        with pytest.raises(AssertionError):
            torch.ones(()).item()
        with pytest.raises(AssertionError):
            bool(torch.ones(1) > 0)
        with pytest.raises(AssertionError):
            torch.ones(3).nonzero()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("by_class", [False, True], ids=["plain", "by-class-augmented"])
def test_no_step_waits_for_the_device(tmp_path, method, by_class):
    more = {"model": BY_CLASS, "data": AUGMENTED} if by_class else {}
    config = tiny(tmp_path, method=method, **more)
    state = build(config)
    watch = training._Watch(state.device)
    # a first pass outside the guard builds the optimizers' state
    terms = training.critic_step(state, config.method, state.sampler.take())
    terms |= training.generator_step(state, config.method, state.sampler.take())
    optimizers = (state.critic_optimizer, state.generator_optimizer)
    counters = [kept["step"] for o in optimizers for kept in o.state.values()]
    assert all(counter.device.type == "cpu" for counter in counters)
    state.update_average(0)
    # the average counts on the host, so that its branch on the count waits for nothing
    assert state.average.n_averaged.device.type == "cpu"
    with NoWaiting(counters):
        terms = training.critic_step(state, config.method, state.sampler.take())
        terms |= training.generator_step(state, config.method, state.sampler.take())
        watch.update(terms, 1)


def test_each_step_gives_gradients_to_its_own_network_only(tmp_path):
    config = tiny(tmp_path)
    state = build(config)
    training.critic_step(state, config.method, state.sampler.take())
    assert all(p.grad is None for p in state.generator.parameters())
    assert all(p.grad is not None for p in state.critic.parameters())
    state.critic_optimizer.zero_grad()
    training.generator_step(state, config.method, state.sampler.take())
    assert all(p.grad is None for p in state.critic.parameters())
    assert all(p.requires_grad for p in state.critic.parameters())
    assert all(p.grad is not None for p in state.generator.parameters())


def test_the_critic_is_normalized_and_the_clipped_one_is_inside_the_box(tmp_path):
    for method in ("sn", "wgan"):
        config = tiny(tmp_path / method, method=method)
        state = build(config)
        for _ in range(5):
            training.critic_step(state, config.method, state.sampler.take())
        weights = [p for p in state.critic.parameters() if p.dim() > 1]
        if method == "sn":
            norms = [torch.linalg.svdvals(w.detach().flatten(1))[0].item() for w in weights]
            assert norms == pytest.approx([1.0] * len(norms), rel=0.1)
        else:
            assert max(p.abs().max().item() for p in state.critic.parameters()) <= 0.01


def test_batch_norm_sees_real_and_fake_samples_apart(tmp_path):
    config = tiny(tmp_path, method="bn")
    state = build(config)
    sizes = []
    state.critic.module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    terms = training.critic_step(state, config.method, state.sampler.take())
    assert sizes == [8, 8]
    twin = build(config)
    real = twin.sampler.next().samples
    with torch.no_grad():
        fake = twin.generator(twin.noise(8))
        apart = [twin.critic.module(batch) for batch in (real, fake)]
        mixed = twin.critic.module(torch.cat([real, fake])).chunk(2)
    loss = LOSSES["non_saturating"].critic
    assert terms["critic_loss"].item() == pytest.approx(loss(*apart).item(), rel=1e-6)
    assert terms["critic_loss"].item() != pytest.approx(loss(*mixed).item(), rel=1e-6)


def test_other_critics_see_both_in_one_forward(tmp_path):
    for method in ("sn", "ln", "wn"):
        state = build(config := tiny(tmp_path, method=method))
        sizes = []
        hook = state.critic.module.register_forward_pre_hook
        hook(lambda _, inputs, sizes=sizes: sizes.append(len(inputs[0])))
        training.critic_step(state, config.method, state.sampler.take())
        assert sizes == [16]


def test_the_penalty_counts_with_its_weight(tmp_path):
    """Closed form: with a weight of 0 the loss is the same, and so is its gradient."""
    norms = {}
    for weight in (0.0, 1e3):
        method = replace(METHODS["r1"], penalty_weight=weight)
        state = build(tiny(tmp_path, method=method))
        terms = training.critic_step(state, method, state.sampler.take())
        assert terms["penalty"] > 0
        norms[weight] = terms["critic_gradient_norm"].item()
    plain = replace(METHODS["r1"], penalty="none")
    state = build(tiny(tmp_path, method=plain))
    without = training.critic_step(state, plain, state.sampler.take())[
        "critic_gradient_norm"
    ].item()
    assert norms[0.0] == pytest.approx(without, rel=1e-6)
    assert norms[1e3] != pytest.approx(without, rel=1e-3)


def test_orthonormal_regularization_orthonormalizes(tmp_path):
    method = replace(METHODS["orthonormal"], lr=1e-2)
    state = build(tiny(tmp_path, method=method))
    for _ in range(300):
        terms = training.critic_step(state, method, state.sampler.take())
    for kernel in state.critic.module.parameters():
        if kernel.dim() > 1:
            values = torch.linalg.svdvals(kernel.detach().flatten(1))
            assert values.tolist() == pytest.approx([1.0] * len(values), abs=0.3)
    assert terms["orthonormal"].item() < 1


def test_relativistic_generator_steps_take_the_next_real_batch(tmp_path):
    for method, batches in (("sn", 1), ("r3gan", 2)):
        state = build(config := tiny(tmp_path, method=replace(METHODS[method], n_critic=1)))
        training._step(config, state)
        assert state.sampler.state_dict()["position"] == 8 * batches


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


def test_n_critic_is_the_ratio_of_optimizer_steps(tmp_path, monkeypatch):
    counts = {"critic": 0, "generator": 0}
    for name in counts:
        real_step = getattr(training, f"{name}_step")

        def counting_step(*args, name=name, real_step=real_step):
            counts[name] += 1
            return real_step(*args)

        monkeypatch.setattr(training, f"{name}_step", counting_step)
    training.train(tiny(tmp_path / "run", method=replace(METHODS["sn"], n_critic=3), steps=4))
    assert counts == {"critic": 12, "generator": 4}


def test_average_follows_its_recursion(tmp_path):
    config = tiny(tmp_path, ema_decay=0.8, ema_start=2)
    state = build(config)
    expected = None
    for step in range(1, 6):
        training.generator_step(state, config.method, state.sampler.take())
        state.step = step
        state.update_average(config.ema_start)
        current = next(state.generator.module.parameters()).detach().clone()
        expected = current if step <= 2 else 0.8 * expected + 0.2 * current
        torch.testing.assert_close(next(state.average.module.parameters()), expected)


def test_linear_schedule_goes_to_zero(tmp_path):
    run = training.train(tiny(tmp_path / "run", schedule="linear", steps=20))
    rates = [record["lr"] for record in metrics(run.folder)]
    assert rates == pytest.approx([2e-4 * (1 - done / 20) for done in (4, 9, 14, 19)])


def test_moments_may_come_in_another_memory_format(tmp_path):
    """Of which torch's fused optimizers take no notice, and are wrong then."""
    config = tiny(tmp_path, model=replace(TINY, name="cnn"))
    state, twin = build(config), build(config)
    training._step(config, state)
    saved = copy.deepcopy(state.state_dict())
    moments = [kept["exp_avg"] for kept in saved["critic_optimizer"]["state"].values()]
    assert any(not moment.is_contiguous() for moment in moments)
    for optimizer in ("critic_optimizer", "generator_optimizer"):
        for kept in saved[optimizer]["state"].values():
            kept |= {key: value.contiguous() for key, value in kept.items()}
    twin.load_state_dict(saved)
    for one in (state, twin):
        torch.manual_seed(7)
        training._step(config, one)
    assert_identical(state.state_dict()["critic"], twin.state_dict()["critic"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_data_is_read_ends_it_at_once(tmp_path, monkeypatch, number):
    def reading(*_):
        os.kill(os.getpid(), number)
        time.sleep(5)
        pytest.fail("was not interrupted")

    former = signal.getsignal(number)
    monkeypatch.setattr(training, "open_dataset", reading)
    with pytest.raises(KeyboardInterrupt):
        training.train(tiny(tmp_path / "run"))
    assert signal.getsignal(number) is former
    assert not (tmp_path / "run").exists()


def test_divergence_names_the_step_the_term_and_the_last_good_checkpoint(tmp_path, monkeypatch):
    real_step = training.critic_step

    def breaking_step(state, *rest):
        terms = real_step(state, *rest)
        if state.step >= 12:
            terms["critic_loss"] = terms["critic_loss"] * float("nan")
        return terms

    monkeypatch.setattr(training, "critic_step", breaking_step)
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


def evaluating(out: Path, **settings) -> Config:
    evaluation = EvaluationConfig(every=10, samples=50, **settings)
    return tiny(out, data="ring8", evaluation=evaluation)


def test_evaluations_are_recorded_and_the_best_checkpoint_kept(tmp_path):
    run = training.train(evaluating(tmp_path / "run", best="w1"))
    found = [line for line in metrics(run.folder) if "evaluation" in line]
    assert [line["step"] for line in found] == [10, 20, 30, 40]
    best = min(found, key=lambda line: line["evaluation"]["w1"])
    kept = checkpoint.read(run.folder / "checkpoints" / "best.pt")
    assert kept["step"] == best["step"]
    # the last one is of the samples that the run gives
    samples = run.generate(50, seed=0).double()
    real = data.open_source("ring8")
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))[:50]
    expected = wasserstein(samples, real.samples[order].double()).distance
    assert found[-1]["evaluation"]["w1"] == pytest.approx(expected, rel=1e-6)


def test_a_metric_where_more_is_better_keeps_the_largest(tmp_path):
    run = training.train(evaluating(tmp_path / "run", best="recall"))
    found = [line for line in metrics(run.folder) if "evaluation" in line]
    values = [line["evaluation"]["recall"] for line in found]
    kept = checkpoint.read(run.folder / "checkpoints" / "best.pt")
    assert kept["step"] == found[values.index(max(values))]["step"]


@pytest.mark.bitwise
def test_evaluation_changes_nothing_of_the_training(tmp_path):
    training.train(evaluating(tmp_path / "one"))
    training.train(tiny(tmp_path / "other", data="ring8"))
    assert_identical(final_state(tmp_path / "one"), final_state(tmp_path / "other"))


def test_a_resumed_run_remembers_the_best(tmp_path):
    training.train(evaluating(tmp_path / "whole"))
    training.train(replace(evaluating(tmp_path / "parts"), steps=20))
    training.train(evaluating(tmp_path / "parts"), resume=True)
    steps = [
        checkpoint.read(tmp_path / name / "checkpoints" / "best.pt")["step"]
        for name in ("whole", "parts")
    ]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"best": "frechett"}, "evaluation.best: expected one of .*did you mean frechet"),
        ({"extractor": "pixels"}, "extractor: expected .*points for points, got pixels"),
    ],
)
def test_evaluation_settings_are_checked_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        training.train(evaluating(tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


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
