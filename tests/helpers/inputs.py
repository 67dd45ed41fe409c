"""Arrays and lists in all supported forms, and in forms that are refused."""

import warnings

import numpy as np
import scipy.sparse
import torch


def forms(values: np.ndarray) -> dict[str, object]:
    """The same numbers in every supported form."""
    locked = values.copy()
    locked.flags.writeable = False
    return {
        "array": values,
        "list": values.tolist(),
        "tuple": tuple(map(tuple, values.tolist())) if values.ndim == 2 else tuple(values.tolist()),
        "list of arrays": list(values),
        "Fortran order": np.asfortranarray(values),
        "negative strides": values[::-1].copy()[::-1],
        "read-only": locked,
        "big-endian": values.astype(">f8"),
        "nothing masked": np.ma.array(values, mask=False),
        "tensor": torch.from_numpy(values.copy()),
        "with a graph": torch.from_numpy(values.copy()).requires_grad_(),
        "transposed tensor": torch.from_numpy(values.T.copy()).permute(*range(values.ndim)[::-1]),
    }


def refused(values: np.ndarray) -> dict[str, object]:
    """Forms that do not hold numbers for certain."""
    tensor = torch.from_numpy(values.copy())
    mask = np.zeros(values.shape, dtype=bool)
    mask[0] = True
    masked = np.ma.array(values, mask=mask)
    with warnings.catch_warnings():
        # torch warns that masked and compressed tensors are prototypes
        warnings.simplefilter("ignore", UserWarning)
        compressed = torch.zeros(3, 2).to_sparse_csr()
        masked_tensor = torch.masked.masked_tensor(tensor, torch.from_numpy(~mask))
    return {
        "masked": masked,
        "list of masked rows": [masked[i] for i in range(len(masked))],
        "masked tensor": masked_tensor,
        "sparse": tensor.to_sparse(),
        "sparse csr": compressed,
        "scipy sparse": scipy.sparse.csr_array(values),
        "meta": tensor.to("meta"),
        "complex": values + 0j,
        "complex tensor": tensor + 0j,
        "integers": values.astype(int),
        "integer tensor": tensor.long(),
        "booleans": values > 0,
        "words": [["a", "b"]],
        "ragged": [[1.0], [1.0, 2.0]],
        "objects": np.array([[None, 1.0]]),
        "nothing": None,
        "a number": 3.0,
    }
