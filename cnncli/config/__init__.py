"""What a run is: YAML and flags into one validated object.

Every key is a flag with underscores, and every flag a key. Flags win over the file.
"""

from cnncli.config.fields import Kind
from cnncli.config.load import (
    check_settings,
    dump_config,
    keys_by_heading,
    keys_of_kind,
    load_config,
)
from cnncli.config.settings import FinetuneConfig, ResolvedConfig, RunConfig

__all__ = [
    "FinetuneConfig",
    "Kind",
    "ResolvedConfig",
    "RunConfig",
    "check_settings",
    "dump_config",
    "keys_by_heading",
    "keys_of_kind",
    "load_config",
]
