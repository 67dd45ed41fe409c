"""Runtime of the training steps: device, precision, backward pass and CUDA graph."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from sngan.config import Config, has_own_code
from sngan.engine.precision import autocast_for
from sngan.engine.replay.cuda_graph import StepGraph
from sngan.engine.replay.step_replay import StepReplay, step_replay

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The device, precision and CUDA graph of the steps. A checkpoint saves none of it.

    Attributes
    ----------
    device
        The device of the networks and batches.
    backward
        Computes the gradients of a loss, and averages them over the ranks.
    autocast
        Makes the context of a forward pass: bfloat16 or float32.
    no_sync
        Makes a context in which DDP does not synchronize a network's gradients.
    graph
        Calls the updates of a step: on a CUDA device as one captured graph, for points on a CPU as
        a repetition of recorded operations.
    """

    device: torch.device
    backward: Callable[[Tensor], None]
    autocast: Callable[[], AbstractContextManager[Any]]
    no_sync: Callable[[Any], AbstractContextManager[None]]
    graph: StepGraph | StepReplay

    @classmethod
    def build(cls, config: Config, fabric: "Fabric", *, is_images: bool) -> "Runtime":
        """Build the runtime of a launched Fabric.

        Parameters
        ----------
        config
            The settings of precision, CUDA graphs and replays. By default a step with code of
            others is neither captured nor recorded: a repetition would not run their Python again.
        fabric
            The launched Fabric, which knows the device.
        is_images
            Whether the samples are images, for which bfloat16 is precise enough.
        """
        performance = config.performance
        if has_own_code(config):
            graphs, replay = (
                _off_if_auto(one) for one in (performance.cuda_graphs, performance.replay)
            )
            performance = replace(performance, cuda_graphs=graphs, replay=replay)
        graph = StepGraph(fabric.device, wanted=performance.cuda_graphs)
        return cls(
            device=fabric.device,
            backward=fabric.backward,
            autocast=autocast_for(performance.precision, fabric.device, is_images=is_images),
            no_sync=fabric.no_backward_sync,
            graph=graph
            if graph.is_wanted
            else step_replay(performance, fabric.device, is_images=is_images),
        )


def _off_if_auto(wanted: Literal["auto", "on", "off"]) -> Literal["auto", "on", "off"]:
    return "off" if wanted == "auto" else wanted
