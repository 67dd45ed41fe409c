"""Gallery of the site: pages of scripts; quick ones run once, long ones have kept results."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from website import gallery, hooks

SCRIPT = '''"""How do I do <{name}>?

One sees a picture. It is red.

Run: python examples/{name}.py  (about {seconds} s on two CPU cores)
"""

import sys
from pathlib import Path

from PIL import Image

Image.new("RGB", (900, 300), "red").save(Path(sys.argv[1]) / "{name}.png")
print("decoding 301/301")
print("1,496 steps ≈ 18 min on this CPU")
print("step 1/2  critic 0.5")
print("step 2: w1 0.2")
print("answer 42")
'''


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    found = tmp_path / "examples", tmp_path / "kept", tmp_path / "out"
    for folder in found:
        folder.mkdir()
    for name, seconds in (("quick", 2), ("long", 90)):
        (found[0] / f"{name}.py").write_text(SCRIPT.format(name=name, seconds=seconds))
    (found[0] / "tool.py").write_text('"""A tool, which asks no question."""\n')
    return found


def test_pages(folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scripts, kept, out = folders
    gallery.keep(["long"], scripts=scripts, kept=kept)
    with Image.open(kept / "long.png") as picture:
        assert picture.size == (800, 267)
    found = gallery.examples(scripts)
    assert [(one.name, one.seconds) for one in found] == [("quick", 2), ("long", 90)]
    made = gallery.pages_of(found, out, kept=kept)
    pages = {"gallery.md", "examples/quick.md", "examples/long.md"}
    # MkDocs copies the picture of the long one, because it lies among the site's sources
    assert set(made) == pages | {"examples/quick.png"}
    assert made["examples/quick.png"] == out / "quick" / "quick.png"
    index = made["gallery.md"]
    assert re.findall(r'href="examples/(\w+)\.html"><img src="examples/([\w.]+)"', index) == [
        ("quick", "quick.png"),
        ("long", "long.png"),
    ]
    assert "How do I do &lt;quick&gt;?" in index
    page = made["examples/long.md"]
    assert page.startswith("# How do I do <long>?\n\nOne sees a picture. It is red.\n\n[![")
    assert "```text\nanswer 42\n```" in page
    assert "Run:" not in page
    assert page.rstrip().endswith('print("answer 42")\n```')
    # nothing runs again until a script changes
    run = gallery.run
    monkeypatch.setattr(gallery, "run", None)
    assert gallery.pages_of(found, out, kept=kept) == made
    monkeypatch.setattr(gallery, "run", run)
    changed = (scripts / "quick.py").read_text().replace("42", "43")
    (scripts / "quick.py").write_text(changed)
    again = gallery.pages_of(gallery.examples(scripts), out, kept=kept)
    assert "answer 43" in again["examples/quick.md"]
    assert again["examples/long.md"] == page


def test_errors(folders: tuple[Path, Path, Path]) -> None:
    scripts, kept, out = folders
    (scripts / "quick.py").write_text(SCRIPT.format(name="quick", seconds=2) + "raise OSError('x')")
    with pytest.raises(RuntimeError, match=r"quick.py failed:\n(?s:.*)OSError: x"):
        gallery.pages_of(gallery.examples(scripts), out, kept=kept)
    with pytest.raises(ValueError, match="name: expected one of long, quick, got fast"):
        gallery.keep(["fast"], scripts=scripts, kept=kept)
    (scripts / "other.py").write_text(SCRIPT.format(name="quick", seconds=2))
    with pytest.raises(ValueError, match=r"other.py: expected a line 'Run: python examples/other"):
        gallery.examples(scripts)


def test_the_real_scripts_and_the_kept_pictures_of_long_ones() -> None:
    found = gallery.examples()
    assert len(found) >= 15
    assert len({one.question for one in found}) == len(found)
    assert sorted(" ".join(gallery.PARTS.values()).split()) == sorted(one.name for one in found)
    kept = {path.stem for path in gallery.KEPT.glob("*.txt")}
    assert {one.name for one in found if one.seconds > 20} <= kept
    # a build runs the others
    assert sum(one.seconds for one in found if one.name not in kept) <= 120


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        ("a.md", "[γ](../examples/which_gamma.py)", "[γ](examples/which_gamma.md)"),
        ("a/b.md", "[γ](../../examples/which_gamma.py)", "[γ](../examples/which_gamma.md)"),
        ("a.md", "[it](../examples/verify.py)", "it (`examples/verify.py`)"),
        ("a.md", "[`verify.py`](../examples/verify.py)", "`examples/verify.py`"),
        ("a.md", "[data](data.md)", "[data](data.md)"),
    ],
)
def test_a_link_to_a_script_leads_to_its_page(place: str, text: str, expected: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=place))
    config = SimpleNamespace(docs_dir=str(hooks.ROOT / "docs"))
    assert hooks.on_page_markdown(text, page=page, config=config, files=None) == expected
