import errno
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from app.api.forms.multipart import MAX_OTHER_PARTS
from app.api.middleware.request_body import LINGER_BYTES
from testkit import samples
from testkit.asgi import CLIENT, OpenClient, image_of
from testkit.faulty_disk import FaultyDisk
from testkit.forms import CONTENT_TYPE, form, part, raw_part, split
from testkit.problems import assert_problem
from testkit.settings import MAX_UPLOAD_BYTES

UPLOAD = "/api/v1/images/upload"
BATCH = "/api/v1/images/batch"
JPEG = samples.jpeg()
PNG = samples.png()
StoredFiles = Callable[[], list[Path]]


async def send(
    client: httpx.AsyncClient, content: bytes, filename: str = "photo.jpg", kind: str = "image/jpeg"
) -> httpx.Response:
    return await client.post(UPLOAD, files={"file": (filename, content, kind)})


async def send_raw(
    client: httpx.AsyncClient, body: bytes | AsyncIterator[bytes], content_type: str = CONTENT_TYPE
) -> httpx.Response:
    return await client.post(UPLOAD, content=body, headers={"content-type": content_type})


@pytest.mark.parametrize("name", samples.of_every_kind())
async def test_every_kind_of_image_is_stored_and_comes_back_byte_for_byte(
    client: httpx.AsyncClient, name: str
) -> None:
    content, content_type = samples.of_every_kind()[name]
    response = await send(client, content, name)
    assert response.status_code == 201
    image = response.json()
    assert set(image) == {
        "id", "filename", "storage_key", "content_type", "file_size", "checksum", "width", "height",
        "truncated", "placeholder", "thumbnails", "is_public", "created_at", "updated_at", "url",
        "delete_token", "delete_url",
    }  # fmt: skip
    image = image_of(response)
    assert image["filename"] == name
    assert image["content_type"] == content_type
    assert image["file_size"] == len(content)
    assert image["checksum"] == f"sha256:{sha256(content).hexdigest()}"
    assert (image["width"], image["height"]) == samples.shown(name)
    assert image["truncated"] is False
    assert image["storage_key"].startswith(UUID(image["id"]).hex)
    assert image["created_at"].endswith("Z")
    assert image["url"] == f"http://images.localhost/api/v1/images/{image['id']}/file"
    assert response.headers["location"] == f"http://images.localhost/api/v1/images/{image['id']}"
    assert (await client.get(response.headers["location"])).json() == image | {"metadata": None}
    assert (await client.get(image["url"])).content == content


NO_SIZE = {
    "50 gigapixels": samples.png_header(223_607, 223_607) + samples.chunk(b"IDAT", b""),
    "a PNG without a header": PNG[:8] + samples.chunk(b"tEXt", b"a\0b"),
    "a JPEG that is none": b"\xff\xd8\xff\xe0 begins like an image",
    "a JPEG broken off in its header": JPEG[:100],
    "a PNG broken off in its header": PNG[:20],
}


@pytest.mark.parametrize("case", NO_SIZE)
async def test_an_image_whose_header_has_no_size_is_stored_without(
    client: httpx.AsyncClient, case: str
) -> None:
    image = image_of(await send(client, NO_SIZE[case]))
    assert (image["width"], image["height"]) == (None, None)
    assert (await client.get(f"/api/v1/images/{image['id']}")).json() == image | {"metadata": None}
    assert (await client.get("/api/v1/images")).json()["items"] == [image]
    assert (await client.get(image["url"])).content == NO_SIZE[case]


TRUNCATED = {
    "a JPEG broken off in its header": JPEG[:100],
    "a JPEG without its last byte": JPEG[:-1],
    "a JPEG of which the rest is zeros": JPEG[:500] + bytes(len(JPEG) - 500),
    "a large JPEG": samples.jpeg(700, 700)[:-100],
    "a PNG without its last byte": PNG[:-1],
    "a large PNG": samples.png(700, 700)[:-100],
}


@pytest.mark.parametrize("case", TRUNCATED)
async def test_a_truncated_upload_is_stored_as_sent_and_the_answer_says_so(
    client: httpx.AsyncClient, case: str
) -> None:
    image = image_of(await send(client, TRUNCATED[case]))
    assert image["truncated"] is True
    assert (await client.get(image["url"])).content == TRUNCATED[case]
    assert (await client.get(f"/api/v1/images/{image['id']}")).json() == image | {"metadata": None}


