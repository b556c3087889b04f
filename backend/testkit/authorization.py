"""Who may do what, once more and apart from the code: rules of calls, and kinds of actors.

A rule is found by the name of its call in the OpenAPI document (`operationId`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

from app.domain.actor import Access
from testkit import samples

OF_IMAGES: Final = frozenset({"upload", "read", "write", "delete"})
RIGHTS_WITHOUT_KEY: Final = {
    Access.OPEN: OF_IMAGES,
    Access.UPLOAD: frozenset({"upload"}),
    Access.KEYS: frozenset[str](),
}
SCOPE_OF: Final = {"upload": "write", "keys": "admin"}
"""Of a right that has not the name of its scope."""


class Subject(NamedTuple):
    """An image that a call is about."""

    owner: str
    """The user's name; empty = nobody's."""
    is_public: bool
    id: str
    token: str
    """What deletes it without a key."""


class Kind(NamedTuple):
    """A kind of actor."""

    name: str
    headers: Mapping[str, str]
    """With which they send their key; empty = they have none."""
    rights: frozenset[str] | None
    """What they may do; None = their key is worth nothing."""
    user: str = ""
    """Whose images are theirs."""
    reaches_all: bool = False
    has_tokens: bool = False
    """Whether they know what deletes an image."""

    def reaches(self, image: Subject) -> bool:
        """Return whether an image is theirs to see and to change."""
        return self.reaches_all or bool(self.user and self.user == image.owner)


class Rule(NamedTuple):
    """What whoever makes a call needs, and what they are answered then."""

    needs: str = ""
    """A right, such as "read"; "a key", whatever it is for; "the file", if the image is public or
    theirs; empty = nothing."""
    status: int = 200
    request: Callable[[Subject], Mapping[str, Any]] = lambda _: {}
    """What is sent besides the path and the key."""


def _json(**body: object) -> Callable[[Subject], Mapping[str, Any]]:
    return lambda _: {"json": body}


RULES: Final = {
    "upload_image": Rule("upload", 201, lambda _: {"files": {"file": samples.jpeg()}}),
    "upload_batch": Rule("upload", 201, lambda _: {"files": {"files": samples.jpeg()}}),
    "list_images": Rule("read", request=lambda _: {"params": {"limit": 100}}),
    "count_images": Rule("read"),
    "get_image": Rule("read"),
    "get_image_statistics": Rule("read"),
    "rename_image": Rule("write", request=_json(filename="other.jpg")),
    "make_link": Rule("write", 201, _json(expires_in=60)),
    "delete_image": Rule("delete", 204),
    "delete_images": Rule("delete", request=lambda image: {"json": {"ids": [image.id]}}),
    "get_image_file": Rule("the file"),
    "head_image_file": Rule("the file"),
    "get_image_thumbnail": Rule("the file"),
    "head_image_thumbnail": Rule("the file"),
    "get_limits": Rule(),
    "get_sharex_settings": Rule(),
    "live": Rule(),
    "ready": Rule(),
    "get_holder": Rule("a key"),
    "list_users": Rule("admin"),
    "add_user": Rule("admin", 201, lambda _: {"json": {"email": f"{uuid4().hex}@example.org"}}),
    "get_user": Rule("admin"),
    "change_user": Rule("admin", request=_json(quota_images=1000)),
    "delete_user": Rule("admin", 202, lambda _: {"params": {"images": "keep"}}),
    "list_keys": Rule("keys"),
    "create_key": Rule("keys", 201, _json(scopes=["read"])),
    "revoke_key": Rule("keys", 204),
}
OF_IMAGES_BY_BODY: Final = {"list_images", "delete_images"}
"""Calls that are about images which their path does not name."""


_OTHER_STATUS: Final = {
    # The key is another user's.
    ("revoke_key", "ann", False): 404,
    # The key of the settings is nobody's, so that it must be said whose keys.
    ("list_keys", "", True): 404,
    ("create_key", "", True): 404,
}
"""By the call, the user, and whether they are an administrator."""


def expected(name: str, kind: Kind, image: Subject, *, is_of_image: bool) -> int:
    """Return the status that a call is answered with, or what it says of the image."""
    rule, rights = RULES[name], kind.rights or frozenset()
    match rule.needs:
        case "":
            may = True
        case "the file":
            reads = bool(kind.headers) and "read" in rights and kind.reaches(image)
            return rule.status if image.is_public or reads else 404
        case "a key":
            may = bool(kind.headers) and kind.rights is not None
        case right:
            may = right in rights
    if name == "delete_image" and kind.has_tokens:
        return rule.status
    if not may:
        return 401 if kind.rights is None or not kind.headers else 403
    if is_of_image and not kind.reaches(image):
        return 404
    if name == "make_link" and image.is_public:
        return 409  # it needs none
    return _OTHER_STATUS.get((name, kind.user, "admin" in rights), rule.status)
