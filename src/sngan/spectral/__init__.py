"""Spectral normalization: the norms of linear layers and the constraint that keeps them fixed."""

from sngan.spectral.estimates import spectral_norms as spectral_norms
from sngan.spectral.normalization import SpectralNorm as SpectralNorm
