"""Pages from records of strangers: everything is escaped, nothing from outside is embedded."""

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.charts import drawn_once
from helpers.examples import examples
from sngan.report import write_comparison, write_report
from sngan.report.rendering import embedded

MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
CURVE = [[1, 0.5, 0.4, 0.6], [2, 0.4, 0.3, 0.5]]


class Tags(HTMLParser):
    """The tags of a page, and every attribute that could run or load something."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.active = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            loads = name in ("src", "href", "xlink:href", "action", "data")
            outside = loads and not re.match(r"data:image/|#", value or "")
            if name.startswith("on") or outside:
                self.active.append((tag, name, value))


def is_harmless(page):
    found = Tags(page)
    assert "default-src 'none'" in page
    return not found.tags & {"script", "iframe", "object", "embed", "form"} and not found.active


def comparison(word, *, samples=None):
    """A comparison whose every text is ``word``."""
    figure = {"mean": 1.0, "spread": 0.1, "values": [1.0, 1.1]}
    cell = {
        "method": word, "setting": word, "runs": 1, "failed": 0, "metrics": {word: figure},
        "lipschitz": {"lower": 0.5, "upper": 1.0}, "seconds_per_step": figure,
        "layers": [{"name": word, "sigma": 1.0, "spectrum": [1.0, 0.5]}],
        "gradient": {"median": 1.0, "vanishing": 0.0, "exploding": 0.0},
        "curves": {"generator_gradient_norm": CURVE, f"evaluation.{word}": CURVE, "w1": CURVE},
        "samples": samples or word,
    }  # fmt: skip
    run = {"folder": word, "error": word, "seconds": 1.0, "method": word}
    return {
        "data": word, "model": word, "is_images": True, "steps": 5, "batch_size": 8,
        "methods": [word], "settings": {word: {"lr": 1e-4, "betas": [0.5, 0.9], "n_critic": 1},
                                        "own": {}},
        "seeds": [0], "metric": word, "coverage": word, "higher_is_better": {word: True},
        "extractor": word, "n_generated": 5, "n_real": 5,
        "gradient_limits": {"vanishing": 1e-4, "exploding": 1e2}, "summary": [cell],
        "runs": [run], "animations": {word: {"gif": word, "strip": word}},
    }  # fmt: skip


def page_of(folder, found):
    (folder / "compare.json").write_text(json.dumps(found))
    return write_comparison(folder).read_text()


WORDS = st.one_of(
    st.sampled_from([MARKUP, "$\\frac$", "&amp;", "' onload='x", "javascript:alert(1)", "{{ 7*7 }}",
                     "--><script>", "]]><x>", "\x1b[2J", "url(#x)", 'x id="y'] ),
    st.text("<>&\"'/$\\{}%=-a \n", max_size=12),
)  # fmt: skip


@given(WORDS)
@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore:The label:UserWarning", "ignore:Glyph")
def test_no_text_of_a_comparison_becomes_markup(tmp_path_factory, word):
    folder = tmp_path_factory.mktemp("page")
    assert is_harmless(page_of(folder, comparison(word)))


def test_no_text_of_a_run_becomes_markup(tmp_path):
    text = json.dumps(MARKUP)
    (tmp_path / "config.yaml").write_text(
        f"steps: {text}\n{text}: {text}\ndata: {{source: {text}}}\nmodel: {{name: {text}}}\n"
        f"method: {{name: {text}, clip: {text}, penalty: {text}, paper: {text}}}\n"
    )
    record = {"step": 1, "critic_loss": 1.0, "sigma": {MARKUP: 1.0}, "evaluation": {MARKUP: 1.0}}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(record))
    (tmp_path / "skipped.txt").write_text(MARKUP)
    assert is_harmless(write_report(tmp_path).read_text())


def secrets(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(PNG + b"secret")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (folder / "text.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "inner").symlink_to(tmp_path)
    (folder / "good.png").write_bytes(PNG)
    return folder


QUICK = ["../secret.png", "{tmp}/secret.png", "text.png", "link.png", "inner/secret.png", "x\0y"]
SLOW = [
    "../secret.txt",
    "/etc/passwd",
    ".",
    "",
    "none.png",
    "a" * 5000,
    "good.png/../../secret.png",
]


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_files_outside_and_files_that_are_no_pictures_are_not_embedded(tmp_path, name):
    folder = secrets(tmp_path)
    name = name.format(tmp=tmp_path)
    assert embedded(folder, name) is None
    assert embedded(folder, "good.png").startswith("data:image/png;base64,")
    with drawn_once():
        assert is_harmless(page_of(folder, comparison("a", samples=name)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2),
        max_leaves=3,
    ),
    st.data(),
)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_a_comparison_of_another_form_is_one_line(tmp_path_factory, value, data):
    found = comparison("a")
    owner = data.draw(st.sampled_from([found, found["summary"][0], found["runs"][0]]))
    owner[data.draw(st.sampled_from(sorted(owner)))] = value
    folder = tmp_path_factory.mktemp("form")
    said = ""
    try:
        page_of(folder, found)
    except ValueError as error:
        said = str(error)
    assert re.fullmatch(r"|out: expected compare\.json as sngan writes it, got .*", said)


@pytest.mark.parametrize(
    "name", ["step-final.png", "step-.png", "x.png", "step-1.png.bak", "step-²"]
)
def test_a_stray_file_among_the_samples_is_left_out(tmp_path, name):
    (tmp_path / "config.yaml").write_text("steps: 1\n")
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / name).write_bytes(PNG)
    (tmp_path / "samples" / "step-000001.png").write_bytes(PNG)
    assert write_report(tmp_path).read_text().count("<figure>") == 1


def test_a_page_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "config.yaml").write_text("steps: 1\n")
    (tmp_path / "report.html").write_text("<html>mine")
    with pytest.raises(ValueError, match="report: expected no other program's file"):
        write_report(tmp_path)
    (tmp_path / "report.html").unlink()
    for _ in range(2):
        write_report(tmp_path)


@pytest.mark.parametrize("value", ["1e999", "-1e308", "NaN", "5e-324", "1e100", "-5", "true"])
def test_a_page_is_made_of_any_number(tmp_path, value):
    (tmp_path / "config.yaml").write_text("steps: 2\n")
    keys = ("seconds", "critic_loss", "w1", "generator_gradient_norm")
    numbers = ", ".join(f'"{key}": {value}' for key in keys)
    groups = f'"sigma": {{"a": {value}}}, "evaluation": {{"fid": {value}}}'
    lines = [f'{{"step": {step}, {numbers}, {groups}}}\n' for step in (1, 2)]
    lines.insert(1, '{"step": 1, "critic_loss": 1.0, "w1": -1e100, "seconds": 2}\n')
    (tmp_path / "metrics.jsonl").write_text("".join(lines))
    assert is_harmless(write_report(tmp_path).read_text())
