"""Registry of the Lipschitz constants that users give to module types and functions."""

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, overload

from torch import nn

from sngan.lipschitz.constants import LipschitzConstant, unbounded
from sngan.utils.checks import require

Shape = tuple[int, ...]
UserRule = Callable[[Any, Shape], float]
_Rule = TypeVar("_Rule", bound=UserRule)

HOW_TO_REGISTER = "sngan.lipschitz.register(it, rule) gives it a constant"
user_rules: dict[Any, UserRule] = {}


@overload
def register(target: Any) -> Callable[[_Rule], _Rule]: ...
@overload
def register(target: Any, rule: _Rule) -> _Rule: ...
def register(target: Any, rule: UserRule | None = None) -> Any:
    """Give a module type or a function a Lipschitz constant: ``rule(layer, input_shape) -> float``.

    :func:`lipschitz_bounds` trusts the rule: its result must bound ``‖f(x) − f(y)‖/‖x − y‖`` for
    all x and y, for the map in eval mode. The latest rule of a target replaces earlier ones and the
    built-in one. Without ``rule``, the function is a decorator.

    Parameters
    ----------
    target
        A module type, or a function. A rule for a function applies to calls in which only the first
        argument depends on the network's input.
    rule
        A function of the layer (or of ``target``, if that is a function) and of the shape of its
        input without the batch dimension. It returns the constant, which may be infinite.

    Raises
    ------
    ValueError
        If the target is neither a module type nor a function, or if the rule is not callable.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> class Scale(nn.Module):
    ...     def forward(self, x):
    ...         return x * torch.linspace(-3.0, 3.0, x.shape[-1]).sin()
    >>> @register(Scale)
    ... def scale_constant(layer, input_shape):
    ...     return 1.0
    >>> from sngan.lipschitz import lipschitz_bounds
    >>> lipschitz_bounds(Scale(), (4,), lower=False).upper
    1.0
    """
    if rule is None:

        def decorate(decorated: UserRule) -> UserRule:
            return register(target, decorated)

        return decorate
    is_module_type = isinstance(target, type) and issubclass(target, nn.Module)
    require(
        is_module_type or (callable(target) and not isinstance(target, type | nn.Module)),
        "target",
        expected="a module type or a function",
        got=repr(target),
    )
    require(callable(rule), "rule", expected="a function (layer, shape) -> float", got=repr(rule))
    user_rules[target] = rule
    return rule


def registered_constant(target: Any, rule: UserRule, input_shape: Shape) -> LipschitzConstant:
    """Return the result of a user's rule, after a check that it can be a Lipschitz constant.

    Parameters
    ----------
    target
        The module, or the function.
    rule
        The rule that the user registered for it.
    input_shape
        The shape of its input without the batch dimension.
    """
    value = rule(target, input_shape)
    require(
        isinstance(value, int | float) and value >= 0.0,
        "rule",
        expected=f"a number of at least 0 for {target!r}",
        got=repr(value),
    )
    if math.isinf(value):
        return unbounded("its registered rule says so")
    return LipschitzConstant(float(value), "registered")


def registered_rule(target: Any) -> UserRule | None:
    """The rule that a user registered for a module type or a function."""
    return user_rules.get(target) if callable(target) else None


def registered_functions() -> list[FunctionType]:
    """The registered functions that are Python code outside of torch."""
    own = [target for target in user_rules if isinstance(target, FunctionType)]
    return [function for function in own if not (function.__module__ or "").startswith("torch.")]
