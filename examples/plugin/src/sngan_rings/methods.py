"""A method: a loss, a constraint and an optimizer under one name."""

from sngan import Method

rings = Method(
    paper="example of a plug-in",
    loss="smooth-hinge",
    spectral_norm="matrix",
    lr=1e-3,
    n_critic=2,
)
