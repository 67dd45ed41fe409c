"""Operator norms of convolutions: value over truth and time, for each method and each rival.

The truth comes from Lanczos' method (SciPy's svds) on the layer and its adjoint in float64. A ratio
below 1 is no bound. The table marks rivals that claim a bound and fall below 1; an estimate may
fall below 1.

--random measures how tight the two proofs are on random small layers, by padding mode, against a
dense SVD: quantiles of value over truth, and the number of proofs that fell below the truth.

--growth measures cost and tightness for growing channels and for a growing side of the maps.

    python -m benchmarks.operator_norms [--layers NAME ...] [--random N] [--growth] [--json FILE]
"""

import random
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor, nn

from benchmarks import growth, norm_rivals
from benchmarks.common import argument_parser, timed, versions, write_json
from sngan import operator_norm
from sngan.spectral.operator.linear_map import linear_map

Layer = tuple[nn.Conv2d | nn.ConvTranspose2d, tuple[int, int, int], str]

LAYERS: dict[str, Layer] = {
    "3→64 3×3, 32²": (nn.Conv2d(3, 64, 3, padding=1), (3, 32, 32), "gaussian"),
    "64→128 3×3, 32²": (nn.Conv2d(64, 128, 3, padding=1), (64, 32, 32), "gaussian"),
    "64→128 3×3, orthogonal": (nn.Conv2d(64, 128, 3, padding=1), (64, 32, 32), "orthogonal"),
    "64→128 3×3, smooth": (nn.Conv2d(64, 128, 3, padding=1), (64, 32, 32), "smooth"),
    "1→1 3×3, all ones": (nn.Conv2d(1, 1, 3, padding=1), (1, 32, 32), "ones"),
    "64→64 4×4 stride 2": (nn.Conv2d(64, 64, 4, stride=2, padding=1), (64, 32, 32), "gaussian"),
    "64→128 4×4 stride 2": (nn.Conv2d(64, 128, 4, stride=2, padding=1), (64, 32, 32), "gaussian"),
    "256→512 3×3, 4²": (nn.Conv2d(256, 512, 3, padding=1), (256, 4, 4), "gaussian"),
    "64→64 1×1": (nn.Conv2d(64, 64, 1), (64, 32, 32), "gaussian"),
    "32→32 3×3, 4 groups": (nn.Conv2d(32, 32, 3, padding=1, groups=4), (32, 16, 16), "gaussian"),
    "16→16 5×1": (nn.Conv2d(16, 16, (5, 1), padding=(2, 0)), (16, 16, 16), "gaussian"),
    "8→8 3×3 stride 2, circular 15²": (
        nn.Conv2d(8, 8, 3, stride=2, padding=1, padding_mode="circular"),
        (8, 15, 15),
        "gaussian",
    ),
    "1→1 3×3 ones, reflect": (
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        (1, 8, 8),
        "ones",
    ),
    "1→1 3×3 ones, replicate": (
        nn.Conv2d(1, 1, 3, padding=3, padding_mode="replicate"),
        (1, 8, 8),
        "ones",
    ),
    "64→32 4×4 transposed": (
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        (64, 8, 8),
        "gaussian",
    ),
}


def initialize(layer: nn.Module, kind: str) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        if kind == "orthogonal":
            nn.init.orthogonal_(layer.weight)
        elif kind == "ones":
            layer.weight.fill_(1.0)
        elif kind == "smooth":
            bump = torch.tensor([0.5, 1.0, 0.5])
            layer.weight.copy_(torch.randn(*layer.weight.shape[:2], 1, 1) * bump[:, None] * bump)
        else:
            layer.weight.normal_()


def truth(layer: nn.Module, shape: tuple[int, ...]) -> float:
    linear = linear_map(layer, shape)

    def applied(function: Callable[[Tensor], Tensor], into: tuple[int, ...]):
        return lambda v: function(torch.from_numpy(v).view(1, *into)).numpy().ravel()

    operator = LinearOperator(
        linear.size(),
        matvec=applied(linear.forward, linear.input_shape),
        rmatvec=applied(linear.adjoint, linear.output_shape),
        dtype=np.float64,
    )
    if min(operator.shape) < 3:
        return float(torch.linalg.svdvals(linear.dense())[0])
    return float(svds(operator, k=1, tol=1e-10, random_state=0, return_singular_vectors=False)[0])


