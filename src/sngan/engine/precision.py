"""The arithmetic of forward and backward passes: float32, or bfloat16 where a product allows it."""

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
    """Return the context of forward passes: weights and their updates are float32 in any case.

    ``wanted`` is ``32-true``, ``bf16-mixed``, or ``auto``: bfloat16 on a CUDA device that has it,
    for images. Points would be known to three digits. On a CPU results that depend on nothing but
    rounding, such as those of several processes, are worth more.
    """
    is_half = wanted == "bf16-mixed"
    if wanted == "auto" and device.type == "cuda" and is_images:
        is_half = torch.cuda.is_bf16_supported(including_emulation=False)
        if not is_half:
            _log.warning("performance.precision: 32-true, as this GPU has no bfloat16")
    return partial(torch.autocast, device.type, torch.bfloat16, enabled=is_half)
