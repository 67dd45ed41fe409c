"""Random programs: networks with random operations of PyTorch, written in different styles."""

import math
import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.lipschitz.tracing.float64 import Float64Mode

Values = list[Tensor]
Step = Callable[["Program", Values], Tensor]
Rule = Callable[[random.Random, Tensor], Callable[[Tensor], Tensor]]

_MOST_ELEMENTS = 400


class Program(nn.Module):
    """A network of steps on earlier values; the last value is the output."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.layers = nn.ModuleList()
        self.texts: list[str] = []
        self.kept: dict[str, Tensor] = {}

    def values(self, x: Tensor) -> Values:
        found = [x]
        for step in self.steps:
            found.append(step(self, found))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.values(x)[-1]


def program(seed: int) -> tuple[Program, tuple[int, ...]]:
    """Return a program of two to nine steps, and the shape of its input without the batch."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    shape = rng.choice([(6,), (4, 3), (1, 8), (2, 3, 3), (1, 4, 4), (8, 2), (4, 4)])
    made = Program()
    wanted = rng.randint(2, 9)
    while len(made.steps) < wanted:
        name = "unbounded" if rng.random() < 0.01 else rng.choice(list(_STEPS))
        step = (_STEPS.get(name) or _RARELY)(made, rng, _tried(made, shape))
        if step is None:
            continue
        made.steps.append(step)
        made.texts.append(name)
        last = _tried(made, shape)
        if last is None or last[-1].dim() == 0 or not 0 < last[-1].numel() <= _MOST_ELEMENTS:
            made.steps.pop()
            made.texts.pop()
    return made.double().eval(), shape


def _tried(made: Program, shape: tuple[int, ...]) -> Values | None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(1, *shape, generator=generator, dtype=torch.float64)
    try:
        with torch.no_grad(), Float64Mode():
            return made.double().values(x)
    except (RuntimeError, IndexError, ValueError, TypeError, AssertionError, NotImplementedError):
        return None


# ---- functions that add a step to a program ----


def _latest(rng: random.Random, values: Values) -> int:
    """The index of a value: mostly the last one."""
    return len(values) - 1 if rng.random() < 0.75 else rng.randrange(len(values))


def _function(rule: Rule) -> Callable[[Program, random.Random, Values], Step | None]:
    """A step that applies a function to one value."""

    def make(made: Program, rng: random.Random, values: Values) -> Step | None:
        place = _latest(rng, values)
        function = rule(rng, values[place])
        return lambda _self, found: function(found[place])

    return make


def _pair(rule: Callable[[random.Random], Callable[[Tensor, Tensor], Tensor]]):
    """A step that combines two values, which may be the same."""

    def make(made: Program, rng: random.Random, values: Values) -> Step | None:
        first, second = _latest(rng, values), rng.randrange(len(values))
        function = rule(rng)
        return lambda _self, found: function(found[first], found[second])

    return make


def _layer(made: Program, rng: random.Random, values: Values) -> Step | None:
    """A module, sometimes one that is used again, sometimes called by keyword."""
    place = _latest(rng, values)
    x = values[place]
    if len(made.layers) and rng.random() < 0.3:
        chosen = rng.randrange(len(made.layers))
    else:
        chosen = len(made.layers)
        made.layers.append(_new_layer(rng, x))
    if rng.random() < 0.3:
        return lambda self, found: self.layers[chosen](input=found[place])
    return lambda self, found: self.layers[chosen](found[place])


