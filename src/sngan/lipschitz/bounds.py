"""Both bounds of a network's Lipschitz constant."""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.progress import progress_bar
from sngan.lipschitz.records import LipschitzBounds
from sngan.lipschitz.search.budget import budget_for
from sngan.lipschitz.search.lower import LowerBound, lower_bound
from sngan.lipschitz.tracing.prepare import PreparedModule, prepare, preserve_rng_state, unwrap
from sngan.lipschitz.upper import upper_bound
from sngan.utils.checks import require, require_count, require_one_of

SLOPES = ("product", "eclipse", "sdp")
_ROUNDING = 1e-7


class InconsistentBoundsError(RuntimeError):
    """The lower bound is above the upper one, so that one of them is wrong."""


def lipschitz_bounds(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    data: Tensor | None = None,
    slopes: str = "eclipse",
    lower: bool = True,
    samples: int | None = None,
    rounds: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> LipschitzBounds:
    r"""Bound :math:`\mathrm{Lip}(f) = \sup_{x \ne y} \|f(x) - f(y)\|_2 / \|x - y\|_2`.

    The bounds are for the map of ``module.eval()`` in exact arithmetic, input and output flattened,
    on single samples. The upper bound is a proof: the network is traced, and every operation's
    constant is accumulated from the input to the output, with sums for residual branches and roots
    of sums of squares for concatenations. Where no constant is known it is infinite, and says why.
    It is infinite, too, where the module does what a trace cannot show, or computes something else
    than its trace. Casts to other real types count as identities: exact arithmetic has no types.
    One thing cannot be seen: a forward that reads values through ``torch.utils.dlpack`` and
    branches on them.
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
        How nonlinear operations and the layers between them fit together: by ranges of slopes for
        activations, by kept sums and norms for GroupSort and MaxMin, in chains, residual blocks and
        convolutions of up to 1,024 values. ``"eclipse"`` tightens the product of the layers'
        constants by bounds in closed form, ``"sdp"`` searches for the best bound of this kind, in
        seconds up to a minute; ``"product"`` does neither. Where the sizes are too large, only the
        last part of the network or the product counts, and ``notes`` says so.
    lower
        Whether to search for a lower bound; otherwise it is 0, with a note.
    samples, rounds
        Size of the search for the lower bound: points of noise, rounds of improvement. By default
        256 and 20, and fewer for networks whose passes take more than some 10 million operations.
    seed
        Of the search.
    progress
        Draw a progress bar, where standard error is a terminal.

    Raises
    ------
    ValueError
        If it is not a module of Python code with real weights that have values, if it does not take
        the shape, if its output is not one real tensor with elements, if the data has another shape
        or is not finite, or if ``slopes`` is unknown.
    InconsistentBoundsError
        If the search finds a slope above the upper bound, so that one of the two is wrong.

    References
    ----------
    Szegedy et al. 2014, arXiv:1312.6199 (product of norms); Xu, Sivaranjani 2024, arXiv:2404.04375
    (ECLipsE); Fazlyab et al. 2019, arXiv:1906.04893 (LipSDP); Pauli et al. 2024, arXiv:2401.14033
    (GroupSort, residual networks); Syed, Hu 2025, arXiv:2503.14297 (closed forms).

    Examples
    --------
    >>> critic = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))
    >>> bounds = lipschitz_bounds(critic, (2,))
    >>> bounds.lower <= bounds.upper
    True
    """
    require_one_of(slopes, "slopes", choices=SLOPES)
    if samples is not None:
        require_count(samples, "samples")
    if rounds is not None:
        require_count(rounds, "rounds", minimum=0)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        progress_bar(is_shown=progress) as bar,
        ExitStack() as devices,
    ):
        copied = prepare(module, input_shape)
        devices.enter_context(_default_device_of(copied))
        _require_data(data, tuple(copied.example.shape[1:]))
        train_mode = _in_train_mode(module)
        above = upper_bound(copied, slopes=slopes, train_mode=train_mode, report=bar)
        below = LowerBound(0.0, copied.example[0], "no lower bound: none was asked for")
        if lower:
            budget = budget_for(copied, samples=samples, rounds=rounds)
            with preserve_rng_state(copied.example):
                below = lower_bound(copied, data=data, budget=budget, seed=seed, report=bar)
    _require_order(below.value, above.value)
    return LipschitzBounds(
        # they may differ by rounding
        lower=min(below.value, above.value),
        upper=above.value,
        method=above.method,
        product=above.product,
        layers=above.layers,
        witness=below.witness,
        reasons=above.reasons,
        notes=(*((below.note,) if below.note else ()), *above.notes),
    )


def _default_device_of(module: PreparedModule) -> AbstractContextManager[Any]:
    """A context that makes new tensors on the CPU if the module is on the CPU."""
    is_elsewhere = module.example.is_cpu and torch.get_default_device().type != "cpu"
    return torch.device("cpu") if is_elsewhere else nullcontext()


def _require_order(lower: float, upper: float) -> None:
    if lower > upper * (1 + _ROUNDING):
        raise InconsistentBoundsError(
            f"internal error: a slope of {lower:.9g} was found above the bound of {upper:.9g}; "
            "either a registered rule gives too small a constant, or this is a fault of sngan: "
            "please report it with the network"
        )


def _in_train_mode(module: nn.Module) -> frozenset[str]:
    modules = unwrap(module).named_modules(remove_duplicate=False)
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
