"""Graph of a network's operations, with the value of each on one input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from sngan.lipschitz.rules.modules import is_leaf
from sngan.lipschitz.structures import map_structure, tensors_in
from sngan.lipschitz.tracing.float64 import Float64Mode
from sngan.lipschitz.tracing.prepare import PreparedModule, preserve_rng_state
from sngan.lipschitz.tracing.tracer import Recording, record

Node = fx.Node

# sizes of the inputs on which the recording is compared with the module
_SCALES = (1e-3, 0.3, 1.0, 3.0, 30.0, 1e3)
# the recording and the module run the same kernels, but perhaps in another memory layout
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Graph:
    """The recorded operations, the modules among them, and their values on one input.

    ``batch_dims`` is 1 where the module takes a batch, and 0 where it takes a single sample.
    """

    recording: Recording
    leaves: Mapping[str, nn.Module]
    values: dict[Node, Any]
    batch_dims: int

    @property
    def nodes(self) -> list[Node]:
        """All nodes in the order in which they run."""
        return list(self.recording.graph.nodes)

    def layer(self, node: Node) -> nn.Module:
        """The module that a ``call_module`` node calls."""
        return self.leaves[self.path(node)]

    def path(self, node: Node) -> str:
        """The name of the module inside the network; empty for the network itself."""
        return str(node.target)

    def value_of(self, arguments: Any) -> Any:
        """Return the arguments with each node replaced by its value."""
        return _with_values(arguments, self.values)

    def run(self, nodes: Sequence[Node], given: Mapping[Node, Any]) -> dict[Node, Any]:
        """Run nodes in this order, with the values ``given`` for some of their inputs."""
        values = {**self.values, **given}
        with Float64Mode():
            for node in nodes:
                values[node] = _value(self.recording, self.leaves, node, values)
        return values

    def call(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation with other arguments than those that were recorded."""
        with Float64Mode():
            return _called(self.recording, self.leaves, node, (args, kwargs))


@torch.no_grad()
def trace(module: PreparedModule) -> Graph:
    """Record the prepared module on one input.

    Raises
    ------
    UntraceableError
        If the module does something that a recording cannot represent. The module itself may raise
        any other error.
    """
    leaves = {path: part for path, part in module.module.named_modules() if is_leaf(part)}
    older = [*module.module.parameters(), *module.module.buffers()]
    example = module.noise(0)
    with preserve_rng_state(example):
        recording = record(module, example, leaves=leaves, older=older)
        values = _values(recording, leaves, example)
    return Graph(recording, leaves, values, module.batch_dims)


@torch.no_grad()
def reproduces(graph: Graph, module: PreparedModule) -> bool:
    """Whether the recording gives the same outputs as the module, on inputs of several sizes."""
    with preserve_rng_state(module.example):
        return all(_outputs_agree(graph, module, scale * module.noise(1)) for scale in _SCALES)


def _outputs_agree(graph: Graph, module: PreparedModule, example: Tensor) -> bool:
    expected = module(example.clone())
    found: Any = _values(graph.recording, graph.leaves, example)[graph.nodes[-1]]
    room = _ROUNDING * float(expected.abs().nan_to_num().max())
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=_ROUNDING, atol=room, equal_nan=True
    )


def _values(
    recording: Recording, leaves: Mapping[str, nn.Module], tensor: Tensor
) -> dict[Node, Any]:
    values: dict[Node, Any] = {}
    with Float64Mode():
        for node in recording.graph.nodes:
            is_input = node.op == "placeholder"
            values[node] = tensor if is_input else _value(recording, leaves, node, values)
    return values


def _value(
    recording: Recording, leaves: Mapping[str, nn.Module], node: Node, values: Mapping[Node, Any]
) -> Any:
    args, kwargs = _with_values((node.args, node.kwargs), values)
    return args[0] if node.op == "output" else _called(recording, leaves, node, (args, kwargs))


def _called(
    recording: Recording,
    leaves: Mapping[str, nn.Module],
    node: Node,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
) -> Any:
    """Run one operation; an operation in place gets copies."""
    args, kwargs = arguments
    if node in recording.writing:
        args, kwargs = map_structure((args, kwargs), _copied)
    target: Any = node.target
    function = leaves[target].forward if node.op == "call_module" else target
    result = function(*args, **kwargs)
    # x[index] = y returns nothing
    return tensors_in(args)[0] if result is None else result


def _copied(part: Any) -> Any:
    return part.clone() if isinstance(part, Tensor) else part


def _with_values(arguments: Any, values: Mapping[Node, Any]) -> Any:
    return map_structure(arguments, lambda part: values[part] if isinstance(part, Node) else part)
