"""Check of a certificate with NumPy alone: ``python verify.py certificate.json weights.npz``.

It checks chains with one linear layer between two activations, as docs/certificates.md explains.
``numpy.savez("weights.npz", **{k: v.numpy() for k, v in net.state_dict().items()})`` saves them.
"""

import hashlib
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

SLOPES = {"ReLU": (0, 1), "Tanh": (0, 1), "Sigmoid": (0, 0.25), "Softplus": (0, 1), "ELU": (0, 1)}
PLAIN, EPS = ("input", "output", "Flatten", "Identity", "Dropout"), 2.0**-52


def require(holds, message):
    if not holds:
        sys.exit(f"not verified: {message}")


def is_definite(matrix, sizes, terms):
    """Whether a matrix is; the absolute values of the ``terms`` summands add up to ``sizes``."""
    require(np.isfinite(matrix).all() and (np.diagonal(matrix) > 0).all(), "a form is not definite")
    scale, count = np.exp2(-np.round(np.log2(np.diagonal(matrix)) / 2)), len(matrix)
    scaled = scale[:, None] * (matrix + matrix.T) / 2 * scale
    sizes = scale[:, None] * (sizes + sizes.T) / 2 * scale
    margin = EPS * (terms / 2 + 8) * sizes.sum(axis=1).max()
    margin += EPS * (count + 2) * np.trace(scaled)  # of the elements, of Cholesky
    try:
        return bool(np.isfinite(np.linalg.cholesky(scaled - margin * np.eye(count))).all())
    except np.linalg.LinAlgError:
        return False


def is_norm(matrix, bound):
    bound = bound * (1 - 1e-12)  # for the rounding of the matrix
    left = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    square, sizes = bound**2 * np.eye(len(left)), abs(left) @ abs(left).T
    return is_definite(square - left @ left.T, square + sizes, left.shape[1])


def slopes_prove(matrices, slopes, multipliers, slack, bound):
    """Whether the multipliers prove the bound: a form goes back from the output to the input."""
    form, growth, slack = np.eye(len(matrices[-1])), 1.0, slack / 4
    for W, (low, high), weights in zip(matrices[:0:-1], slopes[::-1], multipliers[::-1]):
        middle, radius, growth = (low + high) / 2, (high - low) / 2, growth * (1 + slack)
        inner, sizes = W.T @ form @ W, abs(W).T @ abs(form) @ abs(W)
        require(len(weights) == len(inner) and min(weights) > 0, "the multipliers do not fit")
        weight = growth * np.diag(weights)
        half = middle * np.linalg.solve(np.linalg.cholesky(weight - inner), inner)
        room = np.diag(slack * (np.diagonal(sizes) + np.diagonal(weight)))
        form = middle**2 * inner + half.T @ half + radius**2 * weight + room
        form, corner = (form + form.T) / 2, -middle * inner
        outer = form - middle**2 * inner - radius**2 * weight
        whole = np.block([[outer, corner], [corner.T, weight - inner]])
        large = np.block([[abs(form) + sizes + weight, sizes], [sizes.T, weight + sizes]])
        require(is_definite(whole, large, sum(W.shape)), "the multipliers prove nothing")
    root = np.linalg.cholesky(form + slack * np.diag(np.diagonal(form)))
    above, sizes = root @ root.T - form, abs(root) @ abs(root).T + abs(form)
    return is_definite(above, sizes, len(form)) and is_norm(root.T @ matrices[0], bound)


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
    matrices, slopes, product = [], [], Fraction(1)
    for operation in document["operations"]:
        kind, known = operation["kind"], SLOPES.get(operation["kind"])
        if kind == "Linear" and operation["method"] == "exact" and len(matrices) == len(slopes):
            matrices.append(arrays[f"{operation['name']}.weight"])
            require(is_norm(matrices[-1], operation["sigma"]), f"sigma of {operation['name']}")
        elif known and len(matrices) == len(slopes) + 1:
            require(operation["sigma"] >= max(known), f"sigma of {operation['name']}")
            slopes.append(known)
        else:
            require(kind in PLAIN and operation["sigma"] == 1, f"{kind} is not in a chain")
        product *= Fraction(operation["sigma"])
    if len(matrices) == len(slopes):
        matrices.append(np.eye(len(matrices[-1])))
    require(proof is None or len(proof["multipliers"]) == len(slopes), "multipliers are missing")
    if proof is None:
        require(Fraction(claim["upper"]) >= product, "the product of the norms is larger")
    else:
        numbers = proof["multipliers"], proof["slack"], claim["upper"]
        require(slopes_prove(matrices, slopes, *numbers), "the multipliers prove a larger bound")
    print(f"verified: the Lipschitz constant is at most {claim['upper']!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
