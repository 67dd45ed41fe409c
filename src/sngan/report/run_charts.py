"""Charts of a run's report: transport, losses, scores, gradients, spectral norms."""

from typing import Any

from sngan.report.charts import Chart, curves
from sngan.report.history import History, Series

WASSERSTEIN = "wasserstein"
"""The loss with which the difference of the critic's mean scores estimates a distance."""
_LAYERS = 24
KEYS = (
    "critic_loss", "generator_loss", "penalty", "w_estimate", "w1", "w1_bound",
    "generator_gradient_norm", "critic_gradient_norm", "augment_p", "augment_sign",
)  # fmt: skip
"""The series that the charts need."""


def run_charts(history: History, *, loss: object) -> list[Chart]:
    """Return the charts of a run.

    Parameters
    ----------
    history
        The records of the run.
    loss
        The setting ``method.loss``, which decides what the difference of scores means.
    """
    return [
        *([_transport_chart(history)] if "w1" in history.series else []),
        *([_augmentation_chart(history)] if "augment_p" in history.series else []),
        Chart(
            "Losses",
            "In a healthy run neither loss grows without end: the networks keep each other in "
            "check. The height of a GAN's losses says little about the quality of its samples.",
            _curves("losses", history, {"critic": "critic_loss", "generator": "generator_loss"}
                    | ({"penalty": "penalty"} if "penalty" in history.series else {}),
                    ylabel="loss"),
        ),
        _score_chart(history, loss=loss),
        Chart(
            "Gradient norms",
            "How strong the learning signal is. A generator curve that sinks by orders of "
            "magnitude is a vanishing gradient, one that climbs an exploding one.",
            _curves("gradients", history, {"reaching the generator": "generator_gradient_norm",
                                           "of the critic": "critic_gradient_norm"},
                    ylabel="norm (log scale)", log=True),
        ),
        Chart(
            "Spectral norm of the critic's layers",
            "The largest singular value σ of each layer's kernel matrix. Under spectral "
            "normalization this is the norm of the raw weight, which is divided by it before use; "
            "otherwise it is the factor by which the layer can multiply slopes.",
            _sigma_curves(history.groups["sigma"]),
        ),
    ]  # fmt: skip


def _score_chart(history: History, *, loss: object) -> Chart:
    svg = _curves("wasserstein", history, {"real − generated": "w_estimate"}, ylabel="score")
    if loss == WASSERSTEIN:
        return Chart(
            "Wasserstein estimate",
            "The critic's mean score of real samples minus that of generated ones. With a critic "
            "of bounded slope it estimates, up to that bound, how far apart the two are: it "
            "should fall as the samples get better.",
            svg,
        )
    return Chart(
        "How far the critic's scores are apart",
        "The critic's mean score of real samples minus that of generated ones. "
        f"With the loss of this run ({loss}) this is no distance: its height says nothing about "
        "the samples. It may rise while they get better, and it is also 0 where the critic has "
        "given up and scores everything the same.",
        svg,
    )


def _transport_chart(history: History) -> Chart:
    return Chart(
        "Wasserstein distance, proved",
        "Between 256 real points and 256 generated ones. The critic's bound is its mean score "
        "of the real ones minus that of the generated ones, divided by a proved upper bound "
        "of its Lipschitz constant: it is never above the exact distance, and the closer it "
        "comes, the better the critic (Kantorovich–Rubinstein duality). A bound below 0 proves "
        "nothing and is shown as 0.",
        _curves(
            "transport",
            history,
            {"exact W1": "w1", "the critic's bound": "w1_bound"},
            ylabel="distance",
            least=0.0,
        ),
    )


def _augmentation_chart(history: History) -> Chart:
    return Chart(
        "Augmentation",
        "The probability p of each transformation. If it is adaptive, it rises while the mean sign "
        "of the critic's scores of real images is over its target, which means that the critic "
        "learns the training images by heart.",
        _curves(
            "augmentation",
            history,
            {"p": "augment_p", "mean sign of real images' scores": "augment_sign"},
            ylabel="",
        ),
    )


def _curves(name: str, history: History, keys: dict[str, str], **options: Any) -> str:
    series = {label: history.series[key] for label, key in keys.items() if key in history.series}
    return curves(name, series, **options) if series else ""


def _sigma_curves(found: dict[str, Series]) -> str:
    names = list(found)
    if len(names) > _LAYERS:
        names = names[:: -(-len(names) // _LAYERS)]
    series = {name: found[name] for name in names}
    return curves("sigma", series, ylabel="σ", smooth=False) if series else ""
