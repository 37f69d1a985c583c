"""A short text by which the answers of one network, decision and way to judge are known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from cnncli.run.decision import Decision


def fingerprint(
    weights: Sequence[str], class_names: Sequence[str], decision: Decision, *how: object
) -> str:
    """Return 12 hex digits that differ where answers may.

    Args:
        weights: The digests of the networks' weights.
        class_names: The K names.
        decision: What is done with the probabilities. What it was chosen on does not count.
        *how: In which other ways images are judged, such as the views of each.
    """
    done = {name: value for name, value in asdict(decision).items() if name != "val"}
    content = json.dumps([list(weights), list(class_names), done, [str(each) for each in how]])
    return hashlib.blake2b(content.encode(errors="surrogateescape"), digest_size=6).hexdigest()
