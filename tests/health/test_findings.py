"""Findings: made-up records whose condition is known, and records that must not accuse."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.health import records
from sngan import Config
from sngan import config as configs
from sngan.cli import flags
from sngan.cli.parser import CommandParser
from sngan.config import DataConfig, ModelConfig
from sngan.health import FINDINGS, diagnose
from sngan.methods import named

IMAGES = Config(
    data=DataConfig(source="digits", held_out=100),
    model=ModelConfig(name="cnn", sample_shape=(1, 8, 8)),
)
POINTS = Config(data="ring8", model=ModelConfig(name="mlp", sample_shape=(2,)))
SN = replace(named("sn"), n_critic=2)

# the changed figures of a run that is ill in one way; the condition begins at record 10
ILL = {
    "collapse": [
        {"spread": lambda k: 0.97 if k < 10 else 0.1},
        {"duplicates": lambda k: 0.0 if k < 10 else 0.9},
        {"reach": lambda k: 0.85 if k < 10 else 0.05},
    ],
    "vanishing gradient": [
        {"generator_gradient_norm": lambda k: 1.5 if k < 10 else 1e-6},
        {"generator_gradient_per_weight": lambda k: 0.02 if k < 10 else 1e-12},
    ],
    "exploding gradient": [
        {"generator_gradient_norm": lambda k: 1.5 * 2.0 ** max(0, k - 10)},
        {"critic_loss": lambda k: 1.4 * 4.0 ** max(0, k - 10)},
    ],
    "critic overfitting": [{"trained_above_held_out": lambda k: 0.5 if k < 10 else 0.9}],
    "generator copies": [{"copy_distance": lambda k: 1.2 if k < 10 else 0.1}],
    "critic uses little slope": [
        {
            "real_above_generated": 0.9,
            "real_score": lambda k: 0.4 if k < 10 else 0.11,
            "energy": lambda k: 0.5 * 0.97**k,
        }
    ],
    "rank collapse": [{"rank_least": lambda k: 6.0 if k < 10 else 1.05}],
    "generator left behind": [
        {"real_above_generated": lambda k: 0.7 if k < 10 else 0.999, "energy": 0.3}
    ],
    "critic left behind": [
        {"real_above_generated": lambda k: 0.7 if k < 10 else 0.3, "energy": 0.3}
    ],
    "oscillation": [{"energy": lambda k: 0.3 * (1.05 + math.sin(2 * math.pi * k / 6))}],
    "converged": [{"energy": lambda k: max(0.3 * 0.7**k, 0.03)}],
}
CASES = [(name, index) for name, group in ILL.items() for index in range(len(group))]


def names(found) -> set[str]:
    return {one.name for one in found.findings}


def test_every_finding_has_a_made_up_run():
    assert ILL.keys() | {"unusual setting"} == FINDINGS.keys()


def test_a_healthy_run_is_healthy():
    found = diagnose(records(), IMAGES)
    assert found.is_healthy
    assert found.findings == ()
    assert found.verdict == "healthy"
    assert {*found.absent} | {one.name for one in found.unjudged} == FINDINGS.keys()


@pytest.mark.parametrize(("name", "index"), CASES)
def test_each_condition_is_found_alone_and_since_its_step(name, index):
    found = diagnose(records(40, **ILL[name][index]), IMAGES)
    assert names(found) - {"converged"} == {name} - {"converged"}
    (finding,) = [one for one in found.findings if one.name == name]
    assert 0.3 <= finding.confidence <= 1
    assert finding.evidence
    if name not in ("oscillation", "converged", "exploding gradient"):
        # a median of three records notices the change one record later
        assert 11 * 50 <= finding.since <= 13 * 50
    assert finding.is_illness == (name != "converged")


def test_modes_of_evaluations_and_of_records_that_have_halved_are_a_collapse():
    evaluated = [{"step": 1200 + k, "evaluation": {"modes": 8 / k}} for k in (1, 2)]
    assert names(diagnose([*records(), *evaluated], IMAGES)) == {"collapse"}
    assert names(diagnose([*records(), *evaluated[:1]], IMAGES)) == set()
    at_floor = {"w1": 0.11, "w1_floor": 0.1, "real_above_generated": 0.5}
    for fallen, expected in ((30, {"collapse"}), (39, set())):
        found = diagnose(
            records(40, modes=lambda k, f=fallen: 8 if k < f else 4, **at_floor), POINTS
        )
        assert {one.name for one in found.illnesses} == expected


@pytest.mark.parametrize(("loss", "expected"), [(0.05, True), (0.2, False)])
def test_a_critic_without_loss_leaves_a_slow_generator_behind(loss, expected):
    made = records(8, critic_loss=loss, real_above_generated=1.0, energy=lambda k: 0.8**k)
    assert ("generator left behind" in names(diagnose(made, IMAGES))) == expected


def test_an_evaluation_of_images_is_no_measure_of_the_records():
    """W1 of features has another unit than the energy distance, by which images are judged."""
    evaluated = [{"step": 1200 + k, "evaluation": {"w1": 50.0 * (1 + k % 2)}} for k in range(12)]
    assert diagnose([*records(), *evaluated], IMAGES).illnesses == ()


@pytest.mark.parametrize(
    ("config", "flag"),
    [
        (replace(POINTS, method=named("wgan", clip=1e-4)), "--set method.clip=0.1"),
        (replace(POINTS, method=named("sn", lr=0.5)), "--set method.lr=0.002"),
        (replace(IMAGES, method=named("sn", lr=0.5)), "--set method.lr=0.0002"),
        (replace(POINTS, batch_size=2), "--set batch_size=64"),
        (replace(IMAGES, method=named("sn", betas=(0.99, 0.999))), "--set method.betas=[0.0,0.9]"),
    ],
)
def test_a_setting_far_from_the_recipe_is_the_first_advice(config, flag):
    for name in ("collapse", "generator left behind", "vanishing gradient", "oscillation"):
        found = diagnose(records(40, **ILL[name][0]), config).findings
        assert [one.flags for one in found if one.name == name] == [flag]


FAR_SETTINGS = [
    (POINTS, "method.clip", replace(POINTS, method=named("wgan", clip=1e-4)), (1e-4, 0.1)),
    (IMAGES, "method.lr", replace(IMAGES, method=named("sn", lr=0.004)), (0.004, 2e-4)),
    (IMAGES, "batch_size", replace(IMAGES, batch_size=4), (4, 64)),
    (IMAGES, "method.n_critic", replace(IMAGES, method=named("r1", n_critic=20)), (20, 1)),
    (POINTS, "method.betas", replace(POINTS, method=named("sn", betas=(0.95, 0.999))), (0.95, 0)),
]


@pytest.mark.parametrize(("usual", "name", "config", "evidence"), FAR_SETTINGS)
def test_a_far_setting_is_an_illness_only_of_samples_far_from_the_data(
    usual, name, config, evidence
):
    """Of images, twice the noise of the energy distance is 0.04."""
    far, near = records(20, energy=0.05), records(20, energy=0.03)
    (finding,) = [one for one in diagnose(far, config).illnesses if one.name == "unusual setting"]
    assert (finding.evidence[name], finding.evidence["usual"]) == evidence
    assert f"--set {name}=" in finding.flags
    assert "unusual setting" not in names(diagnose(near, config))
    assert "unusual setting" not in names(diagnose(far, usual))


def test_a_critic_that_is_fooled_needs_fewer_records():
    fooled = {"real_above_generated": lambda k: 0.7 if k < 3 else 0.0, "energy": 0.3}
    for count, expected in ((7, {"critic left behind"}), (5, set())):
        assert names(diagnose(records(count, **fooled), IMAGES)) == expected


def test_the_period_of_an_oscillation_is_that_of_the_sine():
    for period in (5, 8, 12):
        wave = {"energy": lambda k, p=period: 0.3 * (1.05 + math.sin(2 * math.pi * k / p))}
        found = diagnose(records(5 * period, every=100, **wave), IMAGES)
        (finding,) = [one for one in found.findings if one.name == "oscillation"]
        assert finding.evidence["period"] == pytest.approx(100 * period, rel=0.2)


def test_a_gradient_that_was_not_finite_is_certain():
    broken = [*records(10), {"step": 520, "not_finite": {"critic_loss": 520.0}}]
    (finding,) = diagnose(broken, IMAGES).illnesses
    assert (finding.name, finding.since, finding.confidence) == ("exploding gradient", 520, 1.0)


def test_converged_names_the_step_after_which_nothing_was_gained():
    found = diagnose(records(60, energy=lambda k: 0.5 if k < 20 else 0.1), IMAGES)
    (finding,) = found.findings
    assert (finding.name, finding.since) == ("converged", 21 * 50)
    assert found.is_healthy
    assert found.verdict == "healthy, converged since step 1,050"


def test_a_distance_at_its_noise_does_not_say_that_a_run_has_converged():
    found = diagnose(records(60, energy=lambda k: 0.5 if k < 4 else 0.01), IMAGES)
    assert found.verdict == "healthy"
    assert any("evaluations see more" in str(one) for one in found.unjudged)


def test_points_judge_by_w1_against_its_floor():
    at_floor = {"w1": 0.11, "w1_floor": 0.1, "real_above_generated": 0.5}
    assert diagnose(records(40, **at_floor), POINTS).illnesses == ()
    far = at_floor | {"w1": 0.5}
    assert names(diagnose(records(40, **far), POINTS)) >= {"critic left behind"}


def test_few_held_out_images_need_a_clearer_difference():
    """Mann and Whitney: the deviation of the rate is √((n + m + 1)/(12nm))."""
    rate = {"trained_above_held_out": 0.68}
    few = replace(IMAGES, data=replace(IMAGES.data, held_out=20))
    assert names(diagnose(records(**rate), IMAGES)) == {"critic overfitting"}
    assert names(diagnose(records(**rate), few)) == set()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    every=st.sampled_from([1, 50, 1000, 10**6]),
    count=st.integers(5, 60),
)
def test_noise_and_the_scale_of_time_never_accuse(seed, every, count):
    import random

    rng = random.Random(seed)

    def noisy(value: float, size: float):
        return lambda _: value + rng.uniform(-size, size)

    made = records(
        count,
        every=every,
        real_above_generated=noisy(0.62, 0.06),
        trained_above_held_out=noisy(0.5, 0.09),
        spread=noisy(0.9, 0.2),
        reach=noisy(0.7, 0.3),
        duplicates=noisy(0.03, 0.03),
        energy=lambda k: 0.05 * 2 ** rng.uniform(-0.45, 0.45) if k else 0.3,
        rank_least=noisy(6.0, 2.0),
        copy_distance=noisy(1.1, 0.3),
        critic_loss=noisy(1.4, 1.4),
        generator_gradient_norm=lambda _: 10 ** rng.uniform(-1, 1),
        critic_gradient_norm=lambda _: 10 ** rng.uniform(-1, 1),
    )
    assert diagnose(made, IMAGES).illnesses == ()


@settings(max_examples=40, deadline=None)
@given(case=st.sampled_from(CASES), every=st.sampled_from([1, 7, 500, 10**5]))
def test_the_scale_of_time_changes_no_finding(case, every):
    name, index = case
    at_fifty = diagnose(records(40, **ILL[name][index]), IMAGES)
    scaled = diagnose(records(40, every=every, **ILL[name][index]), IMAGES)
    assert names(scaled) == names(at_fifty)
    pairs = zip(at_fifty.findings, scaled.findings, strict=True)
    assert all(one.since * every == other.since * 50 for one, other in pairs)


SETTINGS = [
    IMAGES,
    replace(IMAGES, method=SN),
    replace(IMAGES, method=named("wgan", clip=1e-4)),
    replace(IMAGES, method=named("wgan")),
    replace(IMAGES, method=named("vanilla", loss="minimax")),
    replace(IMAGES, method=named("wgan-gp"), data=replace(IMAGES.data, augment="cutout")),
    replace(IMAGES, method=named("orthonormal"), batch_size=2),
    replace(
        IMAGES, method=named("sn", betas=(0.9, 0.99)), data=replace(IMAGES.data, augment="color")
    ),
]


@pytest.mark.parametrize("config", SETTINGS, ids=lambda one: one.method.name)
def test_the_flags_of_an_advice_are_settings_that_differ(config, tmp_path):
    """The flags parse after the run's own settings, as the command advises to give them."""
    path = tmp_path / "config.yaml"
    configs.save(config, path)
    found = [
        finding
        for name, index in CASES
        for finding in diagnose(records(40, **ILL[name][index]), config).findings
    ]
    parser = CommandParser("train", description="")
    flags.add_config_flags(parser)
    for advised in {finding.flags for finding in found}:
        assert advised.startswith("--set ")
        values = parser.parse(flags.expand(["--config", str(path), *advised.split()]))
        values.pop("config")
        assert configs.from_dict(values) != config, advised


@pytest.mark.parametrize("name", ["critic overfitting", "generator copies"])
def test_the_advice_for_few_images_is_that_of_the_pages(name):
    finding = next(iter(diagnose(records(40, **ILL[name][0]), IMAGES).findings))
    assert (finding.name, finding.flags) == (name, "--set data.augment=ada")
    assert "--augment ada" in (Path(__file__).parents[2] / "README.md").read_text()


def test_a_finding_of_too_few_records_says_so():
    found = diagnose(records(3), IMAGES)
    assert found.findings == ()
    assert found.verdict == "unknown: needs 5 records of spread, duplicates, reach, got 3"
    assert not found.is_healthy


def test_records_of_an_earlier_version_leave_findings_unjudged():
    plain = [{k: v for k, v in record.items() if k != "health"} for record in records()]
    found = diagnose(plain, IMAGES)
    assert found.illnesses == ()
    assert found.absent == ("exploding gradient", "vanishing gradient")
    reasons = {one.name: one.reason for one in found.unjudged}
    assert reasons["collapse"] == "the run did not record spread, duplicates, reach"


def test_a_run_without_records_is_refused():
    with pytest.raises(ValueError, match=r"^run: expected a run with records"):
        diagnose([], IMAGES)
