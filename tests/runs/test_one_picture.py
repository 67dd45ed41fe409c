"""One seed gives one picture, wherever the generator comes from and whatever the processor is.

Convolutions round differently in another memory format, and how much depends on the processor:
`.ci/run` runs the tests marked `bitwise` a second time with the instructions of an older one.
"""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import sngan
from sngan import METHODS, Config, data
from sngan.config import DataConfig, EvaluationConfig, ModelConfig
from sngan.engine import TrainState
from sngan.engine.sampling import sample_average
from sngan.runs.checkpoint import read_newest
from sngan.runs.critic import load_critic
from sngan.runs.layout import RunFolder
from sngan.runs.run import Run

pytestmark = pytest.mark.bitwise
MODELS = ("cnn", "resnet")


@pytest.fixture(scope="module", params=MODELS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = Config(
        out=str(tmp_path_factory.mktemp(request.param) / "run"),
        data=DataConfig(source="digits"),
        model=ModelConfig(name=request.param, width=0.25, latent_dim=16),
        evaluation=EvaluationConfig(every=2, samples=64, extractor="pixels"),
        method=replace(METHODS["sn"], n_critic=1),
        steps=2,
        batch_size=8,
    )
    return sngan.train(config)


def strides(run: Run) -> dict[str, tuple[int, ...]]:
    return {name: tensor.stride() for name, tensor in run.generator.state_dict().items()}


def resumed_state(run: Run) -> TrainState:
    state = TrainState.build(run.config, data.open_source("digits"))
    saved, _ = read_newest(RunFolder(run.folder).checkpoints)
    state.load_state_dict(saved)
    return state


def drawn(run: Run) -> Tensor:
    return run.generate(100, seed=3)


def test_a_loaded_run_draws_what_the_trained_one_draws(run: Run) -> None:
    loaded = sngan.load(run.folder)
    assert strides(loaded) == strides(run)
    assert torch.equal(drawn(loaded), drawn(run))


def test_a_resumed_run_draws_the_same(run: Run) -> None:
    assert torch.equal(
        sample_average(resumed_state(run).average, 100, classes=(), seed=3), drawn(run)
    )


def test_steps_that_are_added_later_do_not_change_the_first_ones(run: Run, tmp_path: Path) -> None:
    longer = replace(run.config, out=str(tmp_path / "run"))
    sngan.train(longer)
    more = sngan.train(replace(longer, steps=4), resume=True)
    whole = sngan.train(replace(longer, out=str(tmp_path / "whole"), steps=4))
    assert torch.equal(drawn(more), drawn(whole))


@pytest.mark.parametrize("move", [copy.deepcopy, lambda network: network.double().float()])
def test_a_moved_generator_draws_the_same(run: Run, move) -> None:
    moved = replace(run, generator=move(copy.deepcopy(run.generator)))
    assert torch.equal(drawn(moved), drawn(run))


def test_the_best_checkpoint_draws_what_its_step_drew(run: Run) -> None:
    best = torch.load(RunFolder(run.folder).best_checkpoint, weights_only=True)
    state = TrainState.build(run.config, data.open_source("digits"))
    state.load_state_dict(best)
    assert state.step == run.config.steps
    assert torch.equal(sample_average(state.average, 100, classes=(), seed=3), drawn(run))


def test_batches_of_another_size_hold_the_same_images(run: Run) -> None:
    parts = torch.cat(list(run.batches(100, seed=3, batch_size=16)))
    torch.testing.assert_close(parts, drawn(run), rtol=0, atol=1e-6)


def test_critics_of_a_run_have_one_format(run: Run) -> None:
    critic, trained = load_critic(run.folder), resumed_state(run).critic.module
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(critic(x), trained.eval()(x))
