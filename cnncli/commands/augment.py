"""``cnncli augment``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cnncli.augmentation.notation import parse_augment
from cnncli.augmentation.words import LEVELS, WORDS, Argument
from cnncli.choices import parse_size
from cnncli.errors import CnncliError
from cnncli.files import PICTURES, check_output_file
from cnncli.reporting import TableLayout
from cnncli.shell.flags import Flags, complete_augment, complete_data, flag, takes
from cnncli.shell.run_flags import choose_flags
from cnncli.shell.terminal import TerminalReporter, choose_format, print_line, print_rows

ListFormat = Literal["table", "csv", "json"]


_DATA = flag(
    str,
    "An image, or what train takes as --data.",
    metavar="PATH",
    autocompletion=complete_data,
)


@takes({"data": _DATA, **choose_flags("image_col", "label_col")}, argument="IMG|DATA")
def augment(
    flags: Flags,
    steps: Annotated[
        str | None,
        typer.Option(
            "--augment",
            metavar="STEPS",
            help="As train takes it: light, medium, strong, medical, a YAML file or steps such as "
            "'hflip; rotate 10' [light, or the run's].",
            autocompletion=complete_augment,
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Run whose size, channels and augmentation count."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config", "-c", metavar="YAML", help="Settings of a run: its augmentation and data."
        ),
    ] = None,
    output: Annotated[
        str, typer.Option(metavar="FILE", help="The picture, .png or .jpg.")
    ] = "augment.png",
    samples: Annotated[int, typer.Option(help="Augmented pictures of each image.")] = 6,
    images: Annotated[int, typer.Option(help="Images of DATA, the classes taking turns.")] = 4,
    each_step: Annotated[
        bool, typer.Option("--steps", help="Show each operation by itself, on the first image.")
    ] = False,
    image_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Size in pixels, N or HEIGHTxWIDTH [the run's, else 224]."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the draws; train's default is 0 too.")
    ] = None,
    list_words: Annotated[
        bool, typer.Option("--list", help="Print the words that --augment knows, and the levels.")
    ] = False,
    output_format: Annotated[
        ListFormat | None,
        typer.Option("--format", help="Form of --list [table on a terminal, csv in a pipe]."),
    ] = None,
) -> None:
    """Draw an image and what augmentation makes of it as a grid; print the picture's path.

    Column 3 is what epoch 3 of a run with the same data, settings and seed trains on.
    """
    if list_words:
        chosen_format = choose_format(output_format, piped="csv")
        print_rows(list_vocabulary(), _COLUMNS, chosen_format, layout=_LAYOUT)
        return
    for name, value in (("--samples", samples), ("--images", images)):
        if not 1 <= value <= 50:
            raise CnncliError(f"{name} {value}: must be from 1 to 50")
    path = check_output_file(output, suffixes=PICTURES)
    if image_size is not None:
        parse_size(image_size, what="--image-size")
    chosen = None
    if config is not None:
        from cnncli.config import load_config

        run = load_config(config, flags, tell=TerminalReporter().note)
        flags = {"data": run.data, "image_col": run.image_col, "label_col": run.label_col}
        image_size = image_size or run.image_size
        chosen, seed = run.augment, run.seed if seed is None else seed
    if "data" not in flags:
        raise CnncliError("IMG|DATA: missing; name an image or a folder of images")
    if steps is not None or (chosen is None and checkpoint is None):
        try:
            chosen = parse_augment("light" if steps is None else steps)
        except CnncliError as error:
            raise CnncliError(f"--augment {steps}: {error}") from None
    if checkpoint is not None and image_size is not None:
        raise CnncliError("--image-size and --checkpoint: a run has its own size")
    from cnncli.data.samples import CsvColumns
    from cnncli.recipes.augment import AugmentSettings, draw_augmentation

    settings = AugmentSettings(
        data=flags["data"],
        output=path,
        augment=chosen,
        checkpoint=checkpoint,
        columns=CsvColumns(flags.get("image_col"), flags.get("label_col")),
        samples=samples,
        images=images,
        each_step=each_step,
        image_size=image_size,
        seed=seed or 0,
    )
    print_line(str(draw_augmentation(settings, TerminalReporter())))


_LAYOUT = TableLayout(
    drop=("channels",), words=("arguments", "about"), drop_equal=False, whole="--format csv"
)
_COLUMNS = ("word", "arguments", "channels", "about")


def list_vocabulary() -> list[dict[str, object]]:
    """Return a row per word: its arguments with their defaults, and what it does; then the levels.

    The argument that needs no name stands in front, in brackets.
    """
    rows: list[dict[str, object]] = []
    for name, word in WORDS.items():
        arguments = [
            f"[{a.name}=]{_default(a)}" if a == word.main else f"{a.name}={_default(a)}"
            for a in word.arguments
        ]
        rows.append(
            {
                "word": name,
                "arguments": " ".join(arguments),
                "channels": "any" if word.channels is None else str(word.channels),
                "about": word.about,
            }
        )
    for name, text in LEVELS.items():
        rows.append({"word": name, "arguments": "", "channels": "any", "about": f"level: {text}"})
    return rows


def _default(argument: Argument) -> str:
    value = argument.default
    if not isinstance(value, tuple):
        return str(value)
    ends = value[:1] if argument.kind == "exact" and value[0] == value[1] else value
    return ":".join(f"{end:g}" for end in ends)