def ours(method: str) -> Callable[[nn.Module, tuple[int, ...]], float]:
    return lambda layer, shape: operator_norm(layer, shape, method=method).item()


CONTENDERS: dict[str, tuple[Callable[[nn.Module, tuple[int, ...]], float], str]] = {
    "reshaped kernel": (norm_rivals.reshaped, "proxy"),
    "four bounds": (norm_rivals.four_bounds, "bound"),
    "Fourier grid of n": (norm_rivals.sedghi, "bound"),
    "Gram 2023": (norm_rivals.delattre_2023, "bound"),
    "Gram 2024": (norm_rivals.delattre_2024, "bound"),
    "sngan exact": (ours("exact"), "exact"),
    "sngan upper_bound": (ours("upper_bound"), "bound"),
    "sngan gram": (ours("gram"), "bound"),
    "sngan estimate": (ours("estimate"), "estimate"),
}


def measure(name: str, *, repeats: int = 3) -> dict[str, dict[str, float | str | None]]:
    """Return ``{contender: {"ratio": value/truth, "seconds": median, "kind": …}}``."""
    layer, shape, kind = LAYERS[name]
    initialize(layer, kind)
    true = truth(layer, shape)
    results: dict[str, dict[str, float | str | None]] = {}
    for contender, (function, claim) in CONTENDERS.items():
        taken: list[float] = []
        value: float | None = None
        for _ in range(repeats):
            try:
                value, seconds = timed(partial(function, layer, shape))
            except ValueError:
                break  # too large for an exact value
            taken.append(seconds.wall)
        results[contender] = {
            "kind": claim,
            "ratio": None if value is None else value / true,
            "seconds": statistics.median(taken) if taken else None,
        }
    return results


def line(contender: str, result: dict[str, float | str | None]) -> str:
    ratio, seconds = result["ratio"], result["seconds"]
    if ratio is None or seconds is None:
        return f"  {contender:20} {'too large':>10}"
    violated = result["kind"] == "bound" and ratio < 1 - 1e-9
    note = "  NOT A BOUND" if violated else ""
    return f"  {contender:20} {ratio:10.4f} {1000 * seconds:10.1f} ms{note}"


def random_layer(rng: random.Random) -> tuple[str, nn.Module, tuple[int, ...]]:
    """A 1-D or 2-D layer of any stride, dilation, padding and groups, and its padding mode."""
    dim = rng.choice([1, 2])

    def some(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.randint(low, high) for _ in range(dim))

    groups, kernel, stride, dilation = rng.choice([1, 1, 2]), some(1, 4), some(1, 3), some(1, 2)
    size = tuple(d * (k - 1) + rng.randint(1, 5) for d, k in zip(dilation, kernel, strict=True))
    inputs, outputs = groups * rng.randint(1, 3), groups * rng.randint(1, 3)
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    mode = rng.choice(["zeros", "circular", "reflect", "replicate", "transposed"])
    if mode == "transposed":
        kind = (nn.ConvTranspose1d, nn.ConvTranspose2d)[dim - 1]
        return mode, kind(inputs, outputs, kernel, **options), (inputs, *size)
    padding = tuple(rng.randint(0, min(2, n - 1)) for n in size)
    kind = (nn.Conv1d, nn.Conv2d)[dim - 1]
    layer = kind(inputs, outputs, kernel, padding=padding, padding_mode=mode, **options)
    return mode, layer, (inputs, *size)


