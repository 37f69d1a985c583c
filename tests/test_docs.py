"""What is generated is generated: a stale page fails here."""

import importlib.util
from importlib.metadata import version
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def load_generator():
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(
    tuple(map(int, version("typer").split(".")[:2])) < (0, 29),
    reason="the pages are generated with Typer 0.29, which words types differently",
)
def test_every_command_has_a_fresh_page():
    pages = load_generator().command_pages()
    on_disk = {path.name: path.read_text("utf-8") for path in (DOCS / "commands").glob("*.md")}
    assert on_disk == pages, "run: python docs/generate.py"
