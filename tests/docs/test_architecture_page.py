"""docs/architecture.md and docs/CONTRIBUTING.md: every name and every file in them exists."""

import importlib
import re

import pytest
from helpers import ROOT

PAGES = [ROOT / "docs" / name for name in ("architecture.md", "CONTRIBUTING.md")]
FLOORS = {path.stem for path in (ROOT / "cnncli").iterdir() if path.stem.isidentifier()}


def code(page):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", text)


def dotted_names(page):
    """Return the names such as ``run.prepare.prepare`` that begin with a module of ours."""
    names = [text.removesuffix("()") for text in code(page)]
    return [
        name
        for name in names
        if re.fullmatch(r"[a-z_]+(\.[A-Za-z_]+)+", name) and name.split(".")[0] in FLOORS
    ]


def resolve(name):
    """Return what a dotted name below ``cnncli`` stands for: a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(["cnncli", *parts[:count]]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def exists(name):
    try:
        resolve(name)
    except (ModuleNotFoundError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_exists(page):
    assert [name for name in dotted_names(page) if not exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_exists(page):
    paths = [text for text in code(page) if re.match(r"(cnncli|tests|docs|\.ci)/", text)]
    paths = [path for path in paths if "NAME" not in path]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_name_that_is_gone_would_be_noticed():
    assert resolve("errors.CnncliError").__name__ == "CnncliError"
    with pytest.raises(AttributeError):
        resolve("errors.NoSuchError")
    with pytest.raises(ModuleNotFoundError):
        resolve("nosuch.thing")


def test_the_walk_names_enough_to_follow_it():
    assert len(set(dotted_names(PAGES[0]))) >= 30


def test_the_floors_are_those_of_the_contract():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has none")
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = contract["tool"]["importlinter"]["contracts"][0]["layers"]
    picture = re.search(r"^```\n(__main__.*?)^```", PAGES[0].read_text("utf-8"), re.M | re.S)[1]
    # What a floor is for stands behind at least two spaces.
    assert [re.split(r" {2,}", line)[0] for line in picture.splitlines()] == layers
