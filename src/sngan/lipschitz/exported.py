"""Networks from files of ``torch.export``: the same operations, as functions that have rules."""

import operator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from sngan.utils.checks import require
from sngan.utils.text import first_line

# the largest relative difference of float32 kernels that compute the same
_SAME = 1e-4


def read_exported(path: Path) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the network of a ``.pt2`` file and the shape of one sample.

    The file holds operators of torch's ``aten`` library, which modules in eval mode, dtype casts
    and rules of constants do not know. They are replaced by the functions of the same meaning, and
    both networks are compared on random numbers.

    Raises
    ------
    ValueError
        If the file cannot be read, or its network does not map one tensor to one tensor.
    """
    try:
        program = torch.export.load(path)
        original: Any = program.module()
    except Exception as error:
        # torch raises errors of many classes for a damaged file
        raise ValueError(
            f"network: expected a file of torch.export, got {path} ({first_line(error)})"
        ) from error
    inputs = [node for node in original.graph.nodes if node.op == "placeholder"]
    require(len(inputs) == 1, "network", expected="one input", got=f"{len(inputs)} in {path}")
    example = inputs[0].meta.get("val")
    is_batch = isinstance(example, Tensor) and example.dim() > 1
    require(is_batch, "network", expected="an input that is a batch of tensors", got=str(path))
    network = fx.GraphModule(original, _as_functions(original.graph, path))
    shape = tuple(int(size) for size in example.shape)
    _require_same(original, network, shape, path)
    return network, shape[1:]


@torch.no_grad()
def _require_same(original: nn.Module, network: nn.Module, shape: Any, path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (0.3, 3.0):
        points = scale * torch.randn(shape, generator=generator)
        try:
            expected: Any = original(points)
        except Exception as error:
            got = f"{path}, which does not run ({first_line(error)})"
            raise ValueError(f"network: expected a network that runs, got {got}") from error
        expected = expected[0] if isinstance(expected, tuple) else expected
        found = network(points)
        room = _SAME * float(expected.abs().max())
        same = found.shape == expected.shape and torch.allclose(
            found, expected, rtol=_SAME, atol=room
        )
        require(same, "network", expected="operators that sngan knows", got=str(path))


def _as_functions(graph: fx.Graph, path: Path) -> fx.Graph:
    copied = fx.Graph()
    known: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            # torch adds a module that only checks the shape of the input
            continue
        if node.op == "output":
            outputs: Any = node.args[0]
            is_one = not isinstance(outputs, list | tuple) or len(outputs) == 1
            require(is_one, "network", expected="one output", got=f"{len(outputs)} in {path}")
            output = outputs if isinstance(outputs, fx.Node) else outputs[0]
            copied.output(known[output])
            continue
        new = copied.node_copy(node, known.__getitem__)
        if node.op == "call_function":
            new.target, new.args, new.kwargs = _function(node.target, new.args, dict(new.kwargs))
        known[node] = new
    return copied


def _function(target: Any, args: Any, options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return a function with the meaning of an operator; the operator itself if none is known."""
    if not isinstance(target, OpOverload) or target.namespace != "aten":
        return target, args, options
    name = target.overloadpacket.__name__
    if name == "batch_norm":
        tensor, weight, bias, mean, variance, training, momentum, eps = args[:8]
        return F.batch_norm, (tensor, mean, variance, weight, bias, training, momentum, eps), {}
    if name == "slice":
        tensor, dim, *ends = args
        return operator.getitem, (tensor, (*[slice(None)] * dim, slice(*ends))), {}
    if name in ("elu", "celu") and len(args) > 2:
        return target, args, options
    for space in (F, torch, Tensor):
        function = getattr(space, name, None)
        if callable(function):
            return function, args, options
    return target, args, options
