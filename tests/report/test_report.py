"""The report: one page, every section with data, nothing from outside, nothing unescaped."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
import torch
import yaml

from helpers.pages import Page, svgs
from sngan.report import write_report
from sngan.runs import sample_grid as pictures

SECTIONS = ["Samples over time", "Losses", "Wasserstein estimate", "Gradient norms"]
SECTIONS[1:1] = ["Health: unknown"]
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
    assert Page(text).titles == [*SECTIONS[:4], "Augmentation", *SECTIONS[4:]]
    assert len(svgs(text)) == 5


def test_evaluations_are_a_table_and_curves(run):
    path = run / "metrics.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in records[9::10]:
        entry["evaluation"] = {"frechet": 1000 / entry["step"], "classes": 7.0, "w1": None}
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in records))
    text = write_report(run).read_text()
    page = Page(text)
    assert page.titles == [SECTIONS[0], "How good the samples are", *SECTIONS[1:]]
    part = text.partition('id="evaluation"')[2].partition("</section>")[0]
    assert "<td>frechet</td><td>0.5</td><td>2,000</td>" in part
    assert "<td>w1</td>" not in part
    assert len(svgs(part)) == 1
    assert len(page.ids) == len(set(page.ids))


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
