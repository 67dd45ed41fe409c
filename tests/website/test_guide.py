"""Pages of the guide: their parts, and their numbers against independent solvers."""

import json
import math
import re
import runpy
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance

from website import figures, markers

GUIDE = figures.ROOT / "docs" / "guide"
PAGES = sorted(path.stem for path in GUIDE.glob("*.md") if path.stem != "index")
QUICK = ("disjoint", "earth", "dual", "lipschitz")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_all_its_parts(name):
    text = (GUIDE / f"{name}.md").read_text()
    claim, figure, question, sources = (
        text.index(part)
        for part in ("\n\n**Claim.** ", "<!-- figure: ", "??? question", "\n## Sources\n")
    )
    assert claim == text.index("\n"), "the claim comes first"
    assert claim < figure < question < sources
    assert f"<!-- widget: {name} -->" in text
    assert re.search(rf"\{{\{{ *{name}\.", text), "no number of the page is computed"
    assert (GUIDE / f"{name}.js").read_text().count(f'sngan.widget("{name}"') == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_figure_has_fewer_than_20_lines(name):
    for figure in re.findall(r"<!-- figure: ([\w-]+) ", (GUIDE / f"{name}.md").read_text()):
        code = markers.shown_code(GUIDE / f"{figure}.py")
        assert sum(bool(line.strip()) for line in code.splitlines()) < 20
        assert re.search(r"^(import|from) sngan", code, re.MULTILINE)


def test_a_figure_has_the_colours_of_the_page_and_is_the_same_in_each_build(tmp_path):
    script = tmp_path / "drawn.py"
    script.write_text(
        "import matplotlib.pyplot as plt, numpy as np, torch\n"
        "plt.plot(torch.randn(9), label='a'), plt.plot(np.random.randn(9), '#7b3fa0')\n"
        "plt.legend(), plt.savefig('drawn.svg')\n"
    )
    found = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        figures.run(script, folder)
        found.append(figures.themed((folder / "drawn.svg").read_text()))
    assert found[0] == found[1]
    assert found[0].startswith('<svg style="fill: currentColor')
    assert found[0].count("var(--sngan-real)") >= 2, "the curve and its line in the legend"
    assert "var(--sngan-critic)" in found[0]
    assert re.search(r"#[0-9a-f]{6}|\n|<style|<metadata", found[0]) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PAGES if name not in QUICK])
def test_another_page_has_checks(name, tmp_path):
    figures.run(GUIDE / f"{name}_data.py", tmp_path)
    require_checks(json.loads((tmp_path / f"{name}.json").read_text())["checks"], name)


@pytest.mark.parametrize("name", QUICK)
def test_a_page_has_checks(name, written):
    require_checks(written[name][1]["checks"], name)


def require_checks(checks, name):
    assert len(checks) >= 3
    assert len({json.dumps(check["move"], sort_keys=True) for check in checks}) == len(checks)
    for check in checks:
        assert check["tolerance"] < 0.1
        assert all(key.startswith(f"{name}-") for key in check["move"] | check["read"])
        assert all(math.isfinite(value) for value in check["read"].values())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """For each page: the functions of its data script, and the JSON that the script wrote."""
    return Written(tmp_path_factory.mktemp("guide"))


class Written(dict):
    def __init__(self, folder):
        self.folder = folder

    def __missing__(self, name):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            names = runpy.run_path(str(GUIDE / f"{name}_data.py"), run_name="__main__")
        self[name] = names, json.loads(Path(self.folder, f"{name}.json").read_text())
        return self[name]


# 1: disjoint distributions


def jensen_shannon(width, shift):
    """The divergence by quadrature of the densities 1/w on [0, w] and [t, t + w]."""

    def integrand(x):
        p, q = ((start <= x <= start + width) / width for start in (0.0, shift))
        return sum(r * math.log(2 * r / (p + q)) / 2 for r in (p, q) if r > 0)

    ends = sorted({0.0, width, shift, shift + width})
    return sum(quad(integrand, low + 1e-9, high - 1e-9)[0] for low, high in pairwise(ends))


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_distances_of_disjoint_distributions(width, written):
    data = written["disjoint"][1]
    shifts, table = np.array(data["shifts"]), data["widths"][str(width)]
    points = (np.arange(1000) + 0.5) / 1000 * width
    for k in range(0, len(shifts), 7):
        exact = wasserstein_distance(points, points + shifts[k])
        assert table["w1"][k] == pytest.approx(exact, abs=1e-6)
        assert table["js"][k] == pytest.approx(jensen_shannon(width, shifts[k]), abs=1e-6)
    for name in ("w1", "js"):
        slopes = np.diff(table[name]) / np.diff(shifts)
        middle = (shifts[1:] + shifts[:-1]) / 2
        shown = np.array(table[f"{name}Gradient"])
        # both ends of a step without a kink have the slope of the step
        for k in np.flatnonzero((np.abs(middle) > 0.06) & (np.abs(np.abs(middle) - width) > 0.06)):
            assert shown[k] == pytest.approx(slopes[k], abs=1e-4)
            assert shown[k + 1] == pytest.approx(slopes[k], abs=1e-4)


