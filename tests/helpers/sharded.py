"""Sharded trainings and loops: what each rank does, and the same on one process to compare with."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import checkpoints
from helpers.training import assert_identical
from sngan import METHODS, Config, SpectralNorm, data, models
from sngan.config import DataConfig, ModelConfig, PerformanceConfig
from sngan.distributed import collectives, dtensor
from sngan.engine import TrainState, train_step
from sngan.engine.sampling import sample_average
from sngan.runs import checkpoint

TWO = PerformanceConfig(device="cpu", devices=2, strategy="fsdp")


DIGITS = DataConfig(source="digits", flip=True)


CNN = ModelConfig(name="cnn", width=0.1, latent_dim=8)


RESNET = replace(CNN, name="resnet", width=0.05)


POINTS = {"model": replace(CNN, name="mlp"), "data": DataConfig(source="ring8")}


IN_PARTS = PerformanceConfig(device="cpu", accumulate=2)


STEPS = 3


CASES = {
    name: {"method": name, "model": RESNET if method.image_attention else CNN}
    for name, method in METHODS.items()
} | {
    "sn-resnet": {"method": "sn", "model": RESNET},
    "wgan-gp-resnet": {"method": "wgan-gp", "model": RESNET},
    "sn-operator-resnet": {"method": "sn-operator", "model": RESNET},
    "sn-points": {"method": "sn", **POINTS},
    "wgan-gp-points": {"method": "wgan-gp", **POINTS},
    "r3gan-by-class": {"method": "r3gan", "model": replace(CNN, conditional=True)},
    "sagan-resnet": {"method": "sagan", "model": replace(RESNET, conditional=True)},
    "accumulated-points": {"method": "r1", **POINTS, "performance": IN_PARTS},
}


# these differ in networks, penalties, normalizations and data; the other methods are slow tests
QUICK = (
    "wgan", "wgan-gp", "bn", "sn", "sn-gp", "sn-resnet", "wgan-gp-resnet", "sn-operator-resnet",
    "sn-points", "r3gan-by-class",
)  # fmt: skip
SLOW = [case for case in CASES if case not in QUICK]


TRAFFIC = ("sn", "wgan-gp", "sn-resnet", "wgan-gp-resnet")


NETWORKS = ("generator", "critic", "average")


def config_of(case: str) -> Config:
    fields = {"data": DIGITS, "model": CNN, "batch_size": 8, **CASES[case]}
    method = replace(METHODS[fields.pop("method")], n_critic=2)
    return Config(out="unused", method=method, steps=STEPS, ema_start=2, ema_decay=0.9, **fields)


def build(config: Config, fabric=None) -> TrainState:
    if fabric is not None:
        parts = config.performance.accumulate
        config = replace(config, performance=replace(TWO, accumulate=parts))
    dataset = data.open_source(config.data.source)
    return TrainState.build(config, dataset, fabric)


def whole(value):
    """Nested state with whole tensors."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    return dtensor.full_tensor(value) if isinstance(value, torch.Tensor) else value


def trained(case: str, fabric=None) -> dict:
    """Trained in float64, where other orders of summing do not grow into other results."""
    config = config_of(case)
    torch.set_default_dtype(torch.float64)
    try:
        state = build(config, fabric)
        terms = [train_step(config, state) for _ in range(STEPS)]
        n = state.generator.module.num_classes
        return {
            # the terms of the run's records are float32
            "terms": [
                {name: float(collectives.all_reduce_mean(v)) for name, v in t.items()}
                for t in terms
            ],
            "sigmas": {name: float(sigma) for name, sigma in state.sigmas().items()},
            "sample": sample_average(state.average, 8, classes=range(n), seed=3),
            "state": whole(state.state_dict()),
        }
    finally:
        torch.set_default_dtype(torch.float32)


# every way in which a norm is followed: by rows, uneven and empty ones, or gathered
def convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose2d(5, 4, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.LeakyReLU(0.1),
        nn.Conv2d(6, 1, 1),
        nn.Flatten(),
        nn.Linear(64, 1),
    )


