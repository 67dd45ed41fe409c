"""The same work again and again on a device, as one CUDA graph where it can be had."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from sngan.data import Batch
from sngan.distributed import collectives
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")
# calls that compile, choose kernels and build the optimizers' state before one is captured
_WARM_UP = 3

Work = Callable[[list[Batch]], dict[str, Tensor]]


class StepGraph:
    """Calls ``work(batches)``; on a CUDA device a graph of it, from its fourth call on.

    The first calls are steps of the run like any other, done on a stream beside, as capturing asks.
    The work must keep its state in tensors that it changes in place, read nothing on the host, and
    have batches of the same shapes in each call; what it returns is overwritten by the next call.
    ``wanted`` is ``on``, ``off``, or ``auto``. Where no graph can be had, a line is logged and the
    work is called as it is.
    """

    def __init__(self, device: torch.device, *, wanted: str) -> None:
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream: torch.cuda.Stream | None = None
        self._batches: list[Batch] = []
        self._results: dict[str, Tensor] = {}
        obstacle = _obstacle(device)
        self._wanted = wanted != "off" and obstacle is None
        if wanted == "on" and obstacle:
            _log.warning("performance.cuda_graphs: not captured, %s", obstacle)

    @property
    def is_wanted(self) -> bool:
        """Whether the work is to be captured, so that all it changes must be tensors."""
        return self._wanted

    def __call__(self, work: Work, batches: list[Batch]) -> dict[str, Tensor]:
        """Do the work once; it must be the same in each call."""
        self._calls += 1
        if self._wanted and self._calls <= _WARM_UP:
            return self._beside(work, batches)
        if self._wanted and self._graph is None:
            self._capture(work, batches)
        if self._graph is None:
            return work(batches)
        for kept, given in zip(_tensors(self._batches), _tensors(batches), strict=True):
            kept.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._results

    def _beside(self, work: Work, batches: list[Batch]) -> dict[str, Tensor]:
        """Work on another stream, with the current one waiting before and after."""
        # always the same: memory and cuBLAS workspaces belong to a stream
        self._stream = self._stream or torch.cuda.Stream()
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            results = work(batches)
        current.wait_stream(self._stream)
        return results

    def _capture(self, work: Work, batches: list[Batch]) -> None:
        self._batches = [_copied(batch) for batch in batches]
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        random_state = generator.clone_state()
        graph = torch.cuda.CUDAGraph()
        try:
            # other threads read the next images meanwhile
            # and one that fails does not put the former stream back
            with (
                torch.cuda.stream(torch.cuda.current_stream()),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                self._results = work(self._batches)
        except Exception as error:
            # whatever cannot be captured, training goes on without
            self._wanted = False
            # the generator may still be in the middle of capturing
            generator.graphsafe_set_state(random_state)
            # where ending the capture fails as well, it only says that something failed before
            first = error.__context__ or error
            _log.warning("performance.cuda_graphs: not captured, %s", first_line(first))
        else:
            self._graph = graph
            _log.info("performance.cuda_graphs: captured")


def _obstacle(device: torch.device) -> str | None:
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    return "processes of a group send to each other" if collectives.is_initialized() else None


def _copied(batch: Batch) -> Batch:
    labels = batch.labels
    return Batch(batch.samples.clone(), None if labels is None else labels.clone())


def _tensors(batches: list[Batch]) -> list[Tensor]:
    return [part for batch in batches for part in batch if part is not None]
