"""Lipschitz bounds of a network: a proved upper bound, and a lower bound attained at a point."""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.certificate.evidence import Evidence, Secant
from sngan.lipschitz.local.domain import Box, domain_of, domain_of_box
from sngan.lipschitz.local.lower import local_lower_bound
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
    """The lower bound is above the upper bound, so one of them is wrong.

    :func:`lipschitz_bounds` raises it instead of a result. It means a bug of sngan, or a rule of
    :func:`sngan.lipschitz.register_lipschitz` that gives a constant which is too small.
    """


def lipschitz_bounds(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    data: Tensor | None = None,
    center: Tensor | None = None,
    radius: float | None = None,
    box: Box | None = None,
    also_in_box: Box | None = None,
    norm: str = "2",
    slopes: str = "eclipse",
    lower: bool = True,
    samples: int | None = None,
    rounds: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> LipschitzBounds:
    r"""Bound :math:`\mathrm{Lip}(f) = \sup_{x \ne y} \|f(x) - f(y)\| / \|x - y\|`.

    The bounds hold for the map of ``module.eval()`` in exact arithmetic on single samples, with
    input and output flattened. The function works in float64 on a copy; the module and the global
    random number generator stay as they are.

    The upper bound is a proof. The network is traced, and the constants of its operations are
    accumulated from the input to the output, with sums for residual branches and roots of sums of
    squares for concatenations. The bound is infinite, with a reason, where no constant is known,
    where a trace cannot represent the module, or where the module computes something else than its
    trace. Casts to other real types count as identities, because exact arithmetic has no types. The
    trace misses one case: a forward that reads values through ``torch.utils.dlpack`` and branches
    on them.

    The lower bound is the norm of the Jacobian at a point that a search found. A secant through
    that point confirms it.

    Parameters
    ----------
    module
        A network with one input and one real tensor as output. Layers whose map in train mode is
        random or mixes the batch (dropout, batch norm) must be in eval mode.
    input_shape
        Shape of one sample, such as ``(3, 32, 32)``.
    data
        Points ``(N, *input_shape)`` that the search starts from, in addition to noise. At most
        ``samples`` of them are used.
    center, radius
        A ball ``‖x − center‖ ≤ radius`` in ``norm``: only inputs in it count. Activations that
        cannot switch there have one slope in the proof.
    box
        A pair ``(low, high)`` of numbers or tensors of ``input_shape``: only inputs with
        ``low ≤ x ≤ high`` count.
    also_in_box
        A box whose Euclidean upper bound is computed in addition, as ``upper_in_box``. This is
        quicker than a second call with ``box``, because the record of the network and its bound
        for all inputs are computed once.
    norm
        The norm of inputs and outputs: ``"2"``, ``"1"`` or ``"inf"``. The layers' constants and
        ``product`` are Euclidean and hold for all inputs.
    slopes
        The proof of the upper bound. ``"product"`` accumulates the layers' constants. The other two
        also use two facts: the slopes of an activation lie in a range, and GroupSort and MaxMin
        keep sums and norms. ``"eclipse"`` computes bounds in closed form. ``"sdp"`` searches for
        the best bound of this kind, which takes from seconds to a minute. Both cover chains,
        residual blocks and convolutions of up to 1,024 values. In larger networks they cover only
        the last part, or nothing; then ``notes`` says so.
    lower
        Whether to search for a lower bound. Without a search it is 0, with a note.
    samples, rounds
        Size of the search: points of noise, and rounds of improvement. The defaults are 256 and 20;
        they are smaller for networks whose passes take more than about 10 million operations.
    seed
        Seed of the search.
    progress
        Whether to draw a progress bar, if standard error is a terminal.

    Raises
    ------
    ValueError
        If ``module`` is not Python code, if its weights are not real or have no values yet, if it
        does not take inputs of ``input_shape``, if its output is not one real tensor with elements,
        if ``data`` has another shape or is not finite, if the ball or the box is incomplete or has
        other shapes, or if ``slopes`` or ``norm`` is unknown.
    InconsistentBoundsError
        If the search finds a slope above the upper bound, so one of the two is wrong.

    References
    ----------
    Szegedy et al. 2014, arXiv:1312.6199 (product of norms); Xu, Sivaranjani 2024, arXiv:2404.04375
    (ECLipsE); Fazlyab et al. 2019, arXiv:1906.04893 (LipSDP); Pauli et al. 2024, arXiv:2401.14033
    (GroupSort, residual networks); Syed, Hu 2025, arXiv:2503.14297 (closed forms).

    Examples
    --------
    >>> critic = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))
    >>> bounds = lipschitz_bounds(critic, (2,))
    >>> 0.0 < bounds.lower <= bounds.upper <= bounds.product
    True
    >>> near = lipschitz_bounds(critic, (2,), center=torch.ones(2), radius=0.01)
    >>> near.upper <= bounds.upper
    True
    >>> doubled = lipschitz_bounds(nn.Upsample(scale_factor=2), (3, 4, 4), lower=False)
    >>> round(doubled.upper, 6), doubled.notes[0]
    (2.0, 'no lower bound: none was asked for')
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
        devices.enter_context(_same_default_device(copied))
        _require_data(data, tuple(copied.example.shape[1:]))
        train_mode = _paths_in_train_mode(module)
        shape = tuple(copied.example.shape[1:])
        domain = domain_of(shape, center=center, radius=radius, box=box, norm=norm)
        second = None
        if also_in_box is not None:
            second = domain_of_box(also_in_box, shape, name="also_in_box")
        above = upper_bound(
            copied,
            slopes=slopes,
            train_mode=train_mode,
            domain=domain,
            norm=norm,
            inside=second,
            report=bar,
        )
        below = LowerBound(0.0, copied.example[0], "no lower bound: none was asked for")
        if lower:
            budget = budget_for(copied, samples=samples, rounds=rounds)
            with preserve_rng_state(copied.example):
                below = (
                    lower_bound(copied, data=data, budget=budget, seed=seed, report=bar)
                    if domain is None and norm == "2"
                    else local_lower_bound(
                        copied, domain=domain, norm=norm, budget=budget, seed=seed
                    )
                )
    _require_order(below.value, above.value)
    evidence = None
    if above.evidence is not None:
        secant = None
        if below.direction is not None:
            secant = Secant(below.witness, below.direction, below.half)
        evidence = Evidence(shape, above.evidence, secant, norm, domain)
    return LipschitzBounds(
        # equal bounds may differ by rounding
        lower=min(below.value, above.value),
        upper=above.value,
        method=above.method,
        product=above.product,
        layers=above.layers,
        witness=below.witness,
        reasons=above.reasons,
        notes=(*((below.note,) if below.note else ()), *above.notes),
        evidence=evidence,
        upper_in_box=None if also_in_box is None else above.inside,
    )


def _same_default_device(module: PreparedModule) -> AbstractContextManager[Any]:
    """Return a context that creates tensors on the CPU if the module is on the CPU."""
    is_elsewhere = module.example.is_cpu and torch.get_default_device().type != "cpu"
    return torch.device("cpu") if is_elsewhere else nullcontext()


def _require_order(lower: float, upper: float) -> None:
    if lower > upper * (1 + _ROUNDING):
        raise InconsistentBoundsError(
            f"internal error: a slope of {lower:.9g} was found above the bound of {upper:.9g}; "
            "either a registered rule gives too small a constant, or this is a fault of sngan: "
            "please report it with the network"
        )


def _paths_in_train_mode(module: nn.Module) -> frozenset[str]:
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
