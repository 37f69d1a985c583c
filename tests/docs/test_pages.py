"""What is generated is generated: a stale page fails here, and so do dead links and flags."""

import re
import shlex
from importlib.metadata import version

import pytest
import typer
from helpers import ROOT, load_generator

from cnncli.cli import app

DOCS = ROOT / "docs"
GROUP = typer.main.get_command(app)
COMMANDS = {name: command.load() for name, command in GROUP.commands.items()}
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.parent.name != "commands"]


@pytest.mark.skipif(
    tuple(map(int, version("typer").split(".")[:2])) < (0, 29),
    reason="the pages are generated with Typer 0.29, which words types differently",
)
def test_every_command_has_a_fresh_page():
    pages = load_generator().command_pages()
    on_disk = {path.name: path.read_text("utf-8") for path in (DOCS / "commands").glob("*.md")}
    assert on_disk == pages, "run: python docs/generate.py"


def test_the_models_page_is_fresh():
    page = load_generator().models_page()
    assert (DOCS / "models.md").read_text("utf-8") == page, "run: python docs/generate.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_and_stands_in_the_readme(name):
    assert (DOCS / "commands" / f"{name}.md").is_file()
    assert f"docs/commands/{name}.md" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert dead == []


def flags_of(command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts} | {
        name for parameter in command.params for name in parameter.secondary_opts
    }


def code_lines(text: str) -> list[str]:
    """Return the lines of all code blocks, continued lines as one, and all code in sentences."""
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [*lines, *(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest))]


def split_line(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    try:
        return list(lexer)
    except ValueError:  # an apostrophe in what a command printed
        return line.split()


LAUNCHERS = {"torchrun", "srun", "pytest", "pip", "ruff", "curl", "python"}


def unknown_flags(line: str) -> list[str]:
    """Return the flags of a line that the command they stand behind does not have.

    A flag behind no command must be one of any command's, or of the app itself.
    """
    anywhere = set().union(*map(flags_of, (GROUP, *COMMANDS.values()))) | {"--help"}
    known, command, before, unknown = anywhere, "", "", []
    for word in split_line(line):
        if word in LAUNCHERS:  # what follows, up to our command, is theirs
            known, command = None, ""
        elif before == "cnncli" and word in COMMANDS:
            known, command = flags_of(COMMANDS[word]) | {"--help"}, word
        elif word in {"|", "&&", ";", ")", "||"}:
            known, command = anywhere, ""
        elif re.fullmatch(r"--[a-z][a-z-]*", word.split("=")[0]):
            flag = word.split("=")[0]
            unknown += (
                [f"{command} {flag}".strip()] if known is not None and flag not in known else []
            )
        before = word
    return unknown


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_flag_exists(page):
    lines = code_lines(page.read_text("utf-8"))
    assert [flag for line in lines for flag in unknown_flags(line)] == []


def test_a_renamed_flag_would_be_noticed():
    assert unknown_flags("run=$(cnncli train --dta x --model 'cnn: gap; dense 3') | head") == [
        "train --dta"
    ]
    assert unknown_flags("cnncli predict a.png --top-k 2 --freeze none") == ["predict --freeze"]
    assert unknown_flags("--unfreeze-at 2=none") == []
    assert unknown_flags("torchrun --nodes 2 -m cnncli train --dta x") == ["train --dta"]
    assert unknown_flags("--unfreze-at") == ["--unfreze-at"]


def test_the_setup_commands_stand_in_the_readme_and_ci_runs_the_same_tests():
    readme = (ROOT / "README.md").read_text("utf-8")
    make = "python3 -m venv .venv && . .venv/bin/activate && pip install "
    assert make + ". && cnncli train --data digits\n" in readme
    assert make + "'.[dev]' && pytest -n auto\n" in readme
    ci = ROOT / ".ci" / "run"
    if ci.is_file():  # not in the sdist
        assert "\npytest -n auto\n" in ci.read_text("utf-8")