def _new_layer(rng: random.Random, x: Tensor) -> nn.Module:
    size, odd = x.shape[-1], rng.randint(1, 3)
    channels = x.shape[1] if x.dim() > 1 else 1
    one = x.shape[0] if x.dim() == 3 and rng.random() < 0.4 else channels
    return rng.choice(
        [
            lambda: nn.Linear(size, rng.randint(1, 6)),
            lambda: nn.Conv1d(one, 2, odd, stride=rng.randint(1, 2), padding=rng.randint(0, 1)),
            lambda: nn.Conv2d(one, 2, odd, padding="same", padding_mode="circular"),
            lambda: nn.Conv2d(channels, channels, odd, dilation=2, groups=channels, padding=2),
            lambda: nn.ConvTranspose2d(one, 2, odd, stride=2),
            lambda: nn.ConvTranspose1d(one, 1, 3, stride=2, padding=1, output_padding=1),
            lambda: nn.MaxPool2d(odd, rng.randint(1, 2)),
            lambda: nn.MaxPool1d(odd, 1, ceil_mode=True),
            lambda: nn.AdaptiveMaxPool2d((odd, None)),
            lambda: nn.AvgPool2d(odd, 1, count_include_pad=rng.random() < 0.5, padding=odd // 2),
            lambda: nn.AdaptiveAvgPool2d(odd),
            lambda: nn.AvgPool1d(odd, rng.randint(1, 3), ceil_mode=True),
            lambda: nn.ReflectionPad2d(1),
            lambda: nn.ReplicationPad1d(2),
            lambda: nn.CircularPad2d((1, 0, 1, 1)),
            lambda: nn.Upsample(scale_factor=2, mode=rng.choice(["nearest", "bilinear"])),
            lambda: nn.PReLU(init=rng.uniform(-2, 2)),
            lambda: nn.LeakyReLU(rng.uniform(-2, 2), inplace=rng.random() < 0.5),
            lambda: nn.ReLU(inplace=True),
            lambda: nn.Softmax(dim=-1),
            lambda: nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, size)),
            lambda: nn.Flatten(rng.randint(1, 2)),
            lambda: _with_statistics(nn.BatchNorm1d(channels)),
        ]
    )()


def _with_statistics(norm: nn.BatchNorm1d) -> nn.BatchNorm1d:
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.2, 2.0)
    return norm


def _kept(made: Program, rng: random.Random, values: Values) -> Step | None:
    """A value that goes through a dictionary of the module."""
    place = _latest(rng, values)

    def step(self: Program, found: Values) -> Tensor:
        self.kept["value"] = found[place]
        return self.kept["value"] * 1.5

    return step


# ---- functions of one value ----


def _elementwise(rng: random.Random, x: Tensor) -> Callable[[Tensor], Tensor]:
    low = rng.uniform(-1, 0)
    return rng.choice(
        [
            torch.relu, torch.tanh, torch.abs, torch.sin, F.gelu, F.silu, F.softplus, F.elu,
            lambda v: F.leaky_relu(input=v, negative_slope=3 * low),
            lambda v: v.clamp(min=low, max=1.0),
            lambda v: torch.clamp(v, min=torch.linspace(-1, 1, v.shape[-1])),
            lambda v: F.relu(input=v.clone(), inplace=True),
            lambda v: -v,
            lambda v: 1 - v,
        ]
    )  # fmt: skip


def _scaled(rng: random.Random, x: Tensor) -> Callable[[Tensor], Tensor]:
    c = rng.uniform(-3, 3)
    row = torch.linspace(-2, 2, x.shape[-1])
    return rng.choice(
        [
            lambda v: v * c, lambda v: c * v, lambda v: v / (c + 4),
            lambda v: torch.mul(input=v, other=c),
            lambda v: v * row, lambda v: row[:, None] + v[..., None, :],
            lambda v: v.float() * row.half(), lambda v: v.to(torch.float32) + 1,
            lambda v: v[..., None] * torch.ones(3),
            lambda v: math.sqrt(2) * v if isinstance(v, Tensor) and len(v) else v,
        ]
    )  # fmt: skip


