"""sngan: GANs whose critic has a controlled Lipschitz constant. This file lists the public names.

Names are imported on first use, so that ``import sngan`` and ``sngan --help`` do not pay for
PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sngan import augment as augment
    from sngan import callbacks as callbacks
    from sngan import config as config
    from sngan import data as data
    from sngan import engine as engine
    from sngan import health as health
    from sngan import lipschitz as lipschitz
    from sngan import losses as losses
    from sngan import methods as methods
    from sngan import metrics as metrics
    from sngan import models as models
    from sngan import penalties as penalties
    from sngan import spectral as spectral
    from sngan import transport as transport
    from sngan.config import Config as Config
    from sngan.lipschitz import certified_accuracy as certified_accuracy
    from sngan.lipschitz import certified_radius as certified_radius
    from sngan.lipschitz import lipschitz_bounds as lipschitz_bounds
    from sngan.methods import METHODS as METHODS
    from sngan.methods import Method as Method
    from sngan.runs.run import Run as Run
    from sngan.runs.run import load as load
    from sngan.spectral import SpectralNorm as SpectralNorm
    from sngan.spectral import operator_norm as operator_norm
    from sngan.spectral import spectral_norms as spectral_norms
    from sngan.tasks.distance import distance as distance
    from sngan.tasks.evaluate import evaluate as evaluate
    from sngan.tasks.train import train as train
    from sngan.transport import critic_bound as critic_bound
    from sngan.transport import wasserstein as wasserstein

__version__ = "0.1.0"

# for each public name: the module that defines it, or the module of that name
_HOMES = {
    "METHODS": "sngan.methods",
    "Config": "sngan.config",
    "Method": "sngan.methods",
    "Run": "sngan.runs.run",
    "SpectralNorm": "sngan.spectral",
    "augment": "sngan.augment",
    "callbacks": "sngan.callbacks",
    "config": "sngan.config",
    "certified_accuracy": "sngan.lipschitz",
    "certified_radius": "sngan.lipschitz",
    "critic_bound": "sngan.transport",
    "data": "sngan.data",
    "distance": "sngan.tasks.distance",
    "engine": "sngan.engine",
    "evaluate": "sngan.tasks.evaluate",
    "health": "sngan.health",
    "lipschitz": "sngan.lipschitz",
    "lipschitz_bounds": "sngan.lipschitz",
    "load": "sngan.runs.run",
    "losses": "sngan.losses",
    "methods": "sngan.methods",
    "metrics": "sngan.metrics",
    "models": "sngan.models",
    "operator_norm": "sngan.spectral",
    "penalties": "sngan.penalties",
    "spectral": "sngan.spectral",
    "spectral_norms": "sngan.spectral",
    "train": "sngan.tasks.train",
    "transport": "sngan.transport",
    "wasserstein": "sngan.transport",
}
__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sngan' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return home if home.__name__ == f"sngan.{name}" else getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
