"""What a run is: YAML and flags into one validated object.

Every key is a flag with underscores, and every flag a key. Flags win over the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cnncli.choices import Augment, Precision, ResizeMode, format_size, parse_size
from cnncli.errors import CnncliError, did_you_mean

Fraction = Annotated[float, Field(ge=0, lt=1)]


class RunConfig(BaseModel):
    """The settings of one run; None is "let the data and the device decide".

    What each does is told where it is typed: ``cnncli train --help``.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    data: str
    model: str = "resnet_small"
    image_size: str | None = None
    resize_mode: ResizeMode = "squash"
    in_channels: Annotated[int, Field(ge=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    label_smoothing: Fraction | None = None
    monitor: str = "val_loss"
    patience: Annotated[int, Field(ge=1)] | None = None
    augment: Augment = "light"
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test_fraction: Fraction = 0.15
    class_order: list[str] | None = None
    image_col: str | None = None
    label_col: str | None = None
    split_col: str | None = None
    group_col: str | None = None
    group_regex: str | None = None
    device: str = "auto"
    precision: Precision = "auto"
    workers: Annotated[int, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    output: str = "runs"

    @field_validator("image_size", mode="before")
    @classmethod
    def _read_size(cls, value: object) -> object:
        """Take 224 and "224x320" alike; YAML reads the former as a number."""
        if value is None or isinstance(value, bool):
            return value
        try:
            return format_size(parse_size(str(value)))
        except CnncliError as error:
            raise ValueError(str(error).removeprefix("size: ")) from None

    @field_validator("class_order", mode="before")
    @classmethod
    def _read_order(cls, value: object) -> object:
        """Take "a,b,c" from the flag and a list from YAML, where 0 is a class name too."""
        if isinstance(value, str):
            return [name.strip() for name in value.split(",")]
        return [str(name) for name in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _check_fractions(self) -> RunConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("--val-fraction and --test-fraction leave nothing to train on")
        return self


class ResolvedConfig(RunConfig):
    """A config in which data, model and device have decided what was left open."""

    image_size: str
    in_channels: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    label_smoothing: float
    patience: int
    workers: int


def load_config(path: str | None, flags: Mapping[str, object]) -> RunConfig:
    """Merge a YAML file and flags.

    Args:
        path: Of the YAML file, or None.
        flags: Those that were given; they win.

    Raises:
        CnncliError: With everything that is wrong at once.
    """
    values = {**(_read_yaml(path) if path else {}), **flags}
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        problems = [_tell(problem, path, flags) for problem in error.errors()]
        raise CnncliError("; ".join(problems)) from None


def dump_config(config: RunConfig) -> str:
    """Return the config as YAML that :func:`load_config` reads back to the same."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)


def _read_yaml(path: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise CnncliError(f"--config {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise CnncliError(f"--config {path}: not YAML: {problem}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise CnncliError(f"--config {path}: not a list of settings, one `key: value` a line")
    return values


def _tell(problem: Any, path: str | None, flags: Mapping[str, object]) -> str:
    """Say one problem in the words of the place it came from: a flag or a YAML key."""
    key = str(problem["loc"][0]) if problem["loc"] else ""
    name = "--" + key.replace("_", "-") if key in flags or not path else f"{path}: {key}"
    if problem["type"] == "extra_forbidden":
        return f"{name}: unknown key{did_you_mean(key, RunConfig.model_fields)}"
    if problem["type"] == "missing":
        return f"--{key}: missing; name the folder of images (or a CSV, or digits)"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    message = message[0].lower() + message[1:]
    return f"{name} {problem['input']}: {message}"
