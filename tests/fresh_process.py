"""A call of the tool in a fresh process, and what that process had imported at its end."""

import json
import subprocess
import sys

HEAVY = {
    "torch",
    "torchvision",
    "pandas",
    "cv2",
    "sklearn",
    "albumentations",
    "scipy",
    "matplotlib",
    "safetensors",
}

_DUMP = """
import atexit, json, sys
sys.argv = ["cnncli", *sys.argv[1:]]
# The tool ends the process itself where torch is loaded, after the exit functions.
atexit.register(lambda: sys.stderr.write("\\nMODULES " + json.dumps(list(sys.modules))))
exec({code!r})
"""

_MAIN = "from cnncli.__main__ import main; main()"


def run(*args, code=_MAIN, cwd=None, exit_code=0):
    """Run in a fresh process; return (names of all modules that it had imported, stderr)."""
    done = subprocess.run(
        [sys.executable, "-c", _DUMP.format(code=code), *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said, _, modules = done.stderr.rpartition("\nMODULES ")
    assert done.returncode == exit_code, done.stderr
    return set(json.loads(modules)), said
