"""Zips as mirrors make them: with folders, and with the debris of the system that packed them."""

import io
import random
import zipfile


def zipped(files: dict[str, bytes], padding: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("RRSIS-D/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
            archive.writestr(f"__MACOSX/{name.rpartition('/')[0]}/._{name.rpartition('/')[2]}", b"\0\5\26\7")
        if padding:
            archive.writestr("RRSIS-D/weights.bin", random.Random(1).randbytes(padding))
    return buffer.getvalue()
