"""Features to measure, and other people's metrics."""

import importlib
import warnings

import torch


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rotation(size, seed=0):
    return torch.linalg.qr(normal(size, size, seed=seed)).Q


class Features(torch.nn.Module):
    """What torchmetrics takes for an extractor: here its input already is the features."""

    def __init__(self, size):
        super().__init__()
        self.num_features = size

    def forward(self, x):
        return x


def by_torchmetrics(name, **options):
    # without torch-fidelity the folder itself does not list them
    home = {"FrechetInceptionDistance": "fid", "KernelInceptionDistance": "kid"}
    module = importlib.import_module(f"torchmetrics.image.{home.get(name, 'inception')}")
    with warnings.catch_warnings():
        # of the memory that all features take
        warnings.simplefilter("ignore", UserWarning)
        return getattr(module, name)(**options)