def measure_random(count: int) -> dict[str, dict[str, float]]:
    """Return, for each padding mode and proof, quantiles of value over truth and violations."""
    rng = random.Random(0)
    torch.manual_seed(0)
    ratios: dict[str, list[float]] = {}
    for _ in range(count):
        mode, layer, shape = random_layer(rng)
        true = float(torch.linalg.svdvals(linear_map(layer, shape).dense())[0])
        if true == 0:
            continue  # every window lies in the padding
        for method in ("upper_bound", "gram"):
            value = operator_norm(layer, shape, method=method).item()
            ratios.setdefault(f"{mode}, {method}", []).append(value / true)
    return {
        name: {
            "layers": len(values),
            "violations": sum(value < 1 - 1e-12 for value in values),
            **{f"q{q}": float(np.quantile(values, q / 100)) for q in (0, 50, 90, 100)},
        }
        for name, values in sorted(ratios.items())
    }


def of_channels(channels: int, *, side: int, mode: str) -> tuple[nn.Module, tuple[int, ...]]:
    layer = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=mode)
    initialize(layer, "gaussian")
    return layer, (channels, side, side)


def of_side(side: int, *, channels: int, mode: str) -> tuple[nn.Module, tuple[int, ...]]:
    return of_channels(channels, side=side, mode=mode)


def one_norm(size: int, *, make: Callable[[int], tuple], method: str) -> Callable[[], dict]:
    """The norm of a layer by one of our methods, or by Lanczos'."""
    layer, shape = make(size)
    if method == "truth":
        return lambda: {"norm": truth(layer, shape)}
    return lambda: {"norm": operator_norm(layer, shape, method=method).item()}


def grown() -> list[growth.Series]:
    channels, sides = (16, 32, 64, 128, 256), (8, 16, 32, 64)
    zeros = {"mode": "zeros"}
    makes: list[tuple[str, Callable[[int], tuple], tuple[int, ...], tuple[str, ...]]] = [
        (
            "channels, 16² maps",
            partial(of_channels, side=16, **zeros),
            channels,
            ("truth", "upper_bound", "gram", "estimate"),
        ),
        (
            "side, 64 channels",
            partial(of_side, channels=64, **zeros),
            sides,
            ("truth", "upper_bound", "gram", "estimate"),
        ),
        ("channels, 4² maps", partial(of_channels, side=4, **zeros), channels[:4], ("exact",)),
        (
            "channels, 16² circular",
            partial(of_channels, side=16, mode="circular"),
            channels,
            ("exact",),
        ),
    ]
    return [
        growth.Series(f"{method} against {name}", partial(one_norm, make=make, method=method), of)
        for name, make, of, methods in makes
        for method in methods
    ]


def with_ratios(results: list[dict]) -> list[dict]:
    """Add each value over Lanczos' of the same layer, where that was computed."""
    true = {
        (found["series"].removeprefix("truth against "), row["size"]): row["norm"]
        for found in results
        if found["series"].startswith("truth")
        for row in found["rows"]
    }
    for found in results:
        name = found["series"].partition(" against ")[2]
        for row in found["rows"]:
            if (name, row["size"]) in true:
                row["ratio"] = row["norm"] / true[name, row["size"]]
    return results


def main() -> None:
    parser = argument_parser(__doc__, "operator_norms")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    print(f"{versions()}; value/truth and time")
    results: dict[str, object] = {}
    if arguments.random:
        results["random"] = drawn = measure_random(arguments.random)
        for name, row in drawn.items():
            print(f"{name:24}", ", ".join(f"{key} {value:.4g}" for key, value in row.items()))
        arguments.layers = []
    if arguments.growth:
        results["growth"] = found = with_ratios(growth.measure(grown()))
        for series in found:
            ratios = [
                f"{row['size']}: {row['ratio']:.6f}" for row in series["rows"] if "ratio" in row
            ]
            if ratios:
                print(f"value/truth, {series['series']}: {', '.join(ratios)}")
        arguments.layers = []
    for name in arguments.layers:
        results[name] = measured = measure(name)
        print(name)
        for contender, result in measured.items():
            print(line(contender, result), flush=True)
    write_json(results, arguments.json)


if __name__ == "__main__":
    main()
