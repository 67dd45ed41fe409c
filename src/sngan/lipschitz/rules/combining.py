"""Operations that combine branches: sums, concatenations, maxima, and assignments to parts."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, fx

from sngan.lipschitz.rounding import multiply_up, sqrt_up
from sngan.lipschitz.rules.calls import broadcast_gain

Node = fx.Node
Values = Callable[[Any], Any]

_STACKING = ("cat", "stack", "hstack", "vstack", "dstack", "column_stack")
_SUMS = ("add", "sub", "rsub")
_CHOICES = ("maximum", "minimum", "max", "min", "where", "where of a tensor")
COMBINING = (*_STACKING, *_SUMS, *_CHOICES, "setitem", "copy")
_PLAIN_INDEX = (int, slice, type(None), type(Ellipsis))


@dataclass(frozen=True)
class Branch:
    """A tensor that enters a combination, and the constant of the step that brings it in."""

    source: Node
    gain: float


@dataclass(frozen=True)
class Combination:
    """Branches that are combined.

    In a sum their constants add up. In other combinations the squares of their constants add up.
    """

    branches: list[Branch]
    is_sum: bool = False


def overwrite(old: Tensor, new: Tensor, places: Tensor) -> Tensor:
    """Return ``new.flatten()[places]``, or the element of ``old`` where ``places`` is negative.

    Parameters
    ----------
    old
        The tensor that was written into.
    new
        The tensor that was written.
    places
        For each element of ``old``, the index in ``new`` of the element that replaced it, or -1.
    """
    return torch.where(places >= 0, new.flatten()[places.clamp_min(0)], old)


def combination_of(
    name: str, node: Node, *, values: Values, dependent: Collection[Node]
) -> Combination | None:
    """Return the branches of a node, or None if it does not combine branches.

    Parameters
    ----------
    name
        The common name of the node's function.
    node
        A node of the recorded graph.
    values
        A function that replaces the nodes in arguments by their values.
    dependent
        The nodes that depend on the network's input; the other arguments are constants.
    """
    result: Any = values(node)
    if not isinstance(result, Tensor) or not result.is_floating_point():
        return None
    found = _branches(name, node, values, result)
    if found is None:
        return None
    branches = [branch for branch in found if branch.source in dependent]
    return Combination(branches, is_sum=name in _SUMS)


def nodes_in(arguments: Any) -> list[Node]:
    """Return the nodes in arguments, each as often as it occurs."""
    found: list[Node] = []
    fx.map_arg(arguments, lambda node: found.append(node))
    return found


def _branches(name: str, node: Node, values: Values, result: Tensor) -> list[Branch] | None:
    args, options = node.args, dict(node.kwargs)
    if node.target is overwrite:
        return _branches_of_overwrite(args, values)
    if name in _STACKING and not nodes_in((args[1:], options)):
        return [Branch(part, 1.0) for part in nodes_in(args[0]) if _has_elements(values(part))]
    if name in _SUMS:
        return _branches_of_sum(name, args, options, values=values, result=result)
    if name == "setitem":
        return _branches_of_assignment(args, values)
    branches = None if options else _chosen_tensors(name, args, values)
    if branches is None:
        return None
    return [Branch(b, broadcast_gain(values(b), result)) for b in branches if isinstance(b, Node)]


def _has_elements(value: Any) -> bool:
    return not isinstance(value, Tensor) or value.numel() > 0


def _branches_of_sum(
    name: str, args: tuple[Any, ...], options: dict[str, Any], *, values: Values, result: Tensor
) -> list[Branch] | None:
    alpha = options.pop("alpha", 1.0)
    if len(args) != 2 or options or not isinstance(alpha, Real):
        return None
    gains = (1.0, abs(float(alpha)))
    return [
        Branch(branch, multiply_up(gain, broadcast_gain(values(branch), result)))
        for branch, gain in zip(args, reversed(gains) if name == "rsub" else gains, strict=True)
        if isinstance(branch, Node)
    ]


def _chosen_tensors(name: str, args: tuple[Any, ...], values: Values) -> tuple[Any, ...] | None:
    """Return the tensors that a choice selects from, or None if the choice depends on the input."""
    if name == "where" and len(args) == 3:
        choice, branches = args[0], args[1:]
    elif name == "where of a tensor" and len(args) == 3:
        choice, branches = args[1], (args[0], args[2])
    elif name == "copy" and len(args) > 1:
        choice, branches = None, (args[1],)
    elif name in _CHOICES and len(args) == 2 and isinstance(values(args[1]), Tensor):
        choice, branches = None, args
    else:
        return None
    return None if isinstance(choice, Node) else branches


def _branches_of_assignment(args: tuple[Any, ...], values: Values) -> list[Branch] | None:
    """Return the branches of ``old[index] = new``, where ``new`` may be broadcast."""
    old, index, new = args
    if nodes_in(index):
        return None
    whole, region = values(old), values(old)[index]
    covers = region.numel() == whole.numel() and _is_plain(index)
    branches = [] if covers or not isinstance(old, Node) else [Branch(old, 1.0)]
    if isinstance(new, Node):
        branches.append(Branch(new, broadcast_gain(values(new), region)))
    return branches


def _is_plain(index: Any) -> bool:
    """Whether an index selects no element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(part, _PLAIN_INDEX) and not isinstance(part, bool) for part in parts)


def _branches_of_overwrite(args: tuple[Any, ...], values: Values) -> list[Branch]:
    old, new, _ = args
    places: Tensor = values(args[2])
    taken = places[places >= 0]
    repeated = int(torch.bincount(taken.flatten()).max()) if taken.numel() else 0
    gains = (float(taken.numel() < places.numel()), sqrt_up(float(repeated)))
    pairs = zip((old, new), gains, strict=True)
    return [Branch(part, gain) for part, gain in pairs if isinstance(part, Node) and gain]
