"""Help: flags under headings, each once; within the width; the same headings in YAML and docs."""

import re
import typing

import pytest
import typer
from helpers import ROOT

from cnncli.choices import Heading
from cnncli.cli import app
from cnncli.commands import TABLE
from cnncli.config import RunConfig, dump_config
from cnncli.shell.run_flags import RUN_FLAGS

HEADINGS = list(typing.get_args(Heading))
WITH_HEADINGS = ("train", "finetune", "tune", "find-lr")
WIDTHS = (80, 100, 140)


@pytest.fixture(params=WIDTHS)
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def sections_of(text):
    """Return the lines under each heading of a help text."""
    sections = {}
    for line in text.splitlines():
        heading = re.fullmatch(r"([A-Z][a-z ]+):", line)
        if heading:
            assert heading[1] not in sections
            lines = sections[heading[1]] = []
        elif sections and line:
            assert line.startswith("  ")
            lines.append(line[2:])
    return sections


def labels_of(lines):
    """Return what stands at the left, such as ``"-c, --config YAML"``."""
    return [re.split(" {2,}", line)[0] for line in lines if not line.startswith(" ")]


def flags_of(name):
    """Return the flags of a command, as Typer knows them."""
    parameters = typer.main.get_command(app).commands[name].load().params
    return [flag for each in parameters for flag in (*each.opts, *each.secondary_opts)]


@pytest.mark.parametrize("name", WITH_HEADINGS)
def test_every_flag_stands_once_under_a_heading(cli, width, name):
    sections = sections_of(cli(name, "--help").out)
    assert list(sections) == HEADINGS
    labels = [label for lines in sections.values() for label in labels_of(lines)]
    shown = [
        flag for label in labels for flag in re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", label)
    ]
    known = [flag for flag in flags_of(name) if flag.startswith("-")]
    assert len(known) > 55
    assert sorted(shown) == sorted([*known, "-h", "--help"])


def test_a_flag_stands_under_the_heading_of_its_setting(cli):
    sections = sections_of(cli("finetune", "--help").out)
    for name, annotation in RUN_FLAGS.items():
        heading = typing.get_args(annotation)[1].rich_help_panel
        flag = "--" + name.replace("_", "-")
        assert any(re.search(rf"{flag}(?![\w-])", label) for label in labels_of(sections[heading]))


def test_the_flags_used_most_come_first_and_are_few(cli):
    sections = sections_of(cli("train", "--help").out)
    most_used = labels_of(sections["Most used"])
    assert 8 <= len(most_used) <= 12
    assert most_used[0] == "DATA, --data PATH"


def test_headings_are_those_of_the_yaml_and_of_the_docs(cli):
    text = dump_config(RunConfig(data="digits"))
    assert re.findall(r"^# (.*)", text, re.M) == HEADINGS
    for name in WITH_HEADINGS:
        page = (ROOT / "docs" / "commands" / f"{name}.md").read_text("utf-8")
        assert re.findall(r"^## (.*)", page, re.M) == HEADINGS


def test_settings_stand_under_the_same_heading_in_yaml_and_in_help(cli):
    text = dump_config(RunConfig(data="digits"))
    sections = sections_of(cli("finetune", "--help").out)
    compared = 0
    for part in text.split("# ")[1:]:
        heading, *lines = part.strip().splitlines()
        shown = " ".join(labels_of(sections[heading]))
        for key in (line.split(":")[0] for line in lines):
            assert re.search(rf"--{key.replace('_', '-')}(?![\w-])", shown), (heading, key)
            compared += 1
    assert compared == len(RunConfig.model_fields)


@pytest.mark.parametrize("name", ["", *TABLE])
def test_help_is_plain_and_keeps_to_the_width(cli, width, name, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = cli(*[name] * (name != ""), "--help").out.splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip() or not line.isprintable()] == []


def test_long_choices_stand_in_the_text(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = " ".join(cli("train", "--help").out.split())
    assert "--optimizer NAME Rule" in text
    assert "One of sgd, momentum, nesterov, adagrad, " in text
    # Short enough to stand beside the flag; Typer before 0.29 puts other brackets around it.
    assert re.search(r"--loss [<\[]cross_entropy\|focal\|bce\|ordinal[>\]] What", text)


def test_a_command_of_few_flags_has_one_list(cli):
    sections = sections_of(cli("split", "--help").out)
    assert list(sections) == ["Options"]
    assert labels_of(sections["Options"])[0] == "DATA, --data PATH"


def test_commands_stand_in_groups_with_whole_sentences(cli, width):
    text = cli("--help").out
    assert "..." not in text
    sections = sections_of(text)
    assert sections.pop("Options")
    assert list(sections) == list(dict.fromkeys(entry.group for entry in TABLE.values()))
    assert len(sections) == 5
    for group, lines in sections.items():
        shown = " ".join(" ".join(lines).split())
        expected = {name: entry for name, entry in TABLE.items() if entry.group == group}
        assert shown == " ".join(f"{name} {entry.summary}" for name, entry in expected.items())


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("columns", [50, 60, 70, 80, 100])
def test_no_line_is_broken_within_a_flag(cli, name, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = cli(name, "--help").out
    assert not re.search(r"(^|[\s(])--?[a-z-]*-$", text, re.MULTILINE)
    assert "\u2011" not in text
