"""Bindings of tensors to nodes of the graph, also after writes into memory that they share."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, fx

from sngan.lipschitz.rules.combining import overwrite
from sngan.lipschitz.tracing.aliases import ViewKey, overlapping_places, view_key
from sngan.lipschitz.tracing.errors import UntraceableError

Node = fx.Node


@dataclass(frozen=True)
class _Entry:
    """The node that holds a tensor, the path in its value, and the number of writes so far."""

    node: Node | Tensor
    parts: tuple[Any, ...] = ()
    writes: int = 0


class Bindings:
    """The nodes of tensors, by the memory that they show.

    Each memory has a list of the writes into it. When a tensor is read, its node is updated by the
    writes that came since the last time.
    """

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        self._entries: dict[ViewKey, _Entry] = {}
        self._writes: dict[int, list[tuple[ViewKey, _Entry]]] = {}
        # memory that held only constants before the first write
        self._constants: set[int] = set()

    def bind(self, value: Any, node: Node, *, parts: tuple[Any, ...] = ()) -> None:
        """Bind each tensor in the value of a node to the node and to its path in the value.

        Parameters
        ----------
        value
            The value, or a part of it.
        node
            The node.
        parts
            The path to this part in the node's value.
        """
        if isinstance(value, Tensor):
            key = view_key(value)
            self._entries[key] = _Entry(node, parts, len(self._writes.get(key[0], [])))
        elif isinstance(value, Mapping | tuple | list):
            given: Any = value
            pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
            for place, part in pairs:
                self.bind(part, node, parts=(*parts, place))
        elif value is not None:
            kind = type(value).__name__
            raise UntraceableError(f"an operation returns a {kind} together with tensors")

    def note_write(self, tensor: Tensor, *, was_constant: bool) -> None:
        """Note that a tensor's node was written into the memory of the tensor."""
        key = view_key(tensor)
        if was_constant:
            self._constants.add(key[0])
        writes = self._writes.setdefault(key[0], [])
        writes.append((key, self._entries[key]))
        self._entries[key] = replace(self._entries[key], writes=len(writes))

    def node_of(self, tensor: Tensor) -> Any:
        """Return the node of a tensor after all writes, or None if the tensor is not known."""
        key = view_key(tensor)
        entry = self._entries.get(key)
        if entry is None and key[0] not in self._constants:
            return None
        # the memory still holds its constants where nothing was written
        entry = entry or _Entry(tensor.detach().clone())
        writes, node = self._writes.get(key[0], []), self._node(entry)
        for written, update in writes[entry.writes :]:
            if key == written:
                node = self._node(update)
                continue
            places = overlapping_places(key, written)
            if places is not None:
                args = (node, self._node(update), places)
                node = self._graph.create_node("call_function", overwrite, args)
        self._entries[key] = _Entry(node, (), len(writes))
        return node

    def _node(self, entry: _Entry) -> Any:
        node = entry.node
        for part in entry.parts:
            node = self._graph.create_node("call_function", operator.getitem, (node, part))
        return node
