"""The domain errors about users and their API keys, each with a sentence as the others have.

ImageHostError
├── InvalidKey
├── MissingScope
├── AdministratorsOnly
├── UserNotFound
│   └── UserNotNamed
├── UserExists
├── InvalidEmail
├── KeyNotFound
└── TooManyKeys
"""

from uuid import UUID

from app.domain.errors import ImageHostError


class InvalidKey(ImageHostError):
    """There is no API key, or it is wrong, has expired or was revoked."""

    def __init__(self) -> None:
        super().__init__("This call needs an API key: Authorization: Bearer <key>.")


class MissingScope(ImageHostError):
    """The API key is not for this.

    Args:
        scope: What it would have to be for.
    """

    def __init__(self, scope: str) -> None:
        super().__init__(f"This call needs an API key with the scope '{scope}'.")
        self.scope = scope


class AdministratorsOnly(ImageHostError):
    """The API key has the scope `admin`, but its user is no administrator."""

    def __init__(self) -> None:
        super().__init__("This call is for administrators; the key's user is none.")


class UserNotFound(ImageHostError):
    """There is no such user, or it is being deleted.

    Args:
        which: Id or email.
    """

    def __init__(self, which: UUID | str) -> None:
        super().__init__(f"No user has the {'id' if isinstance(which, UUID) else 'email'} {which}.")


class UserNotNamed(UserNotFound):
    """The call is about a user, and neither the request nor the key says about which."""

    def __init__(self) -> None:
        ImageHostError.__init__(
            self, "The key is of no user, so user_id must say whose keys these are."
        )


class UserExists(ImageHostError):
    """Another user has this email; upper and lower case are the same."""

    def __init__(self, email: str) -> None:
        super().__init__(f"There is a user with the email {email}.")


class InvalidEmail(ImageHostError):
    """This is no email address as users are named by."""

    def __init__(self) -> None:
        super().__init__("An email is as name@example.org: in ASCII, without spaces.")


class KeyNotFound(ImageHostError):
    """No API key has this prefix, or it is another user's."""

    def __init__(self) -> None:
        super().__init__("No API key has this prefix, which is ih_ and 8 characters.")


class TooManyKeys(ImageHostError):
    """A user has as many keys as there may be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A user has {most} valid API keys at most; revoke one first.")
