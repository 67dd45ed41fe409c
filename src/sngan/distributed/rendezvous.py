"""How the processes of a run find each other: on one machine, or as torchrun started them.

On one machine they meet at a file of this user and talk over the loopback address, so that nobody
on the network can join them.

The agent of torchrun keeps one store over all restarts, with the addresses of processes that are
dead: torch connects to those and fails, or waits for half an hour (2.13; pytorch/pytorch#135712). A
prefix that only the living know keeps them apart.
"""
# torch.distributed does not list its stores as its own
# pyright: reportPrivateImportUsage=none

import os
import socket
import time
from uuid import uuid4

import torch.distributed as dist

_POLL_SECONDS = 0.02


def is_launched() -> bool:
    """Whether torchrun started this process, and may start it again."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_restarted() -> bool:
    """Whether torchrun started this process again, after one of its node had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def join_group(backend: str) -> None:
    """Join the process group of torchrun's processes; without its agent's store, do nothing."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        _stay_on_this_machine()
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    session = _open_session(store, count) if rank == 0 else _enter_session(store, rank)
    own = dist.PrefixStore(session, store)
    dist.init_process_group(backend, store=own, rank=rank, world_size=count)


def join_local_group(backend: str, *, rank: int, count: int, meeting: str) -> None:
    """Join the process group of processes that were spawned here; ``meeting`` is a file's path."""
    _stay_on_this_machine()
    dist.init_process_group(
        backend, store=dist.FileStore(meeting, count), rank=rank, world_size=count
    )


def _stay_on_this_machine() -> None:
    """Let gloo and NCCL listen on the loopback address alone, unless somebody chose otherwise."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        if names:
            os.environ.setdefault(variable, names[0])


def _open_session(store: dist.Store, count: int) -> str:
    """Tell a new name to all who greet, until each rank has answered to it.

    A greeting may be one of a dead process: it is answered too, and nobody reads that.
    """
    session = uuid4().hex
    absent = set(range(1, count))
    while absent:
        for rank in tuple(absent):
            if store.check([f"{session}/{rank}"]):
                absent.remove(rank)
            elif store.check([f"greeting/{rank}"]):
                store.set(f"name for {store.get(f'greeting/{rank}').decode()}", session)
        time.sleep(_POLL_SECONDS)
    return session


def _enter_session(store: dist.Store, rank: int) -> str:
    greeting = uuid4().hex
    store.set(f"greeting/{rank}", greeting)
    session = store.get(f"name for {greeting}").decode()
    store.set(f"{session}/{rank}", "here")
    return session