def _in_place(rng: random.Random, x: Tensor) -> Callable[[Tensor], Tensor]:
    c, k = rng.uniform(-3, 3), rng.randint(0, max(x.shape[-1] - 1, 0))

    def augmented(v: Tensor) -> Tensor:
        v *= c
        return v

    def of_slice(v: Tensor) -> Tensor:
        v[..., k:] *= c
        return v

    def of_view(v: Tensor) -> Tensor:
        part = v.transpose(0, -1)[k:]
        part.mul_(c).add_(1.0)
        return v

    def through_data(v: Tensor) -> Tensor:
        v.data.mul_(c)
        return v + 0.0

    def assigned(v: Tensor) -> Tensor:
        made = torch.zeros(*v.shape[:-1], v.shape[-1] + 1)
        made[..., 1:] = v
        made[..., 0] = 2 * v[..., k]
        return made

    def copied(v: Tensor) -> Tensor:
        made = torch.empty(2, *v.shape)
        made.copy_(v)
        return made

    def out(v: Tensor) -> Tensor:
        made = torch.zeros_like(v)
        torch.add(v, v, alpha=c, out=made)
        return made

    def zeroed(v: Tensor) -> Tensor:
        v[..., k] = 0.0
        return v

    ways = [augmented, of_slice, of_view, through_data, assigned, copied, out, zeroed]
    way = rng.choice(ways)
    return way if rng.random() < 0.4 else lambda v: way(v.clone())


def _moved(rng: random.Random, x: Tensor) -> Callable[[Tensor], Tensor]:
    k, n = rng.randint(0, 3), rng.randint(2, 3)
    last = x.shape[-1]
    chosen = torch.tensor([rng.randrange(last) for _ in range(n)])
    return rng.choice(
        [
            lambda v: v.flatten(1), lambda v: v.reshape(v.shape[0], -1), lambda v: v.view(-1),
            lambda v: v.transpose(0, -1), lambda v: v.unsqueeze(1), lambda v: v.squeeze(),
            lambda v: v.mT, lambda v: v.flip(-1), lambda v: v.roll(1, -1), lambda v: v[..., k:],
            lambda v: v[..., chosen], lambda v: v[..., [0, 0]],
            lambda v: v.index_select(-1, chosen),
            lambda v: v.chunk(2, -1)[k % 2], lambda v: torch.cat(v.split(n, -1), -1),
            lambda v: torch.cat(v.tensor_split((n, 1), dim=-1), dim=-1),
            lambda v: torch.cat(tensors=v.unbind(-1), dim=0),
            lambda v: v.unfold(-1, 2, 1), lambda v: v.as_strided((2, 3), (1, 1)),
            lambda v: v.expand(2, *v.shape), lambda v: v.repeat(n, *[1] * (v.dim() - 1)),
            lambda v: v.repeat_interleave(n, -1), lambda v: v.diagonal(0, -2, -1),
            lambda v: v.tril(), lambda v: torch.narrow(v, -1, 0, 2), lambda v: v.contiguous(),
            lambda v: torch.stack([*v]), lambda v: v.gather(-1, torch.zeros_like(v).long()),
            lambda v: F.pad(v, (1, k)), lambda v: F.pad(v, (-1, 2), value=1.0),
            lambda v: F.pad(input=v, pad=(1, 1), mode="reflect"),
            lambda v: v.sort(-1).values, lambda v: v.topk(2, -1)[0], lambda v: v.max(-1)[0],
            lambda v: v.sum(-1), lambda v: v.mean(dim=0), lambda v: v.amax(-1, keepdim=True),
        ]
    )  # fmt: skip


def _weighted(rng: random.Random, x: Tensor) -> Callable[[Tensor], Tensor]:
    size, odd, s = x.shape[-1], rng.randint(1, 3), rng.randint(1, 2)
    dense, square = torch.randn(rng.randint(1, 5), size), torch.randn(2, size, size)
    left = torch.randn(3, x.shape[-2] if x.dim() > 1 else size)
    kernel = torch.randn(2, x.shape[1] if x.dim() > 1 else 1, *[odd] * max(x.dim() - 2, 1))
    convolve = F.conv2d if x.dim() == 4 else F.conv1d
    transposed = F.conv_transpose2d if x.dim() == 4 else F.conv_transpose1d
    return rng.choice(
        [
            lambda v: F.linear(input=v, weight=dense), lambda v: F.linear(v, dense.double()),
            lambda v: v @ dense.T, lambda v: left @ v, lambda v: v @ square,
            lambda v: torch.matmul(input=v, other=dense.T), lambda v: v @ dense[0],
            lambda v: convolve(input=v, weight=kernel, stride=s),
            lambda v: convolve(v, kernel, None, 1, padding=1),
            lambda v: transposed(v, kernel.transpose(0, 1), None, 2),
        ]
    )  # fmt: skip


