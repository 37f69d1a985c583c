"""The app itself: error boundary, signals, pipes, plainness and shell completion."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from helpers import started

from cnncli import commands
from cnncli.cli import app
from cnncli.errors import CnncliError
from cnncli.shell.terminal import TerminalReporter, print_rows


@pytest.fixture
def failing(monkeypatch, cli):
    """Return a function that runs a command which raises what it is given."""

    def run(error, *args):
        def command():
            raise error

        monkeypatch.setattr(app, "registered_commands", [])
        app.command("fail")(command)
        app.command("other")(lambda: None)
        return cli("fail", *args)

    return run


@pytest.mark.parametrize("code", [1, 2])
def test_a_users_mistake_is_one_line(failing, code):
    result = failing(CnncliError("--data x:\nno such\r\nfolder", exit_code=code))
    assert result == type(result)(code, "", "Error: --data x: no such folder\n")


def test_a_bug_keeps_its_traceback(failing):
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())
    with pytest.raises(EOFError):  # Typer makes an Abort of it
        failing(EOFError())
    with pytest.raises(OSError, match="from a library"):
        failing(OSError("from a library, without an errno"))


@pytest.mark.parametrize("args", [("--debug",), ("-h", "--debug")])
def test_debug_in_any_place(failing, args):
    if "-h" in args:
        assert failing(CnncliError("wrong"), *args).code == 0
    else:
        with pytest.raises(CnncliError, match="wrong"):
            failing(CnncliError("wrong"), *args)


def test_an_error_of_the_system_is_one_line(failing):
    result = failing(PermissionError(13, "Permission denied", "/a/b"))
    assert (result.code, result.err) == (1, "Error: /a/b: Permission denied\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interrupt_is_130(failing, error):
    result = failing(error)
    assert (result.code, result.out, result.err) == (130, "", "Error: interrupted\n")


def test_a_closed_pipe_is_quiet(failing):
    result = failing(BrokenPipeError(32, "Broken pipe"))
    assert (result.code, result.err) == (0, "")


def test_no_command_prints_the_help(cli):
    result = cli()
    assert (result.code, result.out) == (2, "")
    assert all(name in result.err for name in commands.TABLE)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nosuch",), "No such command 'nosuch' (see 'cnncli --help')"),
        (("train", "--epoch", "3"), "--epochs"),
        (("train", "--augment", "hard"), "unknown word 'hard'"),
        (("train", "--epochs", "many"), "--epochs"),
        (("train", "x", "--epochs"), "'--epochs' requires an argument"),
        (("train", "--resume", "r", "--print-config"), "--print-config: --resume r goes on with"),
        (("train", "--resume", "r", "--output", "o"), "--output: a run goes on with the settings"),
        (("predict",), "predict: name the images: files, folders, globs or tables"),
        (("predict", "x.png", "--top-k", "0"), "--top-k 0: must be at least 1"),
        (("predict", "x.png", "--batch-size", "0"), "--batch-size 0: must be at least 1"),
    ],
)
def test_a_usage_error_is_one_line(cli, args, words):
    result = cli(*args)
    assert (result.code, result.out) == (2, "")
    assert words in result.error


@pytest.mark.parametrize("name", commands.TABLE)
def test_every_command_has_help_and_its_summary_is_its_first_sentence(cli, name):
    result = cli(name, "-h")
    assert result.code == 0
    assert commands.TABLE[name].summary == commands.TABLE[name].load().__doc__.splitlines()[0]
    assert commands.TABLE[name].summary in " ".join(result.out.split())


def test_version_is_that_of_the_package(cli):
    from importlib.metadata import version

    assert cli("--version").out == f"cnncli {version('cnncli')}\n"


def test_a_profiler_keeps_what_it_saw(tmp_path):
    """The process ends at once otherwise, also for whoever called it."""
    profile = tmp_path / "profile"
    call = [sys.executable, "-m", "cProfile", "-o", profile, "-m", "cnncli", "--version"]
    assert subprocess.run(call, check=True, capture_output=True).stdout.startswith(b"cnncli ")
    assert profile.stat().st_size


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("args", [("--version",), ("train", "--data", "d", "--print-config")])
def test_a_full_disk_is_one_line(tmp_path, args):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cnncli", *args],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "Error: output: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_predict_onto_a_full_disk(run_dir, folder_data):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cnncli", "predict", folder_data, "--checkpoint", run_dir],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "Error: output: No space left on device\n")


def test_closed_standard_streams_are_no_bug(tmp_path):
    script = f"exec {sys.executable} -m cnncli train --data d --print-config >&- <&-"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_that_nobody_reads_keeps_its_exit_code(tmp_path):
    with started("conv-size", "28", "x", cwd=tmp_path) as process:
        process.stderr.close()
        assert process.wait(timeout=60) == 2


def test_training_goes_on_where_nobody_reads_how_it_goes(tmp_path, folder_data):
    flags = ("--model", "lenet5", "--epochs", 3, "--device", "cpu", "--precision", "fp32")
    with started("train", "--data", folder_data, *flags, cwd=tmp_path) as process:
        process.stderr.readline()
        process.stderr.close()
        out = process.stdout.read()
        assert process.wait(timeout=60) == 0
    run = tmp_path / out.strip()
    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + 3
    assert (run / "report.json").exists()


# What a command shows while it works, without the seconds that torch takes to load.
SHOW = """
from cnncli.shell.terminal import TerminalReporter, choose_format, print_rows
reporter = TerminalReporter()
with reporter.progress("working", 3) as advance:
    advance(1, "12 images/s")
    reporter.note("a note")
    advance(2)
