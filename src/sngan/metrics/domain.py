"""Features of the data's own domain: a small classifier trained on it in seconds."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.data.dataset import Dataset
from sngan.data.sources.arrays import to_dataset
from sngan.data.sources.toy import digits
from sngan.metrics.store import Tensors, cached, fingerprint
from sngan.utils.checks import require

FEATURES = 64
_SIDE = 32
_SAMPLES, _STEPS, _BATCH = 20_000, 400, 128
_RECIPE = 1  # counts changes of the network and its training, which make other features


class Classifier(nn.Module):
    """Three convolutions, ``FEATURES`` features and logits, for images of ``shape``.

    After training ``scale`` makes the mean square of a feature 1, for kernels that are not
    homogeneous.
    """

    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, *sides = shape
        # the first convolution sees most pixels, and most of the time
        stride = 2 if min(sides) >= 16 else 1
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=stride, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 128, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * 128, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, classes)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(n, FEATURES)`` and logits ``(n, classes)`` of images in [−1, 1]."""
        features = self.body(_small(images))
        return features * self.scale, self.head(features)


class Trained(NamedTuple):
    """A classifier, the share of held-out samples it tells right, and a key of its weights."""

    network: Classifier
    accuracy: float
    key: str


def train_classifier(dataset: Dataset, *, seed: int = 0) -> Trained:
    """Classify the labels of images; without labels, by how many quarter turns they are rotated.

    One sample in five is held out. Training is on the CPU and follows from the data and the seed,
    and the weights are kept in the user's cache folder. The rotations: Gidaris et al. 2018,
    arXiv:1803.07728.

    Raises
    ------
    ValueError
        Fewer than 20 images.
    """
    require(len(dataset) >= 20, "dataset", expected="at least 20 images", got=len(dataset))
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset), generator=generator)
    chosen = chosen[: _SAMPLES if dataset.labels is not None else _SAMPLES // 4]
    pixels = dataset.samples[chosen].cpu()
    labels = None if dataset.labels is None else dataset.labels[chosen].cpu()
    classes = 4 if labels is None else max(len(dataset.class_names), int(labels.max()) + 1)
    task = fingerprint(
        _RECIPE, _STEPS, seed, classes, pixels, *([] if labels is None else [labels])
    )
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        # the CPU's generator alone: `torch.manual_seed` would seed the GPU's too
        torch.default_generator.manual_seed(seed)
        network = Classifier(dataset.sample_shape, classes)
        weights = cached(f"domain-{task}", lambda: _train(network, pixels, labels))
    accuracy = float(weights.pop("accuracy"))
    network.load_state_dict(weights)
    # of the weights: machines that round otherwise train other features
    key = fingerprint(*(weights[name] for name in sorted(weights)))
    return Trained(network.eval().requires_grad_(False), accuracy, key)


def train_stack_classifier(dataset: Dataset, *, seed: int = 0) -> Trained:
    """Classify the single digits of ``stacked-digits``, at its size; each channel is one.

    The accuracy is of whole stacks: that of one digit to the third power, as their errors are
    independent.
    """
    single = to_dataset("digits", digits(), side=dataset.sample_shape[-1], channels=1)
    trained = train_classifier(single, seed=seed)
    return trained._replace(accuracy=trained.accuracy**3)


def _train(network: Classifier, pixels: Tensor, labels: Tensor | None) -> Tensors:
    """Fit the network in place; its weights, and its accuracy on the first fifth of the images."""
    images = torch.cat([_small(part / 127.5 - 1) for part in pixels.split(1024)])
    held_out = len(images) // 5
    test, test_labels = _task(images[:held_out], None if labels is None else labels[:held_out])
    images, labels = _task(images[held_out:], None if labels is None else labels[held_out:])
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        batch = torch.randint(len(images), (_BATCH,))
        optimizer.zero_grad()
        F.cross_entropy(network(images[batch])[1], labels[batch]).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        outputs = [network(part) for part in test.split(1024)]
        size = torch.cat([features for features, _ in outputs]).square().mean().sqrt()
        # a network without features, of one class or constant images, keeps its scale
        network.scale.copy_(1 / torch.where(size > 0, size, 1))
    told = torch.cat([logits.argmax(1) for _, logits in outputs])
    accuracy = (told == test_labels).double().mean()
    return {**network.state_dict(), "accuracy": accuracy}


def _task(images: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Images with their labels; without, in four rotations with the number of quarter turns."""
    if labels is not None:
        return images, labels
    turns = torch.arange(4).repeat_interleave(len(images))
    return torch.cat([images.rot90(turn, (2, 3)) for turn in range(4)]), turns


def _small(images: Tensor) -> Tensor:
    side = min(_SIDE, *images.shape[2:])
    return images if images.shape[2:] == (side, side) else F.adaptive_avg_pool2d(images, side)
