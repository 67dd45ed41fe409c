"""CUDA graph of a training step: captured once, then replayed in place of its many kernels."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from sngan.data import Batch
from sngan.distributed import collectives
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")
# the first calls compile, choose kernels and allocate the optimizers' state
_WARM_UP_CALLS = 3

Work = Callable[[list[Batch]], dict[str, Tensor]]


class StepGraph:
    """Calls ``work(batches)``; on a CUDA device the fourth and later calls replay a graph of it.

    The first three calls are ordinary steps of the run on a second stream, because torch requires
    such steps before it captures. The work must keep its state in tensors that it changes in
    place, must read nothing back to the host, and must get batches of the same shapes in each
    call. The next call overwrites its results. Where nothing can be captured, a line is logged and
    the work is called directly.

    Parameters
    ----------
    device
        The device of the work.
    wanted
        ``on``, ``off``, or ``auto``: on for CUDA devices in one process.
    """

    def __init__(self, device: torch.device, *, wanted: str) -> None:
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream: torch.cuda.Stream | None = None
        self._batches: list[Batch] = []
        self._results: dict[str, Tensor] = {}
        problem = why_not_captured(device)
        self._wanted = wanted != "off" and problem is None
        if wanted == "on" and problem:
            _log.warning("performance.cuda_graphs: not captured, %s", problem)

    @property
    def is_wanted(self) -> bool:
        """Whether the work will be captured. Then it may change only tensors."""
        return self._wanted

    def forget(self) -> None:
        """Drop the graph, because tensors of the state were replaced by others."""
        self._calls, self._graph = 0, None

    def __call__(self, work: Work, batches: list[Batch]) -> dict[str, Tensor]:
        """Do the work once. It must be the same function in each call."""
        self._calls += 1
        if self._wanted and self._calls <= _WARM_UP_CALLS:
            return self._call_on_second_stream(work, batches)
        if self._wanted and self._graph is None:
            self._capture(work, batches)
        if self._graph is None:
            return work(batches)
        for kept, given in zip(tensors_of(self._batches), tensors_of(batches), strict=True):
            kept.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._results

    def _call_on_second_stream(self, work: Work, batches: list[Batch]) -> dict[str, Tensor]:
        # all calls use one stream, because memory and cuBLAS workspaces belong to a stream
        self._stream = self._stream or torch.cuda.Stream()
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            results = work(batches)
        current.wait_stream(self._stream)
        return results

    def _capture(self, work: Work, batches: list[Batch]) -> None:
        self._batches = [copied(batch) for batch in batches]
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        random_state = generator.clone_state()
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: other threads may copy the next images to the device meanwhile
            # a failed capture does not restore the current stream, so the outer context does
            with (
                torch.cuda.stream(torch.cuda.current_stream()),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                self._results = work(self._batches)
        except Exception as error:
            # capturing may raise anything; training works without it
            self._wanted = False
            # the generator of random numbers may still be in its capturing mode
            generator.graphsafe_set_state(random_state)
            # if the end of the capture fails too, that error only says that something failed before
            first = error.__context__ or error
            _log.warning("performance.cuda_graphs: not captured, %s", first_line(first))
        else:
            self._graph = graph
            _log.info("performance.cuda_graphs: captured")


def why_not_captured(device: torch.device) -> str | None:
    """Return the reason why a device captures no graphs here; ``None`` if it does."""
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    return "processes of a group send to each other" if collectives.is_initialized() else None


def copied(batch: Batch) -> Batch:
    """Return a copy of a batch, whose memory stays the same from step to step."""
    labels = batch.labels
    return Batch(batch.samples.clone(), None if labels is None else labels.clone())


def tensors_of(batches: list[Batch]) -> list[Tensor]:
    """Return samples and labels of all batches."""
    return [part for batch in batches for part in batch if part is not None]
