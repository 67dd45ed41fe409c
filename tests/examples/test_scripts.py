"""Scripts of ``examples/``: each is run, and its answer is checked.

The quick suite runs some of them in forked processes; ``make examples`` runs all as a user does.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import sngan
from helpers.scripts import forked_script
from website.gallery import KEPT, MOST_BYTES, MOST_WIDTH, examples

EXAMPLES = {example.name: example for example in examples()}
CHECKS: dict[str, Callable[[str], None]] = {}
QUICK = {"six_boxes", "dual_potentials", "convolution_norm", "distance_of_data", "copies"}


def answer(check: Callable[[str], None]) -> Callable[[str], None]:
    """Register the check of a script's output under the script's name."""
    CHECKS[check.__name__] = check
    return check


def numbers(output: str, begin: str) -> list[float]:
    """All numbers of the line that begins with this text, after it."""
    lines = [line.strip() for line in output.splitlines()]
    (line,) = (line.removeprefix(begin) for line in lines if line.startswith(begin))
    return [float(word) for word in re.findall(r"(?<![\w.])[-−]?\d+\.?\d*(?:e[-+]?\d+)?", line)]


@answer
def six_boxes(output):
    blocks = output.split("boxes at ")[1:]
    # each box goes from its place to one of the new ones; sorted on both sides is cheapest
    new = np.repeat([7, 8, 9, 10], [1, 2, 1, 2])
    for block, places in zip(blocks, ([1, 2, 3], [1, 9, 10]), strict=True):
        cheapest = np.abs(np.repeat(places, [3, 2, 1]) - new).sum()
        assert numbers(block, "orderly plan costs") == [cheapest]
        assert numbers(block, "cheapest plan costs") == pytest.approx([cheapest] * 2)
    assert numbers(blocks[0], "careless plan costs") == [42]
    assert numbers(blocks[1], "careless plan costs") == [8 + 2 * 9 + 2 * 1 + 3]
    assert "leaves:  3 at 1, 2 at 9, 1 at 10" in output


@answer
def dual_potentials(output):
    ((above,), (below, gap), (critic,)) = (
        numbers(output, begin) for begin in ("plan (from above)", "potentials (from below)", "one")
    )
    assert below == pytest.approx(above, abs=2e-9)
    assert critic == pytest.approx(above, abs=1e-7)
    assert 0 <= gap < 1e-9
    assert numbers(output, "least slack of f + g <= distance:")[0] >= -1e-12
    assert 0 <= numbers(output, "largest slack on the 60 moves:")[0] < 1e-9
    assert 0.99 < numbers(output, "steepest step of the critic on the grid:")[0] <= 1.00005


@answer
def convolution_norm(output):
    rows = [line for line in output.splitlines() if " kernel " in line]
    found = np.array([numbers(row, row.partition(" kernel ")[0]) for row in rows])
    kernel, true, proved = found.T
    assert len(rows) == 7
    assert (true <= proved + 1e-4).all()
    assert (proved <= 1.1 * true).all()
    # at least the largest singular value of the 1×1 kernel, at most √9 = 3 times the reshaped one
    assert (true >= kernel - 1e-4).all()
    assert (true <= 4.001 * kernel).all()
    assert true[0] / kernel[0] == pytest.approx(2.84, abs=0.01)
    assert true[-1] == pytest.approx(kernel[-1], abs=2e-4)


@answer
def distance_of_data(output):
    for name, low_p, high_p in (
        ("two samples", 0.1, 1),
        ("one darker", 0, 0.05),
        ("threes", 0, 0.05),
    ):
        (line,) = (line for line in output.splitlines() if line.startswith(name))
        w1, _, low, high, within_x, within_y, between, p = numbers(line, line.partition("W1")[0])
        assert low < w1 < high
        assert low_p <= p <= high_p
        # halves are smaller samples, so they are farther apart than whole ones
        assert within_x + within_y > 0
        assert w1 < between + 0.1
        assert (between > max(within_x, within_y)) == (high_p < 0.1)


@answer
def copies(output):
    noisy = numbers(output, "copies with noise")
    third = numbers(output, "a third of them copies")
    new = numbers(output, "new images")
    assert noisy[0] < 0.3 < 0.6 < third[0] < 0.95 < new[0] < 1.1
    assert noisy[1] < 5
    assert 20 < third[1] < 45 < new[1] < 60
    # columns: ratio, authentic, the 98 of the words, share
    assert noisy[-1] > 95
    assert 30 < third[-1] < 40
    assert 1 <= new[-1] <= 3


@answer
def own_loop(output):
    low, high = numbers(output, "norms of the critic's weights:")
    assert 1.98 < low <= high < 2.02  # the coefficient is 2
    (made,) = numbers(output, "W1 generated - real")
    (floor,) = numbers(output, "W1 real - real")
    assert 0.03 < floor < 0.06
    assert 0.9 * floor < made < 4 * floor


@answer
def audit_critic(output):
    # the mean distance of the ring from the cloud inside, whose points are 0.3·√(π/2) from 0
    radial = 1 - 0.3 * (np.pi / 2) ** 0.5
    shares = {}
    for name in ("ReLU", "MaxMin"):
        lower, upper, bound, exact, shares[name] = numbers(output, f"{name}:")
        assert 0 < lower <= upper < 1.001
        assert exact == pytest.approx(radial, abs=0.06)
        assert bound <= exact
        assert bound / exact == pytest.approx(shares[name], abs=2e-4)
    assert 0.3 < shares["ReLU"] < 0.85
    assert 0.93 < shares["MaxMin"] <= 1


@answer
def certified_digits(output):
    for part in output.split("0 or 8"):
        rows = [line.split() for line in part.splitlines() if line.strip()[:1].isdigit()]
        shares = [[float(word.strip("%")) for word in row] for row in rows if len(row) == 4]
        assert len(shares) == 8
        for radius, certified, attacked, clean in shares:
            assert 0.25 <= radius <= 2.5
            # an attack never goes below a proof
            assert 0 <= certified <= attacked <= clean <= 100
        assert shares[0][1] > 80


@answer
def sngp_uncertainty(output):
    right, near, far = numbers(output, "softmax")
    assert right > 0.98
    assert near > 0.95
    assert far > 0.9  # sure of itself where there are no data
    right, near, far = numbers(output, "SNGP")
    assert right > 0.98
    assert near > 0.9
    assert 0.5 <= far < 0.65


@answer
def fsdp_launch(output):
    here, total = numbers(output, "numbers held by rank 0:")
    assert total == 8 * 64 + 64 + 64 * 64 + 64 + 64 + 1
    assert total / 2 <= here <= total / 2 + 64
    low, high = numbers(output, "norms of the weights:")
    assert 0.999 < low <= high < 1.02
    sigma, weights = numbers(output, "largest difference from one process:")
    assert 0 <= sigma < 1e-4
    assert 0 <= weights < 1e-3


@answer
def own_folder(output):
    assert numbers(output, "pictures read:") == [300]
    assert "skipped: ['broken.png']" in output
    assert "report.html is there: True" in output
    for name in ("balls", "boxes"):
        found = numbers(output, f"mean colour of {name}:")
        assert found[3:] == pytest.approx(found[:3], abs=0.2)
        # balls are red, boxes are blue
        assert (found[3] > found[5] + 0.2) == (name == "balls")


@answer
def class_conditional(output):
    assert 90 < numbers(output, "classifier right on unseen real digits:")[0] < 99.5
    assert 85 < numbers(output, "classifier right on generated digits:")[0] <= 100  # chance: 10


@answer
def dcgan_converted(output):
    (floor,) = numbers(output, "floor: real digits against others")
    assert 0.2 < floor < 0.8
    for rate in ("0.0002", "0.002"):
        for name in ("as in the tutorial", "with SpectralNorm"):
            distance, _ = numbers(output, f"lr {rate} {name}")
            # the digits' variance is 18.8 in all, so a generator of one image is at least so far
            assert floor < distance < 10


@answer
def wgan_gp_against_sn(output):
    (floor,) = numbers(output, "floor of W1:")
    assert 0.03 < floor < 0.09
    for name in ("wgan-gp", "sn"):
        ms, w1, covered, _, mean, largest, proved = numbers(output, name)
        assert 0.3 < ms < 200
        assert floor < w1 < 0.3
        assert 18 <= covered <= 25
        assert 0.5 < mean < largest <= proved


@answer
def has_it_collapsed(output):
    assert output.count("plain GAN, lr 5e-3: ill: ") == 1
    assert "collapse" in output
    assert output.count("spectral normalization: healthy") == 1
    covered, of, inside = numbers(output, "plain GAN, lr 5e-3, counted:")
    assert covered <= 5
    assert inside < 70
    assert of == 8
    covered, of, inside = numbers(output, "spectral normalization, counted:")
    assert 7 <= covered <= of == 8
    assert 60 < inside <= 100


@answer
def export_and_share(output):
    assert numbers(output, "program of PyTorch: largest difference")[0] < 1e-5
    assert "safetensors: same images True" in output
    for ending, low, high in (("pt2", 100, 900), ("safetensors", 100, 900), ("html", 50, 2000)):
        assert low < numbers(output, f"digits.{ending}:")[0] < high
    assert "morph.png (18 frames)" in output  # two ways of nine frames


@answer
def own_parts(output):
    for label, radius in ((0, 1), (1, 2)):
        near, *between, least = numbers(output, f"label {label}:")
        assert between == [0.15, radius]
        assert 80 < near < 100
        assert 6 < least <= 12  # 12.5 % at best


@answer
def small_data(output):
    (floor,) = numbers(output, "the 100 digits themselves: Fréchet")
    for augment in ("none", "ada"):
        end, best, copying = numbers(output, f"augment {augment}")
        assert 0 < best <= end < 12
        assert 0.2 < copying < 3
    assert 0.5 < floor < 4


@answer
def which_gamma(output):
    found = {
        gamma: numbers(output, f"gamma {gamma}:") for gamma in ("0.001", "0.01", "0.1", "1", "10")
    }
    distances = {gamma: row[0] for gamma, row in found.items()}
    assert all(0.04 < distance < 1.2 for distance in distances.values())
    best = min(distances, key=distances.get)
    assert numbers(output, "smallest distance at gamma") == [float(best)]
    assert 12 <= found[best][1] <= found[best][2] == 25


@answer
def rl_critic(output):
    values, rewards = {}, {}
    for copied in ("without", "with"):
        for name in ("plain", "hidden layers normalized"):
            key = copied, name
            values[key], rewards[key] = numbers(output, f"{copied} a frozen copy, {name}:")
    plain, normalized = (values["without", n] for n in ("plain", "hidden layers normalized"))
    assert plain > 100 * normalized
    # rewards are at most 1, so values are at most 1/(1 − 0.95) = 20
    assert normalized > 20
    for name in ("plain", "hidden layers normalized"):
        assert 0 < values["with", name] < 30
        assert 0.5 < rewards["with", name] < 1


def started_script(path, folder):
    """Run a script as a user does, and return its output and errors."""
    done = subprocess.run(
        [sys.executable, path, folder],
        cwd=folder,
        # run folders vanish with the test
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("name", "run"),
    [
        *(pytest.param(name, forked_script, id=f"{name}-forked") for name in sorted(QUICK)),
        *(
            pytest.param(name, started_script, id=name, marks=pytest.mark.slow)
            for name in sorted(EXAMPLES)
        ),
    ],
)
def test_a_script_answers_its_question(name, run, tmp_path):
    output, errors = run(EXAMPLES[name].path, tmp_path)
    assert "Warning" not in errors
    CHECKS[name](output)
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert 500 <= picture.width <= 1000
        assert 150 <= picture.height <= 900
        assert len(picture.convert("RGB").getcolors(2**20)) > 50


def test_every_script_with_a_question_has_a_check():
    assert set(EXAMPLES) <= set(CHECKS)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_script_is_short_and_uses_public_names(name):
    example = EXAMPLES[name]
    code = [line for line in example.code.splitlines() if line.strip()]
    assert len(code) <= 70
    assert 2 <= len(re.findall(r"[.?](?:\s|$)", example.text)) <= 6
    for node in ast.walk(ast.parse(example.code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sngan":
            assert node.module.split(".")[1:2] == [] or node.module.split(".")[1] in sngan.__all__
            assert all(not alias.name.startswith("_") for alias in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "sngan" or node.attr in sngan.__all__


@pytest.mark.parametrize("name", sorted(path.stem for path in KEPT.glob("*.txt")))
def test_the_kept_output_of_a_long_script_answers_its_question(name):
    seconds, _, output = (KEPT / f"{name}.txt").read_text("utf-8").partition("\n")
    CHECKS[name](output)
    assert 0.4 * EXAMPLES[name].seconds <= float(seconds) <= 2.5 * EXAMPLES[name].seconds


def test_kept_pictures_are_small_and_belong_to_a_script():
    pictures = [path for path in KEPT.iterdir() if path.suffix != ".txt"]
    for path in pictures:
        assert path.stem in EXAMPLES
        assert path.stat().st_size <= MOST_BYTES
        assert path.with_suffix(".txt").exists()
        with Image.open(path) as picture:
            assert picture.width <= MOST_WIDTH
    assert len(list(KEPT.iterdir())) == 2 * len(pictures)
