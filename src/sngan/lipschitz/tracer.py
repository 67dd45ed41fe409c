"""A tracer that runs a module on one input and records every operation on what depends on it.

The values are real tensors, so a forward may branch on types and shapes, unpack sizes and keep
tensors wherever it likes. Operations in place are recorded as functions: their result gets the name
of the tensor that they changed, and tensors that share its memory are rebuilt when they are read.
Whatever takes values out of tensors, or reads memory that no recorded operation has written, is
refused with a reason.
"""

# torch has no public name for the switch of its function modes
# pyright: reportPrivateUsage=false

import inspect
import operator
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from sngan.lipschitz.combining import nodes_in, overwritten
from sngan.lipschitz.exact import replaced, tensors_in
from sngan.lipschitz.frames import arguments, is_call_of
from sngan.lipschitz.functions import name_of
from sngan.lipschitz.modules import registered_functions
from sngan.lipschitz.names import by_place, is_about_shape, is_like_shape
from sngan.lipschitz.watch import Watch, all_tensors, storage_of

Node = fx.Node
# the memory, the offset, the sizes, the strides and the type: tensors that agree in it are equal
_Key = tuple[int, int, tuple[int, ...], tuple[int, ...], torch.dtype]
_OPERATORS: dict[Any, Any] = {
    Tensor.__setitem__: operator.setitem,
    Tensor.__getitem__: operator.getitem,
}


class UntraceableError(Exception):
    """The module does something that a recording cannot show."""


@dataclass(frozen=True)
class _Entry:
    """Where a tensor stands in the graph: a part of a node's value, after so many writes."""

    node: Node | Tensor
    parts: tuple[Any, ...] = ()
    writes: int = 0


@dataclass(frozen=True)
class _Call:
    """An operation that is running: its node's parts, and when it began."""

    op: str
    target: Any
    name: str
    tensors: list[Tensor]
    nodes: tuple[tuple[Any, ...], dict[str, Any]]
    moment: int


@dataclass(frozen=True)
class Recording:
    """The recorded graph, and the nodes whose operation writes into its arguments."""

    graph: fx.Graph
    writing: frozenset[Node]


def recorded(
    run: Callable[[Tensor], Any],
    example: Tensor,
    leaves: Mapping[str, nn.Module],
    older: Sequence[Tensor],
) -> Recording:
    """Record ``run(example)``; calls of the modules ``leaves`` are one operation each.

    ``older`` are tensors that exist, such as the module's own.

    Raises
    ------
    UntraceableError
        If the output does not follow from the recorded operations alone.
    """
    tracer = _run(run, example, leaves, older)
    if tracer.found_unknown:
        # a constant that is no part of the module, or made unseen: constants are older
        tracer = _run(run, example, leaves, all_tensors())
    return tracer.finished()


def _run(
    run: Callable[[Tensor], Any],
    example: Tensor,
    leaves: Mapping[str, nn.Module],
    older: Sequence[Tensor],
) -> "_Tracer":
    source = example.clone()
    tracer = _Tracer(source, leaves, older)
    with ExitStack() as stack:
        stack.enter_context(tracer.watch)
        stack.enter_context(tracer)
        stack.enter_context(tracer.leaves_recorded())
        stack.enter_context(tracer.functions_recorded())
        tracer.output = run(source)
    return tracer


