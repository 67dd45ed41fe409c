"""1-Lipschitz layers beside deel-torchlip and orthogonium: time, memory, and singular values.

Each layer takes the same steps: forward, backward, Adam, on a batch of 16. The layers of one size
run in turns. The table shows CPU milliseconds of a step, the ratio to torchlip's layer, the
mebibytes that autograd keeps for the backward pass, and after the steps the largest and the
smallest singular value of the Jacobian on small images, by a dense SVD in float64. The libraries
are optional: a line without its library is left out.

Layers of Prach, Brau, Buttazzo, Lampert 2024 (arXiv:2311.16833): AOL, SLL, Cayley, BCOP (which AOC
is for stride 1) and SOC are here; neither library has CPL, LOT or ECO. orthogonium's
classes ``legacy.BCOP`` and ``legacy.SOC`` need a GPU, so its newer ones stand for them; its
``legacy.Cayley`` works for images of one size only.

    pip install --no-deps deel-torchlip orthogonium einops
    python -m benchmarks.lipschitz_layers [--only TEXT] [--rounds N] [--json FILE]
"""

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import (
    Table,
    argument_parser,
    interleaved,
    median_ratios,
    medians,
    versions,
    write_json,
)
from sngan.lipschitz import blocks

Makers = dict[str, Callable[[], nn.Module]]

BATCH = 16
LINEAR = ((784, 128), (2048, 128), (4096, 128), (128, 784), (512, 512))
# channels in and out, kernel, stride, groups
CONVOLUTIONS = (
    (16, 16, 3, 1, 1), (64, 64, 3, 1, 1), (32, 64, 3, 1, 1), (32, 64, 4, 2, 1),
    (64, 64, 4, 2, 1), (64, 64, 3, 1, 4),
)  # fmt: skip
SIDE = 16
# a dense SVD of more values would take minutes
MOST_VALUES = 1600
RIVAL = "torchlip"
TABLE = Table(
    "layer",
    46,
    [("CPU ms", "8.2f"), ("/ torchlip", "10.2f"), ("kept MiB", "8.2f"),
     ("σ max", "11.8f"), ("σ min", "11.8f")],
)  # fmt: skip


@dataclass
class Row:
    """The cost of a layer, and its extreme singular values."""

    milliseconds: float
    ratio: float | None
    kept_mebibytes: float
    largest: float
    smallest: float


def optional(module: str, name: str) -> Any:
    """The attribute of an optional library, or None."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        return None


def linear_layers(inputs: int, outputs: int) -> Makers:
    sizes = inputs, outputs
    makers: Makers = {
        "sngan qr": lambda: blocks.orthogonal_linear(*sizes),
        "sngan cayley": lambda: blocks.orthogonal_linear(*sizes, orthogonal_map="cayley"),
        "sngan AOL": lambda: blocks.aol_linear(*sizes),
    }
    if inputs == outputs:
        makers["sngan SLL"] = lambda: blocks.SLLLinear(inputs)
    if torchlip := optional("deel.torchlip", "SpectralLinear"):
        makers[RIVAL] = lambda: torchlip(*sizes)
    if ortho := optional("orthogonium.layers.linear", "OrthoLinear"):
        makers["orthogonium"] = lambda: ortho(*sizes)
    return makers


def convolutions(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> Makers:
    sizes = inputs, outputs, kernel
    options: dict[str, Any] = {
        "stride": stride,
        "padding": (kernel - stride + 1) // 2,
        "padding_mode": "circular",
    }
    grouped = options | {"groups": groups}
    makers: Makers = {
        "sngan AOC": lambda: blocks.orthogonal_conv2d(*sizes, **grouped),
        "sngan AOL": lambda: blocks.aol_conv2d(*sizes, **grouped),
    }
    if groups == 1:
        if stride == 1:
            makers["sngan Cayley"] = lambda: blocks.CayleyConv2d(*sizes)
        if torchlip := optional("deel.torchlip", "SpectralConv2d"):
            makers[RIVAL] = lambda: torchlip(*sizes, **options)
        if stride == 1 and inputs == outputs:
            makers["sngan SLL"] = lambda: blocks.SLLConv2d(inputs, kernel)
            if sll := optional("orthogonium.layers.conv.SLL", "SDPBasedLipschitzResBlock"):
                makers["orthogonium SLL"] = lambda: sll(inputs, 1, kernel)
    if aoc := optional("orthogonium.layers.conv.AOC", "AdaptiveOrthoConv2d"):
        makers["orthogonium AOC"] = lambda: aoc(*sizes, **grouped)
    if aol := optional("orthogonium.layers.conv.AOL.aol", "AOLConv2D"):
        makers["orthogonium AOL"] = lambda: aol(*sizes, **grouped)
    if soc := optional("orthogonium.layers.conv.adaptiveSOC.ortho_conv", "AdaptiveSOCConv2d"):
        # its kernel is larger than the one that is asked for
        side = soc(*sizes, **grouped).weight.shape[-1]
        makers["orthogonium SOC"] = lambda: soc(
            *sizes, **(grouped | {"padding": (side - stride + 1) // 2})
        )
    return makers


def step_of(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    target = torch.randn_like(layer(x))
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        (layer(x) - target).square().mean().backward()
        optimizer.step()

    return step


def kept_mebibytes(layer: nn.Module, x: Tensor) -> float:
    """The memory of distinct tensors that a forward pass keeps, without parameters and input."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [x, *layer.parameters()]}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = layer(x)
    del output
    return sum(kept.values()) / 2**20


