"""Description of a SpectralNorm: its table of layers, and the parameters that it does not cover."""

import warnings
from collections.abc import Iterable
from textwrap import indent

from torch import nn
from torch.nn.parameter import is_lazy

from sngan.spectral.normalizer import Normalizer
from sngan.utils.kernels import Kernel
from sngan.utils.tables import text_table

_HEAD = ("layer", "kind", "c", "σ")


def describe(module: nn.Module | None, normalizer: Normalizer, kind: str) -> str:
    """A table of the layers, then the parameters of two or more dimensions that are not covered.

    Parameters
    ----------
    module
        The network; None if it no longer exists.
    normalizer
        Its normalized weights.
    kind
        ``"matrix"`` or ``"operator"``.
    """
    rows: dict[str, tuple[str, ...]] = {}
    kernels: list[Kernel] = []
    for group in normalizer.groups:
        rows_of = zip(group.norms, group.sigmas(), group.coefficients.values, strict=True)
        for norm, sigma, coefficient in rows_of:
            kernels.append(norm.kernel)
            for name, layer in zip(norm.kernel.names, norm.kernel.layers, strict=True):
                owner = normalizer.kind_of(layer)
                c, value = f"{float(coefficient):.4g}", f"{float(sigma):.4g}"
                rows[name] = (name or "(itself)", owner, c, value)
    table = indent(text_table([_HEAD, *rows.values()]), "  ")
    rest = [] if module is None else _not_covered_with_shapes(module, kernels)
    return "\n".join(
        [f"SpectralNorm(kind={kind!r})", table, f"  not covered: {', '.join(rest) or 'nothing'}"]
    )


def warn_of_not_covered(module: nn.Module, kernels: Iterable[Kernel]) -> None:
    """Warn once, with a list of the parameters of two or more dimensions that are not covered."""
    rest = _not_covered_with_shapes(module, kernels)
    if rest:
        warnings.warn(
            f"SpectralNorm does not cover {', '.join(rest)}: no known layer has them as a matrix; "
            "pass layers= to choose layers without this warning",
            UserWarning,
            stacklevel=3,
        )


def _not_covered_with_shapes(module: nn.Module, kernels: Iterable[Kernel]) -> list[str]:
    """The names and shapes of the parameters of two or more dimensions that are in no kernel."""
    covered = {id(kernel.weight) for kernel in kernels}
    return [
        f"{name} {tuple(parameter.shape)}"
        for name, parameter in module.named_parameters()
        if id(parameter) not in covered and not is_lazy(parameter) and parameter.dim() > 1
    ]
