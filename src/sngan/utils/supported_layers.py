"""Supported layers: which parameters of each kind of layer hold matrices, and how many."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_SINGLE = (nn.Linear, nn.Bilinear, *EMBEDDINGS, *CONVOLUTIONS, *TRANSPOSED)
LAYERS = (*_SINGLE, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
LAYER_NAMES = (
    "Linear, Bilinear, Embedding, EmbeddingBag, Conv1d/2d/3d, ConvTranspose1d/2d/3d, "
    "MultiheadAttention, LSTM, GRU or RNN"
)
# in the order in which torch stores them
_GATES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.LSTM: ("input", "forget", "cell", "output"),
    nn.LSTMCell: ("input", "forget", "cell", "output"),
    nn.GRU: ("reset", "update", "new"),
    nn.GRUCell: ("reset", "update", "new"),
}


@dataclass(frozen=True)
class MatrixParameter:
    """A parameter that holds one matrix, or several matrices of equal height, stacked by rows.

    ``labels`` are the names of the matrices inside the layer, one for each matrix. ``row_dim`` is
    the dimension of the output channels.
    """

    parameter: str
    labels: tuple[str, ...] = ("",)
    row_dim: int = 0


def matrix_parameters(layer: nn.Module) -> list[MatrixParameter]:
    """The parameters of a layer that hold matrices; the layer must be one of the ``LAYERS``.

    Matrices that are multiplied with one another have norms of their own: attention multiplies the
    queries, keys and values of each head, and recurrent layers multiply their gates. torch stores
    these in one parameter. One norm for all of them would let one grow while the others vanish.
    """
    if isinstance(layer, nn.MultiheadAttention):
        return _attention_parameters(layer)
    if isinstance(layer, nn.RNNBase):
        return [_gated_parameter(layer, name) for name in _recurrent_weights(layer)]
    if isinstance(layer, nn.RNNCellBase):
        return [_gated_parameter(layer, name) for name in ("weight_ih", "weight_hh")]
    return [MatrixParameter("weight", row_dim=1 if isinstance(layer, TRANSPOSED) else 0)]


def _attention_parameters(layer: nn.MultiheadAttention) -> list[MatrixParameter]:
    """Queries, keys and values of each head; ``out_proj`` is a separate layer."""
    labels = {
        role: tuple(f"{role}.{head}" for head in range(layer.num_heads))
        for role in ("query", "key", "value")
    }
    if layer.kdim == layer.vdim == layer.embed_dim:
        return [
            MatrixParameter("in_proj_weight", (*labels["query"], *labels["key"], *labels["value"]))
        ]
    return [MatrixParameter(f"{role[0]}_proj_weight", heads) for role, heads in labels.items()]


def _gated_parameter(layer: nn.Module, parameter: str) -> MatrixParameter:
    gates = next((g for kind, g in _GATES.items() if isinstance(layer, kind)), ())
    if not gates or "_hr" in parameter:
        return MatrixParameter(parameter, (parameter,))
    return MatrixParameter(parameter, tuple(f"{parameter}.{gate}" for gate in gates))


def _recurrent_weights(layer: nn.RNNBase) -> Iterator[str]:
    kinds = ("ih", "hh", "hr") if layer.proj_size else ("ih", "hh")
    for depth in range(layer.num_layers):
        for direction in ("", "_reverse") if layer.bidirectional else ("",):
            yield from (f"weight_{kind}_l{depth}{direction}" for kind in kinds)
