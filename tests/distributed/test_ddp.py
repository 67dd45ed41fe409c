"""Two processes train what one does: same results, equal replicas, one writer, faults."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.ranks import on_ranks
from helpers.training import assert_identical, final_state, metrics, tiny
from sngan import METHODS, Config, data
from sngan.config import DataConfig, ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step
from sngan.engine import train as training
from sngan.engine.fabric import make_fabric
from sngan.engine.step_records import read_terms
from sngan.runs import checkpoint

TWO = PerformanceConfig(device="cpu", devices=2)
DIGITS = DataConfig(source="digits", flip=True)
AUGMENTED = DataConfig(source="digits", augment="color,translation,cutout")
ADA = DataConfig(source="digits", augment="ada", augment_images=400)
CNN = ModelConfig(name="cnn", width=0.1, latent_dim=8)
RESNET = replace(CNN, name="resnet", width=0.05)
BY_CLASS = replace(CNN, conditional=True)
POINTS = ModelConfig(width=0.1, latent_dim=4)
IN_PARTS = PerformanceConfig(device="cpu", accumulate=2)
STEPS = 8

# everything that draws random numbers or looks at a batch as a whole
CASES = {
    "sn-cnn": {"method": "sn", "model": CNN},
    "sn-resnet": {"method": "sn", "model": RESNET},
    "wgan-gp-cnn": {"method": "wgan-gp", "model": CNN},
    "wgan-gp-resnet": {"method": "wgan-gp", "model": RESNET},
    "dragan": {"method": "dragan", "model": CNN},
    "r3gan-by-class": {"method": "r3gan", "model": BY_CLASS, "data": AUGMENTED},
    "bn": {"method": "bn", "model": CNN},
    "sn-operator": {"method": "sn-operator", "model": CNN},
    "ada": {"method": "sn", "model": CNN, "data": ADA},
    # its scores have no threshold of their own
    "ada-wgan-gp": {"method": "wgan-gp", "model": CNN, "data": ADA},
    "sagan": {"method": "sagan", "model": replace(RESNET, conditional=True)},
    "accumulated": {"method": "r1", "data": "grid25", "model": POINTS, "performance": IN_PARTS},
    "r3gan-convnext": {"method": "r3gan", "model": replace(CNN, name="convnext")},
    "packs": {"method": "wgan-gp", "model": replace(CNN, pack=2)},
    "minibatch-std": {"method": "r1", "model": replace(CNN, pack=2, minibatch_std=2)},
}


def config_of(case: str) -> Config:
    fields = {"data": DIGITS, "batch_size": 8, **CASES[case]}
    method = replace(METHODS[fields.pop("method")], n_critic=1)
    return Config(out="unused", method=method, steps=STEPS, ema_start=3, **fields)


def trained(case: str, fabric=None) -> tuple[list[dict], dict]:
    """The terms of every step and the state after them, without a folder."""
    config = config_of(case)
    dataset = data.open_source(config.data.source)
    state = TrainState.build(config, dataset, fabric)
    terms = [train_step(config, state) for _ in range(STEPS)]
    return [read_terms(one, average_ranks=True) for one in terms], state.state_dict()


def in_double(case: str, fabric=None) -> tuple[list[dict], dict]:
    """Trained in float64, where other orders of summing do not grow into other results."""
    torch.set_default_dtype(torch.float64)
    try:
        return trained(case, fabric)
    finally:
        torch.set_default_dtype(torch.float32)


def all_cases(fabric, folder: Path) -> None:
    """What each of two processes does."""
    torch.set_num_threads(1)
    results = {case: in_double(case, fabric) for case in CASES}
    results["float32"] = trained("sn-cnn", fabric)
    one_step_more(folder / "double", fabric)
    torch.save(results, folder / f"rank{fabric.global_rank}.pt")


def one_step_more(folder: Path, fabric=None) -> dict:
    """Train one step in float64 from the checkpoint of a folder, if any; save and return it."""
    torch.set_default_dtype(torch.float64)
    try:
        config = config_of("sn-cnn")
        state = TrainState.build(config, data.open_source(config.data.source), fabric)
        if (folder / "last.pt").exists():
            state.load_state_dict(checkpoint.read(folder / "last.pt"))
        train_step(config, state)
        checkpoint.rotate(state.state_dict(), folder)
        return state.state_dict()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    one_step_more(folder / "double")
    on_ranks(TWO, all_cases, folder)
    return folder


@pytest.fixture(scope="module")
def ranks(folder) -> list[dict]:
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", [*CASES, "float32"])
@pytest.mark.bitwise
def test_replicas_are_bit_identical(ranks, case):
    assert_identical(ranks[0][case], ranks[1][case])


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_what_one_process_does(ranks, case):
    expected, alone = in_double(case)
    terms, state = ranks[0][case]
    for step, (one, other) in enumerate(zip(terms, expected, strict=True)):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9), step
    for network in ("generator", "critic", "average"):
        for name, tensor in alone[network].items():
            torch.testing.assert_close(state[network][name], tensor, rtol=1e-5, atol=1e-7)


def test_float32_differs_by_rounding(ranks):
    expected, _ = trained("sn-cnn")
    for one, other in zip(ranks[0]["float32"][0], expected, strict=False):
        for loss in ("critic_loss", "generator_loss"):
            assert one[loss] == pytest.approx(other[loss], rel=1e-4, abs=1e-5)


def both(config: Config) -> Config:
    return replace(config, performance=TWO)


def test_a_run_goes_on_from_one_process_to_two_ranks_to_one(folder, tmp_path):
    parts = one_step_more(folder / "double")
    for _ in range(3):
        whole = one_step_more(tmp_path)
    for part in ("rng", "sampler", "step"):
        assert_identical(whole[part], parts[part], part)
    for part in ("generator", "critic", "average", "spectral_norm", "critic_optimizer"):
        torch.testing.assert_close(dict(parts[part]), dict(whole[part]), rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_resume_on_another_number_of_ranks(tmp_path):
    # of other seeds, a gradient near zero has one sign on one rank and another on two, by rounding
    settings = {"data": DIGITS, "model": CNN, "performance": PerformanceConfig(device="cpu")}
    settings |= {"method": METHODS["sn"], "seed": 1}
    whole = tiny(tmp_path / "whole", steps=30, **settings)
    training.train(whole)
    parts = tiny(tmp_path / "parts", steps=10, **settings)
    run = training.train(both(parts))
    assert run.generate(3).shape == (3, 1, 8, 8)
    training.train(replace(parts, steps=20), resume=True)
    training.train(both(replace(parts, steps=30)), resume=True)

    one, other = (final_state(tmp_path / name) for name in ("whole", "parts"))
    assert (other["step"], other["sampler"], other["rng"]["python"]) == (
        (one["step"], one["sampler"], one["rng"]["python"])
    )
    assert torch.equal(other["rng"]["torch"], one["rng"]["torch"])
    for name, tensor in one["critic"].items():
        torch.testing.assert_close(other["critic"][name], tensor, rtol=1e-3, atol=1e-4)
    records = metrics(tmp_path / "parts")
    assert [record["step"] for record in records] == list(range(5, 31, 5))
    losses = [record["critic_loss"] for record in records]
    expected = [record["critic_loss"] for record in metrics(tmp_path / "whole")]
    assert losses == pytest.approx(expected, rel=1e-4)
    files, more = (
        {path.relative_to(run.folder.parent / name) for path in written(tmp_path / name)}
        for name in ("whole", "parts")
    )
    assert files <= more
    # the pictures of the two shorter runs' last steps
    assert {str(path) for path in more - files} == {"samples/step-000010.png"}


def written(folder: Path) -> set[Path]:
    """The files of a run but the TensorBoard events, whose names hold the time."""
    return {path for path in folder.rglob("*") if not path.name.startswith("events")}


def test_the_batch_is_split_evenly():
    message = "^batch_size: expected a multiple of the 3 devices over all nodes, got 64$"
    with pytest.raises(ValueError, match=message):
        Config(performance=PerformanceConfig(devices=3))
    with pytest.raises(ValueError, match="batch_size: expected a multiple of the 6 devices"):
        Config(performance=PerformanceConfig(devices=3, nodes=2))
    Config(performance=PerformanceConfig(devices=3, nodes=2), batch_size=66)


def test_other_devices_than_torchrun_started(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match=r"performance.devices: expected devices × nodes = 4"):
        training.train(tiny(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_machines_that_nothing_starts(tmp_path):
    """Without torchrun or srun it would wait for them for ever."""
    settings = PerformanceConfig(device="cpu", nodes=2)
    message = "^performance.nodes: expected 1, or torchrun or srun to start .*, got 2$"
    with pytest.raises(ValueError, match=message):
        training.train(tiny(tmp_path / "run", performance=settings))
    assert not (tmp_path / "run").exists()


def test_devices_that_the_machine_lacks():
    settings = PerformanceConfig(device="mps", devices=2)
    with pytest.raises(ValueError, match=r"performance.devices: expected ones of this machine"):
        make_fabric(settings)
