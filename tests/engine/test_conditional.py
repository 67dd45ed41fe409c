"""Labels: the two networks against functional calls, training, drawing and exporting by class."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sngan
from sngan import METHODS, Config, data, models
from sngan.cli import main
from sngan.config import DataConfig, ModelConfig
from sngan.data import Dataset
from sngan.engine import TrainState, critic_step, generator_step
from sngan.engine import train as training
from sngan.engine.resolve import class_names, resolve_config
from sngan.engine.sampling import sample_average
from sngan.models.common import ConditionalBatchNorm
from sngan.runs.critic import load_critic
from sngan.runs.run import Run
from sngan.runs.weights import save_generator

FAMILIES = [("mlp", (2,)), ("cnn", (3, 16, 16)), ("resnet", (3, 16, 16))]
families = pytest.mark.parametrize(("name", "shape"), FAMILIES, ids=[name for name, _ in FAMILIES])
CLASSES = 4


def built(
    name: str, shape: tuple[int, ...], *, width: float = 0.125
) -> tuple[models.Generator, models.Critic]:
    torch.manual_seed(0)
    networks = models.build(name, shape, latent_dim=7, width=width, num_classes=CLASSES)
    for network in networks:
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
    return networks


# The networks


@families
def test_the_critic_adds_the_projection(name: str, shape: tuple[int, ...]) -> None:
    _, critic = built(name, shape)
    critic.double()
    x, labels = torch.randn(6, *shape).double(), torch.tensor([0, 3, 1, 1, 2, 0])
    last = critic.layers[-1] if name == "mlp" else critic.dense
    seen: list[Tensor] = []
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    scores = critic(x, labels)
    assert scores.shape == (6,)
    expected = last(seen[0])[:, 0] + (critic.embedding.weight[labels] * seen[0]).sum(1)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(critic(x), critic(x, torch.zeros(6, dtype=torch.int64)))
    # linear in the vector of the class
    with torch.no_grad():
        critic.embedding.weight[1] *= 2
    changed = (critic(x, labels) - scores).abs() > 1e-9
    assert changed.tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("name", "shape", "std"),
    [
        # N(0, 0.02²); Glorot- and He-uniform of 50 classes by the features
        ("cnn", (1, 8, 8), 0.02),
        ("resnet", (1, 8, 8), (2 / (50 + 128)) ** 0.5),
        ("mlp", (2,), (2 / 256) ** 0.5),
    ],
)
def test_the_vectors_of_the_classes_start_as_the_last_layer(name: str, shape, std: float) -> None:
    torch.manual_seed(0)
    _, critic = models.build(name, shape, num_classes=50)
    assert critic.embedding.weight.std().item() == pytest.approx(std, rel=0.03)


def test_conditional_batch_norm_against_its_formula() -> None:
    torch.manual_seed(0)
    norm = ConditionalBatchNorm(5, CLASSES).double()
    assert norm.norm.weight is None
    maps, labels = torch.randn(6, 5, 3, 3).double(), torch.tensor([0, 3, 1, 1, 2, 0])
    plain = nn.BatchNorm2d(5).double()
    torch.testing.assert_close(norm(maps, labels), plain(maps))
    for table in (norm.scale, norm.shift):
        nn.init.normal_(table)
    expected = torch.stack(
        [
            norm.scale[k][:, None, None] * one + norm.shift[k][:, None, None]
            for one, k in zip(plain(maps), labels, strict=True)
        ]
    )
    torch.testing.assert_close(norm(maps, labels), expected)


@families
def test_generators_use_the_label_of_each_sample(name: str, shape: tuple[int, ...]) -> None:
    generator, _ = built(name, shape)
    generator.eval()
    noise = torch.randn(1, 7).expand(CLASSES, 7)
    samples = generator(noise, torch.arange(CLASSES))
    assert samples.shape == (CLASSES, *shape)
    for i in range(CLASSES):
        alone = generator(noise[:1], torch.tensor([i]))
        torch.testing.assert_close(alone[0], samples[i])
        assert all(not torch.allclose(samples[i], samples[j]) for j in range(i))


def test_the_mlp_takes_the_label_as_a_unit_vector() -> None:
    generator, _ = built("mlp", (2,))
    noise, labels = torch.randn(5, 7), torch.tensor([3, 0, 1, 2, 2])
    inputs = torch.cat([noise, F.one_hot(labels, CLASSES)], dim=1)
    assert torch.equal(generator(noise, labels), generator.layers(inputs))


@families
def test_labels_where_they_belong(name: str, shape: tuple[int, ...]) -> None:
    generator, _ = built(name, shape)
    with pytest.raises(ValueError, match=r"^labels: expected class indices \(N,\), got none"):
        generator(torch.randn(2, 7))
    plain, _ = models.build(name, shape, latent_dim=7, width=0.125)
    with pytest.raises(ValueError, match=r"^labels: expected none for this generator, got labels"):
        plain(torch.randn(2, 7), torch.zeros(2, dtype=torch.int64))


# without classes all families are compiled in tests/models/
@pytest.mark.parametrize(
    ("name", "shape"),
    [pytest.param(*one, marks=[pytest.mark.slow] * (one[0] != "cnn")) for one in FAMILIES],
)
def test_both_compile_to_one_graph(name: str, shape: tuple[int, ...]) -> None:
    labels = torch.tensor([2, 0, 1])
    inputs = torch.randn(3, 7), torch.randn(3, *shape)
    for network, x in zip(built(name, shape), inputs, strict=True):
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x, labels), network(x, labels))


@families
@pytest.mark.parametrize("kind", ["matrix", "operator"])
def test_spectral_norm_holds_the_projection_too(name: str, shape, kind: str) -> None:
    _, critic = built(name, shape)
    optimizer = torch.optim.Adam(critic.parameters())
    norm = sngan.SpectralNorm(
        critic, optimizer, kind=kind, input_shape=shape if kind == "operator" else None
    )
    assert "embedding" in norm.sigmas()
    for _ in range(20):
        optimizer.zero_grad()
        critic(torch.randn(4, *shape), torch.arange(4)).mean().backward()
        optimizer.step()
    sigma = torch.linalg.svdvals(critic.embedding.weight.detach())[0].item()
    assert sigma == pytest.approx(1, rel=0.02)


@families
def test_the_proved_slope_holds_for_class_0(name: str, shape: tuple[int, ...]) -> None:
    # the time of the proofs grows with the third power of the pixels
    shape = (*shape[:-2], 8, 8) if len(shape) > 1 else shape
    _, critic = built(name, shape, width=0.05)
    bounds = sngan.lipschitz_bounds(critic, shape, samples=8, rounds=2)
    assert 0 < bounds.lower <= bounds.upper < float("inf")
    x, y = torch.randn(2, 50, *shape)
    labels = torch.zeros(50, dtype=torch.int64)
    slopes = (critic(x, labels) - critic(y, labels)).abs() / (x - y).flatten(1).norm(dim=1)
    assert slopes.max() <= bounds.upper


# Training


def settings(out: Path, **fields) -> Config:
    model = ModelConfig(width=0.25, latent_dim=8, conditional=True)
    defaults = {"data": "digits", "model": model, "batch_size": 8, "steps": 6, "log_every": 2}
    return Config(out=str(out), **{**defaults, "sample_every": 6, "save_every": 3, **fields})


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    run = training.train(settings(tmp_path_factory.mktemp("runs") / "run"))
    # samples that differ in every grey level
    for parameter in run.generator.parameters():
        nn.init.normal_(parameter, std=0.3)
    save_generator(run.generator, run.folder, run.config)
    return run


def state_of(config: Config) -> TrainState:
    dataset = data.open_source(config.data.source)
    return TrainState.build(config, dataset)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("source", "classes"), [("digits", 10), ("ring8", 8)])
def test_every_method_steps_by_class(tmp_path, method: str, source: str, classes: int) -> None:
    config = settings(tmp_path, data=source, method=method)
    if source == "ring8":
        # recipes with self-attention take points only if they are asked for without it
        config = replace(config, model=replace(config.model, attention=None))
    state = state_of(config)
    terms = critic_step(config, state, state.sampler.take())
    terms |= generator_step(config, state, state.sampler.take())
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["generator_gradient_norm"] > 0
    assert state.critic.module.embedding.weight.grad.any()
    assert state.generator.module.num_classes == classes
    shape = data.open_source(source).sample_shape
    assert sample_average(state.average, 64, classes=range(classes), seed=config.seed).shape == (
        64,
        *shape,
    )


@pytest.mark.bitwise
def test_settings_are_filled_in_and_read_back(run: Run) -> None:
    assert run.config.model.class_names == tuple("0123456789")
    opened = sngan.load(run.folder)
    assert opened.config == run.config
    assert torch.equal(opened.generate(12, seed=3), run.generate(12, seed=3))
    critic = load_critic(run.folder)
    assert critic.embedding.num_embeddings == 10


def test_without_the_setting_labels_are_left_alone(tmp_path) -> None:
    config = settings(tmp_path, model=ModelConfig(width=0.25, latent_dim=8))
    state = state_of(config)
    assert state.sampler.next().labels is None
    assert state.sampler.draw_labels(4) is None
    assert state.critic.module.embedding is None
    assert resolve_config(config, data.open_source("digits")).model.class_names == ()


def test_points_by_class_train_and_are_measured(tmp_path) -> None:
    finished = training.train(settings(tmp_path / "run", data="ring8"))
    assert finished.config.model.num_classes == 8
    record = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["w1_bound"] <= record["w1"]


def test_data_without_labels_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"^model.conditional: expected data with labels .*, got "):
        training.train(settings(tmp_path / "run", data="swissroll"))
    assert not (tmp_path / "run").exists()


def test_classes_without_names_are_numbered() -> None:
    samples, labels = torch.zeros(5, 2), torch.tensor([0, 2, 2, 1, 0])
    assert class_names(Dataset("x", samples, labels)) == ("0", "1", "2")
    named = Dataset("x", samples, labels, ("cat", "dog", "eel", "fox"))
    assert class_names(named) == ("cat", "dog", "eel", "fox")
    with pytest.raises(ValueError, match="data: expected labels of at least 0, got -1"):
        class_names(Dataset("x", samples, labels - 1))


@pytest.mark.parametrize("method", ["sn", "r3gan", "bn"])
def test_the_critic_sees_fakes_with_the_labels_they_were_made_for(tmp_path, method: str) -> None:
    config = settings(tmp_path, method=method)
    state = state_of(config)
    made: list[Tensor] = []
    scored: list[tuple[Tensor, Tensor]] = []
    state.generator.module.register_forward_hook(
        lambda _, inputs, output: made.append((output.detach(), inputs[1]))
    )
    state.critic.module.register_forward_hook(
        lambda _, inputs, kwargs, __: scored.append(
            (inputs[0].detach(), inputs[1] if len(inputs) > 1 else kwargs["labels"])
        ),
        with_kwargs=True,
    )
    for step in (critic_step, generator_step):
        step(config, state, state.sampler.take())
        (fake, labels), images = made.pop(), torch.cat([batch for batch, _ in scored])
        of_images = torch.cat([given for _, given in scored])
        assert len(images) == len(of_images)
        for one, label in zip(fake, labels, strict=True):
            places = (images == one).flatten(1).all(1).nonzero().flatten()
            assert len(places) >= 1
            assert (of_images[places] == label).all()
        scored.clear()


def test_real_samples_keep_their_labels(tmp_path) -> None:
    state = state_of(settings(tmp_path, data=DataConfig(source="digits", dequantize=False)))
    digits = data.open_source("digits")
    samples, labels = state.sampler.next()
    for one, label in zip(samples, labels, strict=True):
        same = (digits.values(torch.arange(len(digits))) == one).flatten(1).all(1)
        assert label in digits.labels[same]


def test_drawn_labels_have_the_frequencies_of_the_data() -> None:
    labels = torch.tensor([0] * 70 + [1] * 25 + [2] * 5)
    sampler = data.Sampler(Dataset("x", torch.zeros(100, 2), labels), 8)
    torch.manual_seed(0)
    drawn = sampler.draw_labels(20_000)
    assert drawn.dtype == torch.int64
    shares = drawn.bincount() / 20_000
    # three standard deviations of a share are at most 0.011
    torch.testing.assert_close(shares, torch.tensor([0.7, 0.25, 0.05]), atol=0.011, rtol=0)


def test_pictures_come_from_fixed_noise_and_labels(tmp_path) -> None:
    state = state_of(config := settings(tmp_path))
    seen: list[Tensor] = []
    state.average.module.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    options = {"classes": range(10), "seed": config.seed}
    first = sample_average(state.average, 64, **options)
    torch.randn(5)
    assert torch.equal(sample_average(state.average, 64, **options), first)
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], torch.arange(64) % 10)
    assert torch.equal(seen[3], seen[1])


# Drawing


def test_labels_decide_the_samples(run: Run) -> None:
    balanced = run.generate(20, seed=1)
    given = run.generate(20, seed=1, labels=torch.arange(20) % 10)
    assert torch.equal(balanced, given)
    threes = run.generate(20, seed=1, labels=3)
    assert torch.equal(threes, run.generate(20, seed=1, labels=torch.full((20,), 3)))
    same = (threes == balanced).flatten(1).all(1)
    assert same.nonzero().flatten().tolist() == [3, 13]
    assert run.labels(12).tolist() == [*range(10), 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (10, "classes from 0 to 9, got 10 to 10"),
        (-1, "classes from 0 to 9, got -1 to -1"),
        (torch.tensor([0, 1, 12]), "classes from 0 to 9, got 0 to 12"),
        (torch.tensor([0, 1]), r"an integer, or an integer tensor of shape \(3,\), got .*\(2,\)"),
        (torch.zeros(3), "an integer, or an integer tensor"),
        (True, "an integer, or an integer tensor"),
        (1.5, "an integer, or an integer tensor"),
    ],
)
def test_bad_labels(run: Run, labels, message: str) -> None:
    with pytest.raises(ValueError, match=f"^labels: expected {message}"):
        run.generate(3, labels=labels)


def test_an_unconditional_run_takes_no_labels(tmp_path, capsys) -> None:
    plain = ModelConfig(width=0.25, latent_dim=8)
    run = training.train(settings(tmp_path / "run", model=plain, steps=1))
    assert run.labels(3) is None
    with pytest.raises(ValueError, match=r"^labels: expected none for an unconditional run"):
        run.generate(3, labels=1)
    out = tmp_path / "x.npz"
    assert main(["generate", str(run.folder), "--n", "3", "--out", str(out), "--label", "1"]) == 2
    error = capsys.readouterr().err
    assert error == "sngan: error: --label: expected none for an unconditional run, got '1'\n"
    assert main(["generate", str(run.folder), "--n", "3", "--out", str(out)]) == 0
    assert list(np.load(out)) == ["samples"]


def test_generate_by_name_or_index(tmp_path, capsys, run: Run) -> None:
    # names that are not their own index
    names = ("seven", "three", "1", *"abcdefg")
    named = replace(
        run, config=replace(run.config, model=replace(run.config.model, class_names=names))
    )
    assert [named.class_index(x) for x in ("three", "1", "9", "0")] == [1, 2, 9, 0]
    with pytest.raises(ValueError, match=r"^label: .*got 'thre' \(did you mean three\?\)"):
        named.class_index("thre")
    with pytest.raises(ValueError, match=r"^label: expected one of .* got '10'"):
        named.class_index("10")

    def generate(*flags: str) -> int:
        return main(["generate", str(run.folder), "--n", "25", "--seed", "4", *flags])

    assert generate("--out", str(tmp_path / "all.npz")) == 0
    assert generate("--out", str(tmp_path / "three.npz"), "--label", "3") == 0
    whole, three = (np.load(tmp_path / f"{name}.npz") for name in ("all", "three"))
    assert whole["labels"].tolist() == [i % 10 for i in range(25)]
    assert three["labels"].tolist() == [3] * 25
    assert three["labels"].dtype == np.int64
    assert (three["samples"][[3, 13, 23]] == whole["samples"][[3, 13, 23]]).all()
    assert not (three["samples"][4] == whole["samples"][4]).all()
    assert generate("--out", str(tmp_path / "x.npz"), "--label", "13") == 2
    assert "--label: expected one of 0, 1, 2" in capsys.readouterr().err
    assert generate("--out", str(tmp_path / "grid.png"), "--label", "3") == 0
    # a file of samples and labels is data to train on
    again = data.open_source(str(tmp_path / "all.npz"))
    assert again.labels.tolist() == whole["labels"].tolist()
