"""Recipes of papers as data: each method's loss, constraint and optimizer, under its name."""

from dataclasses import replace
from typing import Any

from sngan.methods.method import Method
from sngan.methods.schedule import Schedule
from sngan.utils.checks import require_one_of
from sngan.utils.families import by_family
from sngan.utils.registry import Registry

# Where the values for points come from: comparisons on ring8 and on a mixture that no table uses
# (scattered() of benchmarks/results/points_search.py).
# - sn: ten settings in full runs of 18,000 steps, one or two seeds on each of the two mixtures:
#   lr of 1e-3 and 2e-3, a critic 2 and 4 times as fast, coefficient of 2 and 3, betas of (0, .9)
#   and (0, .99), n_critic of 1 and 2, batch of 256 and 512, linear and cosine schedules. A cosine
#   with (0, .99) was best with batch 256: 99.0 % of samples within 3 standard deviations on ring8,
#   96.1 % and 96.7 % on the mixture, where linear with (0, .9) has 97.0 %, 96.6 % and 96.6 %. A
#   rate of 4e-3 ended worse on ring8: 90.6 %.
# - vanilla: betas of (0, .9) and (.5, .999) over 800 steps; lr was not searched.
# - wgan, wgan-gp: one run of 800 steps showed that they learn; nothing was searched.
# - all others were not searched. They have the rate of the method that they resemble: sn for
#   sn-operator, orthonormal and sn-gp; wgan-gp for wgan-lp; vanilla for the rest. Weights of
#   penalties were chosen by hand.
_RECIPES: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="vanilla",
            paper="Goodfellow et al. 2014, arXiv:1406.2661; settings of Radford et al. 2015, "
            "arXiv:1511.06434",
            loss="non_saturating",
            betas=by_family((0.5, 0.999), points=(0.0, 0.9)),
            lr=by_family(2e-4, points=1e-3),
            n_critic=1,
        ),
        Method(
            name="lsgan",
            paper="Mao et al. 2017, arXiv:1611.04076",
            loss="least_squares",
            betas=by_family((0.5, 0.999), points=(0.0, 0.9)),
            lr=by_family(2e-4, points=1e-3),
            n_critic=1,
        ),
        Method(
            name="wgan",
            paper="Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875",
            loss="wasserstein",
            clip=by_family(0.01, points=0.1),
            optimizer="rmsprop",
            lr=by_family(5e-5, points=1e-3),
        ),
        Method(
            name="wgan-gp",
            paper="Gulrajani et al. 2017, arXiv:1704.00028",
            loss="wasserstein",
            penalty="wgan-gp",
            penalty_weight=by_family(10.0, points=1.0),
            lr=by_family(1e-4, points=2e-3),
        ),
        Method(
            name="sn",
            paper="Miyato et al. 2018, arXiv:1802.05957",
            spectral_norm="matrix",
            coefficient=by_family(1.0, points=2.0),
            betas=by_family((0.0, 0.9), points=(0.0, 0.99)),
        ),
        Method(
            name="sn-operator",
            paper="Miyato et al. 2018, arXiv:1802.05957, with the norm of each layer as a map",
            spectral_norm="operator",
            coefficient=by_family(1.0, points=2.0),
            betas=by_family((0.0, 0.9), points=(0.0, 0.99)),
        ),
        Method(
            name="bn",
            paper="batch norm, Ioffe, Szegedy 2015, arXiv:1502.03167; as in Radford et al. 2015, "
            "arXiv:1511.06434",
            loss="non_saturating",
            critic_norm="batch",
            betas=by_family((0.5, 0.999), points=(0.0, 0.9)),
            lr=by_family(2e-4, points=1e-3),
            n_critic=1,
        ),
        Method(
            name="ln",
            paper="layer norm, Ba et al. 2016, arXiv:1607.06450; as in Miyato et al. 2018, "
            "arXiv:1802.05957",
            loss="non_saturating",
            critic_norm="layer",
            betas=by_family((0.5, 0.999), points=(0.0, 0.9)),
            lr=by_family(2e-4, points=1e-3),
            n_critic=1,
        ),
        Method(
            name="wn",
            paper="weight normalization, Salimans, Kingma 2016, arXiv:1602.07868; as in Miyato et "
            "al. 2018, arXiv:1802.05957",
            loss="non_saturating",
            critic_norm="weight",
            betas=by_family((0.5, 0.999), points=(0.0, 0.9)),
            lr=by_family(2e-4, points=1e-3),
            n_critic=1,
        ),
        Method(
            name="orthonormal",
            paper="Brock et al. 2016, arXiv:1609.07093; as in Miyato et al. 2018, "
            "arXiv:1802.05957, with the hinge loss and settings of sn",
            orthonormal=by_family(1.0, points=0.1),
        ),
        Method(
            name="gan-gp",
            paper="the penalty of Gulrajani et al. 2017, arXiv:1704.00028, with the loss of "
            "Goodfellow et al. 2014; as in Miyato et al. 2018, arXiv:1802.05957",
            loss="non_saturating",
            penalty="wgan-gp",
            penalty_weight=by_family(10.0, points=1.0),
            betas=by_family((0.5, 0.999), points=(0.0, 0.9)),
            lr=by_family(2e-4, points=1e-3),
            n_critic=1,
        ),
        Method(
            name="sn-gp",
            # with layers of norm 1, a slope of exactly 1 everywhere would allow only linear critics
            paper="Miyato et al. 2018, arXiv:1802.05957, with room for steeper layers, and the "
            "one-sided penalty of Petzka et al. 2018, arXiv:1709.08894",
            loss="wasserstein",
            spectral_norm="matrix",
            coefficient=2.0,
            penalty="wgan-lp",
            penalty_weight=by_family(10.0, points=1.0),
        ),
        Method(
            name="wgan-lp",
            paper="Petzka, Fischer, Lukovnikov 2018, arXiv:1709.08894",
            loss="wasserstein",
            penalty="wgan-lp",
            penalty_weight=by_family(10.0, points=1.0),
            lr=by_family(1e-4, points=2e-3),
        ),
        Method(
            name="dragan",
            paper="Kodali et al. 2017, arXiv:1705.07215",
            loss="non_saturating",
            penalty="dragan",
            penalty_weight=by_family(10.0, points=1.0),
            betas=by_family((0.5, 0.999), points=(0.0, 0.9)),
            lr=by_family(2e-4, points=1e-3),
            n_critic=1,
        ),
        Method(
            name="r1",
            paper="Mescheder, Geiger, Nowozin 2018, arXiv:1801.04406",
            loss="non_saturating",
            penalty="r1",
            penalty_weight=by_family(10.0, points=0.3),
            lr=by_family(1e-4, points=1e-3),
            betas=(0.0, 0.99),
            n_critic=1,
        ),
        Method(
            name="sagan",
            paper="Zhang et al. 2019, arXiv:1805.08318, section 4",
            image_model="resnet",
            image_attention=True,
            spectral_norm="matrix",
            spectral_norm_generator="matrix",
            lr=1e-4,
            lr_critic=4e-4,
            n_critic=1,
        ),
        Method(
            name="biggan",
            # the rates of 1e-4 and 4e-4 are those of the authors' PyTorch code; the paper has 5e-5
            # and 2e-4 at 128²; the user decides about batches of 2048
            paper="Brock et al. 2019, arXiv:1809.11096, section 3 and appendix C; rates of the "
            "authors' code (github.com/ajbrock/BigGAN-PyTorch)",
            image_model="resnet",
            image_attention=True,
            image_init="orthogonal",
            usual_ema_decay=0.9999,
            spectral_norm="matrix",
            spectral_norm_generator="matrix",
            lr=1e-4,
            lr_critic=4e-4,
            betas=(0.0, 0.999),
            n_critic=2,
        ),
        Method(
            name="r3gan",
            paper="Huang et al. 2024, arXiv:2501.05441",
            # the schedules for CIFAR-10, which here last the whole run; for FFHQ the penalty goes
            # from 2 to 0.2 at 64² and from 150 to 15 at 256²; the paper's fifth schedule is
            # --augment p=0->0.55
            image_model="convnext",
            # as for FFHQ, 500,000 of the 20 million images over which the schedules go; table 4 of
            # the paper has 5 million for CIFAR-10
            usual_ema_share=0.025,
            loss="relativistic",
            penalty="r1+r2",
            penalty_weight=by_family(Schedule(0.05, 0.005, "cosine"), points=0.3),
            lr=by_family(Schedule(2e-4, 5e-5, "cosine"), points=1e-3),
            betas=by_family((0.0, Schedule(0.9, 0.99, "cosine")), points=(0.0, 0.99)),
            n_critic=1,
        ),
    )
}


