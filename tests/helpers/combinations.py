"""Random draws of settings that fit together, for tiny networks and a few steps."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from sngan import METHODS, Config
from sngan.config import DataConfig, EvaluationConfig, ModelConfig, PerformanceConfig
from sngan.methods import Method

STEPS = 12
_METHODS = [name for name in METHODS if name not in ("sagan", "biggan")]
_PENALTIES = ("wgan-gp", "wgan-lp", "r1", "r1+r2", "dragan")


def drawn(seed: int, out: Path) -> Config:
    """The settings of draw ``seed``: a family, a method, and other settings on top of it."""
    draw = random.Random(seed)
    family = draw.choice(["points", "points", "cnn", "resnet", "convnext"])
    is_points = family == "points"
    conditional = draw.random() < 0.3
    pack = 1 if conditional else draw.choice([1, 1, 2, 3, 4])
    group = None if is_points else draw.choice([None, None, 2])
    parts = draw.choice([1, 1, 2])
    model = ModelConfig(
        name="mlp" if is_points else family,
        width=0.03,
        latent_dim=draw.choice([2, 5]),
        conditional=conditional,
        init=draw.choice(["auto", "orthogonal"]),
        pack=pack,
        minibatch_std=group,
    )
    return Config(
        data=_data(draw, is_points=is_points),
        model=model,
        method=_method(draw),
        performance=PerformanceConfig(
            device="cpu", accumulate=parts, replay=draw.choice(["auto", "on", "off"])
        ),
        evaluation=EvaluationConfig(
            every=draw.choice([0, 5]), samples=20, extractor="points" if is_points else "pixels"
        ),
        batch_size=pack * (group or 1) * parts * draw.choice([1, 2]) * 2,
        schedule=draw.choice(["constant", "linear", "cosine"]),
        ema_start=draw.choice([0, 4]),
        **_average(draw),
        steps=STEPS,
        log_every=draw.choice([1, 3]),
        sample_every=5,
        save_every=5,
        seed=seed,
        out=str(out),
    )


def _data(draw: random.Random, *, is_points: bool) -> DataConfig:
    if is_points:
        return DataConfig(source=draw.choice(["ring8", "grid25"]))
    return DataConfig(
        source="digits",
        resolution=draw.choice([None, 16]),
        flip=draw.choice([False, True]),
        augment=draw.choice([None, "ada", "p=0.3", "p=0->0.5", "color,translation,cutout"]),
        augment_images=draw.choice([None, 50]),
        held_out=draw.choice([None, 0.05, 30]),
    )


def _method(draw: random.Random) -> Method:
    method = METHODS[draw.choice(_METHODS)]
    changed: dict[str, Any] = {"n_critic": draw.choice([1, 2])}
    if draw.random() < 0.4:
        changed |= {
            "lr": "1e-3->1e-4",
            "lr_critic": draw.choice([None, 2e-3, "cosine 4e-3->0.001"]),
        }
    if draw.random() < 0.4:
        changed |= {"betas": (0.0, "0.9->0.99")}
    if draw.random() < 0.3:
        changed |= {"spectral_norm_generator": draw.choice(["matrix", "operator"])}
    if draw.random() < 0.3 and method.optimizer == "adam":
        changed |= {"optimizer": draw.choice(["adamw", "sgd", "rmsprop"])}
    if draw.random() < 0.4 and method.critic_norm != "batch":
        changed |= {"penalty": draw.choice(_PENALTIES), "penalty_weight": "2->0.2"}
    if draw.random() < 0.2:
        changed |= {"loss": "relativistic"}
    return replace(method, **changed)


def _average(draw: random.Random) -> dict[str, Any]:
    return draw.choice(
        [{}, {"ema_decay": "0.5->0.9"}, {"ema_halflife": 20.0}, {"ema_halflife": "0->40"}]
    )
