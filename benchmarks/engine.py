"""Seconds per training iteration (n_critic critic steps, one generator step), against plain loops.

All contenders train the same networks from the same weights on the same data. Each round runs one
iteration of every contender in turn, in one process; the table shows medians over the rounds and
the medians of the per-round ratios, of wall and of CPU time.

- `sngan`: the engine, as `sngan train` runs it.
- `sngan compiled`: the same with `performance.compile=on`.
- `sngan plain`: the same neither compiled nor captured in a CUDA graph; on a CPU that is `sngan`.
- `careful`: a loop written well, on torch's parametrized spectral norm: fakes without gradients,
  real and fake in one forward, no critic gradients in the generator's step, no waiting, networks in
  the channels-last format. Like all plain loops it convolves after upsampling and before pooling.
- `careful, sngan's layers`: the same with sngan's networks, which do both at once.
- `careful, default format`: as `careful`, in torch's default memory format.
- `common`: the loop as it is usually written: a DataLoader, fakes that are detached, two forwards,
  critic gradients in the generator's step, `.item()` in each step, the default memory format.

The sizes of points have contenders of their own: see `benchmarks/points.py`.

    python -m benchmarks.engine [--rounds N] [--json FILE] [--sizes NAME ...]
                                [--contenders NAME ...] [--device cpu|cuda]
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, repeat
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import points
from benchmarks.common import (
    Table,
    argument_parser,
    compared,
    synchronized,
    versions,
    write_json,
)
from sngan import Config, data, losses
from sngan.config import ModelConfig, PerformanceConfig
from sngan.engine import TrainState, train_step
from sngan.models.fused import PooledConv2d, UpsampledConv2d
from sngan.runs.networks import build_networks
from sngan.utils.supported_layers import LAYERS

Iteration = Callable[[], None]

SIZES: dict[str, tuple[float, int, int]] = {
    "resnet 32x32, batch 64, n_critic 5": (1.0, 64, 5),
    "resnet 32x32 width 1/4, batch 16, n_critic 5": (0.25, 16, 5),
}
CONTENDERS = (
    "sngan",
    "sngan compiled",
    "sngan plain",
    "careful",
    "careful, sngan's layers",
    "careful, default format",
    "common",
)
TABLE = Table("", 24, [("wall", "8.4f"), ("share", "6.3f"), ("CPU", "8.4f"), ("share", "6.3f")])
_IMAGES = 2048
_DECAY = 0.999


def images() -> data.Dataset:
    pixels = torch.randint(256, (_IMAGES, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    return data.Dataset("noise", pixels.to(torch.uint8))


def settings(
    size: str, *, device: str = "cpu", compiled: bool = False, plain: bool = False
) -> Config:
    """The engine's settings; ``plain`` is without compiling and capturing, even on a GPU."""
    width, batch_size, n_critic = SIZES[size]
    compiling = "on" if compiled else "auto"
    config = Config(
        model=ModelConfig(name="resnet", width=width, latent_dim=128, sample_shape=(3, 32, 32)),
        performance=PerformanceConfig(
            device=device,
            compile="off" if plain else compiling,
            cuda_graphs="off" if plain else "auto",
        ),
        batch_size=batch_size,
        ema_start=0,
    )
    assert config.method.n_critic == n_critic
    return config


def engine(
    size: str, *, device: str = "cpu", compiled: bool = False, plain: bool = False
) -> Iteration:
    """One iteration of sngan's engine."""
    config = settings(size, device=device, compiled=compiled, plain=plain)
    state = TrainState.build(config, images())

    def iteration() -> None:
        train_step(config, state)

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
    return build_networks(settings(size))


def careful(size: str, *, device: str, memory_format: torch.memory_format) -> Iteration:
    """One iteration of a loop written well; on a GPU in bfloat16, as sngan's."""
    _, batch_size, n_critic = SIZES[size]
    generator, critic = (network.to(device) for network in networks(size))
    generator.to(memory_format=memory_format)
    normalized(critic).to(memory_format=memory_format)
    half = partial(torch.autocast, device, torch.bfloat16, enabled=device == "cuda")
    critic_optimizer, generator_optimizer = adam(critic), adam(generator)
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(_DECAY), use_buffers=True)
    pixels = images().samples.to(device)

    def iteration() -> None:
        for _ in range(n_critic):
            indices = torch.randint(len(pixels), (batch_size,), device=device)
            real = pixels[indices] / 128 - 1
            real += torch.rand_like(real) / 128
            with half():
                with torch.no_grad():
                    fake = generator(torch.randn(batch_size, 128, device=device))
                loss = losses.hinge.critic(*critic(torch.cat([real, fake])).chunk(2))
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
        critic.requires_grad_(False)
        with half():
            loss = -critic(generator(torch.randn(batch_size, 128, device=device))).mean()
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        critic.requires_grad_(True)
        average.update_parameters(generator)

    return iteration


