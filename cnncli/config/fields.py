"""What a field of the config is made of: its bounds, its heading and its kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cnncli.choices import Heading

Count = Annotated[int, Field(ge=1, lt=2**31)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# Bounds within which also the product of a rate and a strength is a float32.
NotNegative = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)]
LearningRate = Annotated[float, Field(gt=0, le=1e30, allow_inf_nan=False)]

# What a setting decides. "data": on which images a run is trained and by which of its values it is
# judged; runs in which these differ cannot be compared fairly. "place": where a run lies, what is
# written beside it and what computes it; it learns the same elsewhere. "learning": all the rest,
# which a search may vary.
Kind = Literal["data", "place", "learning"]


def setting(
    default: Any, heading: Heading, kind: Kind = "learning", *, names_files: bool = False
) -> Any:
    """Return a field of `RunConfig`.

    Args:
        default: The value where none is given; ``...`` where one has to be given.
        heading: Under which heading the setting stands in help, in YAML and in the documentation.
        kind: What the setting decides.
        names_files: Whether its value can be a path, or say how files are named: what is handed on
            without names leaves it out.
    """
    extra: dict[str, Any] = {"heading": heading, "kind": kind, "names_files": names_files}
    return Field(default, json_schema_extra=extra)


def flag_name(key: str) -> str:
    """Return the flag of a setting: ``"--batch-size"`` for ``"batch_size"``."""
    return "--" + key.replace("_", "-")
