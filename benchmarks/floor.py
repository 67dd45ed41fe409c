"""The least cost of a training iteration on this device, its measured cost, and its operations.

The floor of an iteration is its multiplications over the rate at which the device multiplies large
matrices in the engine's precision. A second floor is the bytes that its operations read and write
if none are fused, over the bandwidth of a copy. Torch's counter counts the FLOPs of one iteration
as the engine does it, with power iteration; a multiply-add counts as two.

    python -m benchmarks.floor [--size NAME] [--device DEVICE] [--profile] [--json FILE]
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import (
    argument_parser,
    interleaved,
    medians,
    synchronized,
    versions,
    write_json,
)
from benchmarks.engine import SIZES, images, settings
from sngan.engine import TrainState, train_step

_ROWS = 12


class BytesCounter(TorchDispatchMode):
    """Bytes of all tensors that operations read and write; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        results = function(*args, **(kwargs or {}))
        is_view = any(
            value.alias_info and not value.alias_info.is_write for value in function._schema.returns
        )
        if not is_view:
            leaves = tree_leaves((args, kwargs, results))
            self.total += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))
        return results


def seconds(job: Callable[[], object], device: torch.device, *, rounds: int) -> float:
    """The median time of a job, with the device's work done."""
    jobs = {"": synchronized(job, device.type)}
    return medians(interleaved(jobs, rounds=rounds, warm_up=1)[""]).wall


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the product of two large square matrices."""
    n = 2048 if device.type == "cpu" else 8192
    left, right = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / seconds(lambda: left @ right, device, rounds=7)


def bandwidth(device: torch.device) -> float:
    """Bytes/s read and written by a copy that no cache holds."""
    source = torch.zeros(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: target.copy_(source), device, rounds=7)


def measure(size: str, *, device: str, rounds: int) -> tuple[dict[str, float], Callable[[], Any]]:
    """The figures of the floor, and the iteration that they describe."""
    config = settings(size, device=device)
    state = TrainState.build(config, images())

    def iteration() -> dict[str, Tensor]:
        return train_step(config, state)

    counted = TrainState.build(settings(size, device=device, plain=True), images())
    with FlopCounterMode(display=False) as flops, BytesCounter() as moved:
        train_step(config, counted)
    is_half = device == "cuda" and torch.cuda.is_bf16_supported()
    rate = matrix_rate(state.runtime.device, torch.bfloat16 if is_half else torch.float32)
    copying = bandwidth(state.runtime.device)
    for _ in range(4):  # the engine compiles and captures in the first ones
        iteration()
    taken = seconds(iteration, state.runtime.device, rounds=rounds)
    floor = flops.get_total_flops() / rate
    return {
        "gflop": flops.get_total_flops() / 1e9,
        "gbytes": moved.total / 1e9,
        "gflop_per_second": rate / 1e9,
        "gbytes_per_second": copying / 1e9,
        "floor_by_multiplications": floor,
        "floor_by_bytes": moved.total / copying,
        "seconds": taken,
        "share_of_floor": floor / taken,
    }, iteration


def table(iteration: Callable[[], object], device: torch.device) -> str:
    """The operations that take most of an iteration's time."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as found:
        synchronized(iteration, device.type)()
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return found.key_averages().table(sort_by=key, row_limit=_ROWS, max_name_column_width=50)


def main() -> None:
    parser = argument_parser(__doc__, "floor")
    parser.add_argument("--size", choices=SIZES, default=list(SIZES)[1])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true", help="and the operations by their time")
    arguments = parser.parse_args()
    row, iteration = measure(arguments.size, device=arguments.device, rounds=arguments.rounds)
    print(f"{versions()}, {arguments.device}")
    print(arguments.size)
    for name, value in row.items():
        print(f"{name:26} {value:10.4g}")
    if arguments.profile:
        print(table(iteration, torch.device(arguments.device)))
    write_json({"size": arguments.size, **row}, arguments.json)


if __name__ == "__main__":
    main()