def test_two_points_have_no_gradient_but_that_of_w1(written):
    data = written["disjoint"][1]
    table = data["widths"]["0.0"]
    apart = [k for k, shift in enumerate(data["shifts"]) if shift]
    assert {table["js"][k] for k in apart} == {round(math.log(2), 6)}
    assert {table["jsGradient"][k] for k in apart} == {0.0}
    assert {table["w1Gradient"][k] for k in apart} == {-1.0, 1.0}


def test_the_bracket_of_samples(written):
    proved = written["disjoint"][1]["proved"]
    assert proved["lower"] < 2 < proved["upper"]
    assert proved["upper"] - proved["lower"] < 1e-12


# 2: six boxes


def extreme_costs(first):
    """The least and the largest cost of a plan, by SciPy's linear programs."""
    boxes, goals = np.array([1, 2, 3]), np.arange(4) + first
    cost = np.abs(boxes[:, None] - goals).ravel()
    rows = np.kron(np.eye(3), np.ones(4))
    columns = np.kron(np.ones(3), np.eye(4))
    found = [
        linprog(sign * cost, A_eq=np.vstack([rows, columns]), b_eq=[3, 2, 1, 1, 2, 1, 2]).fun
        for sign in (1, -1)
    ]
    return found[0], -found[1]


def all_tables():
    """Every table of whole numbers with these sums, by trying all rows."""
    rows = [
        [row for row in product(range(total + 1), repeat=4) if sum(row) == total]
        for total in (3, 2, 1)
    ]
    for table in product(*rows):
        if [sum(column) for column in zip(*table, strict=True)] == [1, 2, 1, 2]:
            yield table


def test_the_six_boxes(written):
    data = written["earth"][1]
    tables = list(all_tables())
    assert data["plans"] == len(tables)
    assert data["first"]["7"]["cost"] == data["first"]["7"]["worst"] == 42
    for first in range(8):
        shown, (least, largest) = data["first"][str(first)], extreme_costs(first)
        assert shown["cost"] == pytest.approx(least, abs=1e-6)
        assert shown["worst"] == pytest.approx(largest, abs=1e-6)
        assert shown["lower"] <= round(least) <= shown["upper"]
        assert shown["upper"] - shown["lower"] < 1e-11
        costs = [
            sum(table[i][j] * abs(1 + i - first - j) for i in range(3) for j in range(4))
            for table in tables
        ]
        assert shown["best_plans"] == costs.count(min(costs))
        for key, cost in (("cheapest", "cost"), ("dearest", "worst")):
            moves = zip(data["boxes"], shown[key], strict=True)
            total = sum(abs(box - data["goals"][goal] - first) for box, goal in moves)
            assert total == shown[cost]


def test_the_costs_of_the_checks_of_the_six_boxes(written):
    data = written["earth"][1]
    for check in data["checks"]:
        first = check["move"]["earth-first"]
        goals = [check["move"][f"earth-box{k}"] - 1 for k in range(1, 7)]
        assert sorted(goals) == list(range(6))
        moves = zip(data["boxes"], goals, strict=True)
        cost = sum(abs(box - data["goals"][goal] - first) for box, goal in moves)
        assert check["read"] == {
            "earth-cost": cost,
            "earth-cheapest": data["first"][str(first)]["cost"],
        }


# 3: the dual


def test_the_best_prices(written):
    data = written["dual"][1]
    boxes, goals = np.array(data["boxes"]), np.array(data["goals"])
    cost = np.abs(boxes[:, None] - goals)
    rules = np.hstack([np.kron(np.eye(3), np.ones((4, 1))), -np.kron(np.ones((3, 1)), np.eye(4))])
    earned = np.array([*data["massesX"], *(-mass for mass in data["massesY"])])
    best = linprog(-earned, A_ub=rules, b_ub=cost.ravel(), bounds=(None, None))
    assert data["cost"] == pytest.approx(-best.fun, abs=1e-6)
    assert data["lower"] <= 11 <= data["upper"]
    assert data["upper"] - data["lower"] < 1e-11
    plan = np.array(data["plan"])
    assert (plan * cost).sum() == 11
    assert plan.sum(1).tolist() == data["massesX"]
    assert plan.sum(0).tolist() == data["massesY"]


