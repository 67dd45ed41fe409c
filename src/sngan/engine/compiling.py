"""Compilation of the networks' forward passes with ``torch.compile``, where a compiler works."""

import logging
import warnings

import torch
from torch import nn

from sngan.utils.text import first_line

_log = logging.getLogger("sngan")


def compile_forward(*networks: nn.Module, device: torch.device, wanted: str) -> None:
    """Compile the forward passes of networks in place.

    Names of parameters do not change, and copies of the networks are not compiled. Where no
    compiler works for the device, the networks stay as they are and a line is logged.

    Parameters
    ----------
    networks
        The networks.
    device
        The device on which they compute.
    wanted
        ``on``, ``off``, or ``auto``: on for CUDA devices only.
    """
    if wanted == "off" or (wanted == "auto" and device.type != "cuda"):
        return
    try:
        torch.compile(_increment)(torch.zeros(2, device=device))
    except Exception as error:
        # the compiler may raise anything; training works without it
        _log.warning("performance.compile: not compiled, %s", first_line(error))
        return
    # the compiler reads .grad of every input, also of generated samples, and torch warns of that
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    for network in networks:
        network.compile()


def _increment(x: torch.Tensor) -> torch.Tensor:
    return x + 1
