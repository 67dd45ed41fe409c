"""Fabric: the devices of a run, the launch of its processes, their errors and signals."""

import atexit
import contextlib
import logging
import multiprocessing
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from sngan.config import PerformanceConfig
from sngan.distributed import collectives, rendezvous
from sngan.utils.checks import require
from sngan.utils.signals import handle_interrupts, hangup
from sngan.utils.streams import PrintableFormatter
from sngan.utils.text import last_line, on_one_line

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_log = logging.getLogger("sngan")
# these loggers report how processes start and end; users need only the error itself
for _name in ("lightning_fabric.utilities.distributed", "lightning_fabric.utilities.rank_zero"):
    logging.getLogger(_name).setLevel(logging.WARNING)
logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)


class RankFailedError(RuntimeError):
    """One of several processes failed or was killed, so the others were ended too."""


def make_fabric(settings: PerformanceConfig) -> "Fabric":
    """Return the Fabric of the devices that the settings name, not launched yet.

    Raises
    ------
    ValueError
        If the machine has no such devices, or torchrun or SLURM started another number of
        processes.
    """
    # this import takes seconds that `sngan --help` should not pay
    from lightning_fabric import Fabric

    started = _num_started(settings)
    require(
        settings.nodes == 1 or started is not None,
        "performance.nodes",
        expected="1, or torchrun or srun to start the processes of all machines",
        got=settings.nodes,
    )
    require(
        started in (None, settings.processes),
        "performance.devices",
        expected=f"devices × nodes = {started}, the processes that were started",
        got=f"{settings.devices} × {settings.nodes}",
    )
    try:
        return Fabric(
            accelerator=settings.device,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=_strategy(settings),
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"performance.devices: expected ones of this machine, got {on_one_line(error)}"
        ) from error


def _strategy(settings: PerformanceConfig) -> Any:
    if not settings.has_process_group:
        return "auto"
    # this import loads torch's distributed training, which one process does not need
    from sngan.distributed import strategies

    return (
        strategies.fsdp_strategy(settings.processes)
        if settings.is_sharded
        else strategies.ddp_strategy()
    )


def run_on_ranks(settings: PerformanceConfig, work: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``work(fabric, *arguments)`` on every rank, and return the result of rank 0.

    The processes are spawned here, unless torchrun or SLURM started them. SIGINT, SIGTERM and
    SIGHUP are passed on to all of them.

    Parameters
    ----------
    settings
        The devices, nodes and strategy.
    work
        A function that the spawned processes can import.
    arguments
        Its arguments after the launched Fabric.

    Raises
    ------
    RankFailedError
        If one process failed alone or was killed.
    Exception
        If ``work`` raises the same error on all ranks.
    """
    fabric = make_fabric(settings)
    if not settings.has_process_group:
        return work(fabric, *arguments)
    started = _num_started(settings)
    rendezvous.join_group(fabric.strategy.process_group_backend)  # pyright: ignore[reportAttributeAccessIssue]
    # this import loads torch's distributed training too
    from torch.multiprocessing.spawn import ProcessException

    with _signals_passed_on() as stopped, tempfile.TemporaryDirectory(prefix="sngan-") as private:
        if started is None:
            # the strategy carries the path to the processes that it spawns
            fabric.strategy.meeting = str(Path(private) / "meeting")  # pyright: ignore[reportAttributeAccessIssue]
        try:
            outcome = fabric.launch(partial(_on_rank, work=work, arguments=arguments))
        except ProcessException as error:
            if stopped():
                raise KeyboardInterrupt from error
            line = last_line(error).removeprefix(f"{__name__}.RankFailedError: ")
            raise RankFailedError(line) from error
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _on_rank(fabric: "Fabric", work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Do the work. Return an error that all ranks share; raise the error of a single rank."""
    spawned = multiprocessing.parent_process() is not None
    if spawned:
        # in a session of its own a process gets no Ctrl-C; the parent passes it on once
        os.setsid()
        # only warnings go to the screen from here, because the parent reports the errors
        screen = logging.StreamHandler()
        screen.addFilter(lambda record: record.levelno == logging.WARNING)
        screen.setFormatter(PrintableFormatter("sngan: %(message)s"))
        logging.basicConfig(handlers=[screen])
    # a kernel of one channel has several equal memory layouts; DDP copies it in any case
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # critics return views, and nothing here changes these in place
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    with contextlib.nullcontext() if collectives.is_rank_zero() else _silence():
        try:
            outcome = work(fabric, *arguments)
        except RankFailedError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            outcome = error
    # threads of the process group sometimes abort the interpreter's shutdown: skip the shutdown
    if spawned:
        atexit.register(os._exit, 0)
    atexit.register(collectives.destroy_group)
    return outcome


def _num_started(settings: PerformanceConfig) -> int | None:
    """The number of processes that torchrun or SLURM started; ``None`` if neither did."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"])
    # a batch script has SLURM's variables too, but trains in its own process on one device
    is_task = settings.has_process_group and SLURMEnvironment.detect()
    return int(os.environ["SLURM_NTASKS"]) if is_task else None


@contextlib.contextmanager
def _silence() -> Generator[None]:
    """Print and log nothing inside, because only rank 0 prints and logs."""
    _log.disabled = True
    try:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):  # noqa: PTH123
            yield
    finally:
        _log.disabled = False


@contextlib.contextmanager
def _signals_passed_on() -> Generator[Callable[[], bool]]:
    """Pass signals on to the processes started inside; yield whether any signal came."""
    came = threading.Event()
    others = set(multiprocessing.active_children())

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number == hangup() and came.is_set():
            # a closed terminal sends two signals, and the second would end the processes at once
            return
        came.set()
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()

    with handle_interrupts(pass_on):
        yield came.is_set
