"""MkDocs events of the site: markers in pages become figures, things to move and numbers."""

import functools
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import cli_reference, configuration, figures, gallery, markers, reference

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "website"
"""Folder of everything that the build computes. Each result is kept until its code changes."""

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:src|examples|benchmarks|tests)/[^)]+)\)")


def on_pre_build(config: MkDocsConfig) -> None:
    """Run the scripts of the guide before any page is read."""
    figures.run_all(Path(config.docs_dir), BUILD)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the gallery and the pages of the reference to the site's files."""
    made = reference.pages()
    made["reference/cli.md"] = cli_reference.page()
    made["reference/configuration.md"] = configuration.page()
    for place, content in (made | gallery.pages(BUILD / "examples")).items():
        is_file = isinstance(content, Path)
        source = {"abs_src_path": str(content)} if is_file else {"content": content}
        files.append(File.generated(config, place, **source))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the markers of the guide, and links to files that are no pages of the site."""
    del files
    source = Path(config.docs_dir) / page.file.src_uri
    if source.parent.name != "guide":
        return _OUTSIDE.sub(lambda found: _inside(found[1], found[2], page=page), markdown)
    return markers.replaced(markdown, folder=source.parent, computed=BUILD / "guide")


def _inside(text: str, target: str, *, page: Page) -> str:
    """Return a link to the page of an example, or the text with the name of another file."""
    script = ROOT / target
    if script.parent == gallery.SCRIPTS and script.stem in _examples():
        return f"[{text}]({'../' * page.file.src_uri.count('/')}examples/{script.stem}.md)"
    # a text that is the name of the file already is not repeated
    return f"`{target}`" if target.endswith(text.strip("`")) else f"{text} (`{target}`)"


@functools.cache
def _examples() -> set[str]:
    return {example.name for example in gallery.examples()}
