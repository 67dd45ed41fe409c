"""Server process from which tests fork ranks and commands: it has imported what these need.

It computes nothing, so it has no threads that a fork would lose.
"""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

# a run imports the lines after the first by itself: optimizers, figures, distances, TensorBoard
IMPORTED = [
    "sngan.cli.train", "sngan.engine", "sngan.report", "sngan.distributed.strategies",
    "lightning_fabric", "torch._dynamo", "torch.utils.tensorboard", "matplotlib.figure",
    "matplotlib.backends.backend_svg", "ot", "sklearn.datasets",
]  # fmt: skip

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(IMPORTED)


def in_forked_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what ``work(*arguments)`` returns in a process of one thread, which may fork itself.

    It prints nothing. If it fails, its traceback is on standard error, and this raises EOFError.
    """
    reader, writer = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_send, args=(writer, work, arguments))
    process.start()
    writer.close()
    with reader:
        try:
            return reader.recv()
        finally:
            process.join()


def _send(writer: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    writer.send(work(*arguments))
