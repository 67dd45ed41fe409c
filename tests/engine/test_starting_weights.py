"""Runs that begin with the weights of another run, and critics with frozen blocks."""

import random
import re
import shutil
from dataclasses import replace

import pytest
import torch

from helpers import tiny_run
from sngan import Config, data, load, models
from sngan.config import DataConfig, ModelConfig
from sngan.engine import TrainState, train_step
from sngan.engine import train as training
from sngan.methods import METHODS, named
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic
from sngan.runs.model_file import read_model_file
from sngan.utils.transfer import find_transfer


def pictures(side, *, channels=3):
    generator = torch.Generator().manual_seed(side)
    pixels = torch.randint(0, 256, (24, channels, side, side), generator=generator)
    return data.Dataset("pictures", pixels.byte())


def settings(**others):
    given = {
        "model": ModelConfig(name="cnn", width=0.05, latent_dim=4),
        "method": replace(named(name="sn"), n_critic=1),
        "batch_size": 4,
    }
    return Config(**{**given, **others})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny_run.pictures(tmp_path_factory.mktemp("data") / "pictures.npz")


@pytest.fixture(scope="module")
def run(source, tmp_path_factory):
    """A run of three steps with spectral normalization."""
    out = tmp_path_factory.mktemp("runs") / "run"
    training.train(tiny_run.config_of(out, source, steps=3))
    return out


def state_from(run, **others):
    return TrainState.build(settings(init=str(run), **others), pictures(8, channels=1))


def weights_of(network):
    return dict(network.module.state_dict())


def test_a_run_begins_with_the_average_and_the_critic(run):
    state = state_from(run)
    assert tiny_run.same(weights_of(state.generator), dict(load(run).generator.state_dict()))
    assert tiny_run.same(weights_of(state.average), dict(load(run).generator.state_dict()))
    before = load_critic(run).state_dict()
    for name, tensor in state.critic.module.state_dict().items():
        # the power iteration of the run has not converged, and the new one has
        torch.testing.assert_close(tensor, before[name], rtol=2e-2, atol=1e-3)


def test_the_critic_gets_its_raw_weights(run):
    """W̄·s is the weight that the optimizer saw; a critic that learns at another rate is another."""
    saved = checkpoint.read(run / "checkpoints" / "last.pt")
    state = state_from(run)
    assert state.spectral_norm is not None
    now = state.spectral_norm.state_dict()["layers"]
    for name, kept in saved["spectral_norm"]["layers"].items():
        raw = kept["scale"] * saved["critic"][f"{name}.weight"]
        new = now[name]["scale"] * weights_of(state.critic)[f"{name}.weight"]
        torch.testing.assert_close(new, raw)


def test_without_normalization_the_critic_is_the_same_function(run):
    method = replace(named(name="vanilla"), n_critic=1)
    state = state_from(run, method=method)
    assert tiny_run.same(weights_of(state.critic), dict(load_critic(run).state_dict()))


def test_a_file_has_a_generator_only(run, tmp_path):
    path = shutil.copy(run / "generator.safetensors", tmp_path / "friend.safetensors")
    fresh = TrainState.build(settings(), pictures(8, channels=1))
    state = state_from(path)
    assert tiny_run.same(weights_of(state.generator), dict(load(run).generator.state_dict()))
    assert tiny_run.same(weights_of(state.critic), weights_of(fresh.critic))


@pytest.mark.parametrize("name", ["cnn", "resnet", "convnext"])
@pytest.mark.parametrize("sides", [(16, 32), (32, 16), (32, 64), (64, 128), (64, 32)])
def test_another_resolution_takes_the_stages_that_agree(name, sides):
    # convnext has other channels in all stages of smaller images
    sides = (max(sides[0], 32), max(sides[1], 32)) if name == "convnext" else sides
    small, large = (models.build(name, (3, side, side), latent_dim=8, width=0.1) for side in sides)
    for network, other in zip(large, small, strict=True):
        found = find_transfer(
            network, other.state_dict(), first=isinstance(network, models.Generator)
        )
        own, theirs = network.state_dict(), other.state_dict()
        assert {*found.taken, *found.left} == {key.rpartition(".")[0] for key in own}
        # whole stages, and every number in them from the other network
        stages = {key.split(".")[1] for key in found.taken if key.startswith("stages.")}
        assert stages
        values = [tensor.flatten().tolist() for tensor in theirs.values()]
        for key, tensor in found.tensors.items():
            assert tensor.shape == own[key].shape
            assert tensor.flatten().tolist() in values
        assert found.share > 0
        network.load_state_dict(found.tensors, strict=False)


def test_equal_networks_agree_wholly_and_others_not_at_all():
    generator = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    found = find_transfer(generator, generator.state_dict(), first=True)
    assert (found.share, found.left) == (1.0, ())
    assert find_transfer(generator, {"0.weight": torch.ones(3, 3)}, first=True).tensors == {}
    # a weight without its bias is another layer
    half = {"0.weight": torch.ones(3, 2), "1.weight": torch.ones(2, 3), "1.bias": torch.ones(2)}
    assert find_transfer(generator, half, first=True).taken == ("1",)


def test_the_log_lists_what_was_taken_and_what_not(run, source, tmp_path, caplog):
    config = tiny_run.config_of(tmp_path / "new", source, steps=1, init=str(run))
    config = replace(config, model=replace(config.model, latent_dim=6))
    training.train(config)
    said = re.search(r"init: generator: (\d+) of (\d+) layers taken \((\d+)%", caplog.text)
    assert said is not None
    assert int(said[1]) == int(said[2]) - 1
    assert "not taken: dense" in caplog.text
    assert "init: critic: " in (tmp_path / "new" / "train.log").read_text()


