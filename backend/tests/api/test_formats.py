"""Which files are accepted, by their bytes alone, and that others leave nothing."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.imaging.formats import ImageType
from testkit.asgi import Upload
from testkit.format_samples import all_samples
from testkit.format_samples.refused import all_refused
from testkit.format_samples.sample import Sample
from testkit.problems import assert_problem

StoredFiles = Callable[[], list[Path]]
ACCEPTED = [
    sample
    for sample in all_samples().values()
    if sample.trait in {"plain", "animation", "grid", "burst", "truncated", "wrong extension"}
]
REFUSED = all_refused()
SENTENCE = "Invalid file type: the file is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image."


def test_every_type_is_among_the_samples() -> None:
    assert {sample.image_type for sample in ACCEPTED} == set(ImageType)


@pytest.mark.parametrize("sample", ACCEPTED, ids=lambda sample: sample.name)
async def test_an_image_of_every_type_is_stored_as_it_is(
    client: httpx.AsyncClient, upload: Upload, sample: Sample
) -> None:
    image = await upload(sample.content, sample.filename)
    assert image["content_type"] == sample.image_type.value
    assert image["storage_key"].endswith(sample.image_type.extension)
    assert (image["width"], image["height"]) == sample.size
    assert image["truncated"] is (sample.trait == "truncated")
    file = await client.get(image["url"])
    assert file.headers["content-type"] == sample.image_type.value
    assert file.content == sample.content


@pytest.mark.parametrize("name", REFUSED)
async def test_another_file_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, stored_files: StoredFiles, name: str
) -> None:
    response = await client.post(
        "/api/v1/images/upload", files={"file": ("photo.jpg", REFUSED[name], "image/jpeg")}
    )
    assert assert_problem(response, 400, "invalid-file-type") == SENTENCE
    assert stored_files() == []
    assert (await client.get("/api/v1/images")).json()["items"] == []


async def test_files_of_a_batch_are_refused_each_for_itself(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    image = next(sample for sample in ACCEPTED if sample.image_type is ImageType.HEIC)
    files = [*REFUSED.items(), (image.filename, image.content)]
    response = await client.post("/api/v1/images/batch", files=[("files", file) for file in files])
    assert response.status_code == 207
    body = response.json()
    assert [stored["filename"] for stored in body["uploaded"]] == [image.filename]
    assert [failed["filename"] for failed in body["failed"]] == list(REFUSED)
    assert {(failed["status"], failed["detail"]) for failed in body["failed"]} == {(400, SENTENCE)}
    assert [path.read_bytes() for path in stored_files()] == [image.content]
