"""The form of the house: what stands at its root, how long files and functions are."""

import ast

from helpers import ROOT

PACKAGE = ROOT / "cnncli"
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
AT_THE_ROOT = {
    *("__init__", "__main__", "cli", "config", "choices", "errors", "reporting", "torchrun"),
    *("connection", "yaml_text", "arrays", "files"),
}
LINES_OF_A_FILE = 300
LINES_OF_A_BODY = 60


def body_lines(function):
    """Return the lines of a function's body without its docstring."""
    body = function.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        body = body[1:]
    return 0 if not body else function.end_lineno - body[0].lineno + 1


def test_nothing_else_lies_at_the_root():
    assert {path.stem for path in PACKAGE.glob("*.py")} <= AT_THE_ROOT


def find_long(path):
    """Yield what in a file is too long: the file itself, and functions."""
    text, name = path.read_text("utf-8"), str(path.relative_to(PACKAGE))
    if text.count("\n") > LINES_OF_A_FILE:
        yield name
    for node in ast.walk(ast.parse(text)):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and body_lines(node) > LINES_OF_A_BODY:
            yield f"{name}: {node.name}"


def test_files_and_functions_are_short():
    assert len(FILES) > 400
    assert [long for path in FILES for long in find_long(path)] == []


def test_every_folder_says_what_it_holds():
    folders = {path.parent for path in FILES}
    for folder in folders:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))), folder
