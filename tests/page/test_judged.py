"""What the page's script gets: names that cannot break out, and probabilities in little room."""

import base64
import html.parser
import json

import numpy as np
import pytest

from cnncli.page import judged as module
from cnncli.page.judged import (
    Judged,
    choose_featured,
    choose_listed,
    common_root,
    escape_json,
    order_of_interest,
    to_json,
)

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    "a\"b'c&amp;",
    "x\ny",
    "‮txt.exe",
    "🙂 مرحبا",
]


def draw(images=60, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes)) * 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return rng.integers(0, classes, images), probabilities


def judge(names=None, images=60, classes=4):
    targets, probabilities = draw(images, classes)
    names = names or [f"{number}.png" for number in range(images)]
    classes = [str(number) for number in range(classes)]
    return Judged(names, None, targets, probabilities, classes, probabilities.argmax(axis=1))


class Elements(html.parser.HTMLParser):
    """Collects the elements of a page, and the text of its JSON."""

    def __init__(self):
        super().__init__()
        self.names, self.json, self._open = [], "", False

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self._open = tag == "script"

    def handle_endtag(self, tag):
        self._open = self._open and tag != "script"

    def handle_data(self, data):
        if self._open:
            self.json += data


def test_no_name_can_leave_the_script():
    page = Elements()
    page.feed(f"<script type=application/json>{escape_json(HOSTILE)}</script><p>")
    assert page.names == ["script", "p"]
    assert json.loads(page.json) == HOSTILE


def decode(content, key, kind):
    return np.frombuffer(base64.b64decode(content[key]), kind)


def test_every_probability_that_a_threshold_can_tell_is_there():
    images = judge()
    content = json.loads(to_json(images, choose_listed(images)))
    kept, columns, values = (
        decode(content, *pair)
        for pair in (("kept", "<u2"), ("columns", "<u2"), ("probabilities", "<f4"))
    )
    read = np.zeros_like(images.probabilities)
    read[np.repeat(np.arange(len(images)), kept), columns] = values
    assert len(values) < images.probabilities.size  # something was left out
    for threshold in np.arange(1, 101) / 100:
        np.testing.assert_array_equal(read >= threshold, images.probabilities >= threshold)
    # The second largest too: it says what an image is called whose largest is below a threshold.
    largest = np.sort(images.probabilities.astype("f4"), axis=1)[:, -2:]
    np.testing.assert_array_equal(np.sort(read, axis=1)[:, -2:], largest)


def test_the_order_begins_with_sure_mistakes_and_doubtful_right_ones():
    targets, probabilities = draw(500)
    order = order_of_interest(targets, probabilities)
    assert sorted(order) == list(range(500))
    right = probabilities.argmax(axis=1) == targets
    sure = probabilities.max(axis=1)
    assert sure[order[0]] == sure[~right].max()
    assert sure[order[100]] == sure[right].min()
    first, second = choose_featured(targets, probabilities)[:2]
    assert (sure[first], sure[second]) == (sure[~right].max(), sure[right].min())


@pytest.mark.parametrize("bound", ["MOST_PROBABILITIES", "MOST_NAME_CHARACTERS"])
def test_a_page_that_would_be_too_large_holds_the_most_interesting(monkeypatch, bound):
    monkeypatch.setattr(module, bound, 60)
    images = judge()
    listed = choose_listed(images)
    assert 1 < len(listed) < 30
    order = order_of_interest(images.targets, images.probabilities)
    assert set(listed) == set(order[: len(listed)])
    assert json.loads(to_json(images, listed))["images"] == 60


def test_the_root_is_told_only_where_it_leads_to_every_file():
    assert common_root(["/d/a/1.png", "/d/b/2.png"], ["a/1.png", "b/2.png"]) == "/d"
    assert common_root(["/d/a/1.png", "/e/b/2.png"], ["a/1.png", "b/2.png"]) is None
    assert common_root([None], ["a/1.png"]) is None
