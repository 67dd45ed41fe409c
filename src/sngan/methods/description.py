"""Description of a method in a few words: what keeps its critic from becoming too steep."""

from sngan.methods.method import Method

_NORMS = {
    "matrix": "spectral norm of each layer at {:g}",
    "operator": "norm of each layer as a map at {:g}",
}
_CRITIC_NORMS = {"batch": "batch norm", "layer": "layer norm", "weight": "weight norm"}


def constraint(method: Method) -> str:
    """Return the constraints on the critic, for images.

    Examples
    --------
    >>> from sngan import METHODS
    >>> constraint(METHODS["sn-gp"]), constraint(METHODS["vanilla"])
    ('spectral norm of each layer at 2, penalty wgan-lp', 'none')
    """
    parts: list[str] = []
    if method.spectral_norm:
        parts.append(_NORMS[method.spectral_norm].format(method.coefficient))
    if method.spectral_norm_generator:
        parts.append("the same in the generator")
    if method.critic_norm:
        parts.append(_CRITIC_NORMS[method.critic_norm])
    if method.clip:
        parts.append(f"weights clipped to ±{method.clip:g}")
    if method.penalty:
        parts.append(f"penalty {method.penalty}")
    if method.orthonormal:
        parts.append("nearly orthonormal kernels")
    return ", ".join(parts) or "none"
