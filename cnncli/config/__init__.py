"""What a run is: YAML and flags into one validated object.

Every key is a flag with underscores, and every flag a key. Flags win over the file.
"""

from cnncli.config.candidates import list_candidates
from cnncli.config.fields import Kind, flag_name
from cnncli.config.folds import (
    FEWEST_FOLDS,
    MOST_FOLDS,
    dump_folds_config,
    load_folds_config,
    load_recorded,
)
from cnncli.config.load import (
    MOST_PROBLEMS,
    OLDER,
    check_settings,
    dump_config,
    join_problems,
    keys_by_heading,
    keys_of_kind,
    keys_that_name_files,
    load_config,
    older_settings,
    text_settings,
)
from cnncli.config.network_of_weights import take_network
from cnncli.config.resolved import ResolvedConfig
from cnncli.config.settings import FinetuneConfig, RunConfig

__all__ = [
    "FEWEST_FOLDS",
    "MOST_FOLDS",
    "MOST_PROBLEMS",
    "OLDER",
    "FinetuneConfig",
    "Kind",
    "ResolvedConfig",
    "RunConfig",
    "check_settings",
    "dump_config",
    "dump_folds_config",
    "flag_name",
    "join_problems",
    "keys_by_heading",
    "keys_of_kind",
    "keys_that_name_files",
    "list_candidates",
    "load_config",
    "load_folds_config",
    "load_recorded",
    "older_settings",
    "take_network",
    "text_settings",
]
