"""Settings of clients on the wire."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # Python's own has too little for Pydantic before 3.12


class ShareXOut(TypedDict):
    """A custom uploader of ShareX. What is in braces, ShareX reads from the answer."""

    Version: Annotated[str, Field(examples=["15.0.0"], description="The earliest ShareX")]
    DestinationType: Annotated[str, Field(examples=["ImageUploader"])]
    RequestMethod: Annotated[str, Field(examples=["POST"])]
    RequestURL: Annotated[str, Field(examples=["http://localhost:8000/api/v1/images/upload"])]
    Headers: NotRequired[
        Annotated[
            dict[str, str],
            Field(
                examples=[{"Authorization": "Bearer YOUR-KEY"}],
                description="Only where uploading needs a key, which is to be filled in",
            ),
        ]
    ]
    Body: Annotated[str, Field(examples=["MultipartFormData"])]
    FileFormName: Annotated[str, Field(examples=["file"])]
    URL: Annotated[str, Field(examples=["{json:url}"])]
    ThumbnailURL: NotRequired[Annotated[str, Field(examples=["{json:thumbnails.300.url}"])]]
    DeletionURL: Annotated[str, Field(examples=["{json:delete_url}"])]
    ErrorMessage: Annotated[str, Field(examples=["{json:detail}"])]
