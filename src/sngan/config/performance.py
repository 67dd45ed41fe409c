"""Settings of the devices, the precision, and the way in which a batch is computed."""

from dataclasses import dataclass
from typing import Literal

from sngan.utils.checks import require_count
from sngan.utils.fields import option, require_choices


@dataclass(frozen=True)
class PerformanceConfig:
    """The devices, and the precision of the arithmetic.

    Raises
    ------
    ValueError
        If a count is below 1, or a word is none of the choices.

    Examples
    --------
    >>> from sngan.config import PerformanceConfig
    >>> PerformanceConfig(accumulate=4).precision
    'auto'
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = option("auto", "auto: a GPU if there is one")
    precision: Literal["auto", "32-true", "bf16-mixed"] = option(
        "auto",
        "32-true: float32; bf16-mixed: bfloat16 autocast, float32 weights and power iteration; "
        "auto: bf16-mixed for images on a CUDA GPU that has it, else 32-true; on a CPU without "
        "bfloat16 instructions bf16-mixed is 16 times slower",
    )
    accumulate: int = option(
        1,
        "parts in which each batch is computed, one after the other, to save memory; the gradient "
        "is that of the whole batch, except with batch norm and other statistics of a batch",
    )
    devices: int = option(1, "processes on each node; each has its own GPU, or runs on the CPU")
    nodes: int = option(1, "number of machines; all must see the same files")
    strategy: Literal["auto", "ddp", "fsdp"] = option(
        "auto",
        "ddp: replicas that share each batch; fsdp: the weights are sharded as well (FSDP2), for "
        "networks that one device cannot hold; auto: ddp with more than one process",
    )
    compile: Literal["auto", "on", "off"] = option(
        "auto", "compile both networks' forward with torch.compile; auto: on a CUDA GPU"
    )
    cuda_graphs: Literal["auto", "on", "off"] = option(
        "auto", "replay each step as one CUDA graph; auto: on a CUDA GPU, in one process"
    )
    replay: Literal["auto", "on", "off"] = option(
        "auto",
        "repeat the recorded operations of a step on a CPU, without Python, with equal results; "
        "auto: for points, in one process, if compile is not on",
    )

    def __post_init__(self) -> None:
        require_choices(self, prefix="performance.")
        require_count(self.accumulate, "performance.accumulate")
        require_count(self.devices, "performance.devices")
        require_count(self.nodes, "performance.nodes")

    @property
    def processes(self) -> int:
        """The number of processes of a run, over all nodes."""
        return self.devices * self.nodes

    @property
    def has_process_group(self) -> bool:
        """Whether a run forms a process group, even one of a single process."""
        return self.processes > 1 or self.strategy != "auto"

    @property
    def is_sharded(self) -> bool:
        """Whether each process holds only a part of the weights."""
        return self.strategy == "fsdp"
