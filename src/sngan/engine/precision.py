"""Precision of forward and backward passes: float32, or bfloat16 autocast."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch

_log = logging.getLogger("sngan")


def autocast_for(
    wanted: str, device: torch.device, *, is_images: bool
) -> Callable[[], AbstractContextManager[Any]]:
    """Return a function that makes the context of a forward pass.

    Weights and their updates are always float32. ``auto`` is float32 for points, because bfloat16
    has only three digits, and on CPUs, where runs that differ only by rounding should stay close.

    Parameters
    ----------
    wanted
        ``32-true``, ``bf16-mixed``, or ``auto``: bfloat16 for images on a CUDA device that has it.
    device
        The device of the pass.
    is_images
        Whether the samples are images.
    """
    is_half = wanted == "bf16-mixed"
    if wanted == "auto" and device.type == "cuda" and is_images:
        is_half = torch.cuda.is_bf16_supported(including_emulation=False)
        if not is_half:
            _log.warning("performance.precision: 32-true, as this GPU has no bfloat16")
    return partial(torch.autocast, device.type, torch.bfloat16, enabled=is_half)
