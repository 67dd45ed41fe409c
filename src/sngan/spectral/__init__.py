"""Spectral normalization: the norms of linear layers and the constraint that keeps them fixed."""

from sngan.spectral.estimates import spectral_norms as spectral_norms
from sngan.spectral.normalization import SpectralNorm as SpectralNorm
from sngan.spectral.operator import Certificate as Certificate
from sngan.spectral.operator import certified_norm as certified_norm
from sngan.spectral.operator import operator_norm as operator_norm
