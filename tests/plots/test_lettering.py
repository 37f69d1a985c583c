"""Names that can be drawn: letters without a font, and names that are too long."""

from cnncli.plots import lettering
from cnncli.plots.lettering import drawable_names, drawable_text


def test_a_letter_that_an_installed_family_has_is_kept(monkeypatch):
    monkeypatch.setattr(lettering, "_drawable_code_points", lambda: frozenset(map(ord, "폐렴")))
    assert drawable_names(["폐렴", "폐x"], 32) == (["폐렴", "class 1"], 1)


def test_a_long_name_keeps_both_ends():
    (name,), missing = drawable_names(["left_lung_with_a_very_long_name_0001"], 15)
    assert (name, missing) == ("left_lu…me_0001", 0)
    assert drawable_names(["exactly fifteen"], 15) == (["exactly fifteen"], 0)


def test_a_line_keeps_what_can_be_drawn(monkeypatch):
    """A number in place of a name would be read as another class."""
    monkeypatch.setattr(lettering, "_drawable_code_points", lambda: frozenset(range(32, 127)))
    assert drawable_text("answer: 폐렴 0.5", 40) == "answer: □□ 0.5"
    assert drawable_text("a\tb", 40) == "a□b"  # the dot is no letter of these fonts either
