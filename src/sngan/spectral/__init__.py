"""Spectral normalization: the norms of linear layers and the constraint that keeps them fixed."""

from sngan.spectral.matrix_norms import effective_ranks as effective_ranks
from sngan.spectral.matrix_norms import spectral_norms as spectral_norms
from sngan.spectral.operator.norm import Certificate as Certificate
from sngan.spectral.operator.norm import certified_norm as certified_norm
from sngan.spectral.operator.norm import operator_norm as operator_norm
from sngan.spectral.spectral_norm import SpectralNorm as SpectralNorm

__all__ = [
    "Certificate",
    "SpectralNorm",
    "certified_norm",
    "effective_ranks",
    "operator_norm",
    "spectral_norms",
]
