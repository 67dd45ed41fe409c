"""Tracer: runs a module on one input and records every operation on values that depend on it.

The values are real tensors, so a forward may branch on types and shapes, unpack sizes and keep
tensors in any place. Operations in place are recorded as functions: the tensor that they changed
stands for their result. Tensors that share its memory get new nodes when they are read. The
tracer refuses, with a reason, code that takes values out of tensors, and code that reads memory
that no recorded operation has written.
"""

# torch has no public name for the switch of its function modes
# pyright: reportPrivateUsage=false

import inspect
import operator
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from sngan.lipschitz.registry import registered_functions
from sngan.lipschitz.rules.combining import nodes_in
from sngan.lipschitz.rules.functions import torch_name
from sngan.lipschitz.rules.names import is_like_factory, is_metadata_call, with_positional_tensors
from sngan.lipschitz.structures import map_structure, tensors_in
from sngan.lipschitz.tracing.aliases import is_same_view, view_key
from sngan.lipschitz.tracing.bindings import Bindings
from sngan.lipschitz.tracing.dependencies import DependencyTracker, live_tensors, storage_id
from sngan.lipschitz.tracing.errors import UntraceableError
from sngan.lipschitz.tracing.frames import call_arguments, observe_calls
from sngan.lipschitz.tracing.spellings import common_spelling, written_out

Node = fx.Node


@dataclass(frozen=True)
class _Call:
    """An operation that is running: the parts of its node, and the moment when it started."""

    op: str
    target: Any
    name: str
    tensors: list[Tensor]
    constants: set[int]
    nodes: tuple[tuple[Any, ...], dict[str, Any]]
    moment: int


@dataclass(frozen=True)
class Recording:
    """The recorded graph, and the nodes whose operation writes into its arguments."""

    graph: fx.Graph
    writing: frozenset[Node]


def record(
    run: Callable[[Tensor], Any],
    example: Tensor,
    *,
    leaves: Mapping[str, nn.Module],
    older: Sequence[Tensor],
) -> Recording:
    """Record ``run(example)``.

    Parameters
    ----------
    run
        The function.
    example
        Its input.
    leaves
        Modules whose calls are one operation each, by their paths.
    older
        Tensors that existed before, such as the module's parameters.

    Raises
    ------
    UntraceableError
        If the output does not follow from the recorded operations alone.
    """
    tracer = _run(run, example, leaves=leaves, older=older)
    if tracer.found_unknown:
        # the unknown tensor may be a constant outside of the module, so all tensors count as older
        tracer = _run(run, example, leaves=leaves, older=live_tensors())
    return tracer.recording()


def _run(
    run: Callable[[Tensor], Any],
    example: Tensor,
    *,
    leaves: Mapping[str, nn.Module],
    older: Sequence[Tensor],
) -> "_Tracer":
    source = example.clone()
    tracer = _Tracer(source, leaves, older)
    with ExitStack() as stack:
        stack.enter_context(tracer.tracker)
        stack.enter_context(tracer)
        stack.enter_context(tracer.recording_leaves())
        stack.enter_context(tracer.recording_functions())
        tracer.output = run(source)
    return tracer


