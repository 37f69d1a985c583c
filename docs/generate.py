"""Write the pages that are generated: one per command, and one of all networks.

    python docs/generate.py

``tests/docs/test_pages.py`` fails when a page is stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from cnncli.augmentation.words import LEVELS, WORDS, Argument
from cnncli.choices import format_size
from cnncli.cli import app
from cnncli.commands import TABLE
from cnncli.models.registry import MODELS, ModelEntry
from cnncli.models.tables.custom import CUSTOM
from cnncli.models.tables.papers import find_paper
from cnncli.shell.help import list_sections

DOCS = Path(__file__).parent
WORDS_BEGIN = "<!-- words: written by docs/generate.py -->"
WORDS_END = "<!-- words end -->"
COMMANDS = DOCS / "commands"
# Sources of networks: title, how its builders begin, and what the numbers are counted for.
SOURCES = (
    (
        "Our own",
        "cnncli.",
        "Without pretrained weights; counted at 10 classes, {examples}. Where no image size is "
        "given, the data decide.",
    ),
    (
        "torchvision's",
        "torchvision:",
        "Counted at 1000 classes, for the default weights, which stand first. `default` takes "
        "those; every name can be given to `--weights`. Top-1 is the accuracy of the default "
        "weights on ImageNet-1K, as torchvision measured it; the year is that of the network's "
        "paper. torchvision states no licence of its weights, but for those with SWAG in their "
        "name: these are under CC-BY-NC-4.0, which allows no commercial use. `cnncli models "
        "--format csv` has the licence and the paper of each network.",
    ),
)
CHAIN = """## Written by hand

`--model 'cnn: LAYERS'` builds a network from one line, in the words of `cnncli conv-size --chain`.
The last layer is `dense K`, K being the number of classes. Layers may be written as Keras calls
them too, `Conv2D(32, (3, 3), activation='relu')`; a softmax is left out, since the loss has it.
Look at the network before you train it:

```
$ net='conv3x3 f16 relu; pool2; flatten; dense 10'
$ cnncli conv-size 28 --in-channels 1 --chain "$net" --format csv
layer,output,parameters,macs,receptive_field,jump
conv3x3 f16 relu,16x26x26,160,97344,3,1
pool2,16x13x13,0,0,4,2
flatten,2704,0,0,4,2
dense 10,10,27050,27040,whole image,
total,10,27210,124384,,
$ cnncli train --data digits --image-size 28 --model "cnn: $net"
```

The layers are: `conv3x3 f32`, `deconv2x2 f16` (transposed), `pool2`, `avgpool2`, `gap` (global
average), `bn`, `dropout 0.4`, `flatten`, `dense 84` and the activations, alone or at a layer's end.
[conv-size](commands/conv-size.md) has their options.

## timm's

`--model timm:NAME` where timm is installed: `pip install 'cnncli[timm]'`.
"""


def augmentation_page(page: str) -> str:
    """Return the page on augmentation with the tables of words and levels as they are now.

    Args:
        page: Its text; what stands between the two marks is replaced.
    """
    before, rest = page.split(WORDS_BEGIN)
    _, after = rest.split(WORDS_END)
    lines = ["| Word | Arguments, and what they are | Does |", "| --- | --- | --- |"]
    for name, word in WORDS.items():
        arguments = "<br>".join(_argument(argument, word.main) for argument in word.arguments)
        only = "" if word.channels is None else f"; only of {word.channels} channels"
        lines.append(f"| `{name}` | {arguments} | {word.about}{only} |")
    lines += ["", "| Level | Steps |", "| --- | --- |"]
    lines += [f"| `{name}` | `{text}` |" for name, text in LEVELS.items()]
    table = "\n".join(lines)
    return f"{before}{WORDS_BEGIN}\n{table}\n{WORDS_END}{after}"


def _argument(argument: Argument, main: Argument | None) -> str:
    value = argument.default
    text = ":".join(f"{end:g}" for end in value) if isinstance(value, tuple) else str(value)
    if argument.kind == "exact" and isinstance(value, tuple) and value[0] == value[1]:
        text = f"{value[0]:g}"
    about = ", ".join(argument.choices) if argument.choices else argument.about
    code = f"`{argument.name}={text}`"
    return f"**{code}** {about}" if argument == main else f"{code} {about}"


def command_pages() -> dict[str, str]:
    """Return the text of every command's page, by file name."""
    group: Any = typer.main.get_command(app)
    root = typer.Context(group, info_name="cnncli")
    pages = {}
    for name in TABLE:
        command = group.commands[name].load()
        context = typer.Context(command, info_name=name, parent=root)
        pages[f"{name}.md"] = _page(name, command, context)
    index, written = ["# Commands"], ""
    for name, entry in TABLE.items():
        if entry.group != written:
            index += ["", f"## {entry.group}", "", "| Command | What it does |", "| --- | --- |"]
            written = entry.group
        index.append(f"| [`cnncli {name}`]({name}.md) | {entry.summary} |")
    pages["README.md"] = "\n".join(index) + "\n"
    return pages


