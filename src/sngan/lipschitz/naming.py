"""Names of the operations in a recorded graph, as results show them."""

from sngan.lipschitz.rules.modules import unparametrized_class
from sngan.lipschitz.tracing.graph import Graph, Node


def operation_name(graph: Graph, node: Node) -> str:
    """Return the path of a module with the number of the call, or the name of a function's node."""
    if node.op != "call_module":
        return node.name
    path = graph.path(node) or operation_kind(graph, node).lower()
    calls = [n for n in graph.nodes if n.op == "call_module" and n.target == node.target]
    call = calls.index(node) + 1
    return path if call == 1 else f"{path} (call {call})"


def operation_kind(graph: Graph, node: Node) -> str:
    """Return the class of a module, or the name of a function."""
    if node.op == "call_module":
        return unparametrized_class(graph.layer(node)).__name__
    if node.op in ("placeholder", "output"):
        return node.op.replace("placeholder", "input")
    return str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "?")
