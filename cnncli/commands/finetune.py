"""``cnncli finetune``."""

from __future__ import annotations

from cnncli.shell.after_flags import WantedAfters, WithOnnx, WithReport
from cnncli.shell.flags import ConfigFile, Flags, PrintConfig, takes
from cnncli.shell.run_flags import RUN_FLAGS
from cnncli.shell.start_run import Resume, start_run


@takes(RUN_FLAGS)
def finetune(
    flags: Flags,
    config: ConfigFile = None,
    print_config: PrintConfig = False,
    resume: Resume = None,
    report: WithReport = True,
    onnx: WithOnnx = True,
) -> None:
    """Fine-tune a trained network on a folder of images; print the run folder's path."""
    from cnncli.config import FinetuneConfig

    start_run(
        FinetuneConfig,
        flags,
        config,
        print_config=print_config,
        resume=resume,
        afters=WantedAfters(report=report, onnx=onnx),
    )
