"""Random features, and torchmetrics as a second opinion."""

import importlib
import warnings

import torch


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def rotation(size, seed=0):
    return torch.linalg.qr(normal(size, size, seed=seed)).Q


class Features(torch.nn.Module):
    """An extractor for torchmetrics whose input is already the features."""

    def __init__(self, size):
        super().__init__()
        self.num_features = size

    def forward(self, x):
        return x


def by_torchmetrics(name, **options):
    # without torch-fidelity the package does not list them, but their modules exist
    home = {"FrechetInceptionDistance": "fid", "KernelInceptionDistance": "kid"}
    module = importlib.import_module(f"torchmetrics.image.{home.get(name, 'inception')}")
    with warnings.catch_warnings():
        # torchmetrics warns of the memory that all features take
        warnings.simplefilter("ignore", UserWarning)
        return getattr(module, name)(**options)