class _Tracer(TorchFunctionMode):
    """Sees every call of a torch function, and writes those on dependent tensors down."""

    def __init__(
        self, example: Tensor, leaves: Mapping[str, nn.Module], older: Sequence[Tensor]
    ) -> None:
        super().__init__()
        self.watch = Watch(example, older)
        self.output: Any = None
        self.found_unknown = False
        self._leaves = leaves
        self._graph = fx.Graph()
        self._writing: set[Node] = set()
        self._refusals: list[str] = []
        # memory that must not change, as it is not copied
        self._weights = {
            storage_of(tensor)
            for part in leaves.values()
            for tensor in [*part.parameters(), *part.buffers()]
        }
        source = self._graph.create_node("placeholder", "x", name="x")
        self._entries = {_key(example): _Entry(source)}
        self._writes: dict[int, list[tuple[_Key, _Entry]]] = {}
        self._idle = self.watch.now()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, and record it where its arguments depend on the input."""
        if self.watch.is_recording:
            return func(*args, **(kwargs or {}))
        owner = getattr(func, "__self__", None)
        if inspect.isgetsetdescriptor(owner) and func.__name__ == "__get__":
            func, args = getattr, (args[0], owner.__name__)
        func = _OPERATORS.get(func, func)
        if func is operator.setitem and _is_own_part(*args):
            # the end of x[i] *= c, which has changed the memory already
            return None
        return self._called("call_function", func, func, args, kwargs or {})

    @contextmanager
    def leaves_recorded(self) -> Generator[None]:
        """Record the calls of leaf modules; their hooks run outside and are recorded by parts."""

        def recording(path: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                if self.watch.is_recording:
                    return original(*args, **kwargs)
                bound = inspect.signature(original).bind(*args, **kwargs)
                return self._called("call_module", path, original, bound.args, bound.kwargs)

            return forward

        for path, leaf in self._leaves.items():
            vars(leaf)["forward"] = recording(path, leaf.forward)
        try:
            yield
        finally:
            for leaf in self._leaves.values():
                del vars(leaf)["forward"]

    @contextmanager
    def functions_recorded(self) -> Generator[None]:
        """Record the calls of Python functions that a user gave a constant."""
        functions = {f.__code__: f for f in registered_functions()}
        running: dict[FrameType, _Call] = {}

        def observe(frame: FrameType, event: str, result: Any) -> None:
            if event == "return" and frame in running:
                self._ended(running.pop(frame), result)
            function = functions.get(frame.f_code)
            if event != "call" or function is None or self.watch.is_recording:
                return
            if is_call_of(function, frame):
                call = self._begun("call_function", function, *arguments(frame))
                if call is not None:
                    running[frame] = call

        if not functions:
            yield
            return
        before: Any = sys.getprofile()
        sys.setprofile(observe)
        try:
            yield
        finally:
            sys.setprofile(None)
            # a profiler written in C is an object that starts itself
            (before.enable if hasattr(before, "enable") else partial(sys.setprofile, before))()

    def finished(self) -> Recording:
        """The recording, without the operations that the output does not need."""
        result = self._read(self.output)
        refusals = [*self._refusals, *self.watch.leaks]
        if refusals:
            raise UntraceableError(refusals[0])
        self._graph.create_node("output", "output", (result,))
        for node in reversed(list(self._graph.nodes)):
            if not node.users and node.op not in ("placeholder", "output"):
                self._graph.erase_node(node)
        return Recording(self._graph, frozenset(self._writing))

    def _called(
        self, op: str, target: Any, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        call = self._begun(op, target, args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException:
            if call is not None:
                self.watch.is_recording = False
                if self.watch.touched_since(call.moment)[1]:
                    self._refuse(f"{call.name} fails after it has changed a tensor")
            raise
        if call is not None:
            self._ended(call, result)
        return result

    def _begun(self, op: str, target: Any, args: Any, kwargs: Any) -> _Call | None:
        """The call with its arguments as nodes; None where no argument depends on the input."""
        with torch._C.DisableTorchFunction():
            tensors = tensors_in((args, kwargs))
            name = args[1] if target is getattr else getattr(target, "__name__", str(target))
            if is_about_shape(target, args) or not any(map(self.watch.depends, tensors)):
                return None
            _, written = self.watch.touched_since(self._idle)
            self._check_weights(written)
            nodes = replaced((args, kwargs), self._read)
            self.watch.is_recording = True
            return _Call(op, target, name, tensors, nodes, self.watch.now())

    def _ended(self, call: _Call, result: Any) -> None:
        """Write the call down, and name its results."""
        self.watch.is_recording = False
        with torch._C.DisableTorchFunction():
            changed = self._changed(call)
            self._idle = self.watch.now()
            if is_like_shape(call.target) and not nodes_in((call.nodes[0][1:], call.nodes[1])):
                self.watch.clear(result)
                return
            if call.target is operator.setitem:
                result = call.tensors[0]
            if not tensors_in(result):
                self._refuse(f"{call.name} takes values out of a tensor")
                return
            label = (call.target or "module") if call.op == "call_module" else None
            nodes = by_place(name_of(call.target), *call.nodes)
            for tensor in tensors_in(result):
                # also what was computed from values that were taken out on the way
                self.watch.mark(tensor, call.name)
            node = self._graph.create_node(call.op, call.target, *nodes, name=label)
            self._bind(result, _Entry(node))
            if changed:
                self._writing.add(node)
            for tensor in changed:
                self._rebind(call.name, tensor, result)

    def _changed(self, call: _Call) -> list[Tensor]:
        """The arguments of a call that it has changed in place."""
        read, written = self.watch.touched_since(call.moment)
        given = {_key(tensor): tensor for tensor in call.tensors}
        if not read <= {key[0] for key in given}:
            self._refuse(f"{call.name} reads tensors that are not among its arguments")
        changed = {key: tensor for key, tensor in given.items() if key[0] in written}
        if call.target is operator.setitem or call.name.endswith("_"):
            # other arguments may be views of the same memory
            changed = dict(list(changed.items())[:1])
        if len(changed) != len(written):
            self._refuse(
                f"{call.name} changes more than one view of a tensor, or none it was given"
            )
        self._check_weights(written)
        return list(changed.values())

    def _check_weights(self, written: set[int]) -> None:
        if not written.isdisjoint(self._weights):
            self._refuse("a parameter or a buffer changes while the module runs")

    def _rebind(self, name: str, tensor: Tensor, result: Any) -> None:
        """Let a changed tensor be what the operation returned, also for the tensors beside it."""
        key = _key(tensor)
        if key not in map(_key, tensors_in(result)):
            self._refuse(f"{name} changes a tensor in place and returns another")
            return
        writes = self._writes.setdefault(key[0], [])
        writes.append((key, self._entries[key]))
        self._entries[key] = replace(self._entries[key], writes=len(writes))

    def _bind(self, value: Any, entry: _Entry) -> None:
        """Name the tensors in a result."""
        if isinstance(value, Tensor):
            writes = len(self._writes.get(storage_of(value), []))
            self._entries[_key(value)] = replace(entry, writes=writes)
        elif isinstance(value, Mapping | tuple | list):
            given: Any = value
            pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
            for place, part in pairs:
                self._bind(part, replace(entry, parts=(*entry.parts, place)))
        elif value is not None:
            self._refuse(f"an operation returns a {type(value).__name__} beside tensors")

    def _read(self, value: Any) -> Any:
        """The node of a tensor that depends on the input; a copy of one that does not."""
        if not isinstance(value, Tensor):
            return value
        if not self.watch.knows(value):
            self.found_unknown = True
            self._refuse("a tensor appears that no operation seen here has made")
        elif self.watch.depends(value):
            return self._current(value)
        elif storage_of(value) in self._weights:
            return value
        return value.detach().clone()

    def _current(self, tensor: Tensor) -> Any:
        """The node of a tensor after all writes into its memory."""
        key = _key(tensor)
        writes = self._writes.get(key[0], [])
        entry = self._entries.get(key)
        if entry is None and not writes:
            self._refuse(f"{self.watch.origin(tensor)} runs where no torch function was called")
        # else a constant, of whose memory a recorded operation has overwritten a part
        entry = entry or _Entry(tensor.detach().clone())
        node = self._node(entry)
        for written, update in writes[entry.writes :]:
            if key == written:
                node = self._node(update)
                continue
            places = _overlap(key, written)
            if places is not None:
                node = self._graph.create_node(
                    "call_function", overwritten, (node, self._node(update), places)
                )
        self._entries[key] = _Entry(node, (), len(writes))
        return node

    def _node(self, entry: _Entry) -> Any:
        """The node of a part of a node's value."""
        node = entry.node
        for part in entry.parts:
            node = self._graph.create_node("call_function", operator.getitem, (node, part))
        return node

    def _refuse(self, reason: str) -> None:
        self._refusals.append(reason)


