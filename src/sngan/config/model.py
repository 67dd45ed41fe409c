"""Settings of the two networks."""

from dataclasses import dataclass
from typing import Literal, get_args

from sngan.models import MODELS
from sngan.models.packing import require_groups
from sngan.utils.checks import require, require_count, require_index, require_number, require_one_of
from sngan.utils.families import by_family
from sngan.utils.fields import filled_in, none_for_off, option

_Init = Literal["auto", "default", "orthogonal"]


@dataclass(frozen=True)
class ModelConfig:
    """The two networks: their family, size, noise and initial weights.

    Raises
    ------
    ValueError
        If a value is out of range, or the family of networks is unknown.

    Examples
    --------
    >>> from sngan.config import ModelConfig
    >>> settings = ModelConfig("resnet", conditional=True, class_names=("cat", "dog"))
    >>> settings.num_classes, settings.group_size, settings.is_own
    (2, None, False)
    """

    name: str = option(
        "auto",
        "mlp (points); cnn, resnet or convnext (images); auto: mlp, or for images the family of "
        "the method: convnext with r3gan, resnet with sagan and biggan, cnn with the others; "
        "package.module:factory: networks of your own",
    )
    width: float = option(by_family(1.0, points=0.5), "factor on all channel counts")
    latent_dim: int = option(by_family(128, points=2), "dimension of the generator's noise")
    conditional: bool = option(False, "generate and score by class; the data needs labels")
    attention: int | Literal["auto", "none"] | None = option(
        "auto",
        "self-attention on feature maps with this (shorter) side, resnet only; 0: none; auto: with "
        "sagan and biggan at a quarter of the image's side, none with other methods",
    )
    init: _Init = option(
        "auto",
        "initial weights; default: those of the family's paper; orthogonal: all singular values "
        "are 1 (Saxe et al. 2014); auto: orthogonal with biggan, default with other methods",
    )
    pack: int = option(
        1,
        "samples that the critic scores as one, joined along the channels (PacGAN, 2 to 4): so it "
        "notices generated samples that are too similar; 1: each sample by itself",
    )
    minibatch_std: int | Literal["none"] | None = option(
        None,
        "image critics get the standard deviation in groups of this many samples as a further map "
        "(StyleGAN2: 4), against mode collapse; a penalty acts on a group's summed scores; 0: none",
    )
    sample_shape: tuple[int, ...] | None = filled_in(None)
    # points are converted to mean 0 and standard deviation 1; runs of earlier versions did not
    standardize: bool = filled_in(False)
    class_names: tuple[str, ...] = filled_in(())
    # classes without a sample in the data
    empty_classes: tuple[int, ...] = filled_in(())
    # the networks that were given to sngan.train as objects: generator, critic, or both
    own: tuple[str, ...] = filled_in(())

    def __post_init__(self) -> None:
        MODELS.require(self.name, "model", also=["auto"])
        require_number(self.width, "model.width", above=0.0)
        require_count(self.latent_dim, "model.latent_dim")
        if self.sample_shape is not None:
            object.__setattr__(self, "sample_shape", tuple(self.sample_shape))
        none_for_off(self, "attention")
        if self.attention != "auto" and self.attention is not None:
            require_count(self.attention, "model.attention", minimum=0)  # pyright: ignore[reportArgumentType]
        require_one_of(self.init, "model.init", choices=get_args(_Init))
        none_for_off(self, "minibatch_std")
        require_groups(self.pack, self.group_size, conditional=self.conditional)
        # YAML has lists for tuples, and numbers for names that look like numbers
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        object.__setattr__(self, "empty_classes", tuple(self.empty_classes))
        object.__setattr__(self, "own", tuple(self.own))
        for index in self.empty_classes:
            require_index(index, "model.empty_classes", count=self.num_classes)
        some = not self.class_names or bool(self.learned_classes)
        require(some, "model.empty_classes", expected="some class with samples", got="none")

    @property
    def group_size(self) -> int | None:
        """The group size of the minibatch standard deviation; None if it is off."""
        return None if self.minibatch_std == "none" else self.minibatch_std

    @property
    def is_own(self) -> bool:
        """Whether other code than sngan's makes a network."""
        return bool(self.own) or self.name not in (*MODELS, "auto")

    @property
    def num_classes(self) -> int:
        """The number of classes of a conditional model, 0 for other models."""
        return len(self.class_names)

    @property
    def learned_classes(self) -> tuple[int, ...]:
        """The classes with samples in the data; all classes in runs that recorded no empty ones."""
        empty = set(self.empty_classes)
        return tuple(index for index in range(self.num_classes) if index not in empty)