def _pooled(rng: random.Random, x: Tensor) -> Callable[[Tensor], Tensor]:
    k, s = rng.randint(1, 3), rng.randint(1, 2)
    return rng.choice(
        [
            lambda v: F.max_pool2d(v, k, s),
            lambda v: F.max_pool1d(input=v, kernel_size=k, stride=s),
            lambda v: F.max_pool2d(v, (1, k), 1, dilation=2), lambda v: F.avg_pool2d(v, k, s),
            lambda v: F.avg_pool1d(v, k, 1, k // 2), lambda v: F.adaptive_avg_pool1d(v, k),
            lambda v: F.adaptive_max_pool2d(v, (k, s)),
            lambda v: F.avg_pool2d(v, k, divisor_override=s),
            lambda v: F.interpolate(v, scale_factor=2.0), lambda v: F.interpolate(v, size=5),
            lambda v: F.max_pool3d(v, k, 1),
        ]
    )  # fmt: skip


# ---- functions of two values ----


def _summed(rng: random.Random) -> Callable[[Tensor, Tensor], Tensor]:
    c = rng.uniform(-2, 2)

    def grown(a: Tensor, b: Tensor) -> Tensor:
        a += b
        return a

    return rng.choice(
        [
            lambda a, b: a + b, lambda a, b: a - b,
            lambda a, b: torch.add(input=a, other=b, alpha=c),
            lambda a, b: torch.sub(a, b, alpha=c), lambda a, b: a.add(b), grown,
            lambda a, b: torch.add(a, other=b), lambda a, b: a.clone().add_(b).mul_(c),
            lambda a, b: torch.rsub(a, b), lambda a, b: (a + b) / 2,
        ]
    )  # fmt: skip


def _joined(rng: random.Random) -> Callable[[Tensor, Tensor], Tensor]:
    mask = torch.tensor([True, False, True, True, False, False])
    return rng.choice(
        [
            lambda a, b: torch.cat([a, b], -1), lambda a, b: torch.cat(tensors=(a, b, a), dim=-1),
            lambda a, b: torch.stack([a, b], 1), lambda a, b: torch.hstack([a, b]),
            lambda a, b: torch.maximum(a, b), lambda a, b: torch.minimum(input=a, other=b),
            lambda a, b: torch.max(a, other=b), lambda a, b: torch.maximum(*(a + b).chunk(2, -1)),
            lambda a, b: torch.where(mask[: a.shape[-1]], a, b),
            lambda a, b: torch.where(condition=mask[: a.shape[-1]], input=a, other=b),
            lambda a, b: a.where(mask[: a.shape[-1]], b),
            lambda a, b: a.masked_fill(b.isnan(), 1.0),
            lambda a, b: torch.cat([a, b], -1) if a.shape == b.shape else a + 0.5,
        ]
    )  # fmt: skip


def _unbounded(rng: random.Random) -> Callable[[Tensor, Tensor], Tensor]:
    return rng.choice(
        [
            lambda a, b: a * b, lambda a, b: a.tanh().exp(), lambda a, b: torch.where(a > 0, a, b),
            lambda a, b: a if float(a.sum()) > 9.0 else 2 * a,
            lambda a, b: torch.from_numpy(a.detach().numpy() * 2),
        ]
    )  # fmt: skip


_STEPS = {
    "elementwise": _function(_elementwise),
    "scaled": _function(_scaled),
    "in place": _function(_in_place),
    "also in place": _function(_in_place),
    "moved": _function(_moved),
    "also moved": _function(_moved),
    "weighted": _function(_weighted),
    "also weighted": _function(_weighted),
    "again weighted": _function(_weighted),
    "pooled": _function(_pooled),
    "layer": _layer,
    "another layer": _layer,
    "kept": _kept,
    "summed": _pair(_summed),
    "joined": _pair(_joined),
}
_RARELY = _pair(_unbounded)