def test_the_critic_climbs_and_keeps_the_rules(written):
    data = written["dual"][1]
    places = np.array(data["boxes"] + data["goals"])
    masses = np.array([*data["massesX"], *(-mass for mass in data["massesY"])])
    line = np.array(data["line"])
    for learned in data["learned"]:
        prices, curve = np.array(learned["prices"]), np.array(learned["line"])
        # prices have three digits
        assert learned["value"] == pytest.approx(masses @ prices, abs=6e-3)
        assert learned["value"] <= data["cost"]
        for x, f in ((places, prices), (line, curve)):
            excess = np.abs(f[:, None] - f) - np.abs(x[:, None] - x)
            assert excess.max() <= 1.5e-3
    assert data["learned"][0]["value"] < 0.5 * data["cost"]
    assert data["last"] > 0.99 * data["cost"]


def test_the_checks_of_the_dual(written):
    data = written["dual"][1]
    for check in data["checks"][:-1]:
        f, h = (
            [check["move"][f"dual-price{k}"] for k in numbers]
            for numbers in ((1, 2, 3), range(4, 8))
        )
        pairs = list(
            product(zip(data["boxes"], f, strict=True), zip(data["goals"], h, strict=True))
        )
        broken = sum(fee - back > abs(x - y) + 1e-9 for (x, fee), (y, back) in pairs)
        value = np.dot(data["massesX"], f) - np.dot(data["massesY"], h)
        assert check["read"] == {"dual-value": pytest.approx(value), "dual-broken": broken}
    assert {check["read"]["dual-broken"] for check in data["checks"]} >= {0, 5}


# 4: Lipschitz functions


def test_the_brackets_of_lipschitz_constants(written):
    names, data = written["lipschitz"]
    for key in ("free", "spectral"):
        first, _, last = names["functions"][key]
        weight, bias, out = (
            part.detach().numpy() for part in (first.weight[:, 0], first.bias, last.weight[0])
        )
        # the graph is made of straight pieces between the kinks at −b/w
        kinks = np.sort(-bias / weight)
        between = np.concatenate([[kinks[0] - 1], (kinks[1:] + kinks[:-1]) / 2, [kinks[-1] + 1]])
        slopes = [abs(out @ (weight * (weight * x + bias > 0))) for x in between]
        shown = data["functions"][key]
        assert shown["lower"] <= max(slopes) * (1 + 1e-6)
        assert shown["lower"] == pytest.approx(max(slopes), rel=1e-4), "the page says so"
        assert max(slopes) <= shown["upper"] <= shown["product"] * (1 + 1e-6)
    assert data["functions"]["sin"]["lower"] == pytest.approx(1, abs=1e-6)
    assert data["functions"]["sin"]["upper"] == pytest.approx(1, abs=1e-12)
    assert data["functions"]["spectral"]["product"] == pytest.approx(1, abs=1e-3)
    # the page shows a gap
    assert data["functions"]["free"]["upper"] > 1.01 * data["functions"]["free"]["lower"]


def test_the_graphs_and_the_steepest_lines(written):
    names, data = written["lipschitz"]
    line = np.array(data["line"])
    np.testing.assert_allclose(data["functions"]["sin"]["values"], np.sin(line), atol=1e-5)
    for check in data["checks"]:
        key, tip = check["move"]["lipschitz-function"], check["move"]["lipschitz-tip"]
        shown = data["functions"][key]
        far = np.abs(line - tip) > 1e-6
        values = np.array(shown["values"])
        slopes = np.abs(values - np.interp(tip, line, values))[far] / np.abs(line - tip)[far]
        assert check["read"]["lipschitz-steepest"] == pytest.approx(
            slopes.max(), abs=check["tolerance"]
        )
        assert slopes.max() <= shown["upper"] + 1e-3
    critic = names["functions"]["free"].requires_grad_(False)
    place = torch.tensor([[data["line"][100]]], dtype=torch.float64)
    assert critic(place).item() == pytest.approx(data["functions"]["free"]["values"][100], abs=1e-5)
