"""The settings of a cross-validation: those of a run, and the number of its folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnncli.config.load import dump_config, merge_settings, older_settings, text_settings
from cnncli.config.settings import RunConfig
from cnncli.errors import CnncliError
from cnncli.yaml_text import read_settings

# The key that a cross-validation has beside those of a run, and its bounds.
FOLDS = "folds"
FEWEST_FOLDS, MOST_FOLDS = 2, 100


def load_folds_config(
    path: str | None,
    flags: Mapping[str, object],
    config_class: type[RunConfig] = RunConfig,
    *,
    tell: Callable[[str], None] | None = None,
) -> tuple[RunConfig, int | None]:
    """Merge a YAML file and flags, of which one may be the number of folds.

    Unlike a run, a cross-validation judges all images, and keeps none of them for test, unless
    the test fraction is given.

    Args:
        path: Path of the YAML file, or None.
        flags: Values of the flags that were given; they win over the file.
        config_class: The class whose defaults count.
        tell: Is called with a line for each name that was taken in another spelling.

    Returns:
        The settings of a run, and the number of folds; None where it is not given.

    Raises:
        CnncliError: With everything that is wrong at once.
    """
    settings: dict[str, Any] = {} if path is None else read_settings(path, text_settings())
    given = {**settings, **flags}.get(FOLDS)
    folds = None
    if given is not None:
        where = "--folds" if FOLDS in flags else f"{path}: folds:"
        folds = _check(given, where)
    settings, flags = ({k: v for k, v in s.items() if k != FOLDS} for s in (settings, flags))
    settings = {"test_fraction": 0.0, **settings}
    return merge_settings(settings, flags, path=path, config_class=config_class, tell=tell), folds


def _check(given: object, where: str) -> int:
    is_number = isinstance(given, int) and not isinstance(given, bool)
    if not is_number or not FEWEST_FOLDS <= given <= MOST_FOLDS:  # type: ignore[operator]
        bounds = f"{FEWEST_FOLDS} to {MOST_FOLDS}"
        raise CnncliError(f"{where} {given}: must be a whole number from {bounds}")
    return given  # type: ignore[return-value]


def load_recorded(path: str) -> RunConfig:
    """Return the settings in the ``config.yaml`` of a run or of a cross-validation.

    Raises:
        CnncliError: If the file cannot be read, or a setting in it is wrong.
    """
    return load_folds_config(path, older_settings(path))[0]


def dump_folds_config(config: RunConfig, folds: int | None, *, only_ascii: bool = False) -> str:
    """Return the settings as YAML that :func:`load_folds_config` reads back to the same.

    Args:
        config: The settings of a run.
        folds: Number of folds; None where a file of splits decides it.
        only_ascii: Whether other characters are written as escapes in quotes.
    """
    head = "" if folds is None else f"# Cross-validation\n{FOLDS}: {folds}\n\n"
    return head + dump_config(config, only_ascii=only_ascii)
