"""The policy and the lifecycle rule of docs/operations.md."""

import asyncio
import json
import re
import secrets
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.session import Session

from app.config.storage_url import DEFAULT_REGION, parse_storage_url
from app.domain.errors import ObjectNotFound
from app.storage.abilities import Mark
from app.storage.s3.backend import S3Storage
from app.storage.s3.budget import PART
from app.storage.s3.credentials import Credentials
from testkit.ceph import Ceph
from testkit.programs import needs_ceph
from testkit.storages import put, read_all

pytestmark = needs_ceph

OPERATIONS = Path(__file__).parents[4] / "docs" / "operations.md"
KEY = f"{0:032x}.jpg"
_BLOCK = re.MULTILINE | re.DOTALL


def written(name: str) -> Any:
    """Return the document that operators copy, by the name of its list."""
    text = OPERATIONS.read_text("utf-8")
    found = [json.loads(one) for one in re.findall(r"^ *```json\n(.*?)^ *```", text, _BLOCK)]
    (document,) = (one for one in found if name in one)
    return document


@pytest.fixture
def owner(ceph: Ceph) -> Any:
    """Give AWS's own client, with the keys of the bucket's owner."""
    return Session().create_client(
        "s3",
        region_name=DEFAULT_REGION,
        endpoint_url=ceph.endpoint,
        aws_access_key_id=ceph.access_key,
        aws_secret_access_key=ceph.secret_key,
    )


@pytest.mark.parametrize("size", [5, PART + 1], ids=["one request", "in parts"])
async def test_the_policy_allows_all_that_a_storage_does(
    ceph: Ceph, bucket: str, owner: Any, size: int
) -> None:
    user, access_key, secret_key = (secrets.token_hex(10) for _ in range(3))
    ceph.add_user(user, access_key, secret_key)
    policy = written("Statement")
    for statement in policy["Statement"]:
        statement["Principal"] = {"AWS": [f"arn:aws:iam:::user/{user}"]}
        statement["Resource"] = statement["Resource"].replace("photos", bucket)
    await asyncio.to_thread(owner.put_bucket_policy, Bucket=bucket, Policy=json.dumps(policy))
    storage = S3Storage(
        parse_storage_url(ceph.url(bucket, "images")), Credentials(access_key, secret_key)
    )
    await storage.write_mark(Mark(uuid4()))
    await storage.prepare()
    await put(storage, KEY, bytes(size))
    assert await read_all(await storage.open(KEY)) == bytes(size)
    assert [info.key async for info in storage.list()] == [KEY]
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(bytes(size))
    await staged.discard()
    assert [info async for info in storage.list_staged()] == []
    await storage.delete(KEY)
    with pytest.raises(ObjectNotFound):
        await storage.stat(KEY)
    await storage.close()


async def test_a_store_takes_the_lifecycle_rule(bucket: str, owner: Any) -> None:
    rule = written("Rules")
    await asyncio.to_thread(
        owner.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=rule
    )
    answer = await asyncio.to_thread(owner.get_bucket_lifecycle_configuration, Bucket=bucket)
    (kept,) = answer["Rules"]
    assert kept["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
