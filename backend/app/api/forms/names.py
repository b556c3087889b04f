"""Names in the header fields of a form's parts, as clients write them.

RFC 7578 leaves open how a name that is not plain ASCII is written, so clients differ. Each form is
decoded where it has one reading, and once: what comes out is never decoded again.
"""

import re
from binascii import Error as InvalidBase64
from binascii import a2b_base64, a2b_qp
from collections.abc import Mapping
from itertools import groupby
from typing import Final
from urllib.parse import unquote

_PARAMETER: Final = re.compile(
    r';[ \t]*([^\s;="]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL
)
_EXTENDED: Final = re.compile(
    r"(utf-8|iso-8859-1)'[^']*'((?:[^%]|%[0-9a-f]{2})+)", re.IGNORECASE | re.DOTALL
)
"""RFC 8187, section 3.2.1."""
_BROWSERS_ESCAPE: Final = re.compile("%(22|0[ad])", re.IGNORECASE)
"""HTML, multipart/form-data encoding algorithm: the quote, CR and LF; `%` itself stays."""
_URI_PATH: Final = re.compile(r"(?:[\w.~!$&'()*+,;=:@/-]|%[0-9a-f]{2})+", re.ASCII | re.IGNORECASE)
"""RFC 3986, section 3.3."""
_CHARSETS: Final = (
    r"utf-8|us-ascii|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|shift_jis|"
    r"euc-jp|iso-2022-jp|euc-kr"
)
_ENCODED_WORD: Final = re.compile(
    rf"=\?({_CHARSETS})(?:\*[^?]*)?\?"
    r"(?:b\?([a-z0-9+/]*={0,2})|q\?((?:[!-<>@-~]|=[0-9a-f]{2})*))\?=",
    re.IGNORECASE,
)
"""RFC 2047, section 2, with the language of RFC 2231, section 5."""
_ENCODED_WORDS: Final = re.compile(
    rf"{_ENCODED_WORD.pattern}(?:[ \t\r\n]+{_ENCODED_WORD.pattern})*", re.IGNORECASE
)


def parse_parameters(header: str) -> dict[str, str]:
    r"""Return the `; name=value` parameters of a header field, the names in lower case.

    In a quoted value only \" and \\ are escapes, as curl writes them, so that the backslashes of a
    Windows path stay.
    """
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(header):
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        plain = re.sub(r'\\(["\\])', r"\1", value[1:-1]) if quoted else value.strip()
        parameters.setdefault(name.lower(), plain)
    return parameters


def decode_header(header: bytes) -> str:
    """Return the text of a header field: UTF-8 (RFC 7578, section 5.1), or else ISO-8859-1.

    ISO-8859-1 (RFC 9110, section 5.5) only where not one character beyond ASCII is valid UTF-8;
    in UTF-8 that is invalid in places, each becomes U+FFFD.
    """
    try:
        return header.decode()
    except UnicodeDecodeError:
        is_utf_8 = not header.decode(errors="ignore").isascii()
        return header.decode(errors="replace") if is_utf_8 else header.decode("iso-8859-1")


def read_name(parameters: Mapping[str, str], parameter: str) -> str | None:
    """Return the name that a parameter carries, None where there is none.

    The first of these that applies:

    1. `filename*` (RFC 8187, where it is valid), which RFC 7578 forbids and some clients send.
    2. A value made of encoded words alone (RFC 2047): .NET.
    3. A value written like the path of a `file:` URI (RFC 7578, section 4.2) that is UTF-8 with
       a character beyond ASCII: aiohttp. A literal `%20` or `100%25.png` is not; it stays.
    4. Any other value, with `%22`, `%0D` and `%0A` decoded: browsers, requests, httpx, curl.
    """
    extended = _EXTENDED.fullmatch(parameters.get(f"{parameter}*", ""))
    name = _unquoted(extended[2], extended[1]) if extended else None
    value = parameters.get(parameter)
    if name is not None or value is None:
        return name
    if _ENCODED_WORDS.fullmatch(value):
        name = _decode_words(value)
    elif _URI_PATH.fullmatch(value):
        decoded = _unquoted(value, "utf-8")
        name = None if decoded is None or decoded.isascii() else decoded
    if name is not None:
        return name
    return _BROWSERS_ESCAPE.sub(lambda escape: unquote(escape[0]), value)


def _unquoted(value: str, charset: str) -> str | None:
    try:
        return unquote(value, charset, errors="strict")
    except UnicodeDecodeError:
        return None


def _decode_words(value: str) -> str | None:
    """Decode encoded words; some clients cut one character into two of them."""
    words = [match.groups("") for match in _ENCODED_WORD.finditer(value)]
    try:
        return "".join(
            b"".join(_bytes_of_word(base64, quoted) for _, base64, quoted in group).decode(charset)
            for charset, group in groupby(words, lambda word: word[0].lower())
        )
    except (InvalidBase64, UnicodeDecodeError, LookupError):
        return None


def _bytes_of_word(base64: str, quoted: str) -> bytes:
    return a2b_base64(base64, strict_mode=True) if base64 else a2b_qp(quoted, header=True)
