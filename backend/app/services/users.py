"""Users: who owns images, and how many they may have."""

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from app.database.engine import Database
from app.domain.job import DELETE_USER, NewJob, Priority
from app.domain.user import Deletion, User, UserChanges, UserRole, checked_email
from app.domain.user_errors import UserExists, UserNotFound
from app.statements.jobs import insert_jobs
from app.statements.users import begin_deletion, change_user, find_user, insert_user, list_users

PAGE: Final = 100
"""Users that are read at once."""


class UserPage(NamedTuple):
    """Some users by their emails, and the email after which the next page starts, if any."""

    items: Sequence[User]
    next: str | None


class Users:
    """The users of a database.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        email: str,
        role: UserRole = UserRole.USER,
        quota_bytes: int | None = None,
        quota_images: int | None = None,
    ) -> User:
        """Add a user, who has no keys yet.

        Raises:
            InvalidEmail: If it is none.
            UserExists: If another user has it.
            DatabaseUnavailable: If they cannot be stored, or it is unknown whether they were.
        """
        values = {
            "id": uuid4(),
            "email": checked_email(email),
            "role": role.value,
            "quota_bytes": quota_bytes,
            "quota_images": quota_images,
        }
        async with self._database.write_alone() as session:
            user = await insert_user(session, values)
        if user is None:
            raise UserExists(email)
        return user

    async def get(self, user: UUID | str) -> User:
        """Return a user by their id, or by their email.

        Raises:
            UserNotFound: If there is none.
            DatabaseUnavailable: If the database cannot be asked.
        """
        async with self._database.read() as session:
            found = await find_user(session, user)
        if found is None:
            raise UserNotFound(user)
        return found

    async def page(self, limit: int, after: str = "") -> UserPage:
        """Return up to `limit` users in the order of their emails, those after an email.

        Raises:
            DatabaseUnavailable: If they cannot be read.
        """
        async with self._database.read() as session:
            rows = await list_users(session, limit + 1, after)
        items = rows[:limit]
        return UserPage(items, items[-1].email if len(rows) > limit else None)

    async def all(self) -> AsyncIterator[User]:
        """Iterate over the users in the order of their emails."""
        after: str | None = ""
        while after is not None:
            items, after = await self.page(PAGE, after)
            for user in items:
                yield user

    async def delete(self, user_id: UUID, images: Deletion) -> User:
        """Disable a user, and have a job delete them, as `UserDeletion`.

        Said again, `images` counts for those that are left.

        Raises:
            UserNotFound: If there is none.
            DatabaseUnavailable: If that cannot be stored, or it is unknown whether it was.
        """
        async with self._database.write() as session:
            user = await begin_deletion(session, user_id, images)
            if user is None:
                raise UserNotFound(user_id)
            await insert_jobs(session, [NewJob(DELETE_USER, str(user_id), Priority.BACKLOG)])
        return user

    async def change(self, user_id: UUID, changes: UserChanges) -> User:
        """Change a user; one who is disabled is nobody to any process a second later.

        Raises:
            UserNotFound: If there is none, or they are being deleted.
            DatabaseUnavailable: If they cannot be changed, or it is unknown whether they were.
        """
        if not changes:
            return await self.get(user_id)
        async with self._database.write_alone() as session:
            user = await change_user(session, user_id, changes)
        if user is None:
            raise UserNotFound(user_id)
        return user
