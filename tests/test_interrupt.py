"""Ctrl-C while Python starts and ends: a shell's 130, and one line of text at most."""

import signal
import subprocess
import sys

import pytest
from helpers import hear_signals

# Sends the signal when a module is looked up, or when Python ends.
_AT_IMPORT = """
import os, signal, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""
_AT_EXIT = """
import atexit, os, signal, sys
atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""
_MAIN = (
    "sys.argv[1:] = ['conv-size', '28', '3', '1', '0']\nfrom cnncli.__main__ import main\nmain()"
)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    "script",
    [*(_AT_IMPORT.format(name=name) for name in ("typer", "cnncli.commands.conv_size")), _AT_EXIT],
    ids=["imports of the app", "imports of the command", "end"],
)
def test_an_interrupt_shows_no_traceback(script):
    done = subprocess.run(
        [sys.executable, "-c", script + _MAIN],
        capture_output=True,
        text=True,
        preexec_fn=hear_signals,
        timeout=60,
    )
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr in ("", "Error: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_job_in_the_background_still_ignores_the_signal():
    done = subprocess.run(
        [sys.executable, "-c", _AT_IMPORT.format(name="typer") + _MAIN],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "26\n", "")
