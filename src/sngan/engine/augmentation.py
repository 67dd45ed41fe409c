"""Augmentation in training: its probability p, which may be fixed, scheduled or adaptive."""

import torch
from torch import Tensor

from sngan.augment import adjusted, augment, nonleaking
from sngan.config import Config
from sngan.config.augmentation import parse_augment
from sngan.distributed import collectives
from sngan.losses import LOSSES
from sngan.methods.schedule import value_at

_BATCHES = 4
_MOST_IMAGES = 500_000
_SHARE_OF_RUN = 5


class Augmentation:
    """Augments images in the steps of a run, and adapts its probability p to the critic.

    The adaptive p follows r_t = E[sign(D(x) − threshold)] over the augmented real images x of
    every 4 critic batches (Karras et al. 2020, arXiv:2006.06676). The threshold is the score of a
    sample that is as likely real as generated under the loss; it is 0 in the paper. A loss that
    reads only differences of scores has no such score. Then the threshold is the middle between the
    mean scores of real and of generated images.

    p and the sums of r_t are tensors that change in place, so a CUDA graph can replay a step. A
    checkpoint saves them.

    Parameters
    ----------
    config
        The settings of the run.
    device
        The device of the images.
    """

    def __init__(self, config: Config, *, device: torch.device) -> None:
        self._policy = parse_augment(config.data.augment)
        self._threshold = LOSSES[config.method.loss].threshold
        self._target = config.data.augment_target
        self._change = _BATCHES * config.batch_size / images_to_full(config)
        self._p, self._sum, self._batches = (torch.zeros((), device=device) for _ in range(3))

    @property
    def is_adaptive(self) -> bool:
        """Whether p follows the critic, and a checkpoint has to save it."""
        return self._policy.is_adaptive

    def __call__(self, images: Tensor) -> Tensor:
        """Augment real or generated images."""
        if self.is_adaptive or self._policy.p is not None:
            return nonleaking(images, self._p)
        return augment(images, self._policy.names)

    def start_step(self, step: int, steps: int) -> None:
        """Set a fixed or scheduled p for a step; a captured graph then reads it."""
        if self._policy.p is not None:
            self._p.fill_(value_at(self._policy.p, step, steps))

    def signs(self, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
        """Return the mean sign of a batch's scores as a term to record, if p follows it.

        All ranks call this, because r_t is the mean over all ranks.
        """
        if not self.is_adaptive:
            return {}
        sign = self._mean_sign(real_scores.detach().float(), fake_scores.detach().float())
        return {"augment_sign": sign}

    def follow(self, sign: Tensor | None) -> dict[str, Tensor]:
        """Adapt p to the mean sign of a critic batch, and return the term to record."""
        if self._policy.p is not None:
            return {"augment_p": self._p.clone()}
        if sign is None:
            return {}
        total, batches = self._sum + sign, self._batches + 1
        moved = adjusted(self._p, total / batches, target=self._target, change=self._change)
        is_due = batches >= _BATCHES
        self._p.copy_(torch.where(is_due, moved, self._p))
        self._sum.copy_(total * ~is_due)
        self._batches.copy_(batches * ~is_due)
        return {"augment_p": self._p.clone()}

    def state_dict(self) -> dict[str, Tensor]:
        """Return p, and the sums of r_t since p last changed."""
        return {"p": self._p, "sum": self._sum, "batches": self._batches}

    def load_state_dict(self, saved: dict[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` returned."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(saved[name])

    def _mean_sign(self, real: Tensor, fake: Tensor) -> Tensor:
        threshold = self._threshold
        if threshold is None:
            means = torch.stack([real.mean(), fake.mean()])
            threshold = collectives.all_reduce_mean(means).mean()
        return collectives.all_reduce_mean(torch.sign(real - threshold).mean())


def images_to_full(config: Config) -> int:
    """Return the number of real images in which p can go from 0 to 1.

    If ``data.augment_images`` is left out, the number is a fifth of the images that the critic sees
    in the run, and at most the 500,000 of the paper.
    """
    given = config.data.augment_images
    if given is not None:
        return given
    seen = config.steps * config.method.n_critic * config.batch_size
    return min(_MOST_IMAGES, -(-seen // _SHARE_OF_RUN))
