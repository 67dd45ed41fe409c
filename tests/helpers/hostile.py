"""Hostile cases for local bounds: tiny networks whose numbers cancel, and domains at a kink."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from helpers.exact import Both, Difference, exact, fractions, norm_below
from helpers.networks import Residual

KINDS = (
    *("chain", "cancel", "copies", "mirror", "residual", "difference", "both", "conv", "pool"),
    *("norm", "affine", "affine chain"),
)


@dataclass
class Case:
    """A network, the arguments of ``lipschitz_bounds``, and the domain in fractions."""

    module: nn.Module
    inputs: int
    arguments: dict
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    radius: Fraction | None
    norm: str
    text: str

    def holds(self, point):
        """Whether a point of fractions lies in the domain."""
        offset = point - self.centre
        if self.radius is None:
            return bool((point >= self.low).all() and (point <= self.high).all())
        if self.norm == "inf":
            return bool((np.abs(offset) <= self.radius).all())
        if self.norm == "1":
            return bool(np.abs(offset).sum() <= self.radius)
        return bool((offset * offset).sum() <= self.radius**2)


class _Maker:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def numbers(self, *shape):
        """Random numbers: of all kinds of digits, or with few bits."""
        found = self.rng.standard_normal(shape)
        return found if self.rng.random() < 0.7 else np.round(found * 4) / 4 + 0.0

    def scale(self):
        return float(10.0 ** self.pick(0, 0, 0, -3, 3, -9, 9, 12, -12, self.rng.uniform(-15, 15)))

    def linear(self, inputs, outputs):
        layer = nn.Linear(inputs, outputs, bias=self.rng.random() < 0.8).double()
        weight = self.numbers(outputs, inputs) * self.scale()
        if self.rng.random() < 0.3:
            weight *= 10.0 ** self.rng.uniform(-9, 9, size=self.pick((1, inputs), (outputs, 1)))
        layer.weight.data = torch.from_numpy(weight)
        if layer.bias is not None:
            layer.bias.data = torch.from_numpy(self.numbers(outputs) * self.pick(0.0, 1.0, 1e-8))
        return layer

    def cancelling(self, inputs, outputs):
        """A layer with opposite columns, whose sum is small beside them."""
        layer = self.linear(inputs, outputs)
        big = float(10.0 ** self.rng.uniform(3, 15))
        weight = layer.weight.data
        for column in range(0, inputs - 1, 2):
            weight[:, column] = big * torch.from_numpy(self.numbers(outputs))
            weight[:, column + 1] = -weight[:, column] + torch.from_numpy(self.numbers(outputs))
        return layer

    def copies(self, inputs):
        """A layer of equal pairs of rows, and a layer in which each pair cancels."""
        first = self.linear(inputs, 4)
        first.weight.data[1::2] = first.weight.data[::2]
        if first.bias is not None:
            first.bias.data[1::2] = first.bias.data[::2]
        return first, self.cancelling(4, self.pick(1, 2, 4))

    def mirror(self, inputs):
        """A layer of large rows that a second layer subtracts again."""
        big = float(10.0 ** self.rng.uniform(3, 15))
        half = self.numbers(2, inputs)
        first, second = nn.Linear(inputs, 4).double(), nn.Linear(4, self.pick(1, 2)).double()
        rows = np.concatenate([big * half, big * half + self.numbers(2, inputs)])
        first.weight.data = torch.from_numpy(rows)
        first.bias.data = torch.from_numpy(self.numbers(4) * self.pick(0.0, 1.0, big))
        column = self.numbers(len(second.weight), 2)
        second.weight.data = torch.from_numpy(np.concatenate([-column, column], axis=1))
        return first, second

    def activation(self):
        return self.pick(nn.ReLU(), nn.ReLU(), nn.LeakyReLU(0.25), nn.Hardtanh(), nn.LeakyReLU(3.0))

    def batch_norm(self, features):
        layer = nn.BatchNorm1d(features, eps=0.25).double().eval()
        # the sum with eps is a power of 4, so that the scale is a fraction
        powers = 4.0 ** self.rng.integers(0, 4, features)
        layer.running_var = torch.from_numpy(powers - 0.25)
        layer.running_mean = torch.from_numpy(self.numbers(features) * self.scale())
        layer.weight.data = torch.from_numpy(self.numbers(features))
        layer.bias.data = torch.from_numpy(self.numbers(features))
        return layer

    def network(self, kind, inputs):
        """The layers of a kind of network."""
        layers = getattr(self, f"_{kind.replace(' ', '_')}")
        return layers(inputs, self.pick(1, 2, 3))

    def any_linear(self, inputs, outputs):
        return self.pick(self.linear, self.cancelling)(inputs, outputs)

    def _chain(self, inputs, outputs):
        a = self.activation
        middle = self.any_linear(4, 4)
        return [self.linear(inputs, 4), a(), middle, a(), self.linear(4, outputs)]

    def _cancel(self, inputs, outputs):
        a = self.activation
        return [self.cancelling(inputs, 4), a(), self.any_linear(4, outputs), a()]

    def _copies(self, inputs, outputs):
        first, second = self.copies(inputs)
        a = self.activation
        return [first, a(), second, a(), self.linear(len(second.weight), outputs)]

    def _mirror(self, inputs, _outputs):
        first, second = self.mirror(inputs)
        return [first, self.activation(), second, self.activation()]

    def _residual(self, inputs, outputs):
        first, _ = self.mirror(inputs)
        branch = nn.Sequential(first, self.activation(), self.cancelling(4, inputs))
        return [Residual(branch), self.activation(), self.linear(inputs, outputs)]

    def _difference(self, inputs, outputs):
        f, g = self.linear(inputs, 4), self.linear(inputs, 4)
        big = float(10.0 ** self.rng.uniform(0, 14))
        g.weight.data, f.weight.data = g.weight.data + big, f.weight.data + big
        f, g = (self.pick(part, nn.Sequential(part, nn.ReLU())) for part in (f, g))
        return [Difference(f, g), self.activation(), self.linear(4, outputs)]

    def _both(self, inputs, outputs):
        f, g = self.cancelling(inputs, 2), nn.Sequential(self.linear(inputs, 2), self.activation())
        return [Both(f, g), self.activation(), self.cancelling(4, outputs)]

    def _conv(self, inputs, outputs):
        conv = nn.Conv1d(1, 2, 3, padding=1).double()
        big = float(10.0 ** self.rng.uniform(0, 13))
        kernels = [[big * v, 1.0 - big * v, 0.5] for v in self.numbers(2)]
        conv.weight.data = torch.tensor(kernels, dtype=torch.float64)[:, None]
        pool = self.pick(nn.Identity(), nn.AvgPool1d(2))
        size = inputs if isinstance(pool, nn.Identity) else inputs // 2
        layers = [nn.Unflatten(1, (1, inputs)), conv, pool, self.activation(), nn.Flatten()]
        return [*layers, self.any_linear(2 * size, outputs)]

    def _pool(self, inputs, outputs):
        layers = [self.any_linear(inputs, 4), nn.Unflatten(1, (1, 4)), nn.MaxPool1d(2)]
        return [*layers, nn.Flatten(), self.activation(), self.linear(2, outputs)]

    def _norm(self, inputs, outputs):
        layers = [self.any_linear(inputs, 4), self.batch_norm(4), self.activation()]
        return [*layers, self.linear(4, outputs), self.activation()]

    def _affine(self, inputs, outputs):
        first, second = self.mirror(inputs)
        return [first, second, self.activation(), self.linear(len(second.weight), outputs)]

    def _affine_chain(self, inputs, _outputs):
        return [*self.mirror(inputs)]

    def to_the_kink(self, module, centre):
        """Move the biases so that some activations switch within some ulps of the centre."""
        value = torch.from_numpy(centre)[None]
        for layer in module:
            with torch.no_grad():
                after = layer(value)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                for row in range(len(layer.bias)):
                    if self.rng.random() < 0.6:
                        bias = float(layer.bias.data[row] - after[0, row])
                        bias += self.pick(0, 0, 1, -1, 5, -40) * float(np.spacing(abs(bias)))
                        layer.bias.data[row] = bias
                with torch.no_grad():
                    after = layer(value)
            value = after

    def case(self):
        kind = self.pick(*KINDS)
        inputs = self.pick(1, 2, 2, 3, 4) if kind != "conv" else self.pick(2, 4)
        module = nn.Sequential(*self.network(kind, inputs)).eval()
        centre = self.numbers(inputs) * self.pick(1.0, 1.0, 1.0, 1e-6, 1e6)
        if self.rng.random() < 0.5:
            # equal inputs, on which opposite columns cancel
            centre[:] = centre[0]
            centre += self.pick(0.0, 1e-12, 1e-9) * self.numbers(inputs)
        if self.rng.random() < 0.6:
            self.to_the_kink(module, centre)
        is_single = self.rng.random() < 0.2 and kind != "norm"
        if is_single:
            module = module.float()
        norm = self.pick("2", "2", "inf", "1")
        exponent = self.pick(-7.0, -12.0, 0.0, self.rng.uniform(-12, 12))
        slopes = self.pick("product", "eclipse", "eclipse", "eclipse", "sdp")
        radius = float(10.0**exponent * self.pick(1.0, abs(centre).max() + 1e-3))
        arguments = {"norm": norm, "slopes": slopes}
        points = fractions(centre)
        low = high = points
        ball = None
        if self.rng.random() < 0.35:
            radii = radius * 10.0 ** self.rng.uniform(-2, 0, inputs)
            ends = [centre - radii, centre + radii]
            if self.rng.random() < 0.3:
                ends = [centre, np.nextafter(centre, np.inf)]
            ends[1] = np.maximum(ends[1], np.nextafter(ends[0], np.inf))
            arguments["box"] = tuple(torch.from_numpy(end) for end in ends)
            low, high = (fractions(end) for end in ends)
            points = (low + high) / 2
        else:
            arguments |= {"center": torch.from_numpy(centre), "radius": radius}
            ball = Fraction(radius)
        text = f"{kind} {norm} {slopes} radius {radius:.3g}{' float32' if is_single else ''}"
        return Case(module, inputs, arguments, points, low, high, ball, norm, text)


def hostile_case(seed):
    """Return the case of a seed."""
    return _Maker(seed).case()


def attained_slope(case, *, rounds=2, seed=0):
    """Return the norm of the steepest exact Jacobian that a search finds in the domain."""
    rng = np.random.default_rng(seed)
    best, waiting, seen = Fraction(0), [case.centre], set()
    waiting += [case.centre + _random(case, rng) for _ in range(6)]
    for _ in range(rounds + 1):
        following = []
        for point in waiting:
            if tuple(point) in seen or not case.holds(point):
                continue
            seen.add(tuple(point))
            at = exact(case.module, point)
            if at.is_smooth:
                best = max(best, norm_below(at.jacobian, case.norm))
            following += _across(case, point, at.kinks)
        waiting = following[:60]
    return best


def _half(case):
    if case.radius is None:
        return (case.high - case.low) / 2
    return np.full(case.inputs, case.radius, object)


def _random(case, rng):
    share = fractions(rng.uniform(-1, 1, case.inputs))
    if case.radius is not None and case.norm != "inf":
        share = share / sum(abs(v) for v in share)
    return share * _half(case)


def _across(case, point, kinks):
    """Points just beyond each kink, and at the border of the domain on both sides of it."""
    found, half = [], _half(case)
    for distance, gradient in kinks:
        weighted = gradient * half
        if case.radius is None or case.norm == "inf":
            step = np.array([h if g > 0 else -h for g, h in zip(gradient, half, strict=True)])
        elif case.norm == "1":
            place = max(range(case.inputs), key=lambda i: abs(gradient[i]))
            step = np.array([Fraction(0)] * case.inputs)
            step[place] = half[place] if gradient[place] > 0 else -half[place]
        else:
            size = _length(weighted)
            step = weighted * (1 - Fraction(1, 10**9)) / size * half if size else None
        if step is None:
            continue
        reach = sum(gradient * step)
        found += [
            case.centre + step * Fraction(999, 1000),
            case.centre - step * Fraction(999, 1000),
        ]
        if reach:
            share = -distance / reach
            for more in (Fraction(1001, 1000), Fraction(999, 1000)):
                found.append(point + step * share * more)
    return found


def _length(vector):
    largest = max(abs(v) for v in vector)
    if not largest:
        return Fraction(0)
    scaled = (vector / largest).astype(np.float64)
    return largest * Fraction(float(np.linalg.norm(scaled)) * (1 + 1e-12))
