"""The constants that users give to module types and functions."""

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

    The rule's result is believed: it must bound ``‖f(x) − f(y)‖/‖x − y‖`` for every x and y, of
    the map in eval mode. ``input_shape`` comes without the batch dimension. A rule for a function
    gets the function in place of the layer, and applies to calls whose first argument is the only
    one that depends on the network's input. The latest rule of a target counts, also over the
    built-in one. With one argument it is a decorator.

    Raises
    ------
    ValueError
        The target is neither a module type nor a function, or the rule cannot be called.

    Examples
    --------
    >>> @register(MyLayer)
    ... def my_layer(layer, input_shape):
    ...     return abs(layer.scale)
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
    """What a user's rule says, checked to be a number that can be a constant."""
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
    """The rule that a user gave a module type or a function."""
    return user_rules.get(target) if callable(target) else None


def registered_functions() -> list[FunctionType]:
    """The functions of a user's own Python code that have a rule."""
    own = [target for target in user_rules if isinstance(target, FunctionType)]
    return [function for function in own if not (function.__module__ or "").startswith("torch.")]
