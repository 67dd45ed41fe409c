"""Row sharding: the rows that each rank holds of a weight that FSDP shards along dimension 0."""

from typing import TYPE_CHECKING

from torch import Tensor

from sngan.distributed import dtensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def as_sharded(weight: Tensor) -> "DTensor":
    """Return the weight itself as a DTensor; it must be sharded."""
    assert dtensor.is_sharded(weight)
    return weight


def row_mesh_dim(weight: "DTensor") -> int | None:
    """The mesh dimension that shards dimension 0 of a weight; ``None`` if it is sharded otherwise.

    Otherwise means: along another dimension, or along several dimensions of the mesh.
    """
    from torch.distributed.tensor import Shard

    sharded = {dim: p for dim, p in enumerate(weight.placements) if not p.is_replicate()}
    is_by_rows = [type(p) is Shard and p.dim == 0 for p in sharded.values()]
    return next(iter(sharded)) if is_by_rows == [True] else None


def fewest_rows(weight: "DTensor") -> int | None:
    """The smallest number of rows on any rank; ``None`` if the weight is not sharded by rows."""
    dim = row_mesh_dim(weight)
    if dim is None:
        return None
    ranks = weight.device_mesh.size(dim)
    return max(0, len(weight) - (ranks - 1) * rows_per_rank(len(weight), ranks))


def rows_are_known(weight: "DTensor") -> bool:
    """Whether at most one dimension of the mesh shards dimension 0 of a weight."""
    others = [p for p in weight.placements if not p.is_replicate() and not p.is_shard(1)]
    return not others or row_mesh_dim(weight) is not None


def first_row(weight: "DTensor") -> int:
    """The first row of dimension 0 that this rank holds."""
    dim = row_mesh_dim(weight)
    if dim is None:
        return 0
    mesh = weight.device_mesh
    return mesh.get_local_rank(dim) * rows_per_rank(len(weight), mesh.size(dim))


def rows_per_rank(rows: int, ranks: int) -> int:
    """The rows of each rank, except the last ranks, which hold the rest or nothing."""
    return -(-rows // ranks)
