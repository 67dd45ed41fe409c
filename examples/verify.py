"""Check of a certificate with NumPy alone: ``python verify.py certificate.json weights.npz``.

It checks chains with one linear layer between two activations, as docs/certificates.md explains.
The weights say nothing about the activations, so it prints the chain for which the bound holds.
``numpy.savez("weights.npz", **{k: v.numpy() for k, v in net.state_dict().items()})`` saves them.
"""

import hashlib
import json
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

STEEPEST = {"ReLU": 1, "Tanh": 1, "Sigmoid": 0.25, "Softplus": 1, "ELU": 1}
PLAIN, EPS = ("input", "output", "Flatten", "Identity", "Dropout"), 2.0**-52


def require(holds, message):
    if not holds:
        sys.exit(f"not verified: {message}")


def is_definite(matrix, sizes, terms):
    """Whether a matrix is; the absolute values of the ``terms`` summands add up to ``sizes``."""
    diagonal, count = np.diagonal(matrix), len(matrix)
    require(np.isfinite(matrix).all() and (diagonal > 0).all(), "a form is not definite")
    scale = np.exp2(-np.round(np.log2(diagonal) / 2))
    matrix, sizes = (scale[:, None] * m * scale for m in (matrix, sizes))
    margin = EPS * (terms / 2 + 8) * sizes.sum(axis=1).max()  # for the rounding of the elements
    margin += EPS * (count + 2) * np.trace(matrix)  # for the rounding of Cholesky's algorithm
    try:
        return bool(np.isfinite(np.linalg.cholesky(matrix - margin * np.eye(count))).all())
    except np.linalg.LinAlgError:
        return False


def proves(matrices, slopes, multipliers, slack, bound):
    """Whether ``bound²|x|² − |Wa_n|² + Σ λ·a_k(a_k − slope·Wa_{k−1})`` is definite, a_0 = x."""
    parts = [slice(*ends) for ends in pairwise(np.cumsum([0, *(W.shape[1] for W in matrices)]))]
    form = np.diag(np.where(np.arange(parts[-1].stop) < parts[0].stop, bound**2, 0.0))
    for place, (slope, weights) in enumerate(zip(slopes, multipliers, strict=True), 1):
        before, after, W = parts[place - 1], parts[place], matrices[place - 1]
        require(len(weights) == len(W) and min(weights) > 0, "the multipliers do not fit")
        weights = (1 + slack / 4) ** (len(parts) - place) * np.array(weights)
        form[after, after] = np.diag(weights)
        form[before, after] = -slope / 2 * W.T * weights
        form[after, before] = form[before, after].T
    last, sizes, W = parts[-1], abs(form), matrices[-1]
    form[last, last] -= W.T @ W
    sizes[last, last] += abs(W).T @ abs(W)
    return is_definite(form, sizes, len(W))


def main(certificate, weights):
    document = json.loads(Path(certificate).read_text(encoding="utf-8"))
    arrays = {key: array.astype("<f8") for key, array in np.load(weights).items()}
    digest, claim, proof = document.pop("digest"), document["claim"], document["slopes"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    require(hashlib.sha256(text).hexdigest() == digest, "a value was changed")
    parts = (f"{k} {arrays[k].shape} ".encode() + arrays[k].tobytes() for k in sorted(arrays))
    found = hashlib.sha256(b"".join(parts)).hexdigest()
    require(found == document["network"]["weights"], "the weights belong to another certificate")
    require((claim["norm"], claim["domain"]) == ("2", "all inputs"), "this script knows no domains")
    matrices, slopes, product, chain, used = [], [], Fraction(1), [], []
    for operation in document["operations"]:
        name, kind, sigma = (operation[key] for key in ("name", "kind", "sigma"))
        require(sigma >= 0, f"{name} has a negative constant")
        if kind == "Linear" and operation["method"] == "exact" and len(matrices) == len(slopes):
            W = arrays[f"{name}.weight"]
            tall = W if len(W) >= W.shape[1] else W.T
            require(proves([tall], [], [], 0, sigma), f"the norm of {name} is larger")
            matrices.append(W)
            used += [key for key in (f"{name}.weight", f"{name}.bias") if key in arrays]
        elif kind in STEEPEST and len(matrices) == len(slopes) + 1:
            require(sigma == STEEPEST[kind], f"{name} has another slope")
            slopes.append(sigma)
        else:
            require(kind in PLAIN and sigma == 1, f"{kind} is not in a chain")
        product *= Fraction(sigma)
        chain += [] if kind in PLAIN else [f"{name} ({kind} of constant {sigma:.6g})"]
    require(used == list(arrays), "the operations use other layers, or in another order")
    require(claim["upper"] >= 0, "the bound is negative")
    if proof is None:
        require(Fraction(claim["upper"]) >= product, "the product of the norms is larger")
    else:
        matrices += [np.eye(len(matrices[-1]))] * (len(matrices) == len(slopes))
        require(len(proof["multipliers"]) == len(slopes), "multipliers are missing")
        numbers = proof["multipliers"], proof["slack"], claim["upper"]
        require(proves(matrices, slopes, *numbers), "the multipliers prove a larger bound")
    print(f"verified: the Lipschitz constant is at most {claim['upper']!r},")
    print(f"if the network is the chain {', '.join(chain)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
