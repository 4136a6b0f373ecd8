"""What a file is that was given for weights and holds none, told from its bytes."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from pathlib import Path

from hrnet_search.errors import listed, shown
from hrnet_search.paths import is_file, is_folder

TORCH_ZIP, TORCH_PICKLE, SAFETENSORS = "torch zip", "torch pickle", "safetensors"

ZIP = b"PK\x03\x04"
LEGACY = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
"""The number that torch.save put first before torch 1.6 (`torch.serialization.MAGIC_NUMBER`)."""

AGAIN = "download it again"
CONVERT = "convert its weights to a PyTorch state dict"
UNPACK = "unpack it and name the weight file in it"

MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "is a Git LFS pointer, not the file itself",
        "fetch the file: git lfs pull",
    ),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file (Keras or TensorFlow)", CONVERT),
    (b"\x93NUMPY", "is a NumPy array", CONVERT),
    (b"GGUF", "is a GGUF file", CONVERT),
    (b"\x1f\x8b", "is compressed with gzip", UNPACK),
    (b"BZh", "is compressed with bzip2", UNPACK),
    (b"\xfd7zXZ\x00", "is compressed with xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "is a RAR archive", UNPACK),
    (b"\x89PNG", "is a PNG image", AGAIN),
    (b"\xff\xd8\xff", "is a JPEG image", AGAIN),
    (b"%PDF", "is a PDF document", AGAIN),
)
HEAD = 512
ONNX = re.compile(rb"\x08[\x03-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]", re.DOTALL)
"""Protocol buffers: an IR version, which is 3 or more, and the next field of ModelProto."""

SAVED_MODEL = re.compile(rb"\x08\x01\x12", re.DOTALL)
TENSORFLOW_NAMES = re.compile(r"\.(ckpt|index|meta|pb)$|\.data-\d+-of-\d+$")


class NotWeightsError(ValueError):
    """What keeps a file from being read as weights, and what to do about it."""

    def __init__(self, wrong: str, remedy: str = "") -> None:
        super().__init__(wrong)
        self.wrong, self.remedy = wrong, remedy


def kind_of(path: Path) -> str:
    """Return which of the three formats a file has, whatever its name ends in.

    Raise NotWeightsError for everything else, and for a file of which a part is missing or, as
    far as checksums tell, changed.
    """
    if is_folder(path):
        raise NotWeightsError("is a folder", "name a weight file in it")
    if not is_file(path):
        raise NotWeightsError("does not exist")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise NotWeightsError("is empty (0 bytes)", AGAIN)
    if head.startswith(ZIP) or zipfile.is_zipfile(path):
        _check_zip(path, size)
        return TORCH_ZIP
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30:
        _check_safetensors(path, size)
        return SAFETENSORS
    if LEGACY in head[:20]:
        return TORCH_PICKLE
    raise _foreign(path, head)


def _check_zip(path: Path, size: int) -> None:
    """Read every record: torch's own reader compares no checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.namelist())
            _check_packed(archive.infolist())
            # torch.serialization.set_crc32_options(False) writes 0 for all of them.
            checked = [info for info in archive.infolist() if info.CRC != 0]
            for info in checked:
                with archive.open(info) as record:
                    while record.read(1 << 20):
                        pass
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        if not zipfile.is_zipfile(path):
            wrong = f"is cut short: a zip file of {size} bytes whose end is missing"
        else:
            wrong = f"is damaged: its zip's checksums or offsets are wrong ({shown(str(error))})"
        raise NotWeightsError(wrong, AGAIN) from error


def _check_packed(members: list[zipfile.ZipInfo]) -> None:
    """What torch.save writes has its records as they are; packed ones may be of any size."""
    if any(info.compress_type != zipfile.ZIP_STORED for info in members):
        wrong = "is a compressed zip archive, whose size says nothing of what it unpacks to"
        raise NotWeightsError(wrong, "unpack it and save its tensors again by torch.save")


def _check_members(names: list[str]) -> None:
    parts = [name.partition("/")[2] for name in names]
    if "constants.pkl" in parts or any(part.startswith("code/") for part in parts):
        wrong = "is a TorchScript archive (torch.jit.save)"
        remedy = "save its state dict: torch.save(torch.jit.load(FILE).state_dict(), NEW)"
        raise NotWeightsError(wrong, remedy)
    if "data.pkl" in parts:
        return
    if any(name.endswith(".npy") for name in names):
        raise NotWeightsError(f"is a NumPy archive of {listed(names)}", CONVERT)
    raise NotWeightsError(f"is a zip archive of {listed(names)}", UNPACK)


def _check_safetensors(path: Path, size: int) -> None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length)
    try:
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name[:2] != "__"]
        whole = 8 + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        what = "is cut short within" if len(text) < length else "is damaged in"
        raise NotWeightsError(f"{what} the header of a safetensors file", AGAIN) from error
    if size < whole:
        raise NotWeightsError(f"is cut short: {size} of {whole} bytes (safetensors)", AGAIN)


def _foreign(path: Path, head: bytes) -> NotWeightsError:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")) or b"<html" in text or b"<body" in text:
        remedy = "download the file itself: its address may ask for a login or a confirmation"
        return NotWeightsError("is a web page (HTML)", remedy)
    for magic, wrong, remedy in MAGIC:
        if head.startswith(magic):
            return NotWeightsError(wrong, remedy)
    if head[257:262] == b"ustar":
        return NotWeightsError("is a tar archive", UNPACK)
    if head[4:8] == b"TFL3":
        return NotWeightsError("is a TensorFlow Lite model", CONVERT)
    if SAVED_MODEL.match(head) or TENSORFLOW_NAMES.search(path.name):
        return NotWeightsError("is a TensorFlow file", CONVERT)
    if ONNX.match(head):
        return NotWeightsError("is an ONNX model", CONVERT)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        wrong = "is a pickle that torch.save did not write; pickles run code, so it was not read"
        return NotWeightsError(wrong, "save its tensors by torch.save or as .safetensors")
    return _text(head) or NotWeightsError(f"is of no known format (begins {head[:8]!r})")


def _text(head: bytes) -> NotWeightsError | None:
    try:
        text = head[: HEAD - 4].decode("utf-8")
    except UnicodeDecodeError:
        return None
    if any(not c.isprintable() and not c.isspace() for c in text):
        return None
    kind = {"{": "JSON", "[": "JSON", "<": "XML"}.get(text.lstrip()[:1], "text")
    return NotWeightsError(f"is {kind}: {shown(' '.join(text.split()))!r}", AGAIN)
