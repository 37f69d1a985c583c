"""The job of ``predict --sample-submission``: an answer for each id, in the form of a sample."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnncli.data.submission import (
    Sample,
    choose_answers,
    match_ids,
    save_submission,
)
from cnncli.errors import CnncliError, count_of, shorten
from cnncli.files import write_atomically
from cnncli.reporting import Reporter

Files = tuple[str, ...]
# So many ids or paths are named.
_NAMED = 20


def write_submission(
    sample: Sample,
    output: Path,
    files: Iterable[Files],
    predict: Callable[[Iterator[Files]], Iterator[Mapping[str, Any]]],
    class_names: Sequence[str],
    reporter: Reporter,
    *,
    flag: str,
    is_first: bool,
) -> bool:
    """Predict the images of a sample's ids and write the file.

    The cells of an id without an answer are left empty, so that none is taken for one.

    Args:
        sample: The sample.
        output: The file to write.
        files: The paths of the files of each image.
        predict: Yields the row of each image, with ``label`` (and ``suggested``, where it may be
            withheld) and ``probabilities``, or an ``error``.
        class_names: The classes that it knows.
        reporter: Is told how the sample was understood, and what has no partner.
        flag: The flag by which the sample was given, for messages.
        is_first: Whether this process writes the file; another one only takes part.

    Returns:
        Whether each id has an answer and each image an id.

    Raises:
        CnncliError: If the sample does not fit the network or the images, or the file cannot be
            written.
    """
    answers = choose_answers(sample, flag, class_names)
    if answers.told:
        reporter.note(f"{sample.path}: {answers.told}")
    images = list(dict.fromkeys(files))
    if not images:
        raise CnncliError("predict: no image is given")
    found = match_ids(sample, flag, [image[0] for image in images])
    wanted = [number for number in found if number is not None]
    rows = deque(predict(images[number] for number in wanted))
    if not is_first:
        return True
    bad = []
    for row, number in zip(sample.rows, found, strict=True):
        answer = None if number is None else rows.popleft()
        if answer is not None and not answer["error"]:
            label = answer.get("suggested", answer["label"])  # where the label is withheld
            answers.fill(row, label, answer["probabilities"])
            continue
        answers.clear(row)
        if answer is not None:
            bad.append(f"{answer['path']} ({answer['error']})")
    write_atomically(output, lambda part: save_submission(part, sample))
    lost = [name for name, number in zip(sample.ids, found, strict=True) if number is None]
    used = set(wanted)
    left = ["|".join(image) for number, image in enumerate(images) if number not in used]
    for names, one, several in (
        (lost, "id has no image", "ids have no image"),
        (bad, "image cannot be read", "images cannot be read"),
        (left, "image has no id", "images have no id"),
    ):
        if names:
            empty = "" if names is left else "; the cells are left empty"
            reporter.warn(f"{count_of(len(names), one, several)}{empty}: {shorten(names, _NAMED)}")
    done = len(sample.rows) - len(lost) - len(bad)
    reporter.note(f"{output}: {count_of(done, 'answer')} for {count_of(len(sample.rows), 'id')}")
    return not (lost or bad or left)
