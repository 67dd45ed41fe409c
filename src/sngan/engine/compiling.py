"""Compiled forward passes, where they can be had."""

import logging
import warnings

import torch
from torch import nn

from sngan.utils.text import first_line

_log = logging.getLogger("sngan")


def compile_forward(*networks: nn.Module, device: torch.device, wanted: str) -> None:
    """Compile the networks' forward in place; parameter names and later copies stay plain.

    ``wanted`` is ``on``, ``off``, or ``auto`` for CUDA devices only. Where the device has no
    working compiler, the networks stay as they are and a line is logged.
    """
    if wanted == "off" or (wanted == "auto" and device.type != "cuda"):
        return
    try:
        torch.compile(_increment)(torch.zeros(2, device=device))
    except Exception as error:
        # whatever the compiler raises, training goes on without it
        _log.warning("performance.compile: not compiled, %s", first_line(error))
        return
    # the compiler looks at the .grad of each input, generated ones included
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    for network in networks:
        network.compile()


def _increment(x: torch.Tensor) -> torch.Tensor:
    return x + 1
