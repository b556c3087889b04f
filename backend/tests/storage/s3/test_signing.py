from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given
from hypothesis import strategies as st

from app.config.storage_url import parse_storage_url
from app.storage.s3 import signing
from app.storage.s3.client import S3Client
from app.storage.s3.credentials import Credentials
from app.storage.s3.signing import PAYLOAD, Keys, Signer, encode_path, encode_query

HOST = "bucket.store.example:9000"
QUERIES = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3)
KEYS = st.builds(
    Keys, st.just("AKID"), st.text("abc/+=", min_size=1), st.sampled_from(["", "token/+="])
)


def their_credentials(keys: Keys) -> TheirCredentials:
    return TheirCredentials(keys.access, keys.secret, keys.token or None)


@given(
    keys=KEYS,
    method=st.sampled_from(["GET", "PUT"]),
    path=st.text(min_size=1, max_size=10).map(lambda path: f"/{path}"),
    query=QUERIES,
    payload=st.sampled_from(["", sha256(b"bytes").hexdigest()]),
)
def test_requests_are_signed_as_botocore_signs_them(
    keys: Keys, method: str, path: str, query: dict[str, str], payload: str
) -> None:
    encoded = encode_query(query)
    headers = {"content-type": "image/jpeg", "content-md5": "x/y+z=="}
    if payload:
        headers[PAYLOAD] = payload
    ours = Signer(HOST, "eu-west-1").sign(keys, method, encode_path(path), encoded, headers)
    request = AWSRequest(method, f"https://{HOST}{encode_path(path)}?{encoded}", headers)
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    theirs = S3SigV4Auth(their_credentials(keys), "s3", "eu-west-1")
    request.context["timestamp"] = ours["x-amz-date"]
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    del request.headers[PAYLOAD]
    request.headers["X-Amz-Content-SHA256"] = payload or "UNSIGNED-PAYLOAD"
    if keys.token:
        request.headers["X-Amz-Security-Token"] = keys.token
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    signature = theirs.signature(text, request)
    assert ours["authorization"].endswith(f"Signature={signature}")
    assert f"Credential={theirs.scope(request)}," in ours["authorization"]


@given(keys=KEYS, query=QUERIES)
def test_addresses_are_signed_as_botocore_signs_them(keys: Keys, query: dict[str, str]) -> None:
    ours = Signer(HOST, "eu-west-1").presign(keys, "GET", "/a%20b", query, 60)
    given = {name: values[0] for name, values in parse_qs(ours, keep_blank_values=True).items()}
    signature = given.pop("X-Amz-Signature")
    request = AWSRequest("GET", f"https://{HOST}/a%20b?{encode_query(given)}")
    theirs = S3SigV4QueryAuth(their_credentials(keys), "s3", "eu-west-1", expires=60)
    request.context["timestamp"] = given["X-Amz-Date"]
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert theirs.signature(text, request) == signature
    assert urlsplit(request.url).path == "/a%20b"


def test_the_key_of_a_day_is_made_anew_for_the_next_day_and_for_other_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer = Signer(HOST, "eu-west-1")
    signatures = set()
    for now, secret in (
        ("20261126T235959Z", "one"),
        ("20261127T000000Z", "one"),
        ("20261127T000000Z", "two"),
    ):
        monkeypatch.setattr(signing, "_now", lambda now=now: now)
        signed = signer.sign(Keys("AKID", secret), "GET", "/", "", {})["authorization"]
        fresh = Signer(HOST, "eu-west-1").sign(Keys("AKID", secret), "GET", "/", "", {})
        assert signed == fresh["authorization"]
        signatures.add(signed)
    assert len(signatures) == 3


def test_keys_do_not_show_in_what_is_printed() -> None:
    assert "secret" not in repr(Keys("access", "secret", "token"))
    assert "token" not in f"{Keys('access', 'secret', 'token')}"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://photos", "https://photos.s3.us-east-1.amazonaws.com/key?"),
        ("s3://photos/a?region=eu-west-1", "https://photos.s3.eu-west-1.amazonaws.com/a/key?"),
        ("s3://photos?path_style=true", "https://s3.us-east-1.amazonaws.com/photos/key?"),
        ("s3://photos/a=b?endpoint=http://[::1]:9000", "http://[::1]:9000/photos/a%3Db/key?"),
        ("s3://photos?endpoint=https://store&path_style=false", "https://photos.store/key?"),
        # As browsers write the host, which is signed.
        ("s3://photos?endpoint=https://Store:443", "https://store/photos/key?"),
        ("s3://photos?endpoint=http://store:80", "http://store/photos/key?"),
        ("s3://photos?endpoint=http://store:443", "http://store:443/photos/key?"),
    ],
)
async def test_the_bucket_is_part_of_the_host_or_of_the_path(url: str, address: str) -> None:
    client = S3Client(parse_storage_url(url), Credentials("access", "secret"), 1)
    presigned = await client.presign("key", 60, {})
    assert presigned.startswith(address)
    assert "secret" not in presigned
