"""Shuffling by a seed: the order of samples and chunks in an epoch."""

import numpy as np
import torch
from torch import Tensor


def seeded_permutation(count: int, *key: int) -> Tensor:
    """Return the numbers 0 … count − 1 in an order that is determined by the key.

    The key is a seed and the numbers of an epoch and a chunk. Neighbouring keys give unrelated
    orders.
    """
    # SeedSequence mixes all numbers of the key into one seed, far apart for near keys
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(seed) % 2**63)
    return torch.randperm(count, generator=generator)
