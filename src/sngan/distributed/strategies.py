"""Strategies of Lightning Fabric: replicas (DDP) and sharded weights (FSDP2)."""

import inspect
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.launchers.multiprocessing import (
    _MultiProcessingLauncher,  # pyright: ignore[reportPrivateUsage]
)
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from typing_extensions import override

from sngan.distributed import fsdp, rendezvous

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

# start method of multiprocessing for processes that sngan starts itself
START_METHOD = "spawn"


def ddp_strategy() -> DDPStrategy:
    """Return the strategy of replicas, whose gradients are averaged."""
    launched = TorchElasticEnvironment.detect() or SLURMEnvironment.detect()
    return _ReplicasStrategy(
        start_method="popen" if launched else START_METHOD,
        process_group_backend=_backend(),
        **_without_buffers(),
    )


def fsdp_strategy(processes: int) -> ModelParallelStrategy:
    """Return the strategy that shards weights over all processes."""
    return _FullyShardStrategy(
        _shard,
        data_parallel_size=processes,
        tensor_parallel_size=1,
        process_group_backend=_backend(),
    )


class _ReplicasStrategy(DDPStrategy):
    """Fabric's DDP; the processes that it spawns form their group on this machine only."""

    meeting: str | None = None

    @override
    def _setup_distributed(self) -> None:
        _meet(self, self.meeting)
        super()._setup_distributed()


class _FullyShardStrategy(ModelParallelStrategy):
    """Fabric's FSDP2; the processes that it spawns form their group on this machine only."""

    meeting: str | None = None

    @override
    def _setup_distributed(self) -> None:
        _meet(self, self.meeting)
        super()._setup_distributed()

    @override
    def _configure_launcher(self) -> None:
        # Fabric would start the whole command once more for each rank; spawn them as DDP does
        assert self.cluster_environment is not None
        if not self.cluster_environment.creates_processes_externally:
            self._launcher = _MultiProcessingLauncher(self, start_method=START_METHOD)


def _meet(strategy: Any, meeting: str | None) -> None:
    """Form the process group of spawned processes; launched ones have formed it already."""
    if meeting is not None:
        rendezvous.join_local_group(
            strategy.process_group_backend,
            rank=strategy.local_rank,
            count=strategy.num_processes,
            meeting=meeting,
        )


def _shard(network: nn.Module, mesh: "DeviceMesh") -> nn.Module:
    fsdp.shard(network, mesh["data_parallel"])
    return network


def _backend() -> str:
    # hosts communicate over gloo, so they need not wait for their devices
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def _without_buffers() -> dict[str, Any]:
    """Return DDP's option to send no buffers, which are equal on all replicas; torch renamed it."""
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return {name: False}
