"""Rows are changed by `Changes` alone: else the cache would go on giving them as they were."""

import ast
from pathlib import Path

APP = Path(__file__).parents[2] / "app"
UNCACHED = {"make_terms"}
"""Changes only what no answer has: the column `search`."""


def changing_statements() -> set[str]:
    """Return the functions of `statements/` that execute an update or a delete of images."""
    found: set[str] = set()
    for path in (APP / "statements").glob("*.py"):
        tree = ast.parse(path.read_text())
        made = {"IMAGES.update()", "IMAGES.delete()"}
        for node in tree.body:  # constants are made of others, in their order
            code = ast.unparse(node)
            if any(name in code for name in made):
                match node:
                    case ast.AnnAssign(target=ast.Name(id=name)):
                        made.add(name)
                    case ast.AsyncFunctionDef(name=name) if not name.startswith("_"):
                        found.add(name)
    return found - UNCACHED


def test_no_service_changes_rows_in_a_transaction_of_its_own() -> None:
    statements = changing_statements()
    assert {"delete_images", "rename_image", "record_rendition", "complete_rows"} <= statements
    for path in (APP / "services").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncWith):
                opened = [ast.unparse(item.context_expr) for item in node.items]
                body = "\n".join(map(ast.unparse, node.body))
                called = {name for name in statements if f"{name}(" in body}
                assert not called or "database.write" not in " ".join(opened), (path.name, called)