def _page(name: str, command: Any, context: Any) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"# cnncli {name}", "", _plain(command.help), ""]
    lines += ["```", f"cnncli {name} {usage}", "```"]
    for heading, rows in list_sections(command.params, context):
        lines += ["", f"## {heading}", "", "| | |", "| --- | --- |", *map(_row, rows)]
    lines += ["", "Generated from `cnncli " + name + " --help` by `docs/generate.py`."]
    return "\n".join(lines) + "\n"


def _row(record: tuple[str, str]) -> str:
    name, text = (part.replace("|", "\\|") for part in record)
    return f"| `{name}` | {_plain(text)} |"


def _plain(text: str | None) -> str:
    return (text or "").replace("\b", "").strip()


def models_page() -> str:
    """Return the text of the page of all networks."""
    lines = ["# Networks", "", "What `--model` takes. `cnncli models` prints the same list, and"]
    lines += ["which weights are already on disk."]
    for title, builder, text in SOURCES:
        entries = [entry for entry in MODELS.values() if entry.builder.startswith(builder)]
        lines += ["", f"## {title}", "", text.format(examples=_examples()), ""]
        if builder == "cnncli.":
            lines += [*(f"- `{entry.name}`: {entry.about}." for entry in entries), ""]
        lines += ["| Name | Parameters | MACs | Image size | Top-1 | Year | Weights |"]
        lines += [
            "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
            *(_model_row(entry) for entry in entries),
        ]
    lines += ["", CHAIN, "Generated from the registry by `docs/generate.py`."]
    return "\n".join(lines) + "\n"


def _examples() -> str:
    """Return for which images the numbers of our own networks are counted."""
    names: dict[tuple[int, int], list[str]] = {}
    for name, network in CUSTOM.items():
        names.setdefault(network.example, []).append(f"`{name}`")
    parts = [
        f"at {side} px {'grey' if channels == 1 else 'colour'} for {', '.join(alike)}"
        for (channels, side), alike in names.items()
    ]
    return "; ".join(parts)


def _model_row(entry: ModelEntry) -> str:
    size = format_size((entry.image_size,) * 2) if entry.image_size else "by the data"
    weights = ", ".join(weights.name for weights in entry.weights) or "none"
    top1 = f"{entry.weights[0].top1:.2f} %" if entry.weights else ""
    year = find_paper(entry.name).year or ""
    cost = f"{entry.parameters:,} | {entry.macs:,}"
    return f"| `{entry.name}` | {cost} | {size} | {top1} | {year} | {weights} |"


if __name__ == "__main__":
    COMMANDS.mkdir(exist_ok=True)
    (DOCS / "models.md").write_text(models_page(), encoding="utf-8")
    page = DOCS / "augmentation.md"
    page.write_text(augmentation_page(page.read_text("utf-8")), encoding="utf-8")
    for name, text in command_pages().items():
        (COMMANDS / name).write_text(text, encoding="utf-8")