def _as_method(part: Any, name: str) -> Method:
    """Make a recipe of another author's ``Method``, or of a function that returns one."""
    method = part() if callable(part) else part
    if not isinstance(method, Method):
        raise ValueError(f"method: expected a sngan.Method, got {name}, {method!r}")
    return replace(method, name=name)


METHODS: Registry[Method] = Registry("methods", _RECIPES, argument="method", convert=_as_method)
"""The recipes of papers by their names.

Examples
--------
>>> METHODS["wgan-gp"].penalty, METHODS["wgan-gp"].penalty_weight
('wgan-gp', 10.0)
"""


def named(name: str, **overrides: Any) -> Method:
    """Return the recipe ``name`` with other values for the fields in ``overrides``.

    None keeps the value of the recipe; ``"none"`` or 0 switches a part of the method off.

    Raises
    ------
    ValueError
        If a name is unknown (the near ones are listed), or a value is out of range.

    Examples
    --------
    >>> named("wgan-gp").penalty, named("wgan-gp", penalty="none", clip=0.01).penalty
    ('wgan-gp', None)
    """
    METHODS.require(name, "method")
    given = {key: value for key, value in overrides.items() if value is not None}
    for key in given:
        require_one_of(f"method.{key}", "config", choices=[f"method.{f}" for f in _FIELDS])
    if name not in METHODS and given.keys() >= _ALWAYS_SET:
        # the settings of a run hold all these, so the code of its recipe is not needed
        return Method(name=name, **given)
    return replace(METHODS[name], **given)


_FIELDS = Method.__dataclass_fields__
# only a part of a method that may be off can be left out of a file
_ALWAYS_SET = {key for key, one in _FIELDS.items() if one.default is not None} - {"name"}
