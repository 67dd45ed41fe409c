"""Bytes that the processes of a run send in one iteration: by formula, and counted.

An iteration is ``n_critic`` critic steps and one generator step of a method without batch norm in
its critic. A message is one all-reduce. Its payload is the tensor that each process contributes;
in a ring each process sends 2·(P − 1)/P of it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.modules.batchnorm import _BatchNorm

from sngan import Config
from sngan.runs.networks import build_networks

MIB = 2**20
# DDP sends the last gradients, which are ready first, alone, then the others in large buckets
FIRST_BUCKET, BUCKET = MIB, 25 * MIB


@dataclass(frozen=True)
class Traffic:
    """Payload of an iteration in bytes, and its messages."""

    gradient_bytes: float
    gradient_messages: float
    norm_bytes: float
    norm_messages: float

    @property
    def payload(self) -> float:
        return self.gradient_bytes + self.norm_bytes

    @property
    def messages(self) -> float:
        return self.gradient_messages + self.norm_messages


def ring(processes: int) -> float:
    """The share of a payload that each process of a ring sends."""
    return 2 * (processes - 1) / processes


def by_formula(config: Config) -> Traffic:
    """Traffic computed from the settings and the sizes of the networks.

    ``config.model.sample_shape`` must be given.
    """
    with torch.device("meta"):
        generator, critic = build_networks(config)
    n_critic = config.method.n_critic
    norms = [layer.num_features for layer in generator.modules() if isinstance(layer, _BatchNorm)]
    # mean and variance, forward in each step and backward in the generator's
    passes = 2 * (n_critic + 1 + 1)
    return Traffic(
        gradient_bytes=n_critic * size(critic) + size(generator),
        gradient_messages=n_critic * buckets(critic) + buckets(generator),
        norm_bytes=4 * sum(norms) * passes,
        norm_messages=len(norms) * passes,
    )


def size(network: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in network.parameters())


def buckets(network: nn.Module) -> int:
    """The number of buckets that DDP fills with whole gradients, starting at the last weight."""
    count, filled, limit = 1, 0, FIRST_BUCKET
    for weight in reversed(list(network.parameters())):
        if filled >= limit:
            count, filled, limit = count + 1, 0, BUCKET
        filled += weight.numel() * weight.element_size()
    return count


@contextmanager
def counted(networks: list[Any]) -> Generator[dict[str, list[int]]]:
    """Count the payload of each message of Fabric's networks in DDP: of gradients, and of others.

    The hook sends each bucket as DDP does without a hook.
    """
    found: dict[str, list[int]] = {"gradients": [], "others": []}
    all_reduce = dist.all_reduce

    def counting(values: Tensor, *arguments: Any, **options: Any) -> Any:
        kind = "gradients" if options.get("async_op") else "others"
        found[kind].append(values.numel() * values.element_size())
        return all_reduce(values, *arguments, **options)

    for network in networks:
        network._forward_module.register_comm_hook(None, default_hooks.allreduce_hook)
    with mock.patch.object(dist, "all_reduce", counting):
        yield found
