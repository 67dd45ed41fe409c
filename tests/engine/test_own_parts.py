"""Networks and data given to sngan.train as objects."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from helpers import tiny_run
from helpers.own_parts import ImageCritic, ImageGenerator, PointCritic, PointGenerator
from helpers.ranks import on_ranks
from sngan import Config, data, lipschitz_bounds, load, losses, penalties, train
from sngan.engine import TrainState, speed, train_step
from sngan.engine.own_parts import OwnParts
from sngan.engine.worker import train_on_rank
from sngan.runs import checkpoint
from sngan.runs.critic import load_critic
from sngan.runs.networks import OwnNetworks
from sngan.tasks.lipschitz import lipschitz

POINTS = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(400) % 3


def config(folder, **changes):
    given = {"steps": 4, "batch_size": 16, "log_every": 2, "save_every": 2, "n_critic": 1}
    return Config(out=str(folder / "run"), **{**given, **changes})


def pair(classes=0):
    torch.manual_seed(1)
    return {"generator": PointGenerator(classes), "critic": PointCritic(classes)}


def weights_of(network):
    return [weight.clone() for weight in network.state_dict().values()]


def test_one_step_is_the_step_written_by_hand():
    own = pair()
    settings = Config(
        method="wgan-gp", penalty="r1", penalty_weight=2.0, optimizer="sgd", lr=0.1, n_critic=1,
        batch_size=8, schedule="constant", replay="off",
    )  # fmt: skip
    dataset = data.open_own(POINTS)
    state = TrainState.build(settings, dataset, own=OwnNetworks(**own))
    by_hand = pair()
    batch = data.Sampler(dataset, 8, seed=0).next().samples
    torch.manual_seed(5)
    train_step(settings, state)
    torch.manual_seed(5)
    generator, critic = by_hand["generator"], by_hand["critic"]
    fake = generator(torch.randn(8, 2)).detach()
    scores = critic(torch.cat([batch, fake]))
    loss = losses.wasserstein.critic(*scores.chunk(2)) + 2 * penalties.r1(critic, batch)
    loss.backward()
    with torch.no_grad():
        for weight in critic.parameters():
            weight -= 0.1 * weight.grad
    losses.wasserstein.generator(critic(generator(torch.randn(8, 2)))).backward()
    with torch.no_grad():
        for weight in generator.parameters():
            weight -= 0.1 * weight.grad
    for name, network in by_hand.items():
        trained = getattr(state, name).module
        torch.testing.assert_close(weights_of(trained), weights_of(network), rtol=1e-5, atol=1e-6)


def test_the_objects_stay_as_they_are_and_a_run_is_loaded_into_a_copy(tmp_path):
    own = pair()
    before = weights_of(own["generator"])
    run = train(config(tmp_path), **own, data=POINTS)
    assert all(map(torch.equal, weights_of(own["generator"]), before))
    assert isinstance(run.generator, PointGenerator)
    assert run.config.model.own == ("generator", "critic")
    loaded = load(run.folder, generator=PointGenerator())
    assert torch.equal(loaded.generate(5, seed=2), run.generate(5, seed=2))
    assert run.generate(5).shape == (5, 2)
    with pytest.raises(ValueError, match=r"^generator: expected the module .* got none$"):
        load(run.folder)
    with pytest.raises(ValueError, match=r"^run: expected .*settings of the weights"):
        load(run.folder, generator=nn.Linear(2, 2))


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_one_network_alone_is_enough(name, tmp_path):
    run = train(config(tmp_path, width=0.1), **{name: pair()[name]}, data=POINTS)
    assert run.config.model.own == (name,)
    assert run.generate(3).shape == (3, 2)
    given = {"critic": PointCritic()} if name == "critic" else {}
    assert isinstance(load_critic(run.folder, **given), PointCritic) == bool(given)


@pytest.mark.parametrize(
    "method",
    [
        "sn-operator",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("sn", "wgan-gp", "r3gan", "sagan", "biggan")
        ),
    ],
)
def test_methods_train_own_networks_with_classes_or_without(method, tmp_path):
    for classes in (0, 3):
        settings = config(
            tmp_path / str(classes), method=method, conditional=classes > 0, steps=2, log_every=1,
            every=2, samples=30,
        )  # fmt: skip
        run = train(settings, **pair(classes), data=(POINTS, LABELS))
        assert run.generate(6).isfinite().all()
        critic = load_critic(run.folder, critic=PointCritic(classes))
        bounds = lipschitz_bounds(critic, (2,))
        assert 0 < bounds.lower <= bounds.upper
        if method == "sn-operator" and not classes:
            kept = run.config.method.coefficient
            assert bounds.product == pytest.approx(kept**2, rel=1e-3)


def test_images_with_own_networks(tmp_path):
    images = torch.rand(80, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    own = {"generator": ImageGenerator((3, 8, 12), 5), "critic": ImageCritic((3, 8, 12))}
    settings = config(tmp_path, latent_dim=5, augment="color", flip=True)
    run = train(settings, **own, data=images)
    assert run.generate(3).shape == (3, 3, 8, 12)
    assert (run.folder / "samples" / "step-000004.png").is_file()


@pytest.mark.slow
def test_compiled_or_not_the_result_agrees(tmp_path):
    run = train(config(tmp_path, compile="off"), **pair(), data=POINTS)
    again = train(config(tmp_path / "again", compile="on"), **pair(), data=POINTS)
    torch.testing.assert_close(run.generate(8), again.generate(8), rtol=1e-4, atol=1e-5)


def test_steps_are_not_repeated_without_their_python(tmp_path):
    class Counting(PointGenerator):
        calls = 0

        def forward(self, z):
            Counting.calls += 1
            return super().forward(z)

    dataset = data.open_own(POINTS)
    settings = Config(batch_size=8, n_critic=1)
    state = TrainState.build(settings, dataset, own=OwnNetworks(generator=Counting()))
    for _ in range(8):
        train_step(settings, state)
    assert Counting.calls == 16
    assert not state.runtime.graph.is_repeating
    asked = replace(settings, replay="on")
    repeating = TrainState.build(asked, dataset, own=OwnNetworks(**pair()))
    for _ in range(8):
        train_step(asked, repeating)
    assert repeating.runtime.graph.is_repeating


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"generator": lambda z: z}, "generator: expected a torch.nn.Module, got <function"),
        ({"critic": PointCritic}, "critic: expected a torch.nn.Module, got <class"),
        ({"data": 3}, "data: expected a sngan.data.Dataset, .*; got int"),
        ({"callbacks": [3]}, "callbacks: expected a sngan.callbacks.Callback, .*got 3"),
        ({"callbacks": "w"}, "callbacks: expected a list of"),
    ],
)
def test_objects_of_another_kind_are_refused_in_a_line(given, message, tmp_path):
    with pytest.raises(ValueError, match=f"^{message}"):
        train(config(tmp_path), **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", [{"critic_norm": "layer"}, {"minibatch_std": 4}])
def test_settings_of_sngans_own_critics_are_refused(setting, tmp_path):
    with pytest.raises(ValueError, match="expected none with a critic of your own"):
        train(config(tmp_path, **setting), **pair(), data=POINTS)


def test_a_run_of_own_data_says_so_when_its_data_is_missing(tmp_path):
    run = train(config(tmp_path, width=0.1, steps=2), data=POINTS)
    assert run.config.data.source == "own"
    with pytest.raises(ValueError, match=r"^data: expected the object .* got none$"):
        train(replace(run.config, steps=4), resume=True)


@pytest.mark.parametrize(
    "names",
    [
        ("generator", "critic"),
        ("data",),
        *(pytest.param((name,), marks=pytest.mark.slow) for name in ("generator", "critic")),
    ],
)
def test_a_resumed_run_of_own_parts_is_bit_for_bit_an_uninterrupted_one(tmp_path, names):
    own = {name: part for name, part in {**pair(), "data": POINTS}.items() if name in names}
    given = {"schedule": "constant", "width": 0.1, "latent_dim": 2}
    given |= {} if "data" in names else {"data": "ring8"}
    states = []
    for place, parts in (("whole", (4,)), ("broken", (2, 4))):
        for steps in parts:
            settings = config(tmp_path / place, steps=steps, **given)
            train(settings, **own, resume=steps != parts[0])
        states.append(checkpoint.read(tmp_path / place / "run" / "checkpoints" / "last.pt"))
        del states[-1]["seconds"]
    assert tiny_run.same(*states)


def test_a_resume_without_the_networks_of_the_run_is_refused(tmp_path):
    train(config(tmp_path), **pair(), data=POINTS)
    with pytest.raises(ValueError, match=r"resume: .* got model.own: \['generator', 'critic'\]"):
        train(config(tmp_path), data=POINTS, resume=True)


@pytest.mark.parametrize("names", [("generator", "critic"), ("data",)])
def test_the_line_about_the_time_is_said_for_own_parts(tmp_path, monkeypatch, capsys, names):
    monkeypatch.setattr(speed, "WORTH_A_LINE", 0.0)
    monkeypatch.setattr(speed, "WORTH_A_HINT", 0.0)
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    own = {"generator": ImageGenerator((3, 8, 8), 5), "critic": ImageCritic((3, 8, 8))}
    settings = config(tmp_path, steps=7, width=0.05, latent_dim=5)
    if "critic" in names:
        train(settings, **own, data=images)
    else:
        train(settings, data=iter([images] * 40))
    assert "3 steps ≈ " in (said := capsys.readouterr().out)
    assert "on this CPU; --hours sets a budget\n" in said


def test_hours_are_measured_on_the_networks_that_are_given(tmp_path):
    settings = config(tmp_path, steps=Config().steps, hours=1e-5)
    run = train(settings, **pair(), data=POINTS)
    assert run.config.hours is None
    assert run.config.steps >= 1


@pytest.mark.slow
def test_two_ranks_train_as_one(tmp_path):
    settings = config(tmp_path, replay="off", conditional=True)
    own = OwnParts.of(**pair(3), data=(POINTS, LABELS), callbacks=())
    one = train(settings, **pair(3), data=(POINTS, LABELS))
    two = replace(settings, out=str(tmp_path / "two"), devices=2, device="cpu")
    two = own.noted_in(two)
    on_ranks(two.performance, train_on_rank, two, False, False, False, None, own)
    loaded = load(two.out, generator=PointGenerator(3))
    torch.testing.assert_close(loaded.generate(6), one.generate(6), rtol=1e-4, atol=1e-5)


def test_frozen_weights_stay_frozen_and_batch_norm_sees_real_samples_alone():
    own = pair()
    own["critic"].net[0].requires_grad_(False)
    own["critic"].net.insert(1, nn.BatchNorm1d(16, momentum=1.0))
    settings = Config(batch_size=8, n_critic=1, method="vanilla")
    state = TrainState.build(settings, data.open_own(POINTS), own=OwnNetworks(**own))
    for _ in range(2):
        train_step(settings, state)
    critic = state.critic.module
    assert torch.equal(critic.net[0].weight, own["critic"].net[0].weight)
    assert not torch.equal(critic.net[3].weight, own["critic"].net[3].weight)
    assert not critic.net[0].weight.requires_grad
    seen = []
    critic.net[1].register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    train_step(settings, state)
    assert seen == [8, 8, 8]


def test_the_task_lipschitz_needs_the_module(tmp_path):
    run = train(config(tmp_path), **pair(), data=POINTS)
    with pytest.raises(ValueError, match="expected the module that the run was trained with"):
        lipschitz(run.folder)
