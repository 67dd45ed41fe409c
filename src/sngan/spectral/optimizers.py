"""Optimizers that SpectralNorm follows, also inside wrappers, and the kinds that it refuses."""

from collections.abc import Sequence

from torch import Tensor
from torch.optim import LBFGS, Optimizer

from sngan.utils.checks import require

Optimizers = Optimizer | Sequence[Optimizer]

# the names under which wrappers hold an optimizer: Accelerate, Fabric and Lookahead; SAM
_WRAPPED = ("optimizer", "base_optimizer")


def base_optimizers(optimizer: Optimizers) -> list[Optimizer]:
    """The optimizers whose ``step()`` moves the weights, without their wrappers.

    Raises
    ------
    ValueError
        If one is not a torch optimizer, evaluates the loss several times a step, or exchanges
        weights outside of its step.
    """
    several = optimizer if isinstance(optimizer, Sequence) else [optimizer]
    bases = [unwrapped(one) for one in several]
    require(bool(bases), "optimizer", expected="one optimizer or several", got="none")
    for base in bases:
        require_followable(base)
    return bases


def parameter_ids(optimizer: Optimizer) -> set[int]:
    """The ids of the weights that an optimizer holds."""
    return {id(weight) for group in optimizer.param_groups for weight in group["params"]}


def step_is_skipped(optimizer: Optimizer) -> Tensor | None:
    """A flag on the device: whether GradScaler makes a fused optimizer skip this step."""
    found_inf = getattr(optimizer, "found_inf", None)
    return None if found_inf is None else found_inf.squeeze() > 0


def unwrapped(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside a wrapper, whose step moves the weights, or the optimizer itself."""
    for name in _WRAPPED:
        inside = getattr(optimizer, name, None)
        if isinstance(inside, Optimizer) and inside is not optimizer:
            return unwrapped(inside)
    return optimizer


def require_followable(optimizer: Optimizer) -> None:
    """Raise ``ValueError`` if coordinates cannot be changed around an optimizer's steps."""
    name = type(optimizer).__name__
    require(
        isinstance(optimizer, Optimizer),
        "optimizer",
        expected="a torch.optim.Optimizer, or a sequence of them",
        got=name,
    )
    require(
        hasattr(optimizer, "_optimizer_step_pre_hooks"),
        "optimizer",
        expected="a torch.optim.Optimizer that calls torch's step hooks",
        got=f"{name}, which wraps another one (pass that)",
    )
    require(
        not isinstance(optimizer, LBFGS),
        "optimizer",
        expected="one loss evaluation a step",
        got="LBFGS, which evaluates its closure several times",
    )
    exchanges = [
        pair
        for pair in (("train", "eval"), ("first_step", "second_step"))
        if all(callable(getattr(optimizer, method, None)) for method in pair)
    ]
    require(
        not exchanges,
        "optimizer",
        expected="one that moves weights in step() alone",
        got=f"{name}, whose {'() and '.join(exchanges[0]) if exchanges else ''}() move them too",
    )
