"""Generators and critics: families of networks for any size of sample."""

from collections.abc import Callable

from torch import nn

from sngan.distributed.sync_batch_norm import SyncedBatchNorm as SyncedBatchNorm
from sngan.distributed.sync_batch_norm import synchronize_batch_norms as synchronize_batch_norms
from sngan.models.cnn import CNNCritic as CNNCritic
from sngan.models.cnn import CNNGenerator as CNNGenerator
from sngan.models.cnn import cnn
from sngan.models.common import Critic as Critic
from sngan.models.common import Generator as Generator
from sngan.models.convnext import ConvNextCritic as ConvNextCritic
from sngan.models.convnext import ConvNextGenerator as ConvNextGenerator
from sngan.models.convnext import ConvNextStage as ConvNextStage
from sngan.models.convnext import convnext
from sngan.models.coordinates import Coordinates as Coordinates
from sngan.models.initialization import orthogonalize as orthogonalize
from sngan.models.minibatch_std import MinibatchStd as MinibatchStd
from sngan.models.mlp import MLPCritic as MLPCritic
from sngan.models.mlp import MLPGenerator as MLPGenerator
from sngan.models.mlp import mlp
from sngan.models.norms import CRITIC_NORMS as CRITIC_NORMS
from sngan.models.norms import add_norm
from sngan.models.own import add_class_zero as add_class_zero
from sngan.models.own import as_class_zero as as_class_zero
from sngan.models.own import call as call
from sngan.models.own import coordinates_of as coordinates_of
from sngan.models.own import has_batch_norm as has_batch_norm
from sngan.models.own import own_factory
from sngan.models.packing import packed as packed
from sngan.models.packing import require_groups
from sngan.models.resnet import ResNetCritic as ResNetCritic
from sngan.models.resnet import ResNetGenerator as ResNetGenerator
from sngan.models.resnet import attention_side as attention_side
from sngan.models.resnet import resnet
from sngan.models.resnet_blocks import CriticStage as CriticStage
from sngan.utils.checks import require, require_count, require_number, require_one_of
from sngan.utils.registry import Registry

__all__ = [
    "CRITIC_NORMS",
    "MODELS",
    "CNNCritic",
    "CNNGenerator",
    "ConvNextCritic",
    "ConvNextGenerator",
    "ConvNextStage",
    "Coordinates",
    "Critic",
    "CriticStage",
    "Generator",
    "MLPCritic",
    "MLPGenerator",
    "MinibatchStd",
    "ResNetCritic",
    "ResNetGenerator",
    "SyncedBatchNorm",
    "add_class_zero",
    "as_class_zero",
    "attention_side",
    "build",
    "call",
    "coordinates_of",
    "default_model",
    "has_batch_norm",
    "orthogonalize",
    "packed",
    "synchronize_batch_norms",
]

MODELS: Registry[Callable[..., tuple[nn.Module, nn.Module]]] = Registry(
    "models",
    {"mlp": mlp, "cnn": cnn, "resnet": resnet, "convnext": convnext},
    argument="model.name",
    convert=own_factory,
)
"""The families of networks by their names: functions that build a generator and a critic.

Examples
--------
>>> from sngan.models import MODELS
>>> list(MODELS)
['mlp', 'cnn', 'resnet', 'convnext']
"""


def build(
    name: str,
    sample_shape: tuple[int, ...],
    *,
    latent_dim: int = 128,
    width: float = 1.0,
    num_classes: int = 0,
    attention: int = 0,
    pack: int = 1,
    minibatch_std: int = 0,
    critic_norm: str = "none",
    standardize: bool = False,
    init: str = "default",
) -> tuple[nn.Module, nn.Module]:
    """Build a generator ``(N, latent_dim) → (N, *sample_shape)`` and a critic of its samples.

    The critic maps ``(N, *sample_shape) → (N,)``, or packs of samples to a score for each pack.

    Parameters
    ----------
    name
        A key of ``MODELS``, the name of a plug-in, or ``package.module:factory``. The last two are
        called as :func:`sngan.models.own.own_factory` says.
    sample_shape
        ``(dim,)`` of points or ``(channels, height, width)`` of images.
    latent_dim
        Dimension of the noise.
    width
        A factor for all channel counts; each is rounded, and at least 8.
    num_classes
        The number of classes. With 0 the networks take no labels; else both take labels as second
        argument. Generators of images use them in conditional batch norm, ``convnext`` appends a
        vector to the noise, and critics use them by projection (Miyato, Koyama 2018,
        arXiv:1802.05637).
    attention
        Both networks have self-attention after the block that makes maps of this side, which is the
        shorter one of rectangles; 0 means no self-attention. Only ``resnet`` has it.
    pack
        The critic scores this many samples as one, 1 to 4. :func:`packed` joins them along
        dimension 1, so the critic's input has ``pack`` times the channels, or coordinates.
    minibatch_std
        Critics of images get the standard deviation in groups of this size as a further map before
        their last layers (:class:`MinibatchStd`); 0 means none.
    critic_norm
        One of ``CRITIC_NORMS``: a normalization in the critic.
    standardize
        Networks of points compute in coordinates of mean 0 and standard deviation 1, which
        :meth:`Coordinates.fit` takes from the data. Networks of images do not.
    init
        ``"default"``: the initialization of the family's paper; ``"orthogonal"``: all singular
        values of each kernel are 1 (:func:`orthogonalize`).

    Raises
    ------
    ValueError
        If the name is unknown, if the family cannot make samples of this shape, or if a number is
        out of range.

    Examples
    --------
    >>> import torch
    >>> generator, critic = build("cnn", (3, 16, 16), width=0.125)
    >>> images = generator(torch.randn(2, 128))
    >>> images.shape, critic(images).shape
    (torch.Size([2, 3, 16, 16]), torch.Size([2]))
    """
    MODELS.require(name, "model.name")
    _require_shape(sample_shape)
    require_count(latent_dim, "model.latent_dim")
    require_number(width, "model.width", above=0.0)
    require_count(num_classes, "model.num_classes", minimum=0)
    require_count(attention, "model.attention", minimum=0)
    require_groups(pack, minibatch_std or None)
    require_one_of(init, "model.init", choices=["default", "orthogonal"])
    require_one_of(critic_norm, "method.critic_norm", choices=CRITIC_NORMS)
    generator, critic = MODELS[name](
        sample_shape,
        latent_dim=latent_dim,
        width=width,
        num_classes=num_classes,
        attention=attention,
        pack=pack,
        minibatch_std=minibatch_std,
        # networks of images have no such argument
        **({"standardize": standardize} if name == "mlp" else {}),
    )
    if isinstance(critic, Critic):
        critic.pack = pack
    if init == "orthogonal":
        orthogonalize(generator)
        orthogonalize(critic)
    add_norm(critic, critic_norm)
    return generator, critic


def default_model(sample_shape: tuple[int, ...], *, images: str = "cnn") -> str:
    """Return the name of the family for samples of this shape: mlp for points.

    Parameters
    ----------
    sample_shape
        The shape of a sample.
    images
        The family for images.

    Raises
    ------
    ValueError
        If the shape has neither one nor three sizes.

    Examples
    --------
    >>> default_model((2,)), default_model((3, 32, 32))
    ('mlp', 'cnn')
    """
    _require_shape(sample_shape)
    return "mlp" if len(sample_shape) == 1 else images


def _require_shape(sample_shape: tuple[int, ...]) -> None:
    require(
        len(sample_shape) in (1, 3),
        "sample_shape",
        expected="(dim,) or (channels, height, width)",
        got=sample_shape,
    )
    for length in sample_shape:
        require_count(length, "sample_shape")
