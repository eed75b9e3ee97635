"""Files that come by a form: held in memory up to a bound, never written to a disk unsealed."""

from __future__ import annotations

import io
from typing import Any

from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload

MOST = 32 << 20  # bytes of one file; larger ones come by the API, the command or the watched folder


class Held(FileUploadHandler):
    """Keeps one file; one that is too large ends the reading, and is told by `too_large`."""

    def __init__(self) -> None:
        super().__init__()
        self.content = io.BytesIO()
        self.too_large = False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.content = io.BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self.content.tell() + len(raw_data) > MOST:
            self.too_large = True
            raise StopUpload(connection_reset=False)
        self.content.write(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self.content.seek(0)
        return InMemoryUploadedFile(
            self.content, self.field_name, self.file_name or "", self.content_type or "", file_size, None
        )  # fmt: skip
