"""Replay of training steps on the CPU: recorded once, then repeated without Python and autograd."""

# torch has no public names for its operations on lists, and for dispatch below autograd
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

import logging
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from sngan.config import PerformanceConfig
from sngan.data import Batch
from sngan.distributed import collectives
from sngan.engine.replay.cuda_graph import copied, tensors_of
from sngan.engine.replay.memory_reuse import with_reused_memory
from sngan.engine.replay.recording import Recorder, is_fused_step, not_constant, repetitions

_log = logging.getLogger("sngan")
# the first steps allocate the optimizers' state
_WARM_UP_CALLS = 3
# a step is called in the usual way if its recordings do not stay valid
_MOST_RECORDINGS = 3

Work = partial[dict[str, Tensor]]


class StepReplay:
    """Calls ``work(batches)``; from the fifth call on, repeats the operations of the fourth.

    The repetition equals the call bit for bit. As for a CUDA graph, everything that changes from
    step to step must be in tensors that the work changes in place, or in the batches. Options of
    fused optimizers are an exception: they are read again each time. The work is called and
    recorded again, three times at most, if a weight was written or moved from outside, if other
    optimizers' options change, or if the work has other arguments. If it reads a value on the host
    by an operation of torch, such as ``item()``, each step is called; reading by ``tolist()`` or
    ``numpy()`` goes unnoticed.

    Parameters
    ----------
    is_wanted
        Whether steps are repeated. Otherwise each step is called.
    """

    # as for StepGraph: the optimizers need no options for capturing
    is_wanted = False

    def __init__(self, *, is_wanted: bool) -> None:
        self._left = _MOST_RECORDINGS if is_wanted else 0
        self.forget()

    @property
    def is_repeating(self) -> bool:
        """Whether a recording exists, which the next call repeats if it is still valid."""
        return self._replay is not None

    def forget(self) -> None:
        """Drop the recording, because tensors of the state were replaced by others."""
        self._calls = 0
        self._replay: _Replay | None = None

    def __call__(self, work: Work, batches: list[Batch]) -> dict[str, Tensor]:
        """Do the work once."""
        if self._replay is not None:
            if self._replay.is_valid(work):
                return self._replay(batches)
            self._replay = None
        self._calls += 1
        if self._calls <= _WARM_UP_CALLS or not self._left:
            return work(batches)
        return self._record(work, batches)

    def _record(self, work: Work, batches: list[Batch]) -> dict[str, Tensor]:
        self._left -= 1
        own = [copied(batch) for batch in batches]
        optimizers: list[Optimizer] = []

        def note(optimizer: Optimizer, *_: Any) -> None:
            optimizers.append(optimizer)

        hook = register_optimizer_step_post_hook(note)
        try:
            with Recorder() as recorder:
                results = work(own)
        finally:
            hook.remove()
        if recorder.problem:
            self._left = 0
            _log.info("performance.replay: not repeated, %s", recorder.problem)
        else:
            self._replay = _Replay(work, own, results, recorder, optimizers)
        # the next repetition writes to the recorded results
        return _copied(results)


class _Replay:
    """The repetition of one recorded step."""

    def __init__(
        self,
        work: Work,
        batches: list[Batch],
        results: dict[str, Tensor],
        recorder: Recorder,
        optimizers: list[Optimizer],
    ) -> None:
        self._work, self._results = work, results
        self._batches = tensors_of(batches)
        kept = with_reused_memory(recorder.calls, list(not_constant(recorder.calls)))
        self._operations = list(repetitions(kept, optimizers))
        self._weights = list(recorder.weights.values())
        fused = {
            weight.data_ptr()
            for call in recorder.calls
            if is_fused_step(call)
            for weight in call.args[0]
        }
        self._frozen_groups = [
            group
            for optimizer in optimizers
            for group in optimizer.param_groups
            if fused.isdisjoint(weight.data_ptr() for weight in group["params"])
        ]
        self._known = self._host_values()

    def is_valid(self, work: Work) -> bool:
        """Whether a repetition does the same as a call of this work."""
        is_same = work.func is self._work.func and all(
            one is other for one, other in zip(work.args, self._work.args, strict=True)
        )
        return is_same and self._host_values() == self._known

    def __call__(self, batches: list[Batch]) -> dict[str, Tensor]:
        """Repeat the operations with other batches; return copies of the results."""
        # autograd's own operations are among the recorded ones, and versions of tensors must not
        # change, because they would look like writes from outside
        with torch._C._AutoDispatchBelowAutograd(), torch._C._AutoDispatchBelowADInplaceOrView():
            for kept, given in zip(self._batches, tensors_of(batches), strict=True):
                kept.copy_(given)
            for operation in self._operations:
                operation()
            return _copied(self._results)

    def _host_values(self) -> tuple[list[Any], list[Any]]:
        """Return values that a repetition does not read again: places of weights, and options."""
        places = [(weight._version, weight.data_ptr()) for weight in self._weights]
        options = [
            [value for name, value in group.items() if name != "params"]
            for group in self._frozen_groups
        ]
        return places, options


def step_replay(
    performance: PerformanceConfig, device: torch.device, *, is_images: bool
) -> StepReplay:
    """Make the caller of steps on a device without CUDA graphs.

    Parameters
    ----------
    performance
        The settings: whether steps are repeated, and whether networks are compiled.
    device
        The device of the steps.
    is_images
        Whether the samples are images, whose kernels take far longer than Python.
    """
    wanted, problem = performance.replay, _why_not_repeated(performance, device)
    if wanted == "on" and problem:
        _log.warning("performance.replay: not repeated, %s", problem)
    is_wanted = wanted == "on" or (wanted == "auto" and not is_images)
    return StepReplay(is_wanted=is_wanted and problem is None)


def _why_not_repeated(performance: PerformanceConfig, device: torch.device) -> str | None:
    if device.type != "cpu":
        return f"{device.type} is not a CPU"
    if performance.compile == "on":
        return "compiled networks cannot be recorded"
    return "processes of a group send to each other" if collectives.is_initialized() else None


def _copied(results: dict[str, Tensor]) -> dict[str, Tensor]:
    copies = torch._foreach_mul(list(results.values()), 1.0)
    return dict(zip(results, copies, strict=True))
