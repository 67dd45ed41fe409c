"""Dispatch modes: objects that see every kernel that torch runs, below its Python functions."""

# torch has no public name for the switch that keeps torch._dynamo out of a mode
# pyright: reportIncompatibleMethodOverride=false

from torch.utils._python_dispatch import TorchDispatchMode


class KernelMode(TorchDispatchMode):
    """A dispatch mode that does not import ``torch._dynamo``."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True would import torch._dynamo at the first kernel, which takes a second
        return False
