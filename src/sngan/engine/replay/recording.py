"""Recording of the operations of a training step on the CPU, and their repetition without Python.

A step of a small network spends more time in Python, autograd and dispatch than in its kernels. The
recorder notes the kernels of one ordinary step, forward, backward and optimizers, with the tensors
that they read and write. A repetition calls the same kernels on the same memory in the same order,
so its results are equal bit for bit to those of the step. Views need no repetition, because their
memory stays the same. Neither do operations that depend on constants alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

# results of these depend on no value of an argument
_FILLED = frozenset(
    f"{prefix}{kind}{suffix}"
    for kind in ("empty", "full", "ones", "zeros")
    for prefix, suffix in (("new_", ""), ("", "_like"))
) | {"new_empty_strided"}
# torch's out= overloads take these from the tensor that they write to
_OF_RESULT = frozenset({"dtype", "layout", "device", "pin_memory"})
# the results of a recorded step stay in memory; in a step with more bytes of results than this,
# kernels take most of the time, so a recording would gain little
_MOST_BYTES = 512 * 2**20


class Call(NamedTuple):
    """One operation with its arguments and results; tensors are aliases of those of the step."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: Any

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors among the arguments."""
        return tensors_in((self.args, self.kwargs))

    @property
    def outputs(self) -> list[Tensor]:
        """The tensors among the results."""
        return tensors_in(self.results)

    @property
    def written(self) -> list[Tensor]:
        """The arguments that the operation changes."""
        arguments = [*self.args, *self.kwargs.values()]
        names = [argument.name for argument in self.function._schema.arguments[: len(self.args)]]
        is_written = {
            argument.name: argument.alias_info is not None and argument.alias_info.is_write
            for argument in self.function._schema.arguments
        }
        pairs = zip([*names, *self.kwargs], arguments, strict=True)
        return tensors_in([value for name, value in pairs if is_written[name]])

    @property
    def is_view(self) -> bool:
        """Whether the results only look at the memory of arguments."""
        own = {storage_of(tensor) for tensor in self.inputs}
        return bool(self.outputs) and all(storage_of(tensor) in own for tensor in self.outputs)

    @property
    def is_random(self) -> bool:
        """Whether the operation draws random numbers."""
        return torch.Tag.nondeterministic_seeded in self.function.tags

    @property
    def reads_on_host(self) -> bool:
        """Whether the host learns a value of a tensor, so that Python may depend on it."""
        is_answer = not self.outputs and not self.written
        is_shape = torch.Tag.dynamic_output_shape in self.function.tags
        if self.function.overloadpacket.__name__ == "index":
            # only masks select a number of entries that depends on values
            is_shape = any(index.dtype in (torch.bool, torch.uint8) for index in self.inputs[1:])
        return bool(self.inputs) and (is_answer or is_shape)


class Recorder(TorchDispatchMode):
    """Notes each operation inside its context; the operations are done as usual.

    Attributes
    ----------
    calls
        The operations in their order.
    weights
        The parameters that they use.
    problem
        The reason why the operations cannot be repeated; empty if they can.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.weights: dict[int, nn.Parameter] = {}
        self.problem = ""
        self._bytes = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Do an operation and note it."""
        results = function(*args, **(kwargs or {}))
        # an alias keeps the memory, while autograd may still take the tensor itself as a gradient
        if not self.problem:
            noted = tree_map_only(Tensor, torch.ops.aten.alias, (args, kwargs or {}, results))
            self._note(Call(function, *noted))
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, nn.Parameter):
                    self.weights[id(leaf)] = leaf
        return results

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        if not call.is_view:
            self._bytes += sum(tensor.nbytes for tensor in call.outputs)
        if call.reads_on_host:
            self.problem = f"{call.function} reads a value on the host"
        elif self._bytes > _MOST_BYTES:
            self.problem = f"a step computes more than {_MOST_BYTES // 2**20} MiB"
        if self.problem:
            # free the memory
            self.calls.clear()


def repetitions(
    calls: Sequence[Call], optimizers: Iterable[Optimizer]
) -> Iterator[Callable[[], object]]:
    """Yield functions that repeat the calls, each on the memory of the recorded call.

    Parameters
    ----------
    calls
        The recorded operations that :func:`not_constant` keeps.
    optimizers
        The optimizers that stepped. A fused step reads their options again in each repetition.
    """
    groups = {
        group["params"][0].data_ptr(): group
        for optimizer in optimizers
        for group in optimizer.param_groups
    }
    for call in calls:
        if is_fused_step(call):
            # torch's fused steps take the options from Python, and the learning rate may change
            group = groups[call.args[0][0].data_ptr()]
            yield partial(_fused_step, call.function._op, call.args, call.kwargs, group)
        elif call.written:
            yield partial(call.function._op, *call.args, **call.kwargs)
        else:
            yield _rewriting(call)


def is_fused_step(call: Call) -> bool:
    """Whether an operation is the step of a fused optimizer."""
    return call.function.overloadpacket.__name__ in ("_fused_adam_", "_fused_adamw_", "_fused_sgd_")


def not_constant(calls: Sequence[Call]) -> Iterator[Call]:
    """Yield all calls except views, calls without a result, and those with a constant result."""
    written = {storage_of(tensor) for call in calls for tensor in call.written}
    constant: set[int] = set()
    for call in calls:
        if call.written:
            yield call
            continue
        if not call.outputs or call.is_view:
            continue
        is_filled = call.function.overloadpacket.__name__ in _FILLED
        depends = not is_filled and any(storage_of(one) not in constant for one in call.inputs)
        own = {storage_of(tensor) for tensor in call.outputs}
        if depends or call.is_random or not own.isdisjoint(written):
            yield call
        else:
            constant |= own


def _rewriting(call: Call) -> Callable[[], object]:
    """Return a function that computes the results of a call again, into the same memory."""
    function, kwargs = call.function, call.kwargs
    arguments = function._schema.arguments
    own = [(a.name, str(a.type)) for a in arguments if a.name not in _OF_RESULT]
    packet = function.overloadpacket
    # a result that was not asked for is None, which no out= overload takes
    is_whole = len(call.outputs) == len(tree_leaves(call.results))
    for name in packet.overloads() if is_whole else ():
        overload = getattr(packet, name)
        others = [a for a in overload._schema.arguments if a.name not in _OF_RESULT]
        into = [a.name for a in others if a.is_out]
        if into and own == [(a.name, str(a.type)) for a in others if not a.is_out]:
            results = [call.results] if len(into) == 1 else call.results
            taken = {a.name for a in overload._schema.arguments}
            kept = {key: value for key, value in kwargs.items() if key in taken}
            return partial(
                overload._op, *call.args, **kept, **dict(zip(into, results, strict=True))
            )
    return partial(_copy_results, call)


def _copy_results(call: Call) -> None:
    again = tensors_in(call.function(*call.args, **call.kwargs))
    for kept, new in zip(call.outputs, again, strict=True):
        kept.copy_(new)


def _fused_step(
    step: Callable[..., Any],
    args: tuple[Any, ...],
    recorded: dict[str, Any],
    group: dict[str, Any],
) -> None:
    betas = group.get("betas", (None, None))
    options = {**group, "beta1": betas[0], "beta2": betas[1]}
    step(*args, **{name: options.get(name, value) for name, value in recorded.items()})


def storage_of(tensor: Tensor) -> int:
    """Return the address of a tensor's memory, which its views share."""
    return tensor.untyped_storage().data_ptr()


def tensors_in(tree: Any) -> list[Tensor]:
    """Return the tensors in nested lists, tuples and dicts."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
