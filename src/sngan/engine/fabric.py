"""One process, or several that share a run: Fabric launches them, failures and signals travel."""

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
from sngan.utils.signals import hangup, interrupts_to
from sngan.utils.streams import PrintableFormatter
from sngan.utils.text import last_line, on_one_line

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_log = logging.getLogger("sngan")
# how they start processes and end them; an error says what a person needs to know of it
for _name in ("lightning_fabric.utilities.distributed", "lightning_fabric.utilities.rank_zero"):
    logging.getLogger(_name).setLevel(logging.WARNING)
logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)


class RankError(RuntimeError):
    """One of several processes failed or was killed, and the others were ended."""


def make_fabric(settings: PerformanceConfig) -> "Fabric":
    """The devices that the settings name, not launched yet.

    Raises
    ------
    ValueError
        The machine has no such devices, or torchrun or SLURM started other processes.
    """
    # seconds of import time that `sngan --help` should not pay
    from lightning_fabric import Fabric

    started = _started(settings)
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
    if not settings.is_shared:
        return "auto"
    # brings in all of torch's distributed training, which one process does not need
    from sngan.distributed import strategies

    return (
        strategies.fsdp_strategy(settings.processes)
        if settings.is_sharded
        else strategies.ddp_strategy()
    )


def on_ranks(settings: PerformanceConfig, work: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``work(fabric, *arguments)``, of the first where several processes do it.

    They are spawned here, or started by torchrun or SLURM already. SIGINT, SIGTERM and SIGHUP
    reach all.

    Raises
    ------
    RankError
        A process failed alone or was killed.
    Exception
        Whatever else ``work`` raises.
    """
    fabric = make_fabric(settings)
    if not settings.is_shared:
        return work(fabric, *arguments)
    started = _started(settings)
    rendezvous.join_group(fabric.strategy.process_group_backend)  # pyright: ignore
    # the multiprocessing of torch is heavy as well
    from torch.multiprocessing.spawn import ProcessException

    with _signals_passed_on() as stopped, tempfile.TemporaryDirectory(prefix="sngan-") as private:
        if started is None:
            # the strategy takes it to the processes that it spawns
            fabric.strategy.meeting = str(Path(private) / "meeting")  # pyright: ignore
        try:
            outcome = fabric.launch(partial(_on_rank, work=work, arguments=arguments))
        except ProcessException as error:
            if stopped():
                raise KeyboardInterrupt from error
            line = last_line(error).removeprefix(f"{__name__}.RankError: ")
            raise RankError(line) from error
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _on_rank(fabric: "Fabric", work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Do the work, and return an error that all ranks have; one of a single rank is raised."""
    spawned = multiprocessing.parent_process() is not None
    if spawned:
        # Ctrl-C reaches the parent alone, which passes it on once
        os.setsid()
        # what one process warns of on the screen, several do; errors are told by the parent
        to_person = logging.StreamHandler()
        to_person.addFilter(lambda record: record.levelno == logging.WARNING)
        to_person.setFormatter(PrintableFormatter("sngan: %(message)s"))
        logging.basicConfig(handlers=[to_person])
    # kernels of one channel have several equal layouts; DDP copies them all the same
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # critics return views, which nothing here changes in place
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    with contextlib.nullcontext() if collectives.is_rank_zero() else _silence():
        try:
            outcome = work(fabric, *arguments)
        except RankError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            outcome = error
    # Python's own end is aborted at times by threads of the group: leave it, and end without
    if spawned:
        atexit.register(os._exit, 0)
    atexit.register(collectives.destroy_group)
    return outcome


def _started(settings: PerformanceConfig) -> int | None:
    """The processes that torchrun has started, or SLURM for a run of several; ``None``: neither."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"])
    # a batch script has SLURM's variables too, and may train on one device of its own
    is_task = settings.is_shared and SLURMEnvironment.detect()
    return int(os.environ["SLURM_NTASKS"]) if is_task else None


@contextlib.contextmanager
def _silence() -> Generator[None]:
    """Only the first rank speaks."""
    _log.disabled = True
    try:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):  # noqa: PTH123
            yield
    finally:
        _log.disabled = False


@contextlib.contextmanager
def _signals_passed_on() -> Generator[Callable[[], bool]]:
    """Pass signals that end programs on to the processes started inside; yield whether any came."""
    came = threading.Event()
    others = set(multiprocessing.active_children())

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number == hangup() and came.is_set():
            # a closed terminal says it twice; the second one would end the processes at once
            return
        came.set()
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()

    with interrupts_to(pass_on):
        yield came.is_set
