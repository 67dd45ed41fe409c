"""Domain features, from a small classifier that is trained on the data itself, in seconds."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sngan.data.dataset import Dataset
from sngan.data.sources.arrays import to_dataset
from sngan.data.sources.toy import digits
from sngan.metrics import pretext
from sngan.metrics.store import Tensors, cached, fingerprint
from sngan.utils.checks import require

FEATURES = 64
FEWEST_IMAGES = 20
_SIDE = 32
TRAINING_STEPS = 400
_SAMPLES, _BATCH = 20_000, 128
_RECIPE = 1  # increase it with each change of the network or its training that changes the features


class Classifier(nn.Module):
    """Three convolutions, ``FEATURES`` features and logits, for images of ``shape``.

    Training sets ``scale`` so that the mean square of a feature is 1, because the kernel distance
    depends on the scale of features.
    """

    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, *sides = shape
        # the first convolution has the most pixels and takes most of the time
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
        """Return features ``(n, FEATURES)`` and logits ``(n, classes)`` of images in [−1, 1]."""
        features = self.body(_small(images))
        return features * self.scale, self.head(features)


class Trained(NamedTuple):
    """A classifier, its accuracy on held-out samples, and a key of its weights."""

    network: Classifier
    accuracy: float
    key: str


def train_classifier(dataset: Dataset, *, seed: int = 0) -> Trained:
    """Train a classifier of the labels, or without labels one that tells how images were changed.

    The changes are those of :mod:`sngan.metrics.pretext`: quarter turns, and damages such as noise
    and blur. One sample in five is held out; without labels the accuracy is that of the damages.
    Training runs on the CPU and is determined by the data and the seed. The weights are kept in the
    user's cache folder.

    Raises
    ------
    ValueError
        If there are fewer than 20 images.
    """
    expected = f"at least {FEWEST_IMAGES} images"
    require(len(dataset) >= FEWEST_IMAGES, "dataset", expected=expected, got=len(dataset))
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset), generator=generator)[:_SAMPLES]
    pixels = dataset.samples[chosen].cpu()
    labels = None if dataset.labels is None else dataset.labels[chosen].cpu()
    classes = pretext.CLASSES
    if labels is not None:
        classes = max(len(dataset.class_names), int(labels.max()) + 1)
    task = fingerprint(
        _RECIPE, TRAINING_STEPS, seed, classes, pixels, *([] if labels is None else [labels])
    )
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        # seed only the CPU's generator: `torch.manual_seed` would seed the GPU's too
        torch.default_generator.manual_seed(seed)
        network = Classifier(dataset.sample_shape, classes)
        weights = cached(f"domain-{task}", lambda: _train(network, pixels, labels))
    accuracy = float(weights.pop("accuracy"))
    network.load_state_dict(weights)
    # a key of the weights, because machines that round differently train different weights
    key = fingerprint(*(weights[name] for name in sorted(weights)))
    return Trained(network.eval().requires_grad_(False), accuracy, key)


def train_stack_classifier(dataset: Dataset, *, seed: int = 0) -> Trained:
    """Train a classifier of single digits, for the three channels of ``stacked-digits``.

    The accuracy is that of whole stacks: the accuracy of one digit to the third power, because the
    three errors are independent.
    """
    _, height, width = dataset.sample_shape
    single = to_dataset("digits", digits(), size=(height, width), channels=1)
    trained = train_classifier(single, seed=seed)
    return trained._replace(accuracy=trained.accuracy**3)


def _train(network: Classifier, pixels: Tensor, labels: Tensor | None) -> Tensors:
    """Train the network in place; return its weights and its accuracy on the first fifth."""
    images = torch.cat([_small(part / 127.5 - 1) for part in pixels.split(1024)])
    test, images = images.tensor_split([len(images) // 5])
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TRAINING_STEPS)
    for _ in range(TRAINING_STEPS):
        batch = torch.randint(len(images), (_BATCH,))
        optimizer.zero_grad()
        given = None if labels is None else labels[len(test) :][batch]
        _loss(network, images[batch], given).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        rms = _outputs(network, test)[0].square().mean().sqrt()
        # if all features are 0, as for one class or constant images, the scale stays 1
        network.scale.copy_(1 / torch.where(rms > 0, rms, 1))
        accuracy = _accuracy(network, test, None if labels is None else labels[: len(test)])
    return {**network.state_dict(), "accuracy": accuracy}


def _outputs(network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    features, logits = zip(*(network(part) for part in images.split(1024)), strict=True)
    return torch.cat(features), torch.cat(logits)


def _accuracy(network: Classifier, images: Tensor, labels: Tensor | None) -> Tensor:
    if labels is not None:
        return (_outputs(network, images)[1].argmax(1) == labels).double().mean()
    task = pretext.draw(images)
    return pretext.accuracy(_outputs(network, task.images)[1], task)


def _loss(network: Classifier, images: Tensor, labels: Tensor | None) -> Tensor:
    if labels is not None:
        return F.cross_entropy(network(images)[1], labels)
    task = pretext.draw(images)
    return pretext.loss(network(task.images)[1], task)


def _small(images: Tensor) -> Tensor:
    side = min(_SIDE, *images.shape[2:])
    return images if images.shape[2:] == (side, side) else F.adaptive_avg_pool2d(images, side)
