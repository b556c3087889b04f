"""The service and its OpenAPI document agree, whatever schemathesis thinks of.

All its checks and phases run: examples, coverage, fuzzing with good and bad data, and chains of
calls along the document's links.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.config import Settings
from app.main import create_app
from tests.live import serve

BACKEND = Path(__file__).parents[2]
CALLS = 10
KEY = "correct-horse"


@pytest.mark.parametrize("key", ["", KEY], ids=["open", "with a key"])
def test_no_call_violates_the_document(settings: Settings, tmp_path: Path, key: str) -> None:
    app = create_app(settings.model_copy(update={"api_key": SecretStr(key)}))
    with serve(app) as server:
        run = subprocess.run(  # noqa: S603 - our own arguments
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
                *("--checks", "all", "--mode", "all", "--max-examples", "50", "--no-color"),
                *("--header", f"Authorization: Bearer {key}" if key else "X-Nothing: nothing"),
            ],
            cwd=tmp_path,
            env=os.environ
            | {"PYTHONPATH": str(BACKEND), "SCHEMATHESIS_HOOKS": "tests.contract.hooks"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"Tested: {CALLS}" in run.stdout
    for phase in ("Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ {phase}$", run.stdout, re.MULTILINE), run.stdout
