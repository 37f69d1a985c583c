"""Start-up is quick: what a fresh process imports is looked up in ``sys.modules``."""

import pytest
from fresh_process import HEAVY, run

from cnncli import commands

CONFIG = {"pydantic", "yaml"}


@pytest.fixture(scope="module")
def of_typer():
    """Return what Typer imports by itself: that much is not ours to save."""
    app = """
import typer
def command(number: int = 1): ...
app = typer.Typer(rich_markup_mode=None)
app.command()(command)
app(["--number", "2"])
"""
    modules, _ = run(code=app)
    assert "typer" in modules
    return modules


def test_the_dump_sees_what_is_imported():
    modules, _ = run(code="import yaml, safetensors")
    assert {"yaml", "safetensors"} <= modules


def commands_in(modules):
    """Return the names of the commands whose modules are among these."""
    prefix = "cnncli.commands."
    return {
        name.removeprefix(prefix).replace("_", "-") for name in modules if name.startswith(prefix)
    }


@pytest.mark.parametrize("name", commands.TABLE)
def test_no_other_command_is_imported(name):
    modules, _ = run(name, "--help")
    assert commands_in(modules) == {name}


@pytest.mark.parametrize(
    ("args", "exit_code"), [(("--help",), 0), (("--version",), 0), ((), 2), (("nosuch",), 2)]
)
def test_no_command_is_imported_where_none_is_asked_for(args, exit_code):
    modules, _ = run(*args, exit_code=exit_code)
    assert commands_in(modules) == set()


@pytest.mark.parametrize(
    "args",
    [
        ("conv-size", "28", "3", "1", "0"),
        ("convolve", "-1 2; 3 4", "--kernel", "sobel-x", "--kernel", "1 1 1", "--padding", "same"),
        ("models", "--format", "csv"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_values_that_need_no_conversion_never_reach_pydantic(args):
    modules, _ = run(*args)
    assert modules & {"pydantic", "yaml", "rich", "numpy"} == set()


HELPS = [("--help",), ("--version",), *((name, "--help") for name in commands.TABLE)]


@pytest.mark.parametrize("args", HELPS, ids=" ".join)
def test_help_and_version_are_light(args, of_typer):
    modules, _ = run(*args)
    assert modules & (HEAVY | (CONFIG - of_typer)) == set()


MISTAKES = [
    (),
    ("nosuch",),
    ("--nosuch",),
    *((name, "--nosuch") for name in commands.TABLE),
    ("train", "--resize-mode", "zoom"),
    ("predict", "a.png", "--tta", "1"),
    ("augment", "digits", "--augment", "hard"),
    ("train", "--epochs", "many"),
    ("evaluate", "--split", "dev"),
    ("predict", "--format", "xml"),
    ("predict",),
]


@pytest.mark.parametrize("args", MISTAKES, ids=" ".join)
def test_usage_errors_are_light(args, of_typer):
    modules, said = run(*args, exit_code=2)
    assert modules & (HEAVY | (CONFIG - of_typer)) == set()
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "args",
    [("28", "3", "1", "0"), ("32", "--in-channels", "1", "--chain", "conv5x5 f6; gap; dense 84")],
    ids=" ".join,
)
def test_conv_size_is_light(args, of_typer):
    modules, _ = run("conv-size", *args)
    assert modules & (HEAVY | ((CONFIG | {"numpy", "rich"}) - of_typer)) == set()


@pytest.mark.parametrize(
    "args",
    [
        ("--explain",),
        ("--then", "relu; pool2; flatten; softmax", "--backward", "--target", "0"),
        ("--then", "bn; gap", "--format", "json"),
        ("--as-matrix", "--format", "table"),
        ("--kernel", "sobell"),
    ],
    ids=" ".join,
)
def test_convolve_is_light_on_a_small_matrix(args):
    wrong = "sobell" in args
    image = "3 0 1 2; 1 5 8 9; 2 7 2 5; 0 1 3 1"
    modules, _ = run("convolve", image, "--kernel", "1 0; 0 -1", *args, exit_code=2 if wrong else 0)
    assert modules & (HEAVY | {"yaml", "numpy", "rich"}) == set()


@pytest.mark.parametrize(
    "args",
    [
        ("--lr", "-1"),
        ("--batch-size", "0"),
        ("--model", "lenet"),
        ("--monitor", "val_los"),
        ("--augment", "hard"),
        ("--model", "resnet18", "--batch-size", "1"),
        ("-c", "run.yaml"),
        ("-c", "nosuch.yaml"),
        ("--print-config", "--image-size", "0"),
    ],
    ids=" ".join,
)
def test_config_errors_never_reach_torch(args, tmp_path):
    (tmp_path / "run.yaml").write_text("epoch: 3\n")
    modules, said = run("train", "--data", "digits", *args, cwd=tmp_path, exit_code=2)
    assert modules & HEAVY == set()
    assert said.strip().count("\n") == 0


def test_print_config_never_reaches_torch():
    modules, _ = run("train", "--data", "digits", "--print-config")
    assert modules & HEAVY == set()


def test_predict_loads_only_what_it_needs(workspace, folder_data):
    image = next(folder_data.glob("one/*.png"))
    modules, _ = run("predict", str(image), cwd=workspace)
    assert "torch" in modules
    assert modules & {"torchvision", "pandas", "sklearn", "matplotlib", "albumentations"} == set()


def test_finding_images_imports_pandas_for_a_table_alone_and_never_torch(folder_data, tmp_path):
    code = (
        "from sys import argv; from cnncli.data.find_samples import find_samples as f; f(argv[1])"
    )
    modules, _ = run(str(folder_data), code=code)
    assert modules & {"torch", "pandas", "numpy"} == {"numpy"}
    table = tmp_path / "table.csv"
    table.write_text(f"image,label\n{next(folder_data.glob('*/*.png'))},a\n")
    modules, _ = run(str(table), code=code)
    assert modules & {"torch", "pandas", "numpy"} == {"pandas", "numpy"}
