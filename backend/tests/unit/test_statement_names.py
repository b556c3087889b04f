"""Statements get their names from the functions that execute them, so only those that do may."""

import ast
from pathlib import Path

APP = Path(__file__).parents[2] / "app"
NAMING = ("statements/", "database/")
QUEUE = "queue/connector.py"
"""Executes what procrastinate's manager asks for, which gives the names."""
EXECUTING = {"execute", "scalar", "scalars", "exec_driver_sql"}


def test_whatever_executes_statements_gives_them_names() -> None:
    executing = set()
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr=name)) if name in EXECUTING:
                    executing.add(path.relative_to(APP).as_posix())
    assert {path for path in executing if not path.startswith(NAMING)} == {QUEUE}
    assert "statements/images.py" in executing
