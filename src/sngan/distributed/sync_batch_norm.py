"""Synchronized batch norm: statistics over all ranks. Unlike torch's, it works on CPUs too."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from sngan.distributed import collectives


class SyncedBatchNorm(_BatchNorm):
    """Batch norm over the samples of all ranks. Every rank must have the same number of samples.

    Mean and biased variance ``E (x − E x)²`` are means over all ranks: two small all-reduces in the
    forward pass and two in the backward pass. The running statistics are updated as in
    ``nn.BatchNorm2d``, with the unbiased variance. In eval mode, and with one rank, this is torch's
    batch norm.

    The formula is ``y = γ (x − E x)/√(E (x − E x)² + ε) + β``, with means over all ranks.

    Examples
    --------
    >>> from sngan.models import SyncedBatchNorm
    >>> SyncedBatchNorm(1)(torch.tensor([[1.0], [3.0]])).round(decimals=3).tolist()
    [[-1.0], [1.0]]
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """Normalize ``(N, C, …)``."""
        if not self.training or collectives.world_size() == 1:
            return super().forward(input)
        dims = [0, *range(2, input.dim())]
        shape = (1, -1, *[1] * (input.dim() - 2))
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        mean = collectives.all_reduce_mean(values.mean(dims))
        centred = values - mean.view(shape)
        variance = collectives.all_reduce_mean(centred.square().mean(dims))
        self._update_running_statistics(
            mean.detach(), variance.detach(), input.numel() // len(mean) * collectives.world_size()
        )
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        normalized = centred * scale.view(shape)
        if self.affine:
            normalized = normalized + self.bias.view(shape)
        return normalized.to(input.dtype)

    def _update_running_statistics(self, mean: Tensor, variance: Tensor, values: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (values / (values - 1)), self.momentum)


def synchronize_batch_norms(module: nn.Module) -> None:
    """Make every batch norm of a module a :class:`SyncedBatchNorm`, in place.

    Examples
    --------
    >>> from sngan.models import synchronize_batch_norms
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    >>> synchronize_batch_norms(network)
    >>> type(network[1]).__name__
    'SyncedBatchNorm'
    """
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            # parameters, buffers and names stay; only forward changes
            layer.__class__ = SyncedBatchNorm