def extreme_values(layer: nn.Module, x: Tensor) -> tuple[float, float]:
    """The extreme singular values of the Jacobian at noise, on images with few values.

    The layer stays in float32, because torchlip keeps its weight in buffers of this type.
    """
    side = next(side for side in (8, 6, 4) if side <= 4 or x.shape[1] * side**2 <= MOST_VALUES)
    start = x[:1, ..., :side, :side] if x.dim() == 4 else x[:1]
    layer.eval()
    jacobian: Any = torch.autograd.functional.jacobian(
        lambda one: layer(one).flatten(), start, vectorize=True
    )
    values = torch.linalg.svdvals(jacobian.flatten(1).double())
    return float(values[0]), float(values[-1])


def measured(title: str, makers: Makers, shape: tuple[int, ...], rounds: int) -> dict[str, Row]:
    torch.manual_seed(0)
    x = torch.randn(BATCH, *shape)
    layers = {name: make() for name, make in makers.items()}
    steps = {name: step_of(layer, x) for name, layer in layers.items()}
    taken = interleaved(steps, rounds=rounds, warm_up=3)
    rows: dict[str, Row] = {}
    for name, layer in layers.items():
        ratio = median_ratios(taken[name], taken[RIVAL]).cpu if RIVAL in taken else None
        row = Row(
            medians(taken[name]).cpu * 1e3, ratio, kept_mebibytes(layer, x),
            *extreme_values(layer, x),
        )  # fmt: skip
        rows[f"{title} {name}"] = row
        print(TABLE.line(f"{title} {name}", *asdict(row).values()), flush=True)
    return rows


def main() -> None:
    parser = argument_parser(__doc__, "lipschitz_layers")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="measure only sizes with this text")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(versions())
    print(TABLE.head())
    cases: dict[str, tuple[Makers, tuple[int, ...]]] = {}
    for sizes in LINEAR:
        cases[f"linear {sizes[0]}→{sizes[1]}"] = linear_layers(*sizes), sizes[:1]
    for sizes in CONVOLUTIONS:
        inputs, outputs, kernel, stride, groups = sizes
        title = f"conv {inputs}→{outputs}, {kernel}×{kernel}/{stride}"
        title += f", {groups} groups" * (groups > 1)
        cases[title] = convolutions(*sizes), (inputs, SIDE, SIDE)
    rows: dict[str, Row] = {}
    for title, case in cases.items():
        if arguments.only in title:
            rows |= measured(title, *case, arguments.rounds)
    write_json({name: asdict(row) for name, row in rows.items()}, arguments.json)


if __name__ == "__main__":
    main()
