"""What a store answers in XML, which is not trusted."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from app.storage.base import ObjectInfo


class Upload(NamedTuple):
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str
    initiated: datetime


class Page(NamedTuple):
    """A part of a list of objects; keys with all that they begin with."""

    objects: list[ObjectInfo]
    continuation: str
    """Where the next part begins; empty = this is the last."""


def parse(body: bytes) -> ET.Element:
    """Return the root of a document, names without their namespaces.

    Raises:
        ValueError: If it is no XML, or declares entities, which could make it huge.
    """
    text = body.decode().lstrip()  # what a store sends while it completes an upload
    if "<!DOCTYPE" in text:
        raise ValueError("a document type is declared")
    try:
        root = ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def read_objects(root: ET.Element) -> Page:
    """Return what ListObjectsV2 answers.

    Raises:
        ValueError: If something of it is missing.
    """
    return Page(
        [
            ObjectInfo(
                _key(root, element), int(_text(element, "Size")), _time(element, "LastModified")
            )
            for element in root.iterfind("Contents")
        ],
        _text(root, "NextContinuationToken") if root.findtext("IsTruncated") == "true" else "",
    )


def read_uploads(root: ET.Element) -> Iterator[Upload]:
    """Yield what ListMultipartUploads answers.

    Raises:
        ValueError: If something of it is missing.
    """
    for element in root.iterfind("Upload"):
        yield Upload(_key(root, element), _text(element, "UploadId"), _time(element, "Initiated"))


def read_upload_id(root: ET.Element) -> str:
    """Return the id of the upload that CreateMultipartUpload has begun.

    Raises:
        ValueError: If it is missing.
    """
    return _text(root, "UploadId")


def complete_request(etags: Sequence[str]) -> bytes:
    """Return the body of CompleteMultipartUpload."""
    root = ET.Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for number, etag in enumerate(etags, 1):
        part = ET.SubElement(root, "Part")
        ET.SubElement(part, "PartNumber").text = str(number)
        ET.SubElement(part, "ETag").text = etag
    return ET.tostring(root)


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(name)
    if not text:
        raise ValueError(f"{name} is missing")
    return text


def _key(root: ET.Element, element: ET.Element) -> str:
    key = _text(element, "Key")
    return unquote_plus(key) if root.findtext("EncodingType") == "url" else key


def _time(element: ET.Element, name: str) -> datetime:
    time = datetime.fromisoformat(_text(element, name))
    if time.tzinfo is None:
        raise ValueError(f"{name} has no time zone")
    return time