def _is_own_part(tensor: Tensor, index: Any, value: Any) -> bool:
    """Whether a value is the very part of the tensor that it is written to."""
    if not isinstance(value, Tensor) or storage_of(value) != storage_of(tensor):
        return False
    with torch._C.DisableTorchFunction():
        return _key(tensor[index]) == _key(value)


def _key(tensor: Tensor) -> _Key:
    with torch._C.DisableTorchFunction():
        offset, shape, stride = tensor.storage_offset(), tensor.shape, tensor.stride()
        return storage_of(tensor), int(offset), tuple(shape), tuple(stride), tensor.dtype


def _overlap(key: _Key, written: _Key) -> Tensor | None:
    """For each element of a tensor its place in another of the same memory, or -1."""
    (_, offset, shape, stride, dtype), (_, start, sizes, strides, other) = key, written
    if dtype != other:
        raise UntraceableError("a tensor is changed under another type")
    ends = (_end(offset, shape, stride), _end(start, sizes, strides))
    places = torch.full((max(ends),), -1)
    inside = places.as_strided(sizes, strides, start)
    inside.copy_(torch.arange(inside.numel()).view(sizes))
    found = places.as_strided(shape, stride, offset)
    return found if bool((found >= 0).any()) else None


def _end(offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """One past the last place in memory that a tensor reaches."""
    return 1 + offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True) if n > 0)