@pytest.mark.parametrize("method", ["sn", "wgan", "wgan-gp", "sn-operator", "r1"])
@pytest.mark.parametrize("count", [1, 2])
def test_frozen_blocks_keep_their_weights(run, method, count):
    chosen = replace(METHODS[method], n_critic=2)
    state = state_from(run, method=chosen, freeze_critic=count)
    critic = state.critic.module
    frozen = {f"stages.{index}." for index in range(min(count, len(critic.blocks)))}
    # clipping acts on frozen weights too, in the first step
    train_step(settings(method=chosen, freeze_critic=count), state)
    before = {name: tensor.clone() for name, tensor in critic.state_dict().items()}
    for _ in range(2):
        train_step(settings(method=chosen, freeze_critic=count), state)
    changed = {
        name for name, one in critic.state_dict().items() if not torch.equal(one, before[name])
    }
    is_frozen = {name: name.startswith(tuple(frozen)) for name in before}
    assert not [name for name in changed if is_frozen[name]]
    assert all(
        name in changed for name in before if name.endswith("weight") and not is_frozen[name]
    )


def test_a_critic_can_be_thawed_by_a_change(run, source, tmp_path):
    out = tmp_path / "new"
    config = tiny_run.config_of(out, source, steps=2, init=str(run), freeze_critic=1)
    training.train(config)
    thawed = replace(config, steps=4, freeze_critic=0)
    with pytest.raises(ValueError, match=r"^resume: .*freeze_critic: 1 → 0.*--changed"):
        training.train(thawed, resume=True)
    before = load_critic(out).state_dict()["stages.0.conv1.weight"]
    training.train(thawed, resume=True, changed=True)
    assert not torch.equal(load_critic(out).state_dict()["stages.0.conv1.weight"], before)


@pytest.mark.parametrize("freeze", [0, 1])
def test_a_resumed_run_needs_no_other_run_and_is_bit_for_bit(run, source, tmp_path, freeze):
    other = shutil.copytree(run, tmp_path / "other")
    shared = {"init": str(other), "freeze_critic": freeze}
    whole, half = (tiny_run.config_of(tmp_path / name, source, **shared) for name in ("a", "b"))
    training.train(whole)
    training.train(replace(half, steps=2))
    shutil.rmtree(other)
    training.train(half, resume=True)
    found = tiny_run.differences(tmp_path / "a", tmp_path / "b")
    # the best step came when the run was to end at step 2, and its file says so
    assert found == ["other content: generator-best.safetensors"]
    (settings, best), (settings_of_half, best_of_half) = (
        read_model_file(tmp_path / name / "generator-best.safetensors") for name in ("a", "b")
    )
    assert tiny_run.same(best, best_of_half)
    assert settings == replace(settings_of_half, steps=settings.steps)
    training.train(replace(half, init=None, steps=5), resume=True)


WRONG = {
    "nothing there": (
        {"init": "no/such/run"},
        r"^init: expected a run folder, hf:USER/NAME or a gen",
    ),
    "a word of a formula": ({"init": "orthogonal"}, r"^init: .*--model.init"),
    "freeze without init": ({"freeze_critic": 1}, r"^freeze_critic: expected 0 in a run without"),
    "a negative number": (
        {"freeze_critic": -1},
        r"^freeze_critic: expected an integer of at least 0",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_start_is_one_line(case, source, tmp_path):
    given, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        training.train(tiny_run.config_of(tmp_path / "new", source, **given))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new" / "checkpoints").exists()


def test_what_does_not_fit_at_all_is_refused(run, source, tmp_path):
    for path, got in ((tmp_path, "no run"), (run / "config.yaml", "config.yaml")):
        with pytest.raises(ValueError, match=rf"^init: expected a run folder, .*{got}"):
            training.train(tiny_run.config_of(tmp_path / "new", source, init=str(path)))
    config = tiny_run.config_of(tmp_path / "new", source, init=str(run))
    wide = replace(config, model=ModelConfig(name="convnext", width=0.05, latent_dim=4))
    with pytest.raises(ValueError, match=r"^init: expected a generator with layers of the names"):
        training.train(wide)
    with pytest.raises(ValueError, match=r"^freeze_critic: expected at most 1, the blocks"):
        training.train(replace(config, freeze_critic=5))
    generator = str(run / "generator.safetensors")
    with pytest.raises(ValueError, match=r"^freeze_critic: expected at most 0"):
        training.train(replace(config, init=generator, freeze_critic=1))


@pytest.mark.parametrize(
    "seed", [6, *(pytest.param(s, marks=pytest.mark.slow) for s in range(8) if s != 6)]
)
def test_any_pair_of_networks_trains_after_a_transfer(seed, tmp_path):
    """Random sizes, channels, classes and methods: what fits is loaded, and the run goes on."""
    generator = random.Random(seed)
    name = generator.choice(["cnn", "resnet", "convnext"])
    runs = []
    for number in range(2):
        side, width = generator.choice([8, 16, 32]), generator.choice([0.05, 0.1])
        method = replace(
            METHODS[generator.choice(["sn", "wgan-gp", "sn-operator", "bn"])], n_critic=1
        )
        pixels = tiny_run.pictures(tmp_path / f"{number}.npz")
        config = tiny_run.config_of(tmp_path / f"run{number}", pixels, steps=1, method=method)
        model = ModelConfig(name=name, width=width, latent_dim=4)
        evaluation = replace(config.evaluation, every=None)
        read = DataConfig(source=pixels, resolution=side)
        config = replace(config, model=model, data=read, evaluation=evaluation)
        init = str(runs[0].folder) if runs else None
        try:
            runs.append(training.train(replace(config, init=init)))
        except ValueError as error:
            assert "which has none" in str(error)  # noqa: PT017
