"""Certified accuracy: the share of samples that keep their right class within a radius."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.classes.attacks import margin, predicted, projected_gradient
from sngan.lipschitz.classes.pairs import class_constants
from sngan.lipschitz.classes.radius import certified_radius
from sngan.lipschitz.rounding_error import rounding_error
from sngan.lipschitz.tracing.graph import trace
from sngan.lipschitz.tracing.prepare import prepare
from sngan.lipschitz.upper import upper_bound
from sngan.utils.checks import require, require_count, require_number
from sngan.utils.plain import finite
from sngan.utils.tables import NOTHING, text_table
from sngan.utils.text import counted, first_line

_BATCH = 256


@dataclass(frozen=True)
class CertifiedAccuracy:
    """The accuracy of a classifier on samples: clean, certified and attacked.

    Attributes
    ----------
    clean
        The share of samples with the right class.
    radii
        The Euclidean radii.
    certified
        For each radius, the share of samples whose right class is proved within it.
    attacked
        For each radius, the share of samples whose right class survived an attack within it; None
        without attacks. It is never below ``certified`` if the proof and the attack are right.
    constants
        The bounds of ``Lip(f_i − f_j)``, float64 ``(classes, classes)``, or of ``Lip(f)`` as a
        tensor without dimensions for a single logit.
    sample_radii
        The certified radius of each sample, float64 ``(N,)``; 0 for a wrong class.

    Examples
    --------
    >>> from sngan.lipschitz import certified_accuracy
    >>> x, y = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    >>> found = certified_accuracy(nn.Identity(), x, y, radii=[0.5, 1.0, 3.0])
    >>> found.clean, found.certified, found.sample_radii.round(decimals=3).tolist()
    (1.0, (1.0, 0.5, 0.0), [2.121, 0.707])
    """

    clean: float
    radii: tuple[float, ...]
    certified: tuple[float, ...]
    attacked: tuple[float, ...] | None
    constants: Tensor
    sample_radii: Tensor

    def table(self) -> str:
        """Return plain text: a line for each radius."""
        hit = self.attacked or (None,) * len(self.radii)
        rows = [
            (f"{r:.6g}", f"{c:.2%}", NOTHING if a is None else f"{a:.2%}", f"{self.clean:.2%}")
            for r, c, a in zip(self.radii, self.certified, hit, strict=True)
        ]
        head = ("radius", "certified", "attacked", "clean")
        lines = [text_table([head, *rows], right=[0, 1, 2, 3], rule=True)]
        steepest = float(self.constants.max())
        lines.append(
            f"{counted(len(self.sample_radii), 'sample')}; largest constant {steepest:.6g}"
        )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return data for JSON, with nested lists for tensors."""
        plain = {
            "clean": self.clean,
            "radii": self.radii,
            "certified": self.certified,
            "attacked": self.attacked,
            "constants": self.constants.tolist(),
            "sample_radii": self.sample_radii.tolist(),
        }
        return finite(plain)


def certified_accuracy(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    radii: Sequence[float],
    *,
    slopes: str = "eclipse",
    attack_steps: int = 0,
    seed: int = 0,
) -> CertifiedAccuracy:
    """Certify the classes that ``model.eval()`` predicts, within Euclidean balls around samples.

    The constants of the differences of two logits are bounded by themselves
    (``sngan.lipschitz.class_constants``). The certificates hold for the network as it is computed:
    the logits are those of the network in its own type, and each margin is reduced by a bound of
    the rounding errors. This bound assumes that dot products are summed in the type of the weights
    (float32 without TF32), in any order.

    Parameters
    ----------
    model
        A network with outputs ``(N, classes)``, or ``(N, 1)``, positive for class 1.
    x, y
        Samples ``(N, …)`` and their classes, int64 ``(N,)``.
    radii
        The radii, in units of the samples.
    slopes
        The proof, as for :func:`sngan.lipschitz_bounds`.
    attack_steps
        Steps of the projected gradient attack within each radius; 0 attacks nothing.
    seed
        The seed of the attack.

    Raises
    ------
    ValueError
        If the network has no finite bound, a label is out of range, or a radius is no number.

    Examples
    --------
    >>> found = certified_accuracy(nn.Linear(2, 2), torch.randn(8, 2), torch.zeros(8).long(), [0.1])
    >>> found.certified[0] <= found.clean
    True
    """
    sizes = _checked_radii(radii)
    require_count(attack_steps, "attack_steps", minimum=0)
    _check_samples(x, y)
    kind = type(model).__name__
    require(isinstance(model, nn.Module), "model", expected="a torch.nn.Module", got=kind)
    # the caller's module may be in train mode and stays as it is
    was_training = [part for part in model.modules() if part.training]
    try:
        model.eval()
        return _certified(model, x, y, sizes, slopes=slopes, attack_steps=attack_steps, seed=seed)
    finally:
        for part in was_training:
            part.training = True


