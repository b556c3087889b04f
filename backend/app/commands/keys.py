"""The command about API keys: `python -m app keys`."""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from app.commands import runner
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.revisions import require_head
from app.domain.actor import Scope
from app.domain.user import DEFAULT_SCOPES, MAX_LIFETIME, ApiKey
from app.domain.user_errors import KeyNotFound, TooManyKeys, UserNotFound
from app.services.keys import Keys
from app.services.secrets import Secrets
from app.services.users import Users

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1

_UNITS: Final = {"d": "days", "h": "hours", "min": "minutes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="create a key, which is the last line alone")
    create.add_argument("email", metavar="EMAIL")
    create.add_argument(
        "--scopes",
        metavar="SCOPE,…",
        type=_scopes,
        default=DEFAULT_SCOPES,
        help=f"of {', '.join(Scope)}; without it {','.join(DEFAULT_SCOPES)}",
    )
    create.add_argument(
        "--expires",
        metavar="WHEN",
        type=_time_until,
        help="after a time, as 90d, 12h or 30min, or at one, UTC, as 2027-01-31",
    )
    listed = actions.add_parser("list", help="list the keys of a user, without their secrets")
    listed.add_argument("email", metavar="EMAIL")
    revoke = actions.add_parser("revoke", help="refuse a key, from a second later on")
    revoke.add_argument("prefix", metavar="PREFIX", help="its beginning: ih_ and 8 characters")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Create, list or revoke keys.

    Returns:
        0 = done, 1 = not, and why.
    """
    return runner.run(settings, partial(_act, options), "Not done", EXIT_NOT_DONE)


async def _act(options: argparse.Namespace, resources: Resources) -> int:
    database = resources.database
    await require_head(database)
    users, keys = Users(database), Keys(database, Secrets(database))
    try:
        match options.action:
            case "create":
                user = await users.get(options.email)
                created = await keys.create(user.id, options.scopes, options.expires)
                print(f"{_described(created.described)}. It is shown here and never again:")
                print(created.key)
            case "list":
                for key in await keys.of((await users.get(options.email)).id):
                    print(_described(key))
            case _:
                await keys.revoke(options.prefix)
                print(f"{options.prefix}: revoked")
    except (KeyNotFound, TooManyKeys, UserNotFound) as error:
        print(f"Not done: {error}", file=sys.stderr)
        return EXIT_NOT_DONE
    return EXIT_DONE


def _described(key: ApiKey) -> str:
    """Return what is known of a key in one line."""
    times = {
        "created": key.created_at,
        "expires": key.expires_at,
        "last used": key.last_used_at,
        "revoked": key.revoked_at,
    }
    known = [f"{name} {when:%Y-%m-%d %H:%M}" for name, when in times.items() if when]
    return f"{key.prefix}: {', '.join([','.join(key.scopes), *known])}"


def _scopes(text: str) -> Sequence[Scope]:
    try:
        return [Scope(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be of {','.join(Scope)}") from error


def _time_until(text: str) -> timedelta:
    """Return the time until a key expires, as the command line says it."""
    if found := re.fullmatch(r"(\d{1,6})(d|h|min)", text):
        time = timedelta(**{_UNITS[found[2]]: int(found[1])})
    else:
        try:
            when = datetime.fromisoformat(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError("must be as 90d, 12h, 30min or 2027-01-31") from error
        time = (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)
    if not timedelta() < time <= MAX_LIFETIME:
        raise argparse.ArgumentTypeError(f"{text} is past, or more than ten years ahead")
    return time
