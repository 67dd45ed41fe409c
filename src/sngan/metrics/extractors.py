"""Feature extractors: points, pixels, a classifier of the domain, published and own networks."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.data.dataset import Dataset
from sngan.data.sources.stacked_digits import NAME as STACKED
from sngan.data.types import Progress
from sngan.metrics.domain import (
    FEWEST_IMAGES,
    Trained,
    train_classifier,
    train_stack_classifier,
)
from sngan.metrics.inception import CHECKSUM, load_inception
from sngan.metrics.own_extractors import Features, checked, from_file, imported
from sngan.metrics.preprocessing import for_clip, for_dinov2
from sngan.metrics.store import fingerprint
from sngan.metrics.three_channels import in_colour
from sngan.metrics.vision_transformer import clip, dinov2
from sngan.metrics.weights_file import read_weights
from sngan.utils.checks import require, require_given
from sngan.utils.extractor_names import (
    EXTRACTORS,
    FILE_ENDINGS,
    FORMS,
    PLUG_INS,
    names_code,
    require_extractor,
)
from sngan.utils.files import sha256


class Extracted(NamedTuple):
    """Features ``(n, d)``, and logits ``(n, classes)`` if the extractor is a classifier."""

    features: Tensor
    logits: Tensor | None = None


@dataclass(frozen=True)
class Extractor:
    """Maps images ``(n, C, H, W)`` in [−1, 1] or points ``(n, dim)`` to features.

    Attributes
    ----------
    name
        The name in reports.
    compute
        Computes the features of a batch, on its device.
    key
        A key of everything that determines the features; ``None`` if computing them is as fast as
        reading them from disk.
    accuracy
        The accuracy on held-out samples, if the extractor is a classifier.
    """

    name: str
    compute: Callable[[Tensor], Extracted]
    key: str | None = None
    accuracy: float | None = None


def open_extractor(
    dataset: Dataset,
    extractor: str | Path | Features = "auto",
    *,
    seed: int = 0,
    weights: Path | None = None,
) -> Extractor:
    """Open an extractor for a data set.

    Parameters
    ----------
    dataset
        The data, on which ``domain`` is trained.
    extractor
        ``points``; ``pixels``; ``domain``, a small classifier of the labels, or if there are none
        of turned and damaged images; ``inception``; ``dinov2``; ``clip``; ``auto``, which is
        ``points`` for points, and ``domain`` for images (``pixels`` for fewer than 20 of them, too
        few to train on). Or one of the user: a function of samples, ``package.module:name`` of such
        a function, the name of a plug-in, or the path of a network (see
        :mod:`sngan.metrics.own_extractors`).
    seed
        The seed of the training of ``domain``.
    weights
        A file of the published weights of ``inception``, ``dinov2`` or ``clip``.

    Raises
    ------
    ValueError
        If the name is unknown or does not fit the samples, or a file cannot be loaded.
    """
    if isinstance(extractor, Path) or names_code(str(extractor)):
        return _own(str(extractor))
    if not isinstance(extractor, str):
        require(callable(extractor), "extractor", expected=FORMS, got=repr(extractor))
        return _of_function(extractor, _name_of(extractor))
    require_extractor(extractor, "extractor")
    if extractor not in EXTRACTORS:
        return _of_function(PLUG_INS[extractor], extractor)
    name = extractor
    if name == "auto":
        of_images = "domain" if len(dataset) >= FEWEST_IMAGES else "pixels"
        name = of_images if dataset.is_images else "points"
    kind = "images" if dataset.is_images else "points"
    require(
        dataset.is_images == (name != "points"),
        "extractor",
        expected="pixels, domain, inception, dinov2 or clip for images, points for points",
        got=f"{name} for {kind}",
    )
    if name == "domain":
        return open_domain(dataset, seed=seed)
    if name == "inception":
        return _inception(weights)
    if name in ("dinov2", "clip"):
        return _transformer(name, weights)
    return Extractor(name, lambda samples: Extracted(samples.flatten(1)))


def _own(text: str) -> Extractor:
    """Open an extractor that the user has named: a file of a network, or an object of a module."""
    if not text.lower().endswith(FILE_ENDINGS):
        return _of_function(imported(text), text)
    path = Path(text).expanduser()
    return _of_function(from_file(path), path.name, key=fingerprint("file", sha256(path)))


def _of_function(function: Features, name: str, *, key: str | None = None) -> Extractor:
    compute = checked(function, name)
    return Extractor(name, lambda samples: Extracted(compute(samples)), key)


def _name_of(function: Features) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _transformer(name: str, weights: Path | None) -> Extractor:
    """Make an extractor of DINOv2 or CLIP; grey images get three equal channels."""
    expected = f"a file of the published weights of {name}"
    path = require_given(weights, "weights", expected=expected).expanduser()
    make, prepare = (dinov2, for_dinov2) if name == "dinov2" else (clip, for_clip)
    network = make(read_weights(path))

    def compute(samples: Tensor) -> Extracted:
        return Extracted(network.to(samples.device)(prepare(in_colour(samples), network.side)))

    digest = sha256(path)
    return Extractor(f"{name} ({digest[:8]})", compute, fingerprint(name, digest))


def open_domain(dataset: Dataset, *, seed: int = 0) -> Extractor:
    """Open the ``domain`` extractor; it reads each channel of ``stacked-digits`` as a digit."""
    if is_stacked(dataset):
        return _stack(train_stack_classifier(dataset, seed=seed))
    trained = train_classifier(dataset, seed=seed)
    labelled = dataset.labels is not None

    def compute(samples: Tensor) -> Extracted:
        features, logits = trained.network.to(samples.device)(samples)
        return Extracted(features, logits if labelled else None)

    name = "domain" if labelled else "domain (self-supervised)"
    return Extractor(name, compute, trained.key, trained.accuracy)


def _stack(trained: Trained) -> Extractor:
    """Make an extractor of the features of three digits, and of the number that they spell.

    Its logits are the log-probabilities of the numbers 000 … 999.
    """

    def compute(samples: Tensor) -> Extracted:
        single = samples.flatten(0, 1).unsqueeze(1)
        features, logits = trained.network.to(samples.device)(single)
        red, green, blue = logits.log_softmax(1).view(len(samples), 3, 10).unbind(1)
        spelled = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return Extracted(features.reshape(len(samples), -1), spelled.flatten(1))

    return Extractor("domain", compute, fingerprint("stack", trained.key), trained.accuracy)


def _inception(weights: Path | None) -> Extractor:
    """Make an extractor of Inception's pooled features of images in colour."""
    network, digest = load_inception(weights)

    def compute(samples: Tensor) -> Extracted:
        pixels = ((in_colour(samples) + 1) * 127.5).round()
        return Extracted(*network.to(samples.device)(pixels))

    published = digest.startswith(CHECKSUM)
    name = "inception" if published else f"inception ({digest[:8]})"
    return Extractor(name, compute, fingerprint("inception", digest))


