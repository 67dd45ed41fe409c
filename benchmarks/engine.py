"""Seconds per training iteration (n_critic critic steps, one generator step), against plain loops.

All contenders train the same networks from the same weights on the same data. Each round runs one
iteration of every contender in turn, in one process; the table shows medians over the rounds and
the medians of the per-round ratios, of wall and of CPU time.

- `sngan`: the engine, as `sngan train` runs it.
- `sngan compiled`: the same with `performance.compile=on`.
- `careful`: a loop written well, on torch's parametrized spectral norm: fakes without gradients,
  real and fake in one forward, no critic gradients in the generator's step, no waiting, networks in
  the channels-last format. Like all plain loops it convolves after upsampling and before pooling.
- `careful, sngan's layers`: the same with sngan's networks, which do both at once.
- `careful, default format`: as `careful`, in torch's default memory format.
- `common`: the loop as it is usually written: a DataLoader, fakes that are detached, two forwards,
  critic gradients in the generator's step, `.item()` in each step, the default memory format.

    python benchmarks/engine.py [--rounds N] [--json FILE] [--sizes NAME ...]
                                [--contenders NAME ...]
"""

import argparse
import copy
import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

from sngan import Config, data, losses, training
from sngan.config import ModelConfig, PerformanceConfig
from sngan.spectral.kernels import LAYERS
from sngan.state import State

Iteration = Callable[[], None]

SIZES: dict[str, tuple[float, int, int]] = {
    "resnet 32x32, batch 64, n_critic 5": (1.0, 64, 5),
    "resnet 32x32 width 1/4, batch 16, n_critic 5": (0.25, 16, 5),
}
CONTENDERS = (
    "sngan",
    "sngan compiled",
    "careful",
    "careful, sngan's layers",
    "careful, default format",
    "common",
)
_IMAGES = 2048
_DECAY = 0.999


def images() -> data.Dataset:
    pixels = torch.randint(256, (_IMAGES, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    return data.Dataset("noise", pixels.to(torch.uint8))


def settings(size: str, *, compiled: bool = False) -> Config:
    width, batch_size, n_critic = SIZES[size]
    config = Config(
        model=ModelConfig(name="resnet", width=width, latent_dim=128, sample_shape=(3, 32, 32)),
        performance=PerformanceConfig(device="cpu", compile="on" if compiled else "off"),
        batch_size=batch_size,
        ema_start=0,
    )
    assert config.method.n_critic == n_critic
    return config


def engine(size: str, *, compiled: bool = False) -> Iteration:
    """One iteration of sngan's engine."""
    config = settings(size, compiled=compiled)
    state = State.build(config, images())

    def iteration() -> None:
        training._step(config, state)

    return iteration


def normalized(critic: nn.Module) -> nn.Module:
    for layer in list(critic.modules()):
        if isinstance(layer, LAYERS):
            spectral_norm(layer)
    return critic


def adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.0, 0.9))


def networks(size: str) -> tuple[nn.Module, nn.Module]:
    """The engine's own networks with their first weights; the critic is not normalized yet."""
    torch.manual_seed(0)
    return training.build_networks(settings(size))


def careful(size: str, *, memory_format: torch.memory_format) -> Iteration:
    """One iteration of a loop written well."""
    _, batch_size, n_critic = SIZES[size]
    generator, critic = networks(size)
    generator.to(memory_format=memory_format)
    normalized(critic).to(memory_format=memory_format)
    critic_optimizer, generator_optimizer = adam(critic), adam(generator)
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(_DECAY), use_buffers=True)
    pixels = images().samples

    def iteration() -> None:
        for _ in range(n_critic):
            real = pixels[torch.randint(len(pixels), (batch_size,))] / 128 - 1
            real += torch.rand_like(real) / 128
            with torch.no_grad():
                fake = generator(torch.randn(batch_size, 128))
            loss = losses.hinge.critic(*critic(torch.cat([real, fake])).chunk(2))
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
        critic.requires_grad_(False)
        loss = -critic(generator(torch.randn(batch_size, 128))).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        critic.requires_grad_(True)
        average.update_parameters(generator)

    return iteration