def dense() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 7), nn.LeakyReLU(0.1), nn.Linear(7, 1))


def tied() -> nn.Sequential:
    network = nn.Sequential(nn.Linear(5, 5), nn.LeakyReLU(0.1), nn.Linear(5, 5))
    network[2].weight = network[0].weight
    return network


def attending() -> nn.Module:
    return models.build("resnet", (1, 16, 16), width=0.05, attention=8)[1]


class Sequences(nn.Module):
    """Heads and gates whose rows lie on both of two ranks, and a bilinear layer of one row."""

    def __init__(self) -> None:
        super().__init__()
        # a bias of keys changes nothing: its gradient is rounding, which Adam would enlarge
        self.encoder = nn.TransformerEncoderLayer(6, 3, 5, 0.0, batch_first=True, bias=False)
        self.recurrent = nn.GRU(6, 3, batch_first=True)
        self.last = nn.Bilinear(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.recurrent(self.encoder(x))[0][:, -1]
        return self.last(hidden, hidden.tanh())


IMAGE = (3, 4, 4)


OPERATOR = {"kind": "operator", "input_shape": IMAGE}


LOOPS = {
    "dense": (dense, (5,), {}),
    "two iterations": (dense, (5,), {"iterations": 2, "coefficient": 1.5}),
    "tied": (tied, (5,), {}),
    "convolutions": (convolutions, IMAGE, {}),
    "operator": (convolutions, IMAGE, {**OPERATOR, "coefficient": 1.5}),
    "attention": (attending, (1, 16, 16), {}),
    "strict": (convolutions, IMAGE, {**OPERATOR, "strict": True}),
    "by heads": (Sequences, (4, 6), {"coefficient": {"encoder.self_attn": 0.8}}),
    "at most": (dense, (5,), {"coefficient": {"0": 0.8, "2": 1.0}, "bound": "at_most"}),
    "at most, gathered": (convolutions, IMAGE, {"bound": "at_most", "coefficient": 0.7}),
    "at most, strict": (convolutions, IMAGE, {**OPERATOR, "strict": True, "bound": "at_most"}),
}


def looped(case: str, rank: int = 0, ranks: int = 1, *, mesh=None, seed: int = 7) -> dict:
    """A loop of the user's own, with ``fully_shard`` or on one process."""
    from torch.distributed.fsdp import fully_shard

    make, shape, options = LOOPS[case]
    torch.manual_seed(0)
    network = make().double()
    if ranks > 1:
        if case == "dense":
            for layer in (network[0], network[2]):
                fully_shard(layer, mesh=mesh)
        fully_shard(network, mesh=mesh)
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    norm = SpectralNorm(network, optimizer, **options)
    generator = torch.Generator().manual_seed(3)
    sent = Sent()
    for _ in range(6):
        batch = torch.randn(4, *shape, dtype=torch.float64, generator=generator)
        scores = network(batch.chunk(ranks)[rank])
        optimizer.zero_grad()
        (scores.square().mean() - scores.mean()).backward()
        with sent:
            optimizer.step()
    return {
        "weights": {n: dtensor.full_tensor(p).clone() for n, p in network.named_parameters()},
        "norm": norm.state_dict(),
        "singular": norm.singular_values(),
        "sent": sent.sizes,
        "certified": norm.certify() if "kind" in options else {},
        "rescaled": whole(dict(network.named_parameters())),
    }


class Sent(TorchDispatchMode):
    """The elements that go through each kind of collective."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, list[int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "c10d":
            # the whole of a gather is its output, that of a scatter its input
            tensor = args[1] if "scatter" in str(func) else args[0]
            whole = tensor[0] if isinstance(tensor, list) else tensor
            self.sizes.setdefault(func._schema.name, []).append(whole.numel())
        return func(*args, **(kwargs or {}))


def traffic(case: str, fabric) -> dict:
    """Elements gathered and scattered in the second of two steps, and what a rank holds."""
    config = config_of(case)
    state = build(config, fabric)
    train_step(config, state)
    with Sent() as sent:
        train_step(config, state)
    held = [
        dtensor.local_tensor(tensor).numel()
        for part in (state.generator.module, state.critic.module, state.average.module)
        for tensor in part.parameters()
    ]
    moments = [
        dtensor.local_tensor(value).numel()
        for optimizer in (state.generator_optimizer, state.critic_optimizer)
        for moment in optimizer.state.values()
        for key, value in moment.items()
        if key != "step"
    ]
    return {"sent": sent.sizes, "held": sum(held + moments)}


def continued(fabric, folder: Path) -> None:
    """One step more than the checkpoint there, and a checkpoint of it."""
    torch.set_default_dtype(torch.float64)
    try:
        config = config_of("sn")
        state = build(config, fabric)
        state.load_state_dict(checkpoint.read(folder / "last.pt"))
        train_step(config, state)
        checkpoint.rotate(state.state_dict(), folder)
    finally:
        torch.set_default_dtype(torch.float32)


def saved(fabric, folder: Path) -> None:
    """Two checkpoints, and one of a write that was cut off."""
    config = config_of("sn")
    state = build(config, fabric)
    for _ in range(2):
        train_step(config, state)
        checkpoint.rotate(state.state_dict(), folder, keep_every=2)
    torch.save(whole(state.state_dict()), folder.with_suffix(f".{fabric.global_rank}.pt"))
    checkpoints.write_old_of_ranks(state.state_dict(), folder.with_name("old") / "last.pt")
    again = build(config, fabric)
    again.load_state_dict(checkpoint.read(folder / "last.pt"))
    assert_identical(whole(again.state_dict()), whole(state.state_dict()))
    train_step(config, state)
    expected = whole(state.state_dict())
    again.load_state_dict(checkpoint.read(folder / "last.pt"))
    train_step(config, again)
    assert_identical(whole(again.state_dict()), expected)


def refusal() -> str:
    """What is said to one who shards first and takes over torch's normalization then."""
    from torch.distributed.fsdp import fully_shard

    network = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)))
    fully_shard(network)
    with pytest.raises(ValueError, match="module") as refused:
        SpectralNorm.from_parametrized(network, torch.optim.SGD(network.parameters()))
    return str(refused.value)


