"""How light images are is known since they were judged: they are not decoded for it again."""

import cv2
import numpy as np
import pytest

from cnncli.images.preprocess import Preprocess
from cnncli.recipes.report.judging import judge_material
from cnncli.recipes.report.material import find_material
from cnncli.recipes.report.parts import list_parts
from cnncli.recipes.report.settings import ReportSettings
from cnncli.reporting import SilentReporter

LEVELS = {"zero": (10, 60, 110), "one": (160, 210, 250)}


def test_the_brightness_is_that_of_the_images_judged(run_dir, tmp_path, monkeypatch):
    for name, levels in LEVELS.items():
        (tmp_path / "new" / name).mkdir(parents=True)
        for level in levels:
            picture = np.full((20, 20), level, np.uint8)
            assert cv2.imwrite(str(tmp_path / "new" / name / f"{level:03d}.png"), picture)
    (tmp_path / "new" / "one" / "bad.png").write_bytes(b"no picture")
    settings = ReportSettings(run=str(run_dir), data=str(tmp_path / "new"))
    material = find_material(settings.run, SilentReporter())
    judge_material(material, settings, SilentReporter())
    paths = map(str, material.answers.samples.paths)
    expected = [int(path[-7:-4]) / 255 for path in paths]
    assert len(expected) == 6
    assert material.answers.brightness == pytest.approx(expected, abs=1e-6)

    def refuse(*args):
        raise AssertionError("an image is decoded again")

    monkeypatch.setattr(Preprocess, "read", refuse)
    parts, missing = list_parts(material, settings)
    assert missing == ""
    (table,) = (part for part in parts if "brightness" in str(part))
    assert "4 %" in str(table)
