"""Write the dashboards, or the one of the names that are given."""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.cache import cache
from dashboards.database import database
from dashboards.queue import queue
from dashboards.service import service
from dashboards.uploads import uploads

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


def rendered() -> dict[str, str]:
    """Return the text of each file, by its name."""
    built = (service(), uploads(), queue(), cache(), database())
    return {
        f"{dashboard.uid}.json": json.dumps(dashboard, cls=JSONEncoder, indent=1, sort_keys=True)
        + "\n"
        for dashboard in built
    }


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