reporter.table("a table", [{"metric": "accuracy", "value": 0.5}])
print_rows([{"path": "a.png"}], ["path"], choose_format(None, piped="csv"))
"""


def run_on_terminal(env):
    """Run SHOW with both output streams on a pseudo-terminal; return what it shows."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **env}
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW], stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:  # Linux says EIO at the end of a terminal
        pass
    os.close(master)
    assert process.wait(timeout=60) == 0, shown
    return shown.decode()


def test_a_terminal_gets_colour_unless_no_color():
    shown = run_on_terminal({})
    assert "\x1b[" in shown  # so that what follows proves something
    assert "working" in shown
    shown = run_on_terminal({"NO_COLOR": "1"})
    assert "\x1b" not in shown
    for part in ("a note", "a table", "accuracy", "a.png", "────"):
        assert part in shown


def test_a_pipe_is_plain_even_where_colour_is_forced():
    env = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "TTY_COMPATIBLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "path\na.png\n"
    assert done.stderr.startswith("a note\na table")
    assert "\x1b" not in done.stderr


def test_names_with_markup_are_shown_as_they_are(capsys):
    rows = [{"[red]x[/red]": "[bold]a", ":car:": ":car:"}]
    print_rows(rows, list(rows[0]), "table")
    TerminalReporter().table("title", rows)
    captured = capsys.readouterr()
    for text in captured.out, captured.err:
        assert all(word in text for word in ("[red]x[/red]", "[bold]a", ":car:"))


def complete(words):
    """Complete as the installed script would: the shell function sets these variables."""
    done = subprocess.run(
        ["cnncli"],
        env={
            **os.environ,
            "_CNNCLI_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_completion_of_commands():
    assert set(complete("cnncli ")) == set(commands.TABLE)
    assert complete("cnncli ev") == ["evaluate"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cnncli train --model len", "lenet5"),
        ("cnncli train --data di", "digits"),
        ("cnncli evaluate --data di", "digits"),
        ("cnncli train di", "digits"),
        ("cnncli split di", "digits"),
        ("cnncli split --data di", "digits"),
        ("cnncli train --augment medic", "medical"),
        ("cnncli train --batch", "--batch-size"),
        ("cnncli predict --format jsonl", "jsonl"),
    ],
)
def test_completion_of_values(words, expected):
    assert complete(words) == [expected]


def test_the_completion_script_is_printed():
    # Otherwise Typer looks for a shell above the process, and a test runner may have none.
    env = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        ["cnncli", "--show-completion", "bash"],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
    )
    assert "_CNNCLI_COMPLETE=complete_bash" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "a.png", "--output", "b.csv"), "--output b.csv: the rows go to stdout"),
        (("predict", "a.png", "--csv", "b.csv"), "write them with > FILE.csv"),
        (("inspect-layers", "cnn", "--layer", "conv1"), "--layer: no such flag; --names"),
        (("inspect-layers", "resnet18", "--names", "layer3"), "'layer3.*' names what is in it"),
        (
            ("suspect-labels", "--checkpoint", "cv"),
            "name the cross-validation without a flag: suspect-labels FOLDER",
        ),
        (("report", "--checkpoint", "run"), "name the run without a flag: report RUN"),
        (("serve", "--checkpoint", "run"), "name the run without a flag: serve RUN"),
        (("compare", "--checkpoint", "run"), "name the runs without a flag: compare RUN RUN"),
        (("visualize", "grad-cam", "--checkpoint", "run"), "without a flag: visualize WHAT RUN"),
        (("runs", "show", "--checkpoint", "run"), "name the run without a flag: runs show RUN"),
        (("runs", "lr"), "the runs of a folder: --dir lr"),
        (("runs", "rm", "x"), "did you mean delete?"),
    ],
)
def test_what_other_tools_call_so_is_pointed_to(cli, words, told):
    result = cli(*words)
    assert (result.code, result.out) == (2, "")
    assert told in result.err
