"""Recipe settings: settings of networks and average that a recipe decides if they are left out."""

import logging
from dataclasses import replace
from typing import Any

from sngan import models
from sngan.config import Config
from sngan.methods import Schedule
from sngan.utils.checks import require

_log = logging.getLogger("sngan")


def with_recipe_settings(config: Config) -> Config:
    """Return settings with the self-attention, initialization and average of the method's recipe.

    Parameters
    ----------
    config
        Settings whose family of networks and sample shape are known.

    Raises
    ------
    ValueError
        If the recipe has self-attention, and the family has none.
    """
    model = replace(
        config.model,
        attention=_attention(config),
        init=_init(config),
    )
    return _with_average(replace(config, model=model))


def _init(config: Config) -> Any:
    """Return the initialization; networks of others keep theirs, unless one is given."""
    model = config.model
    if model.init != "auto":
        return model.init
    return "default" if model.is_own else config.method.image_init


def _with_average(config: Config) -> Config:
    """Return settings with the recipe's average of the generator, if it is left out."""
    if config.ema_decay is not None or config.ema_halflife is not None:
        return config
    share = config.method.usual_ema_share
    if share is None:
        return replace(config, ema_decay=config.method.usual_ema_decay)
    images = config.steps * config.batch_size
    return replace(config, ema_halflife=Schedule(0.0, share * images, "cosine"))


def _attention(config: Config) -> Any:
    """Return the side of the maps with self-attention; if it is left out, that of the recipe."""
    model, name = config.model, config.method.name
    if model.attention != "auto":
        return model.attention
    if not config.method.image_attention or model.is_own:
        return None
    shape = model.sample_shape or ()
    require(
        model.name == "resnet",
        "method",
        expected=f"images and model resnet for {name}, which has self-attention (attention 0: "
        "without it)",
        got=f"model {model.name} for samples {shape}",
    )
    side = models.attention_side(shape)
    if not side:
        _log.warning("model.attention: none, the maps of %s images are too small", shape)
    return side or None
