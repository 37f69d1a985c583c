"""How far a run has come: finished, running, stopped or damaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnncli.errors import CnncliError
from cnncli.run.lock import find_holder
from cnncli.run.read_folder import RunRecord
from cnncli.training.find_run import is_finished, is_trial


@dataclass(frozen=True)
class State:
    """How far a run has come.

    Attributes:
        word: finished, running, perhaps running, stopped or damaged.
        done: Number of the epochs that are complete.
        of: Number of epochs that were asked for; None if the settings do not say it.
        why: What is known beside that; empty for nothing.
    """

    word: str
    done: int = 0
    of: int | None = None
    why: str = ""

    def describe(self) -> str:
        """Return the state in words: ``"stopped at epoch 16 of 33"``."""
        of = "" if self.of is None else f" of {self.of}"
        at = f" at epoch {self.done}{of}" if self.word == "stopped" and self.done else ""
        at = " before the end of epoch 1" if self.word == "stopped" and not self.done else at
        if self.word.endswith("running"):
            at = f", {self.done}{of} {'epoch' if (self.of or self.done) == 1 else 'epochs'} done"
        return self.word + at + (f": {self.why}" if self.why else "")

    def abbreviate(self) -> str:
        """Return the state for a narrow column: ``"stopped 16/33"``."""
        if self.word in ("finished", "damaged"):
            return self.word
        word = "running?" if self.word == "perhaps running" else self.word
        return f"{word} {self.done}/{'?' if self.of is None else self.of}"


def find_state(record: RunRecord, faults: Sequence[CnncliError]) -> State:
    """Return how far a run has come, by the files in its folder and its lock.

    Args:
        record: What the files say.
        faults: What is wrong with them.
    """
    epochs = record.settings.get("epochs")
    of = epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None
    done = len(record.epochs)
    holder = find_holder(record.path)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return State("damaged", done, of, f"{faults[0]}{more}".removeprefix(f"{record.path}/"))
    if record.report is not None:
        return State("finished", done, of)
    if (
        holder is None
        and is_trial(record.path)
        and (is_finished(record.path) or (of is not None and done >= of))
    ):
        return State("finished", done, of, "a trial of tune, not judged on the test images")
    if holder is None:
        why = "not evaluated" if of is not None and done >= of else ""
        return State("stopped", done, of, why)
    if not holder.is_visible():
        return State("perhaps running", done, of, f"process {holder.pid} on {holder.host}")
    if holder.is_gone():
        return State("stopped", done, of, "its process ended without a word, as if it was killed")
    return State("running", done, of)
