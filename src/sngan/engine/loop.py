"""Training loop: one step after another, and the outputs that are due after it."""

from sngan.distributed import collectives
from sngan.engine.errors import Interrupted
from sngan.engine.outputs import open_outputs
from sngan.engine.setup import Plan
from sngan.engine.state import TrainState
from sngan.engine.steps import train_step
from sngan.runs.managed import ManagedRunFolder
from sngan.utils.signals import stop_on_interrupt


def run_loop(plan: Plan, state: TrainState, folder: ManagedRunFolder) -> None:
    """Train until the last step, or until a signal arrives.

    Parameters
    ----------
    plan
        The settings, the data and the evaluation of the run.
    state
        The state that is trained.
    folder
        The run folder, for outputs.

    Raises
    ------
    Interrupted
        If SIGINT, SIGTERM or SIGHUP arrived. A checkpoint is saved first.
    TrainingError
        If a loss or gradient was not finite.
    """
    config = plan.config

    def is_due(every: int) -> bool:
        return state.step % every == 0 or state.step == config.steps

    with open_outputs(plan, state, folder) as outputs, stop_on_interrupt() as is_stopped:
        outputs.start()
        # all ranks stop together, or the others would wait for the one that stopped
        while state.step < config.steps and not collectives.all_reduce_any(is_stopped()):
            outputs.follow(train_step(config, state))
            if is_due(config.log_every):
                outputs.log()
            if is_due(config.sample_every):
                outputs.save_samples()
            if outputs.is_evaluation_due():
                outputs.evaluate()
            if is_due(config.save_every):
                outputs.save()
        if state.step < config.steps:
            outputs.save()
            raise Interrupted(
                f"interrupted at step {state.step}; checkpoint: {folder.last_checkpoint}"
            )
