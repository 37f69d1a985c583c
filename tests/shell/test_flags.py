"""Labelled data as an argument and as --data: the same, and not both."""

import csv
import json

import pytest
import typer

from cnncli.cli import app
from cnncli.commands import TABLE
from cnncli.shell.flags import DATA_ARGUMENT

LABELLED = (
    *("train", "finetune", "cross-validate", "tune", "find-lr"),
    *("evaluate", "check-data", "split", "augment"),
)


def test_these_commands_take_labelled_data():
    group = typer.main.get_command(app)
    found = set()
    for name in TABLE:
        names = {parameter.name for parameter in group.commands[name].load().params}
        # Their arguments are the picture and the network, a cross-validation and a run.
        if name not in ("visualize", "suspect-labels", "report"):
            assert ("data" in names) == (DATA_ARGUMENT in names)
        found |= {name} if DATA_ARGUMENT in names else set()
    assert found == set(LABELLED)


@pytest.mark.parametrize("name", LABELLED)
def test_both_at_once_is_one_line_that_names_both(cli, name, tmp_path):
    more = ("--config", tmp_path / "run.yaml") if name == "tune" else ()
    result = cli(name, "./here", "--data", "./there", *more)
    assert (result.code, result.out) == (2, "")
    assert "./here and --data ./there: " in result.error


@pytest.mark.parametrize("given", [("x",), ("--data", "x"), ("--epochs", "3", "x")])
@pytest.mark.parametrize("name", ["train", "finetune"])
def test_the_settings_are_the_same(cli, name, given):
    result = cli(name, *given, "--print-config")
    assert "\ndata: x\n" in result.out
    assert result.code == 0


@pytest.mark.parametrize("name", ["train", "finetune", "find-lr", "check-data", "split"])
def test_no_data_at_all(cli, name):
    result = cli(name)
    assert (result.code, result.out) == (2, "")
    assert result.error == "--data: missing; name the folder of images (or a CSV, or digits)"


def test_no_data_to_augment(cli):
    assert cli("augment").error == "IMG|DATA: missing; name an image or a folder of images"


def test_two_arguments_are_refused(cli):
    assert "unexpected extra argument" in cli("train", "x", "y").error


@pytest.mark.parametrize("flag", [(), ("--data",)])
def test_split_and_check_data_take_both_forms(cli, folder_data, tmp_path, flag):
    output = tmp_path / "splits.csv"
    assert cli("split", *flag, folder_data, "--output", output).code == 0
    with output.open() as file:
        assert len(list(csv.DictReader(file))) == 90
    result = cli("check-data", *flag, folder_data, "--format", "json")
    assert sum(row["images"] for row in json.loads(result.out)["classes"]) == 90


@pytest.mark.parametrize("flag", [(), ("--data",)])
def test_augment_and_evaluate_take_both_forms(cli, folder_data, run_dir, tmp_path, flag):
    picture = tmp_path / "a.png"
    assert cli("augment", *flag, folder_data, "--output", picture, "--image-size", "16").code == 0
    assert picture.is_file()
    result = cli("evaluate", *flag, folder_data, "--checkpoint", run_dir, "--split", "all")
    assert json.loads(result.out)["images"] == 90


def test_an_argument_wins_over_the_yaml_as_the_flag_does(cli, tmp_path):
    (tmp_path / "run.yaml").write_text("data: x\n")
    result = cli("train", "z", "--config", tmp_path / "run.yaml", "--print-config")
    assert "\ndata: z\n" in result.out


@pytest.mark.parametrize("given", [("x",), ("--data", "x")])
def test_a_run_that_goes_on_takes_no_data(cli, run_dir, given):
    result = cli("train", *given, "--resume", run_dir)
    assert result.code == 2
    assert result.error.startswith("--data: a run goes on with the settings it has")


@pytest.mark.parametrize("name", ["CNNCLI_ONNX", "CNNCLI_REPORT"])
def test_a_switch_in_the_environment_says_what_is_right(cli, monkeypatch, name):
    monkeypatch.setenv(name, "maybe")
    result = cli("train", "x", "--print-config")
    assert (result.code, result.error) == (2, f"{name} maybe: must be 1 or 0")
    for text in ("0", "No", "on"):
        monkeypatch.setenv(name, text)
        assert cli("train", "x", "--print-config").code == 0
