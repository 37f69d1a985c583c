"""``cnncli cross-validate``."""

from __future__ import annotations

from cnncli.shell.after_flags import WantedAfters, WithReport
from cnncli.shell.flags import ConfigFile, Flags, PrintConfig, takes
from cnncli.shell.run_flags import FOLDS_FLAGS
from cnncli.shell.start_folds import Finetune, Folds, ResumeFolds, start_folds


@takes(FOLDS_FLAGS)
def cross_validate(
    flags: Flags,
    config: ConfigFile = None,
    folds: Folds = None,
    finetune: Finetune = False,
    print_config: PrintConfig = False,
    resume: ResumeFolds = None,
    report: WithReport = True,
) -> None:
    """Train K networks, judge every image by the one that did not see it; print the folder's path.

    The images are divided into K folds, classes in their shares and groups whole. Each fold is
    judged once, by a network that was trained on the others.
    """
    from cnncli.config import FinetuneConfig, RunConfig

    if folds is not None:
        flags = {**flags, "folds": folds}
    config_class = FinetuneConfig if finetune else RunConfig
    start_folds(
        config_class,
        flags,
        config,
        print_config=print_config,
        resume=resume,
        afters=WantedAfters(report=report),
    )
