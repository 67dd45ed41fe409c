"""Lipschitz constants of networks: upper and lower bounds, and layers with the constant 1.

Examples
--------
>>> import torch
>>> from torch import nn
>>> import sngan
>>> critic = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
>>> bounds = sngan.lipschitz_bounds(critic, (4,))
>>> bounds.lower <= bounds.upper <= bounds.product
True
"""

from sngan.lipschitz import blocks as blocks
from sngan.lipschitz.bounds import InconsistentBoundsError as InconsistentBoundsError
from sngan.lipschitz.bounds import lipschitz_bounds as lipschitz_bounds
from sngan.lipschitz.certificate.reading import CertificateError as CertificateError
from sngan.lipschitz.certificate.verify import Verification as Verification
from sngan.lipschitz.certificate.verify import verify_certificate as verify_certificate
from sngan.lipschitz.classes.accuracy import CertifiedAccuracy as CertifiedAccuracy
from sngan.lipschitz.classes.accuracy import certified_accuracy as certified_accuracy
from sngan.lipschitz.classes.attacks import projected_gradient as projected_gradient
from sngan.lipschitz.classes.pairs import class_constants as class_constants
from sngan.lipschitz.classes.radius import certified_radius as certified_radius
from sngan.lipschitz.plots import plot_cone as plot_cone
from sngan.lipschitz.plots import plot_layers as plot_layers
from sngan.lipschitz.records import LayerBound as LayerBound
from sngan.lipschitz.records import LipschitzBounds as LipschitzBounds
from sngan.lipschitz.registry import register as register
from sngan.lipschitz.rules.normalization import epsilon_constant as epsilon_constant

__all__ = [
    "CertificateError",
    "CertifiedAccuracy",
    "InconsistentBoundsError",
    "LayerBound",
    "LipschitzBounds",
    "Verification",
    "blocks",
    "certified_accuracy",
    "certified_radius",
    "class_constants",
    "epsilon_constant",
    "lipschitz_bounds",
    "plot_cone",
    "plot_layers",
    "projected_gradient",
    "register",
    "verify_certificate",
]
