"""A network as a graph of operations, with the value that each had on one input."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from sngan._checks import require
from sngan.lipschitz.modules import class_of, has_rule

Node = fx.Node


@dataclass(frozen=True)
class Graph:
    """The traced network, the values of its nodes, and the nodes that change a tensor in place."""

    module: fx.GraphModule
    values: dict[Node, Any]
    mutations: dict[Node, list[Tensor]]

    @property
    def nodes(self) -> list[Node]:
        """All nodes in the order in which they run."""
        return list(self.module.graph.nodes)

    def layer(self, node: Node) -> nn.Module:
        """The module that a ``call_module`` node calls."""
        return self.module.get_submodule(str(node.target))

    def path(self, node: Node) -> str:
        """The module's name inside the network; empty for the network itself."""
        return str(node.target).removeprefix("network").removeprefix(".")

    def value_of(self, arguments: Any) -> Any:
        """Arguments of a node with the values of the nodes in them."""
        return fx.map_arg(arguments, lambda node: self.values[node])

    def run(self, nodes: Sequence[Node], source: Node, tensor: Tensor) -> Tensor:
        """Run a chain of nodes on ``tensor`` in the place of the value of ``source``."""
        values: dict[Node, Any] = {source: tensor}
        interpreter = fx.Interpreter(self.module)
        for node in nodes:
            interpreter.env = {n: values.get(n, self.values.get(n)) for n in node.all_input_nodes}
            values[node] = interpreter.run_node(node)
        return values[nodes[-1]]


def prepared(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[nn.Module, Tensor]:
    """A float64 copy in eval mode, without gradients to its parameters, and one input of zeros.

    Raises
    ------
    ValueError
        Not a module, parameters that are complex or integer, a shape that the module does not
        take, or an output that is not one real tensor.
    """
    kind = type(module).__name__
    require(isinstance(module, nn.Module), "module", expected="a torch.nn.Module", got=kind)
    for name, parameter in module.named_parameters():
        require(
            parameter.is_floating_point(),
            "module",
            expected="real floating-point parameters",
            got=f"{parameter.dtype} in {name!r}",
        )
    sizes = tuple(input_shape)
    require(
        all(isinstance(size, int) and size > 0 for size in sizes) and len(sizes) > 0,
        "input_shape",
        expected="positive sizes without the batch dimension, e.g. (3, 32, 32)",
        got=input_shape,
    )
    copied = copy.deepcopy(module, _detached(module)).double().eval().requires_grad_(False)
    zeros = torch.zeros(1, *sizes, dtype=torch.float64, device=_device(copied))
    try:
        with torch.no_grad(), kept_rng(zeros):
            output = copied(zeros.clone())
    except Exception as error:
        message = f"{sizes}: {type(error).__name__}: {error}"
        raise ValueError(f"input_shape: expected one that module takes, got {message}") from error
    require(
        isinstance(output, Tensor) and output.is_floating_point(),
        "module",
        expected="one real tensor as output",
        got=type(output).__name__,
    )
    return copied, zeros


@torch.no_grad()
def traced(module: nn.Module, example: Tensor) -> Graph:
    """Trace ``module`` and run it once on ``example``.

    Raises whatever ``torch.fx`` raises for control flow that depends on the input.
    """
    root = _Root(module)
    graph_module = fx.GraphModule(root, _Tracer().trace(root))
    interpreter = _Recorder(graph_module)
    with kept_rng(example):
        interpreter.run(example.clone())
    return Graph(graph_module, interpreter.values, interpreter.mutations)


class _Root(nn.Module):
    """Makes the network itself a call, with its hooks and the defaults of further arguments."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


class _Tracer(fx.Tracer):
    """Takes as a whole what has a rule, and what is torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        if isinstance(m, nn.Sequential) and class_of(m) is nn.Sequential:
            return bool(m._forward_hooks or m._forward_pre_hooks)  # pyright: ignore
        return has_rule(m) or class_of(m).__module__.startswith(("torch.nn", "torch.ao.nn"))


class _Recorder(fx.Interpreter):
    """Keeps every value, and notices tensors that an operation changes in place."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.values: dict[Node, Any] = {}
        self.mutations: dict[Node, list[Tensor]] = {}

    def run_node(self, n: Node) -> Any:
        tensors = [t for node in n.all_input_nodes for t in tensors_in(self.values[node])]
        before = [tensor._version for tensor in tensors]
        self.values[n] = result = super().run_node(n)
        changed = [t for t, version in zip(tensors, before, strict=True) if t._version != version]
        if changed:
            self.mutations[n] = changed
        return result


def kept_rng(tensor: Tensor) -> AbstractContextManager[None]:
    """Leave the global random number generators as they were."""
    devices = [tensor.device] if tensor.device.type == "cuda" else []
    return torch.random.fork_rng(devices)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in a value or in a tuple or list of values."""
    if isinstance(value, Tensor):
        return [value]
    parts: Sequence[Any] = value if isinstance(value, tuple | list) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]


def _detached(module: nn.Module) -> dict[int, Any]:
    """A memo for deepcopy, which refuses the computed weights that torch's old hooks leave."""
    computed = [
        value
        for layer in module.modules()
        for value in vars(layer).values()
        if isinstance(value, Tensor) and value.grad_fn is not None
    ]
    return {id(tensor): tensor.detach().clone() for tensor in computed}


def _device(module: nn.Module) -> torch.device:
    tensor = next(iter([*module.parameters(), *module.buffers()]), None)
    return torch.device("cpu") if tensor is None else tensor.device
