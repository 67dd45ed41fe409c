"""Precision of forward and backward passes: float32, or bfloat16 autocast."""

# pyright: reportPrivateUsage=false

import logging
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch

_log = logging.getLogger("sngan")


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU has instructions for bfloat16; True for processors other than x86."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    # torch has no public name for these in all versions that sngan supports
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def autocast_for(
    wanted: str, device: torch.device, *, is_images: bool
) -> Callable[[], AbstractContextManager[Any]]:
    """Return a function that makes the context of a forward pass.

    Weights and their updates are always float32. ``auto`` is float32 for points, because bfloat16
    has only three digits, and on all CPUs: it has not been shown over several seeds that bfloat16
    gives samples of the same quality there. On a CPU without bfloat16 instructions an explicit
    ``bf16-mixed`` gets a warning. It is not refused, because it computes what a GPU computes, which
    is useful to check a short run.

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
    if is_half and device.type == "cpu" and not cpu_has_bfloat16():
        _log.warning(
            "performance.precision: this CPU has no bfloat16 instructions (avx512_bf16 or amx), so "
            "bf16-mixed is emulated; it was measured to be 16 times slower than 32-true"
        )
    if wanted == "auto" and device.type == "cuda" and is_images:
        is_half = torch.cuda.is_bf16_supported(including_emulation=False)
        if not is_half:
            _log.warning("performance.precision: 32-true, as this GPU has no bfloat16")
    return partial(torch.autocast, device.type, torch.bfloat16, enabled=is_half)