@pytest.mark.parametrize("content", [JPEG, PNG, samples.jpeg(700, 700), samples.png(700, 700)])
async def test_what_follows_the_end_of_an_image_does_not_make_it_truncated(
    client: httpx.AsyncClient, content: bytes
) -> None:
    """As the film that a telephone puts behind its photograph."""
    response = await send(client, content + bytes(300_000))
    assert response.json()["truncated"] is False


async def test_an_order_of_parts_that_is_not_understood_is_not_called_truncated(
    client: httpx.AsyncClient,
) -> None:
    response = await send(client, b"\xff\xd8\xff\xd9" + bytes(100))
    assert response.json()["truncated"] is None


async def test_links_begin_with_the_public_url_where_it_is_set(open_client: OpenClient) -> None:
    async with open_client(public_url="https://images.example.org/host") as client:
        response = await send(client, JPEG)
    base = "https://images.example.org/host/api/v1/images"
    image = response.json()
    assert image["url"] == f"{base}/{image['id']}/file"
    assert response.headers["location"] == f"{base}/{image['id']}"


async def test_a_large_file_passes_through_in_pieces(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    content = samples.sized_jpeg(MAX_UPLOAD_BYTES)

    async def body() -> AsyncIterator[bytes]:
        for piece in split(form(part(content)), 50_000):
            yield piece

    response = await send_raw(client, body())
    assert response.status_code == 201
    assert [path.read_bytes() for path in stored_files()] == [content]


async def test_a_file_one_byte_over_the_limit_is_refused(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    response = await send(client, samples.sized_jpeg(MAX_UPLOAD_BYTES + 1))
    assert str(MAX_UPLOAD_BYTES) in assert_problem(response, 413, "file-too-large")
    assert stored_files() == []


REFUSED = {
    "text named .jpg": (b"just some text", "photo.jpg"),
    "SVG named .png": (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "x.png"),
    "HTML named .png": (b"<!doctype html><script>alert(1)</script>", "x.png"),
    "TIFF": (b"II*\0" + bytes(40), "x.tif"),
    "BMP": (b"BM" + bytes(60), "x.bmp"),
    "PDF": (b"%PDF-1.7\n" + bytes(60), "x.pdf"),
    "only JPEG SOI": (b"\xff\xd8\xff", "x.jpg"),
} | {f"PNG signature, {n} bytes": (PNG[:n], "x.png") for n in range(1, 8)}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_file_that_is_no_image_is_refused_whatever_its_name(
    client: httpx.AsyncClient, stored_files: StoredFiles, case: str
) -> None:
    content, name = REFUSED[case]
    response = await send(client, content, name, "image/png")
    assert assert_problem(response, 400, "invalid-file-type").startswith("Invalid file type")
    assert stored_files() == []
    assert (await client.get("/api/v1/images")).json()["items"] == []


async def test_an_empty_file_is_refused(client: httpx.AsyncClient) -> None:
    assert_problem(await send(client, b""), 400, "empty-file")


async def test_a_png_called_jpg_is_stored_as_png(client: httpx.AsyncClient) -> None:
    image = (await send(client, PNG, "photo.jpg", "image/jpeg")).json()
    assert (image["content_type"], image["filename"]) == ("image/png", "photo.jpg")
    assert (await client.get(image["url"])).headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("a/b\\c.jpg", "c.jpg"),
        ("nul\x00l.jpg", "null.jpg"),
        ("a\x07b\x1b.jpg", "ab.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("😀.jpg", "😀.jpg"),
        ("x" * 4_000 + ".jpg", "x" * 251 + ".jpg"),
        ("😀" * 4_000, "😀" * 255),
        ('"quoted".jpg', '"quoted".jpg'),
        ("..", "image.jpg"),
        ("", "image.jpg"),
    ],
)
async def test_filenames_are_sanitized(client: httpx.AsyncClient, sent: str, stored: str) -> None:
    name = sent.replace('"', '\\"').encode()
    header = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"'
    response = await send_raw(client, form(raw_part(JPEG, header)))
    assert response.status_code == 201
    assert response.json()["filename"] == stored
    assert (await client.get(response.json()["url"])).content == JPEG


async def test_a_file_without_any_name_gets_one(client: httpx.AsyncClient) -> None:
    response = await send_raw(client, form(part(PNG, filename=None)))
    assert response.json()["filename"] == "image.png"


NO_FILE: dict[str, dict[str, object]] = {
    "no body": {},
    "no body, but a type": {"headers": {"content-type": "application/json"}},
    "other field": {"files": {"image": ("photo.jpg", JPEG)}},
}


@pytest.mark.parametrize("case", NO_FILE)
async def test_a_request_without_the_field_says_which_one_is_missing(
    client: httpx.AsyncClient, case: str
) -> None:
    response = await client.post(UPLOAD, **NO_FILE[case])  # type: ignore[arg-type]
    detail = assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"] == [{"in": "body", "field": "file", "detail": detail}]


async def test_the_answer_to_a_file_in_another_field_names_the_fields_that_came(
    client: httpx.AsyncClient,
) -> None:
    files = [("image", ("photo.jpg", JPEG)), ("files", ("photo.jpg", JPEG))]
    response = await client.post(UPLOAD, files=files, data={"title": "Sea"})
    assert assert_problem(response, 422, "invalid-request") == (
        "The form has no file in the field 'file', only 'title', 'image', 'files'; "
        "'files' belongs to /api/v1/images/batch."
    )


NO_FORM: dict[str, dict[str, object]] = {
    "raw image": {"content": JPEG, "headers": {"content-type": "image/jpeg"}},
    "raw image of no type": {"content": JPEG},
    "JSON": {"json": {"file": "x"}},
    "broken JSON": {"content": b'{"file": ', "headers": {"content-type": "application/json"}},
    "urlencoded": {"data": {"file": "x"}},
    "another multipart": {"content": JPEG, "headers": {"content-type": "multipart/related"}},
    "nearly": {"content": JPEG, "headers": {"content-type": "multipart/form-data-x; boundary=b"}},
    "compressed": {
        "content": form(part(JPEG)),
        "headers": {"content-type": CONTENT_TYPE, "content-encoding": "gzip"},
    },
    "larger than any form": {"content": bytes(MAX_UPLOAD_BYTES + 100_000)},
}


@pytest.mark.parametrize("case", NO_FORM)
@pytest.mark.parametrize(("path", "field"), [(UPLOAD, "file"), (BATCH, "files")])
async def test_the_answer_to_a_body_that_is_no_form_shows_how_to_send_one(
    client: httpx.AsyncClient, stored_files: StoredFiles, case: str, path: str, field: str
) -> None:
    response = await client.post(path, **NO_FORM[case])  # type: ignore[arg-type]
    detail = assert_problem(response, 415, "unsupported-body")
    assert f"-F {field}=@photo.jpg" in detail
    assert response.headers["accept"] == response.headers["accept-post"] == "multipart/form-data"
    assert response.headers["accept-encoding"] == "identity"
    assert stored_files() == []


async def test_the_answer_to_a_body_in_chunks_that_is_no_form_is_the_same(
    client: httpx.AsyncClient,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield JPEG

    assert_problem(await send_raw(client, body(), "image/jpeg"), 415, "unsupported-body")


async def test_a_form_whose_type_is_written_in_capitals_is_one(client: httpx.AsyncClient) -> None:
    content_type = CONTENT_TYPE.replace("multipart/form-data;", "Multipart/Form-Data ;")
    assert (await send_raw(client, form(part(JPEG)), content_type)).status_code == 201


@pytest.mark.parametrize(("path", "field"), [(UPLOAD, "file"), (BATCH, "files")])
async def test_the_answer_to_a_text_where_the_file_should_be_names_the_at_sign(
    client: httpx.AsyncClient, path: str, field: str
) -> None:
    """`curl -F file=photo.jpg` sends the words "photo.jpg"."""
    body = form(part(b"photo.jpg", field, None))
    response = await client.post(path, content=body, headers={"content-type": CONTENT_TYPE})
    assert response.status_code == 400
    assert "an @ before its path" in response.text


MALFORMED = {
    "truncated in the content": form(part(JPEG))[:200],
    "truncated before the end": form(part(JPEG))[:-6],
    "not multipart": b"this is not multipart",
    "empty": b"",
    "two files": form(part(JPEG), part(PNG)),
    "a part without a name": form(raw_part(JPEG, b"Content-Type: image/jpeg")),
    "10,000 parts": form(*[part(b"", f"f{n}", None) for n in range(10_000)]),
    "a header bomb": form(
        raw_part(JPEG, b'Content-Disposition: form-data; name="file"', b"X-Bomb: " + b"x" * 60_000)
    ),
    "too many other parts": form(
        part(JPEG), *[part(b"", f"f{n}", None) for n in range(MAX_OTHER_PARTS + 1)]
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_a_broken_form_stores_nothing(
    client: httpx.AsyncClient, stored_files: StoredFiles, case: str
) -> None:
    assert_problem(await send_raw(client, MALFORMED[case]), 400, "malformed-form")
    assert stored_files() == []
    assert (await client.get("/api/v1/images")).json()["items"] == []


async def test_a_form_without_a_boundary_is_refused(client: httpx.AsyncClient) -> None:
    response = await send_raw(client, form(part(JPEG)), "multipart/form-data")
    assert_problem(response, 400, "malformed-form")


async def test_a_field_before_the_file_does_no_harm(client: httpx.AsyncClient) -> None:
    response = await send_raw(client, form(part(b"holiday", "album", None), part(JPEG)))
    assert response.status_code == 201


async def test_a_chunked_body_over_the_limit_is_refused(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield form(part(JPEG))[:100]
        while True:
            sent += 100_000
            yield bytes(100_000)

    assert_problem(await send_raw(client, body()), 413, "file-too-large")
    assert sent < MAX_UPLOAD_BYTES + LINGER_BYTES + 1_000_000
    assert stored_files() == []


async def test_the_address_of_the_sender_is_kept_and_never_shown(
    client: httpx.AsyncClient,
) -> None:
    response = await send(client, JPEG)
    assert CLIENT not in response.text
    assert CLIENT not in (await client.get("/api/v1/images")).text


async def test_an_exceeded_quota_is_answered_with_the_seconds_to_wait(
    open_client: OpenClient,
) -> None:
    async with open_client(uploads_per_hour_per_ip=1) as client:
        assert (await send(client, JPEG)).status_code == 201
        response = await send(client, JPEG)
        assert_problem(response, 429, "quota-exceeded")
        seconds = response.headers["retry-after"]
        assert 3500 < int(seconds) <= 3600
        assert response.headers["ratelimit-policy"] == '"uploads";q=1;w=3600'
        assert response.headers["ratelimit"] == f'"uploads";r=0;t={seconds}'
        batch = await client.post("/api/v1/images/batch", files=[("files", ("a.jpg", JPEG))])
        assert_problem(batch, 429, "quota-exceeded")


async def test_forwarded_addresses_are_believed_only_from_trusted_proxies(
    open_client: OpenClient,
) -> None:
    forwarded = {"x-forwarded-for": "198.51.100.9", "x-forwarded-proto": "https"}
    async with open_client(uploads_per_hour_per_ip=1) as client:
        await send(client, JPEG)
        response = await client.post(UPLOAD, files={"file": JPEG}, headers=forwarded)
        assert response.status_code == 429
    trusted = (ip_network("192.0.2.0/24"),)
    async with open_client(uploads_per_hour_per_ip=1, trusted_proxies=trusted) as client:
        response = await client.post(UPLOAD, files={"file": JPEG}, headers=forwarded)
        assert response.status_code == 201
        assert response.json()["url"].startswith("https://images.localhost/")


async def test_forwarding_headers_of_others_are_not_believed(open_client: OpenClient) -> None:
    headers = {"x-forwarded-for": "198.51.100.9", "x-forwarded-proto": "https"}
    async with open_client(trusted_proxies=(ip_network("10.0.0.0/8"),)) as client:
        response = await client.post(UPLOAD, files={"file": JPEG}, headers=headers)
    assert response.json()["url"].startswith("http://images.localhost/")


async def test_other_fields_cannot_be_larger_than_the_call_takes(
    client: httpx.AsyncClient,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield form(part(b"", "other", None))[:-28]
        for _ in range(100):
            yield bytes(100_000)

    assert_problem(await send_raw(client, body()), 413, "body-too-large")


async def test_ipv4_clients_of_a_dual_stack_socket_are_distinguished(
    open_client: OpenClient,
) -> None:
    for last in (7, 8):
        address = f"::ffff:192.0.2.{last}"
        async with open_client(client=address, uploads_per_hour_per_ip=1) as client:
            assert (await send(client, JPEG)).status_code == 201


@pytest.mark.parametrize("address", ["fe80::1%eth0", "unknown"])
async def test_a_client_without_a_usual_address_can_upload(
    open_client: OpenClient, address: str
) -> None:
    async with open_client(client=address) as client:
        assert (await send(client, JPEG)).status_code == 201


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_reported(
    disk: FaultyDisk, client: httpx.AsyncClient, code: int
) -> None:
    with disk.failing("fsync of file", code):
        assert_problem(await send(client, JPEG), 507, "storage-full")
