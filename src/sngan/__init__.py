"""sngan: GANs whose critic has a controlled Lipschitz constant. The table of contents.

Names are imported on first use, so that ``import sngan`` and ``sngan --help`` do not pay for
PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sngan import lipschitz as lipschitz
    from sngan import losses as losses
    from sngan import metrics as metrics
    from sngan import penalties as penalties
    from sngan import transport as transport
    from sngan.config import Config as Config
    from sngan.lipschitz import lipschitz_bounds as lipschitz_bounds
    from sngan.methods import METHODS as METHODS
    from sngan.methods import Method as Method
    from sngan.runs.run import Run as Run
    from sngan.runs.run import load as load
    from sngan.spectral import SpectralNorm as SpectralNorm
    from sngan.spectral import operator_norm as operator_norm
    from sngan.spectral import spectral_norms as spectral_norms
    from sngan.tasks.train import train as train
    from sngan.transport import critic_bound as critic_bound
    from sngan.transport import wasserstein as wasserstein

__version__ = "0.1.0"
__all__ = [
    "METHODS",
    "Config",
    "Method",
    "Run",
    "SpectralNorm",
    "critic_bound",
    "lipschitz",
    "lipschitz_bounds",
    "load",
    "losses",
    "metrics",
    "operator_norm",
    "penalties",
    "spectral_norms",
    "train",
    "transport",
    "wasserstein",
]

_HOMES = {
    "METHODS": "sngan.methods",
    "Config": "sngan.config",
    "Method": "sngan.methods",
    "Run": "sngan.runs.run",
    "SpectralNorm": "sngan.spectral",
    "critic_bound": "sngan.transport",
    "lipschitz_bounds": "sngan.lipschitz",
    "load": "sngan.runs.run",
    "operator_norm": "sngan.spectral",
    "spectral_norms": "sngan.spectral",
    "train": "sngan.tasks.train",
    "wasserstein": "sngan.transport",
}
_PARTS = ("lipschitz", "losses", "metrics", "penalties", "transport")


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"sngan.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sngan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
