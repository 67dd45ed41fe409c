"""Certified radius: no input within it changes the predicted class."""

import math

import torch
from torch import Tensor

from sngan.utils.checks import require

# room for the rounding of a difference, a product and a quotient in float64
_ROUNDING = 1e-14


def certified_radius(
    logits: Tensor, lipschitz: float | Tensor, *, rounding: float | Tensor = 0.0
) -> Tensor:
    r"""Return the radius within which no input changes the predicted class, float64 ``(N,)``.

    With the predicted class c it is :math:`\min_{j \ne c} (f_c - f_j)/\mathrm{Lip}(f_c - f_j)`, or
    :math:`|f|/\mathrm{Lip}(f)` for one logit, whose sign is the class. It is 0 for a tie. The
    numbers are rounded down. The radius holds for the network in exact arithmetic if the logits
    are exact; ``rounding`` makes it hold for the network as it is computed.

    Parameters
    ----------
    logits
        The outputs ``(N, classes)``, or ``(N, 1)`` or ``(N,)`` for two classes.
    lipschitz
        A bound L of the constant of the whole map, which gives √2·L for each pair of classes, or
        the symmetric bounds ``(classes, classes)`` of ``sngan.lipschitz.class_constants``.
    rounding
        A bound of the rounding error of each logit, here and at all inputs within the radius: one
        number, or one for each sample. The difference of two logits must exceed four times this.

    Raises
    ------
    ValueError
        If the logits are not finite or have another shape, or a bound is negative or not a number.

    References
    ----------
    Tsuzuku, Sato, Sugiyama 2018, arXiv:1802.04034.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.5]])
    >>> [round(radius, 3) for radius in certified_radius(logits, 1.0).tolist()]
    [1.414, 0.354]
    """
    is_tensor = isinstance(logits, Tensor) and not logits.is_complex()
    is_matrix = is_tensor and logits.dim() in (1, 2) and logits.numel() > 0
    is_any = isinstance(logits, Tensor)
    got = f"{logits.dtype} {tuple(logits.shape)}" if is_any else type(logits).__name__
    require(is_matrix, "logits", expected="a real tensor (N, classes)", got=got)
    values = logits.detach().double().reshape(len(logits), -1)
    is_finite = bool(values.isfinite().all())
    require(is_finite, "logits", expected="finite numbers", got="nan or inf")
    errors = _numbers(rounding, "rounding", shapes=[(), (len(values),)], device=values.device)
    classes = values.shape[1]
    if classes == 1:
        constant = _numbers(lipschitz, "lipschitz", shapes=[()], device=values.device)
        margins, constants = values[:, 0].abs()[:, None], constant.expand(len(values), 1)
        return _smallest(margins - 2 * errors.reshape(-1, 1), constants)
    shapes = [(), (classes, classes)]
    given = _numbers(lipschitz, "lipschitz", shapes=shapes, device=values.device)
    pairs = given if given.dim() else (math.sqrt(2.0) * (1 + _ROUNDING) * given).expand(*shapes[1])
    top = values.argmax(dim=1)
    margins = values.gather(1, top[:, None]) - values - 4 * errors.reshape(-1, 1)
    constants = torch.maximum(pairs[top], pairs.T[top])
    others = torch.arange(classes, device=values.device) != top[:, None]
    shape = (len(values), classes - 1)
    return _smallest(margins[others].reshape(shape), constants[others].reshape(shape))


def _smallest(margins: Tensor, constants: Tensor) -> Tensor:
    ratios = margins.clamp_min(0.0) * (1 - _ROUNDING) / constants
    # with the constant 0, a margin above 0 lasts for ever, and a tie stays a tie
    return ratios.nan_to_num(nan=0.0, posinf=math.inf).amin(dim=1)


def _numbers(
    value: float | Tensor, name: str, *, shapes: list[tuple[int, ...]], device: torch.device
) -> Tensor:
    expected = "a number" + "".join(f", or a tensor {shape}" for shape in shapes[1:])
    is_number = isinstance(value, int | float | Tensor) and not isinstance(value, bool)
    require(is_number, name, expected=expected, got=repr(value))
    tensor = torch.as_tensor(value, device=device).detach().double()
    require(tuple(tensor.shape) in shapes, name, expected=expected, got=tuple(tensor.shape))
    is_bound = not bool(tensor.isnan().any()) and bool((tensor >= 0).all())
    require(is_bound, name, expected="no negative number and no nan", got="one")
    return tensor
