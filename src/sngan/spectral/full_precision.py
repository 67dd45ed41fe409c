"""Full precision for norms, while the network itself uses autocast or TF32."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch


@contextmanager
def full_precision(device: torch.device) -> Generator[None]:
    """Turn off autocast and cuDNN's TF32, whose errors of 1e-3 would be too large for a bound."""
    convolutions: Any = torch.backends.cudnn.conv  # pyright: ignore[reportAttributeAccessIssue]
    precision = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    is_autocast = torch.is_autocast_enabled(device.type)
    try:
        with torch.autocast(device.type, enabled=False) if is_autocast else nullcontext():
            yield
    finally:
        convolutions.fp32_precision = precision