def common(size: str) -> Iteration:
    """One iteration of a loop as it is usually written."""
    _, batch_size, n_critic = SIZES[size]
    generator, critic = networks(size)
    normalized(critic)
    critic_optimizer, generator_optimizer = adam(critic), adam(generator)
    average = copy.deepcopy(generator)
    batches = endless(DataLoader(TensorDataset(images().samples), batch_size, shuffle=True))

    def iteration() -> None:
        for _ in range(n_critic):
            real = next(batches) / 127.5 - 1
            critic_optimizer.zero_grad()
            fake = generator(torch.randn(batch_size, 128)).detach()
            real_loss = torch.relu(1 - critic(real)).mean()
            fake_loss = torch.relu(1 + critic(fake)).mean()
            loss = real_loss + fake_loss
            loss.backward()
            critic_optimizer.step()
            loss.item()
        generator_optimizer.zero_grad()
        loss = -critic(generator(torch.randn(batch_size, 128))).mean()
        loss.backward()
        generator_optimizer.step()
        loss.item()
        with torch.no_grad():
            for mean, new in zip(average.parameters(), generator.parameters(), strict=True):
                mean.mul_(_DECAY).add_(new, alpha=1 - _DECAY)

    return iteration


def endless(loader: DataLoader) -> Iterator[Tensor]:
    return (samples for (samples,) in chain.from_iterable(repeat(loader)))


def upsampled_conv(layer: nn.Conv2d, maps: Tensor) -> Tensor:
    return layer(F.interpolate(maps, scale_factor=2, mode="nearest"))


def pooled_conv(layer: nn.Conv2d, maps: Tensor) -> Tensor:
    return F.avg_pool2d(layer(maps), 2)


def plain(iteration: Iteration) -> Iteration:
    """The iteration with the networks as they are usually written."""
    # sngan.models.resnet is a function too
    resnet = importlib.import_module("sngan.models.resnet")

    def run() -> None:
        with mock.patch.multiple(resnet, upsampled_conv=upsampled_conv, pooled_conv=pooled_conv):
            iteration()

    return run


def contenders(size: str) -> dict[str, Callable[[], Iteration]]:
    fast, default = torch.channels_last, torch.contiguous_format
    return {
        "sngan": lambda: engine(size),
        "sngan compiled": lambda: engine(size, compiled=True),
        "careful": lambda: plain(careful(size, memory_format=fast)),
        "careful, sngan's layers": lambda: careful(size, memory_format=fast),
        "careful, default format": lambda: plain(careful(size, memory_format=default)),
        "common": lambda: plain(common(size)),
    }


def measure(size: str, *, rounds: int, names: list[str]) -> dict[str, dict[str, float]]:
    """Return for each contender its seconds of wall and CPU time, and their ratios to sngan's."""
    iterations = {name: contenders(size)[name]() for name in names}
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds + 1):
        # a new first one each round: none shall always run after the heavy one
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter(), time.process_time()
            iterations[name]()
            if index:  # the first warms up
                wall[name].append(time.perf_counter() - start[0])
                cpu[name].append(time.process_time() - start[1])
    return {
        name: {
            "wall_seconds": statistics.median(wall[name]),
            "cpu_seconds": statistics.median(cpu[name]),
            "wall_ratio": _ratio(wall["sngan"], wall[name]),
            "cpu_ratio": _ratio(cpu["sngan"], cpu[name]),
        }
        for name in names
    }


def _ratio(mine: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/engine.json"))
    arguments = parser.parse_args()
    names = [name for name in CONTENDERS if name == "sngan" or name in arguments.contenders]
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads; seconds of an iteration, sngan's share")
    results = {}
    for size in arguments.sizes:
        rounds = arguments.rounds * (6 if SIZES[size][0] < 1 else 1)
        results[size] = measure(size, rounds=rounds, names=names)
        print(f"{size} ({rounds} rounds)\n{'':24}     wall  share      CPU  share")
        for name, row in results[size].items():
            print(
                f"{name:24} {row['wall_seconds']:8.4f} {row['wall_ratio']:6.3f} "
                f"{row['cpu_seconds']:8.4f} {row['cpu_ratio']:6.3f}",
                flush=True,
            )
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results, indent=2))
    print(f"written: {arguments.json}")


if __name__ == "__main__":
    main()
