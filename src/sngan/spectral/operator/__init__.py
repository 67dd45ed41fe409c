"""Operator norms of linear layers: the norm of a layer as a map, with its stride and padding."""

from sngan.spectral.operator.norm import Certificate as Certificate
from sngan.spectral.operator.norm import certified_norm as certified_norm
from sngan.spectral.operator.norm import operator_norm as operator_norm