def _certified(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    radii: tuple[float, ...],
    *,
    slopes: str,
    attack_steps: int,
    seed: int,
) -> CertifiedAccuracy:
    first = next(iter(model.parameters()), x)
    x = x.to(first.device, first.dtype)
    try:
        with torch.no_grad():
            logits = torch.cat([model(part) for part in x.split(_BATCH)])
    except RuntimeError as error:
        got = f"{tuple(x.shape)} ({first_line(error)})"
        raise ValueError(f"x: expected samples that the model takes, got {got}") from error
    is_vector = logits.dim() == 2 and len(logits) == len(x)
    require(is_vector, "model", expected="an output (N, classes)", got=tuple(logits.shape))
    _check_labels(y, max(logits.shape[1], 2))
    y = y.to(x.device)
    shape = tuple(x.shape[1:])
    if logits.shape[1] == 1:
        constants = torch.tensor(_single_constant(model, shape, slopes), dtype=torch.float64)
    else:
        constants = class_constants(model, shape, slopes=slopes)
    right = predicted(logits) == y
    raw = certified_radius(logits.cpu(), constants)
    # the rounding error grows with the ball, and no ball beyond the largest radius matters
    balls = raw.clamp_max(max(radii))
    error = _rounding(model, x, balls)
    found = certified_radius(logits.cpu(), constants, rounding=error)
    # beyond the ball of the analysis nothing is known, unless there is no rounding error
    found = torch.where(error > 0, torch.minimum(found, balls), found) * right.cpu()
    attacked = None
    if attack_steps:
        attacked = tuple(
            _survivors(model, x, y, radius, steps=attack_steps, seed=seed) for radius in radii
        )
    return CertifiedAccuracy(
        clean=float(right.double().mean()),
        radii=radii,
        certified=tuple(
            float(((found >= radius) & right.cpu()).double().mean()) for radius in radii
        ),
        attacked=attacked,
        constants=constants,
        sample_radii=found,
    )


def _survivors(
    model: nn.Module, x: Tensor, y: Tensor, radius: float, *, steps: int, seed: int
) -> float:
    kept = 0
    for points, classes in zip(x.split(_BATCH), y.split(_BATCH), strict=True):
        sizes = torch.full((len(points),), radius, dtype=points.dtype)
        hit = projected_gradient(model, points, sizes, steps=steps, seed=seed)
        with torch.no_grad():
            ends = margin(model(hit), classes), margin(model(points), classes)
        kept += int((torch.minimum(*ends) > 0).sum())
    return kept / len(x)


def _single_constant(model: nn.Module, shape: tuple[int, ...], slopes: str) -> float:
    with torch.inference_mode(False), torch.enable_grad():
        above = upper_bound(prepare(model, shape), slopes=slopes, train_mode=frozenset())
    got = "; ".join(above.reasons)
    require(math.isfinite(above.value), "model", expected="a finite Lipschitz bound", got=got)
    return above.value


def _rounding(model: nn.Module, x: Tensor, radius: Tensor) -> Tensor:
    dtype = next((p.dtype for p in model.parameters()), x.dtype)
    with torch.inference_mode(False), torch.no_grad():
        prepared = prepare(model, tuple(x.shape[1:]))
        graph = trace(prepared)
        return rounding_error(
            graph, x.double(), radius.to(x.device), unit=torch.finfo(dtype).eps / 2
        ).cpu()


def _checked_radii(radii: Sequence[float]) -> tuple[float, ...]:
    values = radii.tolist() if isinstance(radii, Tensor) else radii
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    require(is_list and len(values) > 0, "radii", expected="a list of numbers", got=repr(radii))
    for value in values:
        require_number(value, "radii", minimum=0.0)
    return tuple(map(float, values))


def _check_samples(x: Tensor, y: Tensor) -> None:
    is_batch = isinstance(x, Tensor) and x.dim() > 1 and len(x) > 0 and x.is_floating_point()
    got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
    require(is_batch, "x", expected="real samples (N, …)", got=got)
    require(bool(x.isfinite().all()), "x", expected="finite numbers", got="nan or inf")
    is_labels = isinstance(y, Tensor) and y.shape == (len(x),) and y.dtype == torch.int64
    got = f"{y.dtype} {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
    require(is_labels, "y", expected=f"int64 labels ({len(x)},)", got=got)


def _check_labels(y: Tensor, classes: int) -> None:
    inside = bool(((y >= 0) & (y < classes)).all())
    got = f"{int(y.min())} to {int(y.max())}"
    require(inside, "y", expected=f"classes from 0 to {classes - 1}", got=got)
