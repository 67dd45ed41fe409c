"""Seconds of an iteration on 8, 64 and 512 GPUs, from operation counts and assumed machine figures.

Nothing here is measured. Torch counts the operations of convolutions and products from shapes
alone; kernels are the ATen operations of an iteration. The machine consists of NVIDIA DGX H100s:
its figures, named in `Machine`, are the vendor's peaks and round guesses.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import traffic
from sngan import Config
from sngan.config import ModelConfig
from sngan.methods import named
from sngan.runs.networks import build_networks

SIDES = (32, 128, 256)
GPUS = (8, 64, 512)
BATCH_A_GPU, FIXED_BATCH = 64, 64


@dataclass(frozen=True)
class Machine:
    """Assumed figures, in seconds, bytes and operations a second."""

    # a third of the peak 494 TFLOP/s of TF32 without sparsity (vendor's data sheet): a guess
    rate: float = 1.6e14
    # time between two small kernels that Python launches: a usual figure
    launch: float = 6e-6
    # within a node NVLink, 450 GB/s a direction (data sheet), of which rings get two thirds
    node_bandwidth: float = 3e11
    node_latency: float = 2e-5
    # between nodes InfiniBand NDR, 50 GB/s a GPU (data sheet), of which rings get 0.8
    bandwidth: float = 4e10
    latency_a_doubling: float = 1e-5
    # the hosts' flag over gloo and TCP, for each doubling of the processes
    flag: float = 5e-5
    # random numbers a second, at a quarter of the memory's 3.35 TB/s (data sheet): a guess
    random: float = 2e11
    gpus_a_node: int = 8

    def all_reduce(self, messages: float, payload: float, gpus: int) -> float:
        """Seconds of messages, one after the other, over a ring with the latency of a tree."""
        if gpus == 1:
            return 0.0
        across = gpus > self.gpus_a_node
        doublings = math.log2(gpus / self.gpus_a_node) if across else 0.0
        latency = self.node_latency + self.latency_a_doubling * doublings
        rate = self.bandwidth if across else self.node_bandwidth
        return messages * latency + traffic.ring(gpus) * payload / rate


@dataclass(frozen=True)
class Work:
    """The work of an iteration on one image; ``backward`` is a part of ``operations``."""

    operations: float
    backward: float
    kernels: int
    random: float


# operations that launch nothing
VIEWS = (
    "view",
    "detach",
    "expand",
    "permute",
    "transpose",
    "aten.t.",
    "unsqueeze",
    "alias",
    "slice",
)


class KernelCounter(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not any(name in str(func) for name in VIEWS)
        return func(*args, **(kwargs or {}))


def settings(side: int) -> Config:
    model = ModelConfig(name="resnet", sample_shape=(3, side, side))
    return Config(out="unused", model=model, method=named("sn"), batch_size=FIXED_BATCH)


def counted(run: Callable[[], Tensor]) -> tuple[float, float, int]:
    """Operations of the forward and of the backward pass of a sum; kernels of both."""
    kernels = KernelCounter()
    with FlopCounterMode(display=False) as forward, kernels:
        loss = run()
    with FlopCounterMode(display=False) as backward, kernels:
        if loss.requires_grad:
            loss.backward()
    return forward.get_total_flops(), backward.get_total_flops(), kernels.count


def work(config: Config) -> Work:
    """Count one iteration of ``sn`` on a batch of one image, from shapes alone."""
    with torch.device("meta"):
        generator, critic = build_networks(config)
        noise = torch.empty(1, config.model.latent_dim)
        # one real image and one generated image
        images = torch.empty(2, *config.model.sample_shape or ())
    n_critic = config.method.n_critic
    fake = torch.no_grad()(lambda: generator(noise).sum())
    steps = [(n_critic, counted(fake)), (n_critic, counted(lambda: critic(images).sum()))]
    critic.requires_grad_(False)
    steps.append((1, counted(lambda: critic(generator(noise)).sum())))
    # Adam, the EMA, spectral normalization: about ten kernels for all weights or a kind of layer
    upkeep = (n_critic + 1) * 60
    return Work(
        operations=sum(times * (forward + backward) for times, (forward, backward, _) in steps),
        backward=sum(times * backward for times, (_, backward, _) in steps),
        kernels=sum(times * kernels for times, (_, _, kernels) in steps) + upkeep,
        random=n_critic * images[0].numel() + (n_critic + 1) * config.model.latent_dim,
    )


def predict(config: Config, gpus: int, batch_size: int, machine: Machine) -> dict[str, Any]:
    """Seconds of an iteration: ``low`` with gradients hidden behind backward, ``high`` without."""
    one, sent = work(config), traffic.by_formula(config)
    images = batch_size / gpus
    launching = one.kernels * machine.launch
    computing = max(images * one.operations / machine.rate, launching)
    gradients = machine.all_reduce(sent.gradient_messages, sent.gradient_bytes, gpus)
    parts = {
        "compute": computing,
        "gradients": gradients,
        "batch norm": machine.all_reduce(sent.norm_messages, sent.norm_bytes, gpus),
        "random": batch_size * one.random / machine.random,
        "flag": machine.flag * math.log2(gpus),
    }
    high = sum(parts.values())
    hidden = min(gradients, computing * one.backward / one.operations)
    # dequantization noise of a critic step, which every process draws for the whole batch
    drawn = 4 * batch_size * torch.Size(config.model.sample_shape or ()).numel()
    return {
        "gpus": gpus,
        "batch_size": batch_size,
        "images_a_gpu": images,
        "gigabytes_drawn": drawn / 1e9,
        **parts,
        "launch_bound": launching == computing,
        "low": high - hidden,
        "high": high,
    }


def table() -> dict[str, Any]:
    """Counts for each side of the images, and predictions for a growing and for a fixed batch."""
    machine = Machine()
    found: dict[str, Any] = {"machine": asdict(machine), "sides": {}}
    for side in SIDES:
        config = settings(side)
        rows = [
            predict(config, gpus, batch_size, machine)
            for fixed in (False, True)
            for gpus in (1, *GPUS)
            for batch_size in [FIXED_BATCH if fixed else BATCH_A_GPU * gpus]
            if batch_size % gpus == 0 and not (fixed and gpus == 1)
        ]
        counts = {**asdict(work(config)), **asdict(traffic.by_formula(config))}
        found["sides"][str(side)] = {"counts": counts, "rows": rows}
    return found


def show(found: dict[str, Any]) -> None:
    print("Predicted, on assumed H100s (nothing measured): an iteration of `sn` with resnet")
    for side, of in found["sides"].items():
        counts = of["counts"]
        print(
            f"{side}²: {counts['operations'] / 1e9:,.1f} GFLOP an image,"
            f" {counts['kernels']:,.0f} kernels;"
            f" {counts['gradient_bytes'] / 1e6:,.0f} MB of gradients"
            f" in {counts['gradient_messages']:.0f} messages,"
            f" {counts['norm_bytes'] / 1e3:,.0f} kB of batch norm in {counts['norm_messages']:.0f}"
        )
        print(
            "  GPUs  batch   compute  gradients  batch norm  random   flag"
            "     low … high ms   images/s   of ideal   drawn GB"
        )
        for row in of["rows"]:
            print(line(row, of["rows"][0]))
    print("* launching the kernels takes longer than their operations")


def line(row: dict[str, Any], one: dict[str, Any]) -> str:
    """Milliseconds of each part; the rate, and its share of ``gpus`` times the rate of ``one``."""
    ms = {key: 1e3 * row[key] for key in row if isinstance(row[key], float)}
    rates = [row["batch_size"] / row[key] for key in ("high", "low")]
    ideal = row["gpus"] * one["batch_size"] / one["high"]
    mark = "*" if row["launch_bound"] else " "
    return (
        f"  {row['gpus']:4} {row['batch_size']:6} {ms['compute']:8.1f}{mark}"
        f" {ms['gradients']:10.2f} {ms['batch norm']:11.2f} {ms['random']:7.2f} {ms['flag']:6.2f}"
        f" {ms['low']:7.1f} … {ms['high']:7.1f} {rates[0]:10,.0f}"
        f" {rates[0] / ideal:5.0%} … {rates[1] / ideal:4.0%} {row['gigabytes_drawn']:8.2f}"
    )


if __name__ == "__main__":
    show(table())
