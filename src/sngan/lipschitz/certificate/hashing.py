"""Hashes of a network: of its numbers, and of its recorded operations."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from sngan.lipschitz.rules.modules import unparametrized_class
from sngan.lipschitz.tracing.graph import Graph, Node


def weights_hash(module: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers of a prepared module.

    For each tensor in the order of the names, the hash reads its name, its shape such as ``(3, 4)``
    and its elements as little-endian float64, so that float32 weights and the same weights in
    float64 have one hash.
    """
    state = module.state_dict() | dict(module.named_buffers())
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(f"{name} {tuple(state[name].shape)} ".encode())
        found.update(_bytes(state[name]))
    return found.hexdigest()


def graph_hash(graph: Graph) -> str:
    """Return the SHA-256 of the recorded operations: functions, options, layers, constants."""
    found = hashlib.sha256()
    for node in graph.nodes:
        target = _layer(graph, node) if node.op == "call_module" else _named(node.target)
        arguments = _canonical((node.args, dict(node.kwargs)))
        found.update(f"{node.name} {node.op} {target} {arguments}\n".encode())
    return found.hexdigest()


def _layer(graph: Graph, node: Node) -> str:
    layer = graph.layer(node)
    kind = unparametrized_class(layer)
    options = " ".join(layer.extra_repr().split())
    return f"{graph.path(node)} {kind.__module__}.{kind.__qualname__}({options})"


def _named(target: Any) -> str:
    if isinstance(target, str):
        return target
    name = getattr(target, "__qualname__", type(target).__qualname__)
    return f"{getattr(target, '__module__', None) or ''}.{name}"


def _canonical(value: Any) -> str:
    """Return a text that is equal for equal arguments, in every process."""
    if isinstance(value, Node):
        return f"%{value.name}"
    if isinstance(value, Tensor):
        return f"tensor{tuple(value.shape)}:{hashlib.sha256(_bytes(value)).hexdigest()}"
    if isinstance(value, Mapping):
        pairs = sorted((str(key), _canonical(part)) for key, part in value.items())
        return "{" + ", ".join(f"{key}: {part}" for key, part in pairs) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_canonical(part) for part in value) + ")"
    if isinstance(value, slice):
        return f"slice{_canonical((value.start, value.stop, value.step))}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return _named(value) if callable(value) else str(value)


def _bytes(tensor: Tensor) -> bytes:
    values = tensor.detach().cpu()
    array = (values.double() if values.is_floating_point() else values).numpy()
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