def is_stacked(dataset: Dataset) -> bool:
    """Whether the data is ``stacked-digits`` in colour."""
    return dataset.name == STACKED and dataset.sample_shape[0] == 3


def extract(
    extractor: Extractor, samples: Tensor, *, batch: int = 128, progress: Progress | None = None
) -> Extracted:
    """Compute features and logits of all samples on their device, in float32.

    Parameters
    ----------
    extractor
        Computes the features of a batch.
    samples
        Images ``(n, C, H, W)`` in [−1, 1] or points ``(n, dim)``.
    batch
        The number of samples in a batch.
    progress
        Called with (samples done, all samples) after each batch.
    """
    found: list[Extracted] = []
    done = 0
    with torch.no_grad(), _full_precision(samples.device):
        for part in samples.split(batch):
            found.append(extractor.compute(part))
            done += len(part)
            if progress is not None:
                progress(done, len(samples))
    logits = [one.logits for one in found if one.logits is not None]
    return Extracted(
        torch.cat([one.features for one in found]), torch.cat(logits) if logits else None
    )


@contextmanager
def _full_precision(device: torch.device) -> Generator[None]:
    """Switch autocast and TF32 off, so that features of the CPU and the GPU are comparable."""
    with (
        torch.autocast(device.type, enabled=False),
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
    ):
        yield
