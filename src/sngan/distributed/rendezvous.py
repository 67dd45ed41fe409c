"""Rendezvous: how the processes of a run form their group, on one machine or under torchrun.

On one machine they meet at a file that only this user can read, and communicate over the loopback
address, so nobody on the network can join them.

The agent of torchrun keeps one store over all restarts. It still holds the addresses of dead
processes: torch 2.13 connects to those and fails, or waits for half an hour
(pytorch/pytorch#135712). Here each start of the group has a new prefix in the store, and only the
living processes know the prefix.
"""
# torch.distributed does not export its stores by __all__
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
    """Whether torchrun restarted this process, because a process of its node had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def join_group(backend: str) -> None:
    """Join the process group of torchrun's processes; without the agent's store, do nothing."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        _stay_on_this_machine()
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    session = open_session(store, count) if rank == 0 else enter_session(store, rank)
    own = dist.PrefixStore(session, store)
    dist.init_process_group(backend, store=own, rank=rank, world_size=count)


def join_local_group(backend: str, *, rank: int, count: int, meeting: str) -> None:
    """Join the process group of processes that were spawned on this machine.

    Parameters
    ----------
    backend
        The backend of the group, such as ``gloo``.
    rank, count
        The number of this process and how many there are.
    meeting
        The path of a file that all of them can write.
    """
    _stay_on_this_machine()
    dist.init_process_group(
        backend, store=dist.FileStore(meeting, count), rank=rank, world_size=count
    )


def _stay_on_this_machine() -> None:
    """Let gloo and NCCL listen on the loopback address, unless the environment names another."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        if names:
            os.environ.setdefault(variable, names[0])


def open_session(store: dist.Store, count: int) -> str:
    """Choose the prefix of a new group on rank 0, and wait until every other rank has taken it.

    Each rank leaves a greeting in the store and gets the prefix as the answer. A greeting may come
    from a dead process of an earlier start: it is answered too, and nobody reads that answer.
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


def enter_session(store: dist.Store, rank: int) -> str:
    """Greet rank 0, and return the prefix of the new group from the answer."""
    greeting = uuid4().hex
    store.set(f"greeting/{rank}", greeting)
    session = store.get(f"name for {greeting}").decode()
    store.set(f"{session}/{rank}", "here")
    return session
