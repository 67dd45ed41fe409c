"""What a run proves of itself: its critic's norms at the end, and on points the W1 it estimates."""

import logging

import torch

from sngan.run import noise_from_seed
from sngan.state import State

_POINTS = 256
_log = logging.getLogger("sngan")


@torch.no_grad()
def transport_record(state: State, *, seed: int) -> dict[str, float]:
    """Exact W1 between fixed real points and the generator's, and the critic's certified bound.

    ``w1`` is W1 of 256 real points and as many generated from fixed noise; ``w1_bound``
    = (mean f(real) − mean f(generated))/L is below it whatever the critic f (Kantorovich,
    Rubinstein); ``lipschitz`` is the proved L. Nothing for images.
    """
    if state.dataset.is_images:
        return {}
    # a second of import time that only runs on points should pay
    from sngan.lipschitz import lipschitz_bounds
    from sngan.transport import critic_bound, wasserstein

    real = state.dataset.samples[:_POINTS].to(state.device)
    noise = noise_from_seed(len(real), state.latent_dim, seed=seed).to(state.device)
    fake = state.generator.module(noise)
    critic = state.critic.module
    # cheap enough for every logged step: no search for a steep point, the plain product
    bounds = lipschitz_bounds(
        critic, state.dataset.sample_shape, slopes="product", samples=1, rounds=0
    )
    record = {"w1": wasserstein(real, fake).distance, "lipschitz": bounds.upper}
    if 0 < bounds.upper < float("inf"):
        record["w1_bound"] = critic_bound(critic, real, fake, bounds.upper)
    return record


def certify(state: State) -> None:
    """Turn operator norms that were followed from below into certificates, named in the log."""
    norm = state.spectral_norm
    if norm is None or norm.kind != "operator":
        return
    for layer, bound in norm.certify().items():
        _log.info("certified: %s has an operator norm of at most %.9f", layer, bound)
