"""The command about users: `python -m app users`."""

import argparse
import sys
from functools import partial
from typing import Final

from app.commands import runner
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.revisions import require_head
from app.domain.user import MAX_QUOTA_BYTES, MAX_QUOTA_IMAGES, Deletion, User, UserRole
from app.domain.user_errors import InvalidEmail, UserExists, UserNotFound
from app.services.jobs import Jobs
from app.services.users import Users

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="add a user, who has no keys yet")
    add.add_argument("email", metavar="EMAIL")
    for name, most in (("bytes", MAX_QUOTA_BYTES), ("images", MAX_QUOTA_IMAGES)):
        add.add_argument(
            f"--quota-{name}",
            metavar="N",
            type=partial(_quota, most=most),
            help=f"most {name} of their images in all",
        )
    add.add_argument("--admin", action="store_true", help="an administrator")
    actions.add_parser("list", help="list the users, and what they have used")
    for action, does in (
        ("disable", "refuse the keys of a user, from a second later on"),
        ("enable", "accept the keys of a user again"),
    ):
        actions.add_parser(action, help=does).add_argument("email", metavar="EMAIL")
    delete = actions.add_parser("delete", help="disable a user, and have a job delete them")
    delete.add_argument("email", metavar="EMAIL")
    delete.add_argument(
        "--images",
        choices=[*map(str, Deletion)],
        required=True,
        help="delete = delete their images too; keep = leave them, as nobody's",
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Add, list, disable, enable or delete users.

    Returns:
        0 = done, 1 = not, and why.
    """
    return runner.run(settings, partial(_act, options), "Not done", EXIT_NOT_DONE)


async def _act(options: argparse.Namespace, resources: Resources) -> int:
    await require_head(resources.database)
    users = Users(resources.database)
    try:
        match options.action:
            case "add":
                role = UserRole.ADMIN if options.admin else UserRole.USER
                user = await users.add(
                    options.email, role, options.quota_bytes, options.quota_images
                )
                print(_described(user))
            case "list":
                async for user in users.all():
                    print(_described(user))
            case "delete":
                user = await users.get(options.email)
                print(_described(await users.delete(user.id, Deletion(options.images))))
                if not await Jobs(resources.database).have_workers():
                    print("No worker is running: `make worker` starts one", file=sys.stderr)
            case action:
                user = await users.get(options.email)
                changed = await users.change(user.id, {"disabled": action == "disable"})
                print(_described(changed))
    except (InvalidEmail, UserExists, UserNotFound) as error:
        print(f"Not done: {error}", file=sys.stderr)
        return EXIT_NOT_DONE
    return EXIT_DONE


def _described(user: User) -> str:
    """Return what is known of a user in one line."""
    parts = [
        user.role.value,
        f"{_of(user.used_images, user.quota_images)} images",
        f"{_of(user.used_bytes, user.quota_bytes)} bytes",
        f"created {user.created_at:%Y-%m-%d}",
    ]
    if user.deletion:
        parts.append(f"being deleted (images: {user.deletion})")
    elif user.disabled_at:
        parts.append(f"disabled {user.disabled_at:%Y-%m-%d}")
    return f"{user.email}: {', '.join(parts)}"


def _of(used: int, quota: int | None) -> str:
    return str(used) if quota is None else f"{used} of {quota}"


def _quota(text: str, most: int) -> int:
    if not text.isdecimal() or int(text) > most:
        raise argparse.ArgumentTypeError(f"must be a number up to {most}")
    return int(text)
