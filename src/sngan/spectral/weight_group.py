"""Weight group: weights of one device and dtype, whose coordinates change together."""

# torch's operations on lists of tensors have no public names
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from collections.abc import Iterator

import torch
from torch import Tensor

from sngan.distributed import dtensor
from sngan.spectral.coefficients import Coefficients
from sngan.spectral.power_iteration import accumulator, length
from sngan.spectral.torch_import import TorchNorm
from sngan.spectral.tracked_norms.base import TrackedNorm
from sngan.spectral.write_tracking import WriteTracker
from sngan.utils.checks import require

# if σ/c is this near to 1 at the start, an estimate normalized the weight, and it stays as it is
_NORMALIZED = 1e-3
# a weight with σ/c in this range may be a normalized one, whose state is loaded later
_MAY_BE_LOADED = (2 / 3, 3 / 2)
# power iterations that are enough to find a larger norm in a direction orthogonal to u
_ITERATIONS = 5

WeightState = dict[str, Tensor]


class WeightGroup:
    """Weights with the state of their norms.

    The state is the tensor ``u`` of each weight's norm, and ``scale`` = σ/c of all weights in one
    tensor. ``coefficients`` holds c, and computes the divisors s of ``W̄ = W/s`` from the scales.
    """

    def __init__(self, norms: list[TrackedNorm], coefficients: Coefficients) -> None:
        self.norms = norms
        self.coefficients = coefficients
        self.scale = norms[0].weight().new_ones(len(norms))
        factors = zip(norms, coefficients.factors(), strict=True)
        self._factors = [norm.factor * factor for norm, factor in factors]
        # the wt_u of each weight that is raw now; filled before a step and emptied after it
        self._wt_u: dict[int, Tensor] = {}
        self._write_tracker = WriteTracker(norms)
        started = [self._start(index) for index in range(len(norms))]
        self.u = [u for u, _ in started]
        for index, (_, sigma) in enumerate(started):
            self._normalize(index, sigma)
        self._write_tracker.note(range(len(norms)))

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.norms[0].weight().device

    @property
    def names(self) -> list[str]:
        """The name of each weight in saved states: the first of its names."""
        return [norm.kernel.names[0] for norm in self.norms]

    def sigmas(self) -> list[Tensor]:
        """σ of each raw weight; if a weight was written from outside, σ of the new values."""
        self._follow_module()
        scales = zip(self.scale.unbind(), self.coefficients.values, strict=True)
        sigmas = [scale * coefficient for scale, coefficient in scales]
        for index in self._replaced():
            sigmas[index] = self.scale.new_tensor(self._start(index)[1])
        return sigmas

    def state(self) -> Iterator[tuple[str, WeightState]]:
        """The name and the state of each weight."""
        for index, (name, scale) in enumerate(zip(self.names, self.scale, strict=True)):
            own = {"scale": scale.clone(), "u": self._full_u(index)}
            yield name, own | self.coefficients.state(index)

    def require_fitting(self, states: dict[int, WeightState]) -> None:
        """Raise ``ValueError`` if a state is of a weight of another shape."""
        for index, state in states.items():
            own, got = self._full_u_shape(index), state["u"].shape
            require(
                own == got,
                "state",
                expected=f"u of shape {tuple(own)}",
                got=f"{self.names[index]}: {tuple(got)}",
            )

    def load(self, states: dict[int, WeightState]) -> None:
        """Restore the states of :meth:`state`, which belong to the weights that were saved.

        The network may hold these weights already, or load them before the next step.
        """
        self._follow_module()
        self.require_fitting(states)
        for index, state in states.items():
            self.scale[index] = state["scale"]
            self.u[index].copy_(self._local_u(index, dtensor.full_tensor(state["u"])))
            self.coefficients.load(index, state)
        self._write_tracker.load(states)

    def start_from_torch(self, known: dict[str, TorchNorm]) -> None:
        """Normalize the raw weights again, with the vectors and norms that torch had for them."""
        for index, norm in enumerate(self.norms):
            torch_norm = known[norm.kernel.names[0]]
            self.u[index].copy_(torch_norm.u)
            # if torch's vectors never followed the weight, its σ may be negative
            is_norm = (torch_norm.sigma > 0) & torch_norm.sigma.isfinite()
            ratio = torch_norm.sigma / (self.scale[index] * self.coefficients.values[index])
            self.rescale(index, torch.where(is_norm, ratio, 1.0))

    def rescale(self, index: int, divisor: Tensor | float) -> None:
        """Divide a normalized weight by a number; the raw weight stays the same."""
        self.norms[index].weight().div_(divisor)
        self.scale[index] = self.coefficients.divisors(self.scale)[index] * divisor
        self._write_tracker.note([index], size=self._size(index))

    def to_raw(self, stepped_ids: set[int], skipped: Tensor | None) -> None:
        """Change ``.grad`` from ∂L/∂W̄ to ∂L/∂W, and the weights from W̄ to W, in place.

        Only weights that have a gradient and whose ids are in ``stepped_ids`` change.
        """
        self._follow_module()
        self._start_replaced()
        self._write_tracker.begin_step()
        gradients = {
            index: gradient
            for index, norm in enumerate(self.norms)
            if id(norm.kernel.weight) in stepped_ids and (gradient := norm.gradient()) is not None
        }
        self.coefficients.compute_gradients_(self.norms, gradients, stepped_ids=stepped_ids)
        self._wt_u = self._project(gradients)
        if gradients:
            divisors = self.coefficients.divisors(self.scale)
            torch._foreach_div_(list(gradients.values()), self._entries_of_raw(divisors))
            factors = self._entries_of_raw(_unless(skipped, divisors, 1.0))
            torch._foreach_mul_(self._raw_weights(), factors)

    def to_normalized(self, iterations: int, skipped: Tensor | None) -> None:
        """Find the norms of the new W, and change the weights from W to W̄, in place."""
        if not self._wt_u:
            return
        for index, (u, wt_u) in self._advance(self._wt_u, iterations).items():
            self._wt_u[index] = wt_u
            self.u[index].copy_(_unless(skipped, u, self.u[index]))
        self._set_scales(skipped)
        divisors = _unless(skipped, self.coefficients.divisors(self.scale), 1.0)
        torch._foreach_div_(self._raw_weights(), self._entries_of_raw(divisors))
        self._write_tracker.note(self._wt_u)
        self._wt_u = {}

    def _start(self, index: int) -> tuple[Tensor, float]:
        """Return ``u`` of a raw weight (this rank's part, if it is sharded) and its exact σ."""
        return self.norms[index].start()

    def _normalize(self, index: int, sigma: float) -> None:
        """Normalize a raw weight with this exact σ."""
        scale = self.coefficients.initial_scale(index, sigma)
        exact = torch.tensor(scale, dtype=torch.float64, device="cpu")
        divisor = self.coefficients.divisors(exact).item()
        if abs(divisor - 1) > _NORMALIZED:
            weight = self.norms[index].weight()
            if _MAY_BE_LOADED[0] < divisor < _MAY_BE_LOADED[1]:
                self._write_tracker.keep(index, weight.clone())
            weight.div_(divisor)
        self.scale[index] = scale

    def _start_replaced(self) -> None:
        """Normalize, as at the start, the weights that were replaced by writes from outside."""
        written = self._write_tracker.written_outside()
        if not written:
            return
        replaced = self._replaced()
        for index in replaced:
            u, sigma = self._start(index)
            self.u[index].copy_(u)
            self._normalize(index, sigma)
        self._write_tracker.note(written, size=None)
        self._write_tracker.note(replaced)

    def _replaced(self) -> list[int]:
        """The weights that were replaced by others. It waits for the device if any were written."""
        tracker = self._write_tracker
        written = [index for index in tracker.written_outside() if index not in self._wt_u]
        sizes = {
            index: (self._size(index), self._size_after_iterations(index)) for index in written
        }
        return [index for index in written if tracker.is_replaced(index, *sizes[index])]

    def _size(self, index: int) -> float:
        """``‖W̄ᵀu‖`` of the present weight, divided by its value right after normalization."""
        return self._relative_size(index, self._measure(index))

    def _size_after_iterations(self, index: int) -> float:
        """The same as :meth:`_size` after some power iterations of ``u``."""
        moved = self._advance({index: self._measure(index)}, _ITERATIONS)
        return self._relative_size(index, moved[index][1])

    def _relative_size(self, index: int, wt_u: Tensor) -> float:
        scale, divisor = self.scale[index], self.coefficients.divisors(self.scale)[index]
        normalized = scale * self.coefficients.values[index] / divisor
        return (length(wt_u) * self.norms[index].factor / normalized).item()

    def _measure(self, index: int) -> Tensor:
        return self.norms[index].measure(self.u[index])

    def _project(self, gradients: dict[int, Tensor]) -> dict[int, Tensor]:
        """Subtract the radial part of each gradient, in place; return ``wt_u`` of each weight."""
        shares = self.coefficients.shares(self.scale)
        return {
            index: self.norms[index].project_(
                gradient, self.u[index], None if shares is None else shares[index]
            )
            for index, gradient in gradients.items()
        }

    def _advance(
        self, wt_u: dict[int, Tensor], iterations: int
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Return ``u`` and ``wt_u`` of the present weights, found from those of the older ones."""
        return {
            index: self.norms[index].advance(self.u[index], vector, iterations=iterations)
            for index, vector in wt_u.items()
        }

    def _full_u_shape(self, index: int) -> torch.Size:
        return self.u[index].shape

    def _full_u(self, index: int) -> Tensor:
        return self.u[index].clone()

    def _local_u(self, index: int, u: Tensor) -> Tensor:  # noqa: ARG002
        return u

    def _set_scales(self, skipped: Tensor | None) -> None:
        vectors = list(self._wt_u.values())
        norms = torch._foreach_norm(vectors, dtype=accumulator(vectors[0]))
        torch._foreach_mul_(norms, [self._factors[index] for index in self._wt_u])
        self.coefficients.divide_by_coefficients_(norms, self._wt_u)
        scales = list(self.scale.unbind())
        for index, norm in zip(self._wt_u, norms, strict=True):
            scales[index] = norm
        renewed = torch.stack(scales).to(self.scale)
        renewed.masked_fill_(renewed == 0, 1.0)
        self.scale.copy_(_unless(skipped, renewed, self.scale))

    def _raw_weights(self) -> list[Tensor]:
        """The weights that are raw now."""
        return [self.norms[index].weight() for index in self._wt_u]

    def _entries_of_raw(self, values: Tensor) -> list[Tensor]:
        """The entries that belong to raw weights, of a tensor with one entry for each weight."""
        entries = values.unbind()
        return [entries[index] for index in self._wt_u]

    def _follow_module(self) -> None:
        """Move the state to the device and dtype that the module's weights have now."""
        weights = [norm.kernel.weight for norm in self.norms]
        kinds = {(weight.device, weight.dtype) for weight in weights}
        if kinds == {(self.scale.device, self.scale.dtype)}:
            return
        require(
            len(kinds) == 1 and weights[0].dtype in (torch.float32, torch.float64),
            "module",
            expected="weights that move to one device together, as float32 or float64",
            got=" and ".join(f"{dtype} on {device}" for device, dtype in kinds),
        )
        self.scale = self.scale.to(weights[0])
        like = self.scale
        self.coefficients.to(like)
        self.u = [u.to(like if u.is_floating_point() else like.device) for u in self.u]


def _unless(skipped: Tensor | None, new: Tensor, old: Tensor | float) -> Tensor:
    """Return ``new``, or ``old`` if the step was skipped, without a wait for the device."""
    return new if skipped is None else torch.where(skipped, old, new)
