"""Write the pages that are generated: one per command, from the command line itself.

    python docs/generate.py

``tests/test_docs.py`` fails when a page is stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from cnncli.cli import app

COMMANDS = Path(__file__).parent / "commands"


def command_pages() -> dict[str, str]:
    """Return the text of every command's page, by file name."""
    group: Any = typer.main.get_command(app)
    root = typer.Context(group, info_name="cnncli")
    pages = {}
    for name, command in group.commands.items():
        context = typer.Context(command, info_name=name, parent=root)
        pages[f"{name}.md"] = _page(name, command, context)
    index = ["# Commands", "", "| Command | What it does |", "| --- | --- |"]
    for name, command in group.commands.items():
        index.append(f"| [`cnncli {name}`]({name}.md) | {command.get_short_help_str(200)} |")
    pages["README.md"] = "\n".join(index) + "\n"
    return pages


def _page(name: str, command: Any, context: Any) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"# cnncli {name}", "", _plain(command.help), ""]
    lines += ["```", f"cnncli {name} {usage}", "```"]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        rows = [
            _row(record)
            for parameter in command.params
            if parameter.param_type_name == kind
            and (record := parameter.get_help_record(context)) is not None
        ]
        if rows:
            lines += ["", f"## {title}", "", "| | |", "| --- | --- |", *rows]
    lines += ["", "Generated from `cnncli " + name + " --help` by `docs/generate.py`."]
    return "\n".join(lines) + "\n"


def _row(record: tuple[str, str]) -> str:
    name, text = (part.replace("|", "\\|") for part in record)
    return f"| `{name}` | {_plain(text)} |"


def _plain(text: str | None) -> str:
    return (text or "").replace("\b", "").strip()


if __name__ == "__main__":
    COMMANDS.mkdir(exist_ok=True)
    for name, text in command_pages().items():
        (COMMANDS / name).write_text(text, encoding="utf-8")
