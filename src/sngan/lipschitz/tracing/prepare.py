"""Preparation of a network: a float64 copy in eval mode, as a function of one tensor."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.tracing.float64 import Float64Mode
from sngan.utils.checks import require
from sngan.utils.text import class_and_line

# wrappers that run the module that they hold, without a change of its map
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class PreparedModule:
    """A copied network that computes in float64, and one input of zeros.

    ``batch_dims`` is 1 where the network takes a batch, and 0 where it takes a single sample.
    """

    def __init__(self, module: nn.Module, example: Tensor, *, batch_dims: int) -> None:
        self.module, self.example, self.batch_dims = module, example, batch_dims

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the network's output, with the batch dimension first."""
        if self.batch_dims:
            with Float64Mode():
                return self.module(batch)
        with Float64Mode():
            outputs = [self.module(batch[place])[None] for place in range(len(batch))]
            return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def noise(self, seed: int) -> Tensor:
        """Return standard normal numbers as one input."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(self.example.shape, generator=generator, dtype=torch.float64)
        return noise.to(self.example.device)


def prepare(module: nn.Module, input_shape: tuple[int, ...]) -> PreparedModule:
    """Copy ``module`` to float64 and eval mode, without gradients to its parameters.

    Raises
    ------
    ValueError
        If the module is not Python code, if its weights are not real or have no values yet, if it
        does not take the shape, or if its output is not one real tensor with elements.
    """
    module = unwrap(module)
    _check_module(module)
    sizes = _checked_sizes(input_shape)
    copied = _copied(module).double().eval().requires_grad_(False)
    zeros = torch.zeros(1, *sizes, dtype=torch.float64, device=_device_of(copied))
    found, output = _try_batch_then_sample(copied, zeros)
    is_one = isinstance(output, Tensor) and output.is_floating_point() and output.numel() > 0
    got = type(output).__name__
    if isinstance(output, Tensor):
        got = f"one of shape {tuple(output.shape)} and {output.dtype}"
    require(is_one, "module", expected="one real tensor with elements as output", got=got)
    return found


def preserve_rng_state(tensor: Tensor) -> AbstractContextManager[None]:
    """Restore the state of the global random number generators afterwards."""
    devices = [tensor.device] if tensor.device.type == "cuda" else []
    return torch.random.fork_rng(devices)


def _try_batch_then_sample(module: nn.Module, zeros: Tensor) -> tuple[PreparedModule, Any]:
    """Return the module as a function of a batch, or else of one sample, and its output."""
    first: Exception | None = None
    for batch_dims in (1, 0):
        found = PreparedModule(module, zeros, batch_dims=batch_dims)
        try:
            with torch.no_grad(), preserve_rng_state(zeros):
                return found, found(zeros.clone())
        except Exception as error:
            # the module's own code may raise any error
            first = first or error
    message = f"{tuple(zeros.shape[1:])}: {type(first).__name__}: {first}"
    raise ValueError(
        f"input_shape: expected a shape that the module takes, got {message}"
    ) from first


def unwrap(module: nn.Module) -> nn.Module:
    """Return the module inside torch's wrappers, which only change how it runs."""
    # the wrapper of torch.compile has another attribute
    name = "module" if isinstance(module, _WRAPPERS) else "_orig_mod"
    inner: Any = getattr(module, name, None)
    return unwrap(inner) if isinstance(inner, nn.Module) else module


def _check_module(module: nn.Module) -> None:
    kind = type(module).__name__
    require(isinstance(module, nn.Module), "module", expected="a torch.nn.Module", got=kind)
    for name, part in module.named_modules():
        require(
            not isinstance(part, torch.jit.ScriptModule),
            "module",
            expected="Python code (a module of torch.jit cannot be traced, give the original)",
            got=f"{type(part).__name__} in {name!r}",
        )
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        is_real = tensor.is_floating_point() or not isinstance(tensor, nn.Parameter)
        got = f"{tensor.dtype} in {name!r}"
        expected = "real floating-point parameters"
        require(is_real, "module", expected=expected, got=got)
        got = f"a lazy parameter in {name!r}: call the module once, so that it gets its shape"
        require(not nn.parameter.is_lazy(tensor), "module", expected="weights", got=got)
        got = f"the meta device in {name!r}"
        require(not tensor.is_meta, "module", expected="weights that have values", got=got)


def _checked_sizes(input_shape: Any) -> tuple[int, ...]:
    expected = "positive sizes without the batch dimension, e.g. (3, 32, 32)"
    is_list = isinstance(input_shape, tuple | list) and len(input_shape) > 0
    require(is_list, "input_shape", expected=expected, got=repr(input_shape))
    are_sizes = all(isinstance(size, int) and size > 0 for size in input_shape)
    require(are_sizes, "input_shape", expected=expected, got=input_shape)
    return tuple(input_shape)


def _copied(module: nn.Module) -> nn.Module:
    """Return a deep copy that shares objects that cannot be copied, such as locks."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            _note_uncopied(value, memo)
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        got = class_and_line(error)
        raise ValueError(f"module: expected one that can be copied, got {got}") from error


def _note_uncopied(value: Any, memo: dict[int, Any]) -> None:
    """Tell deepcopy to detach tensors with a history, and to share objects that it cannot copy."""
    if isinstance(value, Tensor):
        if value.grad_fn is not None:
            memo[id(value)] = value.detach().clone()
    elif isinstance(value, Mapping):
        for part in list(value.values()):
            _note_uncopied(part, memo)
    elif isinstance(value, list | tuple | set):
        for part in list(value):
            _note_uncopied(part, memo)
    elif not isinstance(value, nn.Module) and not _can_be_copied(value):
        memo[id(value)] = value


def _can_be_copied(value: Any) -> bool:
    try:
        copy.deepcopy(value)
    except Exception:
        # locks, files, generators and handles of other libraries raise different errors
        return False
    return True


def _device_of(module: nn.Module) -> torch.device:
    tensor = next(iter([*module.parameters(), *module.buffers()]), None)
    return torch.device("cpu") if tensor is None else tensor.device