def compiled_log(fabric) -> list[str]:
    """What is logged where a compiled run is asked for."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("sngan").addHandler(handler)
    config = replace(config_of("sn"), performance=replace(TWO, compile="on"))
    dataset = data.open_source(config.data.source)
    state = TrainState.build(config, dataset, fabric)
    train_step(config, state)
    logging.getLogger("sngan").removeHandler(handler)
    return lines


def all_cases(fabric, folder: Path) -> None:
    """What each of two processes does."""
    torch.set_num_threads(1)
    rank = fabric.global_rank
    results = {
        "trained": {case: trained(case, fabric) for case in QUICK},
        "looped": {case: looped(case, rank, 2) for case in LOOPS},
        "traffic": {case: traffic(case, fabric) for case in TRAFFIC},
        "apart": looped("convolutions", rank, 2, seed=rank),
        "compiled log": compiled_log(fabric),
        "refusal": refusal(),
    }
    saved(fabric, folder / "checkpoints")
    continued(fabric, folder / "double")
    torch.save(results, folder / f"rank{rank}.pt")


def slow_cases(fabric, folder: Path) -> None:
    torch.set_num_threads(1)
    results = {case: trained(case, fabric) for case in SLOW}
    torch.save(results, folder / f"rank{fabric.global_rank}.pt")


def on_four(fabric, folder: Path) -> None:
    """Weights over four ranks, and over two ranks twice."""
    from torch.distributed.device_mesh import init_device_mesh

    torch.set_num_threads(1)
    rank, twice = (
        fabric.global_rank,
        init_device_mesh("cpu", (2, 2), mesh_dim_names=("copy", "part")),
    )
    results = {case: [looped(case, rank, 4, mesh=mesh) for mesh in (None, twice)] for case in LOOPS}
    torch.save(results, folder / f"rank{rank}.pt")
