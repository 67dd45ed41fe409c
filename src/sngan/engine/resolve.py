"""Resolved settings: those that a run takes from its data, such as image size and class names."""

from dataclasses import replace

from sngan import data, models
from sngan.config import Config, ModelConfig
from sngan.engine.recipe_settings import with_recipe_settings
from sngan.runs.networks import OwnNetworks
from sngan.utils.checks import require


def resolve_config(config: Config, dataset: data.Dataset, own: OwnNetworks | None = None) -> Config:
    """Return the settings with everything that they leave to the data filled in.

    Parameters
    ----------
    config
        The settings.
    dataset
        The data.
    own
        Networks given as objects; the settings note which ones.

    Raises
    ------
    ValueError
        If a conditional model gets data without labels, points are to be augmented or held out, too
        many images are to be held out, or the method needs another family of networks.
    """
    config = config.of_family(is_images=dataset.is_images)
    shape = dataset.sample_shape
    name = config.model.name
    names = class_names(dataset) if config.model.conditional else ()
    model = replace(
        config.model,
        name=models.default_model(shape, images=config.method.image_model)
        if name == "auto"
        else name,
        sample_shape=shape,
        # settings with a shape were resolved before, perhaps by an earlier version of sngan
        standardize=config.model.standardize
        or (not dataset.is_images and config.model.sample_shape is None),
        class_names=names,
        empty_classes=_empty_classes(dataset, len(names)) if names else (),
        own=own.names if own is not None else config.model.own,
    )
    _require_plain_critic(config, model)
    read = replace(config.data, held_out=data.held_out_count(dataset, config.data.held_out))
    if dataset.is_images:
        read = replace(read, resolution=shape[-1], channels=shape[0])
    else:
        expected = f"none for points {shape}"
        require(not read.augment, "data.augment", expected=expected, got=repr(read.augment))
    return with_recipe_settings(replace(config, model=model, data=read))


def _require_plain_critic(config: Config, model: ModelConfig) -> None:
    """Refuse settings that change sngan's own critics, and that no other critic knows."""
    if "critic" not in model.own and model.name in models.MODELS:
        return
    expected = "none with a critic of your own, which has its layers already"
    for key, value in (
        ("method.critic_norm", config.method.critic_norm),
        ("model.minibatch_std", model.group_size),
    ):
        require(value is None, key, expected=expected, got=repr(value))


def class_names(dataset: data.Dataset) -> tuple[str, ...]:
    """Return a name for each class from 0 to the largest label: that of the data, or the number.

    Raises
    ------
    ValueError
        If the data has no labels, or a negative one.
    """
    labels = dataset.labels
    if labels is None:
        raise ValueError(
            f"model.conditional: expected data with labels (class folders, or a label column), "
            f"got none in {dataset.name}"
        )
    smallest, largest = int(labels.min()), int(labels.max())
    require(smallest >= 0, "data", expected="labels of at least 0", got=smallest)
    names = dataset.class_names
    return names if len(names) > largest else tuple(str(label) for label in range(largest + 1))


def _empty_classes(dataset: data.Dataset, num_classes: int) -> tuple[int, ...]:
    counts = dataset.class_counts(num_classes).tolist()
    return tuple(index for index, count in enumerate(counts) if not count)
