"""Training loop: one step after another, and the outputs that are due after it."""

from sngan.distributed import collectives
from sngan.engine.cadence import Cadence
from sngan.engine.errors import Interrupted
from sngan.engine.live_page import WritePage
from sngan.engine.outputs import open_outputs
from sngan.engine.setup import Plan
from sngan.engine.speed import FirstSteps
from sngan.engine.state import TrainState
from sngan.engine.steps import train_step
from sngan.runs.managed import ManagedRunFolder
from sngan.utils.signals import stop_on_interrupt


def run_loop(
    plan: Plan, state: TrainState, folder: ManagedRunFolder, write_page: WritePage | None = None
) -> None:
    """Train until the last step, or until a signal arrives.

    Parameters
    ----------
    plan
        The settings, the data and the evaluation of the run.
    state
        The state that is trained.
    folder
        The run folder, for outputs.
    write_page
        The function that writes the page of the run while it goes on.

    Raises
    ------
    Interrupted
        If SIGINT, SIGTERM or SIGHUP arrived. A checkpoint is saved first.
    TrainingError
        If a loss or gradient was not finite, or a callback failed.
    """
    config, cadence = plan.config, Cadence(plan.config)

    with (
        open_outputs(plan, state, folder, write_page) as outputs,
        stop_on_interrupt() as is_stopped,
    ):
        hooks = outputs.hooks
        hooks.start()
        outputs.start()
        first_steps = FirstSteps(plan, state)
        # all ranks stop together, or the others would wait for the one that stopped
        while state.step < config.steps and not cadence.agree(is_stopped() or hooks.is_stopping):
            terms = train_step(config, state)
            outputs.follow(terms)
            outputs.say(first_steps.line)
            if cadence.log.is_due(state.step):
                outputs.log()
            if cadence.picture.is_due(state.step):
                outputs.save_samples()
            if outputs.is_evaluation_due():
                outputs.evaluate()
            if cadence.save.is_due(state.step):
                outputs.save()
            hooks.step(terms)
        if state.step < config.steps:
            outputs.save()
        is_interrupted = state.step < config.steps and collectives.all_reduce_any(is_stopped())
        hooks.finish(folder)
        if is_interrupted:
            raise Interrupted(
                f"interrupted at step {state.step}; checkpoint: {folder.last_checkpoint}"
            )
