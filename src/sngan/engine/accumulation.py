"""Gradient accumulation: a batch whose gradient is computed in several parts, to save memory."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from sngan.config import Config
from sngan.engine.runtime import Runtime

_log = logging.getLogger("sngan")

LossOfPart = Callable[..., tuple[Tensor, dict[str, Tensor]]]
"""Maps the rows of a part to its loss and the terms for the log."""


def backward_in_parts(
    runtime: Runtime,
    network: Any,
    loss_of: LossOfPart,
    rows: tuple[Tensor | None, ...],
    *,
    parts: int,
) -> dict[str, Tensor]:
    r"""Compute ``∇ (1/k) Σ_j L(part j)`` for k equal parts of a batch; return the mean terms.

    For a loss that is a mean over samples, this is the gradient of the whole batch.

    Parameters
    ----------
    runtime
        Computes gradients; DDP averages them over the ranks in the last part only.
    network
        The network whose gradients are computed, in Fabric's wrapper.
    loss_of
        The loss of a part, and its terms for the log.
    rows
        Tensors whose first dimension is split; None stays None.
    parts
        The number k of parts. With 1 nothing is split.
    """
    if parts == 1:
        loss, terms = loss_of(*rows)
        runtime.backward(loss)
        return terms
    split = [[None] * parts if one is None else one.chunk(parts) for one in rows]
    found: list[dict[str, Tensor]] = []
    for number, part in enumerate(zip(*split, strict=True), start=1):
        with nullcontext() if number == parts else runtime.no_sync(network):
            loss, terms = loss_of(*part)
            runtime.backward(loss / parts)
        found.append(terms)
    return {name: torch.stack([terms[name] for terms in found]).mean() for name in found[0]}


def warn_of_batch_statistics(config: Config, *networks: nn.Module) -> None:
    """Warn if something in a run uses statistics of a batch, which are now those of a part."""
    if config.performance.accumulate == 1:
        return
    has_norm = any(isinstance(m, _BatchNorm) for network in networks for m in network.modules())
    concerned = [
        *["batch norm"] * has_norm,
        *["the penalty dragan"] * (config.method.penalty == "dragan"),
    ]
    if concerned:
        _log.warning(
            "performance.accumulate: %s will see each part of a batch by itself, so the gradient "
            "is not that of the whole batch",
            " and ".join(concerned),
        )