class _Tracer(TorchFunctionMode):
    """Sees every call of a torch function, and records it if an argument depends on the input."""

    def __init__(
        self, example: Tensor, leaves: Mapping[str, nn.Module], older: Sequence[Tensor]
    ) -> None:
        super().__init__()
        self.tracker = DependencyTracker(example, older)
        self.output: Any = None
        self.found_unknown = False
        self._leaves = leaves
        self._graph = fx.Graph()
        self._writing: set[Node] = set()
        self._refusals: list[str] = []
        # the graph holds these tensors without a copy, so their memory must not change
        self._weights = {
            storage_id(tensor)
            for part in leaves.values()
            for tensor in [*part.parameters(), *part.buffers()]
        }
        source = self._graph.create_node("placeholder", "x", name="x")
        self._bindings = Bindings(self._graph)
        self._bindings.bind(example, source)
        self._last_call = self.tracker.start_interval()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call ``func``, and record it where its arguments depend on the input."""
        if self.tracker.is_recording:
            return func(*args, **(kwargs or {}))
        parts = written_out(func, args, kwargs or {})
        if parts is not None:
            with self:
                return parts()
        func, args = common_spelling(func, args)
        if func is operator.setitem and is_same_view(*args):
            # the last step of x[i] *= c, which has changed the memory already
            return None
        return self._record_call("call_function", func, func, args, kwargs or {})

    @contextmanager
    def recording_leaves(self) -> Generator[None]:
        """Record the calls of leaf modules; their hooks are recorded operation by operation."""

        def recording(path: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                if self.tracker.is_recording:
                    return original(*args, **kwargs)
                bound = inspect.signature(original).bind(*args, **kwargs)
                return self._record_call("call_module", path, original, bound.args, bound.kwargs)

            return forward

        for path, leaf in self._leaves.items():
            vars(leaf)["forward"] = recording(path, leaf.forward)
        try:
            yield
        finally:
            for leaf in self._leaves.values():
                del vars(leaf)["forward"]

    @contextmanager
    def recording_functions(self) -> Generator[None]:
        """Record the calls of Python functions for which a user registered a constant."""
        functions = registered_functions()

        def begun(function: FunctionType, frame: FrameType) -> _Call | None:
            if self.tracker.is_recording:
                return None
            return self._begin_call("call_function", function, *call_arguments(frame))

        with observe_calls(functions, begun, self._end_call):
            yield

    def recording(self) -> Recording:
        """Return the recording, without the operations that the output does not need."""
        result = self._node_or_constant(self.output)
        refusals = [*self._refusals, *self.tracker.leaks]
        if refusals:
            raise UntraceableError(refusals[0])
        self._graph.create_node("output", "output", (result,))
        for node in reversed(list(self._graph.nodes)):
            if not node.users and node.op not in ("placeholder", "output"):
                self._graph.erase_node(node)
        return Recording(self._graph, frozenset(self._writing))

    def _record_call(
        self, op: str, target: Any, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        call = self._begin_call(op, target, args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException:
            if call is not None:
                self.tracker.is_recording = False
                if self.tracker.accesses_since(call.moment)[1]:
                    self._refuse(f"{call.name} fails after it has changed a tensor")
            raise
        if call is not None:
            self._end_call(call, result)
        return result

    def _begin_call(self, op: str, target: Any, args: Any, kwargs: Any) -> _Call | None:
        """Return the call with nodes as arguments, or None if no argument depends on the input."""
        with torch._C.DisableTorchFunction():
            tensors = tensors_in((args, kwargs))
            name = args[1] if target is getattr else getattr(target, "__name__", str(target))
            if is_metadata_call(target, args) or not any(
                map(self.tracker.depends_on_input, tensors)
            ):
                return None
            _, written = self.tracker.accesses_since(self._last_call)
            self._check_weights(written)
            nodes = map_structure((args, kwargs), self._node_or_constant)
            self.tracker.is_recording = True
            constants = {storage_id(t) for t in tensors if not self.tracker.depends_on_input(t)}
            return _Call(op, target, name, tensors, constants, nodes, self.tracker.start_interval())

    def _end_call(self, call: _Call, result: Any) -> None:
        """Record the call, and bind its results to the new node."""
        self.tracker.is_recording = False
        with torch._C.DisableTorchFunction():
            changed = self._written_arguments(call)
            self._last_call = self.tracker.start_interval()
            if is_like_factory(call.target) and not nodes_in((call.nodes[0][1:], call.nodes[1])):
                self.tracker.mark_independent(result)
                return
            if call.target is operator.setitem:
                result = call.tensors[0]
            if not tensors_in(result):
                self._refuse(f"{call.name} takes values out of a tensor")
                return
            label = (call.target or "module") if call.op == "call_module" else None
            nodes = with_positional_tensors(torch_name(call.target), *call.nodes)
            for tensor in tensors_in(result):
                # Python code in the call may take values out of tensors, and no kernel shows this
                self.tracker.mark_dependent(tensor, call.name)
            node = self._graph.create_node(call.op, call.target, *nodes, name=label)
            self._bindings.bind(result, node)
            if changed:
                self._writing.add(node)
            keys = {view_key(tensor) for tensor in tensors_in(result)}
            for tensor in changed:
                if view_key(tensor) not in keys:
                    self._refuse(f"{call.name} changes a tensor in place and returns another")
                    return
                was_constant = storage_id(tensor) in call.constants
                self._bindings.note_write(tensor, was_constant=was_constant)

    def _written_arguments(self, call: _Call) -> list[Tensor]:
        """Return the arguments that a call has changed in place."""
        read, written = self.tracker.accesses_since(call.moment)
        given = {view_key(tensor): tensor for tensor in call.tensors}
        if not read <= {key[0] for key in given}:
            self._refuse(f"{call.name} reads tensors that are not among its arguments")
        changed = {key: tensor for key, tensor in given.items() if key[0] in written}
        if call.target is operator.setitem or call.name.endswith("_"):
            # other arguments may be views of the same memory
            changed = dict(list(changed.items())[:1])
        if len(changed) != len(written):
            self._refuse(f"{call.name} changes several views of a tensor, or one it was not given")
        self._check_weights(written)
        return list(changed.values())

    def _check_weights(self, written: set[int]) -> None:
        if not written.isdisjoint(self._weights):
            self._refuse("a parameter or a buffer changes while the module runs")

    def _node_or_constant(self, value: Any) -> Any:
        """Return the node of a tensor that depends on the input, or a copy of one that does not."""
        if not isinstance(value, Tensor):
            return value
        if not self.tracker.knows(value):
            self.found_unknown = True
            self._refuse("there is a tensor that no visible operation has made")
        elif self.tracker.depends_on_input(value):
            node = self._bindings.node_of(value)
            if node is not None:
                return node
            self._refuse(f"{self.tracker.origin(value)} runs where no torch function was called")
        elif storage_id(value) in self._weights:
            return value
        return value.detach().clone()

    def _refuse(self, reason: str) -> None:
        self._refusals.append(reason)
