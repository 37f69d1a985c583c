"""What ONNX Runtime says about graphics cards as it is imported is kept from the user."""

import sys

import pytest

from cnncli.engine.load_onnxruntime import load_onnxruntime

SAYS = """
import os
os.write(2, b'19:00:00 [W:onnxruntime:Default, device_discovery.cc:164 Discover] no GPU\\n')
os.write(2, b'another line\\n')
"""


def refuse(_):
    raise OSError


@pytest.mark.parametrize("memory", ["memory", "refused", "unknown"])
def test_its_warnings_are_dropped_and_nothing_else(tmp_path, monkeypatch, capfd, memory):
    if memory == "refused":  # as some sandboxes do
        monkeypatch.setattr("os.memfd_create", refuse, raising=False)
    elif memory == "unknown":
        monkeypatch.delattr("os.memfd_create", raising=False)
    (tmp_path / "onnxruntime.py").write_text(SAYS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # whatever was there comes back
    monkeypatch.delitem(sys.modules, "onnxruntime")
    assert load_onnxruntime() is load_onnxruntime()
    assert load_onnxruntime().__file__ == str(tmp_path / "onnxruntime.py")
    assert capfd.readouterr() == ("", "another line\n")


def test_the_usual_one_is_returned():
    import onnxruntime

    assert load_onnxruntime() is onnxruntime