def common(size: str, *, device: str) -> Iteration:
    """One iteration of a loop as it is usually written."""
    _, batch_size, n_critic = SIZES[size]
    generator, critic = (network.to(device) for network in networks(size))
    normalized(critic)
    critic_optimizer, generator_optimizer = adam(critic), adam(generator)
    average = copy.deepcopy(generator)
    batches = endless(DataLoader(TensorDataset(images().samples), batch_size, shuffle=True))

    def iteration() -> None:
        for _ in range(n_critic):
            real = next(batches).to(device) / 127.5 - 1
            critic_optimizer.zero_grad()
            fake = generator(torch.randn(batch_size, 128, device=device)).detach()
            real_loss = torch.relu(1 - critic(real)).mean()
            fake_loss = torch.relu(1 + critic(fake)).mean()
            loss = real_loss + fake_loss
            loss.backward()
            critic_optimizer.step()
            loss.item()
        generator_optimizer.zero_grad()
        loss = -critic(generator(torch.randn(batch_size, 128, device=device))).mean()
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
    return nn.Conv2d.forward(layer, F.interpolate(maps, scale_factor=2, mode="nearest"))


def pooled_conv(layer: nn.Conv2d, maps: Tensor) -> Tensor:
    return F.avg_pool2d(nn.Conv2d.forward(layer, maps), 2)


def plain(iteration: Iteration) -> Iteration:
    """The iteration with the networks as they are usually written."""

    def run() -> None:
        with (
            mock.patch.object(UpsampledConv2d, "forward", upsampled_conv),
            mock.patch.object(PooledConv2d, "forward", pooled_conv),
        ):
            iteration()

    return run


def contenders(size: str, *, device: str) -> dict[str, Callable[[], Iteration]]:
    fast, default = torch.channels_last, torch.contiguous_format
    well = partial(careful, size, device=device)
    return {
        "sngan": lambda: engine(size, device=device),
        "sngan compiled": lambda: engine(size, device=device, compiled=True),
        "sngan plain": lambda: engine(size, device=device, plain=True),
        "careful": lambda: plain(well(memory_format=fast)),
        "careful, sngan's layers": lambda: well(memory_format=fast),
        "careful, default format": lambda: plain(well(memory_format=default)),
        "common": lambda: plain(common(size, device=device)),
    }


def measure(
    size: str, *, device: str, rounds: int, names: list[str]
) -> dict[str, dict[str, float]]:
    """Return for each contender its seconds of wall and CPU time, and their ratios to sngan's."""
    known = contenders(size, device=device)
    iterations = {name: synchronized(known[name](), device) for name in names}
    # the first iterations on a GPU compile and capture
    return compared(iterations, rounds=rounds, warm_up=5 if device == "cuda" else 1)


def measure_points(size: str, *, rounds: int, names: list[str]) -> dict[str, dict[str, float]]:
    """The same for points; a round has several iterations, and the first ones are recorded."""
    jobs = {name: points.repeated(points.CONTENDERS[name](size)) for name in names}
    rows = compared(jobs, rounds=rounds, warm_up=1)
    for row in rows.values():
        row["wall_seconds"] /= points.ITERATIONS
        row["cpu_seconds"] /= points.ITERATIONS
    return rows


def rows_of(size: str, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure a size with the contenders that were asked for, or the usual ones."""
    asked = arguments.contenders
    if size in points.SIZES:
        names = [n for n in points.CONTENDERS if n == "sngan" or n in (asked or points.CONTENDERS)]
        return measure_points(size, rounds=3 * arguments.rounds, names=names)
    usual = CONTENDERS[:2] + CONTENDERS[3:] if arguments.device == "cpu" else CONTENDERS
    names = [name for name in CONTENDERS if name == "sngan" or name in (asked or usual)]
    rounds = arguments.rounds * (6 if SIZES[size][0] < 1 else 1)
    return measure(size, device=arguments.device, rounds=rounds, names=names)


def main() -> None:
    parser = argument_parser(__doc__, "engine")
    sizes = [*SIZES, *points.SIZES]
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sizes", nargs="+", choices=sizes, default=sizes)
    known = dict.fromkeys([*CONTENDERS, *points.CONTENDERS])
    parser.add_argument("--contenders", nargs="+", choices=[*known])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    print(f"{versions()}; seconds of an iteration, sngan's share")
    results = {}
    for size in arguments.sizes:
        results[size] = rows_of(size, arguments)
        print(f"{size}\n{TABLE.head()}")
        for name, row in results[size].items():
            columns = ("wall_seconds", "wall_ratio", "cpu_seconds", "cpu_ratio")
            print(TABLE.line(name, *(row[column] for column in columns)), flush=True)
    write_json(results, arguments.json)


if __name__ == "__main__":
    main()
