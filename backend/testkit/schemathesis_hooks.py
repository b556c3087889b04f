"""What schemathesis cannot know: what images, cursors and sizes look like."""

from datetime import UTC

import schemathesis
from hypothesis import strategies as st

from app.api.images.cursor import encode_cursor
from app.domain.image import Position
from testkit import samples

JPEGS, PNGS = (
    [content for content, found in samples.of_every_kind().values() if found == content_type]
    for content_type in ("image/jpeg", "image/png")
)
positions = st.builds(Position, st.datetimes(timezones=st.just(UTC)), st.uuids())

schemathesis.openapi.media_type("image/jpeg", st.sampled_from(JPEGS))
schemathesis.openapi.media_type("image/png", st.sampled_from(PNGS))
schemathesis.openapi.format("thumbnail-size", st.sampled_from(["150", "300", "800"]))
schemathesis.openapi.format("cursor", positions.map(encode_cursor))
