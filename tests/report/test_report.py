"""The report: one page, every section with data, nothing from outside, nothing unescaped."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch
import yaml

from helpers.pages import Page, svgs
from sngan.report import write_report
from sngan.runs import sample_grid as pictures

SCORES = "How far the critic's scores are apart"
SECTIONS = ["Health: unknown", "Samples over time", "Losses", SCORES, "Gradient norms"]
SECTIONS += ["Spectral norm of the critic's layers", "How to go on"]


def record(step: int) -> dict:
    return {
        "step": step,
        "seconds": step / 10,
        "critic_loss": 1.0 + 1 / step,
        "generator_loss": -0.2,
        "w_estimate": 5 / step,
        "critic_gradient_norm": 2.0,
        "generator_gradient_norm": 0.5 / step,
        "lr": 2e-4,
        "steps_per_second": 10.0,
        "sigma": {"stages.0": 1.0, "dense": 1.5},
    }


@pytest.fixture
def run(tmp_path):
    settings = {
        "data": {"source": "digits", "resolution": 8},
        "method": {"name": "sn", "spectral_norm": "matrix", "coefficient": 1.0, "paper": "M 2018"},
        "model": {"name": "cnn"},
        "steps": 2000,
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    lines = [json.dumps(record(step)) for step in range(10, 2001, 10)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "samples").mkdir()
    for step in range(0, 2001, 100):
        path = tmp_path / "samples" / f"step-{step:06d}.png"
        pictures.save_samples(torch.full((4, 1, 8, 8), step / 2000), path)
    return tmp_path


def test_every_section_is_there_with_data(run):
    text = write_report(run).read_text()
    page = Page(text)
    assert page.titles == SECTIONS
    assert len(svgs(text)) == 4
    for svg in svgs(text):
        root = ElementTree.fromstring(svg)
        assert len(root.findall(".//{http://www.w3.org/2000/svg}path")) > 5
        assert "viewBox" in root.attrib
    assert page.tags.count("img") == 8
    for expected in ("2,000 of 2,000", "3 min 20 s", "spectral norm is kept at 1", "stages.0"):
        assert expected in text
    assert "step 0<" in text
    assert "step 2,000<" in text


def test_augmentation_has_a_chart_if_its_probability_is_recorded(run):
    lines = [
        json.dumps({**record(step), "augment_p": step / 4000, "augment_sign": 0.6})
        for step in range(10, 2001, 10)
    ]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    text = write_report(run).read_text()
    assert Page(text).titles == [*SECTIONS[:2], "Augmentation", *SECTIONS[2:]]
    assert len(svgs(text)) == 5


def test_evaluations_are_a_table_and_curves(run):
    path = run / "metrics.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in records[9::10]:
        entry["evaluation"] = {"frechet": 1000 / entry["step"], "classes": 7.0, "w1": None}
    records[1699 // 10]["evaluation"]["frechet"] = 0.4
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in records))
    text = write_report(run).read_text()
    page = Page(text)
    assert page.titles == [SECTIONS[0], "How good the samples are: frechet", *SECTIONS[1:]]
    part = text.partition('id="evaluation"')[2].partition("</section>")[0]
    assert cells(part)[0][:4] == ["frechet", "lower", "0.5 at step 2,000", "0.4 at step 1,700"]
    assert cells(part)[1][:4] == ["classes", "higher", "7 at step 2,000", "7 at step 100"]
    assert len(cells(part)) == 2
    assert len(svgs(part)) == 2
    assert "frechet ↓" in part
    assert "classes ↑" in part
    assert "step 1,700" in svgs(part)[0]
    assert "best frechet" in text.partition("</header>")[0]
    assert len(page.ids) == len(set(page.ids))


def cells(text: str) -> list[list[str]]:
    """The rows of a table as the texts of their cells."""
    rows = text.partition("<tbody>")[2].partition("</tbody>")[0].split("<tr>")[1:]
    return [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows]


def test_results_of_evaluate_are_in_the_report(run):
    own = {"values": {"frechet": 3.0, "modes_of": 8}, "real_against_real": {"frechet": 0.25},
           "n_generated": 50, "n_real": 60, "n_real_against_real": 40, "is_own": True,
           "source": "<b>", "extractor": "domain"}  # fmt: skip
    other = own | {"values": {"frechet": 4.0}, "real_against_real": {}, "is_own": False}
    lines = [json.dumps(own), "no json", json.dumps([1]), json.dumps(other), '{"values": 3}']
    (run / "evaluations.jsonl").write_text("\n".join(lines))
    records = [record(step) | {"evaluation": {"frechet": 5.0 / step}} for step in (10, 20)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    text = write_report(run).read_text()
    titles = Page(text).titles
    assert titles[titles.index("Samples over time") - 2 :][:2] == ["Evaluated", "Evaluated before"]
    newest, before = (text.partition(f'id="result-{k}"')[2] for k in (1, 2))
    assert cells(newest)[0][:4] == ["frechet", "4", "–", "lower"]
    assert cells(before)[0][:4] == ["frechet", "3", "0.25", "lower"]
    assert cells(before)[1][:4] == ["modes_of", "8", "–", "–"]
    assert "&lt;b&gt;" in before
    # the run's own evaluation has the value of real samples beside it, and in its chart
    during = text.partition('id="evaluation"')[2].partition("</section>")[0]
    assert cells(during)[0][4] == "0.25"
    assert "real against real" in during.partition("<svg")[0]


def test_real_samples_are_beside_generated_ones(run):
    pictures.save_samples(torch.zeros(4, 1, 8, 8), run / "samples" / "real.png", is_real=True)
    page = Page(write_report(run).read_text())
    assert page.titles == ["Real beside generated", *SECTIONS]
    assert page.tags.count("img") == 10


@pytest.mark.parametrize("loss", ["hinge", "wasserstein", "logistic"])
def test_only_a_wasserstein_loss_has_an_estimate_of_a_distance(run, loss):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["method"]["loss"] = loss
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    text = write_report(run).read_text()
    estimates = loss == "wasserstein"
    assert ("last W estimate" in text) == estimates
    assert ("Wasserstein estimate" in Page(text).titles) == estimates
    assert (SCORES in Page(text).titles) != estimates
    assert (f"the loss of this run ({loss}) this is no distance" in text) != estimates


def test_a_page_fits_a_phone(run):
    text = write_report(run).read_text()
    # nothing has a width in other units than parts of the page
    assert "min-width: 28rem" not in text
    for svg in svgs(text):
        opened = svg.partition(">")[0]
        assert "width=" not in opened
        assert "viewBox" in opened


def test_the_page_stands_alone(run):
    page = Page(write_report(run).read_text())
    assert page.references
    assert all(
        reference.startswith(("data:image/png;base64,", "#")) for reference in page.references
    )
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags
    assert "link" not in page.tags


def test_curves_take_the_pages_ink(run):
    from sngan.report import charts

    text = write_report(run).read_text()
    assert charts.INK not in text
    assert text.count("currentColor") > 20


def test_settings_are_escaped(run):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["data"]["source"] = "<script>alert(1)</script>"
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    (run / "skipped.txt").write_text("<img src=x>.png: bad & broken\n")
    text = write_report(run).read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert "&lt;script&gt;" in text
    assert "&lt;img src=x&gt;.png: bad &amp; broken" in text
    assert "Files left out (1)" in page.titles


def test_a_cut_off_record_and_missing_figures_do_no_harm(run):
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()
    lines[5] = json.dumps({"step": 60, "critic_loss": None})
    path.write_text("\n".join(lines) + '\n{"step": 2010, "criti')
    assert Page(write_report(run).read_text()).titles == SECTIONS


def test_a_run_without_records_says_so(run):
    (run / "metrics.jsonl").unlink()
    for path in (run / "samples").iterdir():
        path.unlink()
    text = write_report(run).read_text()
    assert Page(text).titles == [one for one in SECTIONS if one != "Health: unknown"]
    assert text.count("This run recorded none of these values.") == 4
    assert "No pictures were saved." in text


def test_only_a_run_has_a_report(tmp_path):
    with pytest.raises(ValueError, match=r"run: expected a run folder with config.yaml, got"):
        write_report(tmp_path)


def test_the_average_of_a_curve_is_the_mean_of_its_window():
    from sngan.report.charts import _average

    assert _average([1.0, 2.0, 6.0, 3.0], 1) == pytest.approx([1.5, 3.0, 11 / 3, 4.5])


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/home/me/my photos", "my photos"),
        ("~/photos/", "photos"),
        ("C:\\Users\\me\\photos", "photos"),
        ("shards:/data/train-{000..099}.tar", "shards:train-{000..099}.tar"),
        ("hf:me/cats:train", "hf:me/cats:train"),
    ],
)
def test_the_headline_names_the_data_without_its_folders(run, source, shown):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["data"]["source"] = source
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    text = write_report(run).read_text()
    assert f"<h1>{shown}, learned with" in text
