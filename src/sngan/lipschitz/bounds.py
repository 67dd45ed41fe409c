"""Both bounds of a network's Lipschitz constant."""

import torch
from torch import Tensor, nn

from sngan._checks import require, require_count, require_one_of
from sngan.lipschitz.lower import Effort, lower_bound
from sngan.lipschitz.prepare import kept_rng, prepared, unwrapped
from sngan.lipschitz.records import LipschitzBounds
from sngan.lipschitz.upper import upper_bound

SLOPES = ("product", "eclipse", "sdp")


def lipschitz_bounds(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    data: Tensor | None = None,
    slopes: str = "eclipse",
    samples: int = 256,
    rounds: int = 20,
    seed: int = 0,
) -> LipschitzBounds:
    r"""Bound :math:`\mathrm{Lip}(f) = \sup_{x \ne y} \|f(x) - f(y)\|_2 / \|x - y\|_2`.

    The bounds are for the map of ``module.eval()`` in exact arithmetic, input and output flattened,
    on single samples. The upper bound is a proof: the network is traced, and every operation's
    constant is accumulated from the input to the output, with sums for residual branches and roots
    of sums of squares for concatenations. Where no constant is known it is infinite, and says why.
    The lower bound is the norm of the Jacobian at a point that a search found, and a secant through
    that point confirms it. Works in float64 on a copy; the module and the global random number
    generator stay as they are.

    Parameters
    ----------
    module
        A network with one input and one real tensor as output. Layers whose map in train mode is
        random or mixes the batch (dropout, batch norm) must be in eval mode.
    input_shape
        Shape of one sample, such as ``(3, 32, 32)``.
    data
        Points ``(N, *input_shape)`` to start the search from, beside noise; at most ``samples`` of
        them are used.
    slopes
        For networks that alternate small affine parts and activations of bounded slopes:
        ``"eclipse"`` tightens the product of the layers' constants by a bound in closed form,
        ``"sdp"`` searches for the best bound of this kind, in some seconds; ``"product"`` does
        neither. Other networks get the product.
    samples, rounds
        Size of the search for the lower bound: points of noise, rounds of improvement.
    seed
        Of the search.

    Raises
    ------
    ValueError
        Not a module, complex or integer parameters, a shape that the module does not take, an
        output that is not one real tensor, data of another shape or that is not finite, an unknown
        ``slopes``.

    References
    ----------
    Szegedy et al. 2014, arXiv:1312.6199 (product of norms); Xu, Sivaranjani 2024, arXiv:2404.04375
    (ECLipsE); Fazlyab et al. 2019, arXiv:1906.04893 (LipSDP).

    Examples
    --------
    >>> critic = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))
    >>> bounds = lipschitz_bounds(critic, (2,))
    >>> bounds.lower <= bounds.upper
    True
    """
    require_one_of(slopes, "slopes", choices=SLOPES)
    require_count(samples, "samples")
    require_count(rounds, "rounds", minimum=0)
    with torch.inference_mode(False), torch.enable_grad():
        copied = prepared(module, input_shape)
        _require_data(data, tuple(copied.example.shape[1:]))
        upper = upper_bound(copied, slopes=slopes, train_mode=_in_train_mode(module))
        with kept_rng(copied.example):
            lower = lower_bound(copied, data=data, effort=Effort(samples, rounds), seed=seed)
    return LipschitzBounds(
        lower=lower.value,
        upper=upper.value,
        method=upper.method,
        product=upper.product,
        layers=upper.layers,
        witness=lower.witness,
        reasons=upper.reasons,
        notes=(lower.note,) if lower.note else (),
    )


def _in_train_mode(module: nn.Module) -> frozenset[str]:
    modules = unwrapped(module).named_modules(remove_duplicate=False)
    return frozenset(name for name, part in modules if part.training)


def _require_data(data: Tensor | None, shape: tuple[int, ...]) -> None:
    if data is None:
        return
    fits = isinstance(data, Tensor) and data.dim() > 0 and len(data) > 0
    require(
        fits and tuple(data.shape[1:]) == shape,
        "data",
        expected=f"points of shape (N, {', '.join(map(str, shape))})",
        got=tuple(data.shape) if isinstance(data, Tensor) else type(data).__name__,
    )
    require(bool(data.isfinite().all()), "data", expected="finite numbers", got="nan or inf")
