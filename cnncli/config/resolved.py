"""The settings of a run in which nothing is left open."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cnncli.augmentation.notation import Pipeline
from cnncli.choices import BatchNormMode, HeadStart, ResizeMode
from cnncli.config.settings import RunConfig


class ResolvedConfig(RunConfig):
    """A config in which data, model and device have decided what was left open."""

    image_size: str
    in_channels: int
    intensity: str
    epochs: Annotated[int, Field(ge=0)]
    batch_size: int
    lr: float
    weight_decay: float
    label_smoothing: float
    augment: Literal["none"] | Pipeline
    augment_views: int
    head: HeadStart
    freeze: str
    bn: BatchNormMode
    resize_mode: ResizeMode
    patience: int
    warmup: float
    workers: int

    @model_validator(mode="before")
    @classmethod
    def _read_no_epochs(cls, values: Any) -> Any:
        """Keep the 0 epochs of a run that only fits its head."""
        return values

    @property
    def fits_head(self) -> bool:
        """Whether the run begins with a fit of the head, before its first epoch."""
        return self.head == "fit"
