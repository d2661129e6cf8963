"""Files of other kinds are named with what to do; gzip is unpacked."""

import gzip
import io
import resource
import zipfile

import pandas as pd
import pytest

from pipeline.orders.file_kinds import REMEDY, unpacked
from pipeline.stages.errors import DatasetError, StoreError
from tests.support.order_files import read_order_rows

WEEK = "product_code,orders_placed,hours_to_dispatch\n" + "Schl\u00fcssel,112,8.28\n" * 50


def zipped(content: str) -> bytes:
    """Return a zip archive with one file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("week.csv", content)
    return archive.getvalue()


@pytest.mark.parametrize(
    "content",
    [WEEK.encode(), gzip.compress(WEEK.encode()), gzip.compress(gzip.compress(WEEK.encode()))],
    ids=["plain", "packed", "packed twice"],
)
def test_a_file_is_unpacked_whatever_its_name(content: bytes) -> None:
    assert len(read_order_rows(content).valid) == 50


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(WEEK.encode())[:-10],
        gzip.compress(WEEK.encode())[:-5] + b"x" * 5,
        b"\x1f\x8b\x08" + b"?" * 50,
        b"\x1f\x8b\x07",
    ],
    ids=["cut off", "other length", "damaged", "other method"],
)
def test_a_damaged_gzip_file_is_refused(content: bytes) -> None:
    with pytest.raises(DatasetError, match="a damaged gzip file"):
        read_order_rows(content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (pd.DataFrame({"product_code": ["A"]}).to_json().encode(), "in JSON"),
        (zipped(WEEK), "xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "xls"),
        (b"\x28\xb5\x2f\xfd\x04", "Zstandard"),
        (b'\xef\xbb\xbf <?xml version="1.0"?><Error>', "XML"),
        *((WEEK.encode(code), "UTF-16") for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        ("\ufeff\u043a\u043e\u0434".encode("utf-16-be"), "UTF-16"),
        ("\ufeff\u043a\u043e\u0434".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_a_file_of_another_kind_is_named_with_what_to_do(content: bytes, kind: str) -> None:
    with pytest.raises(DatasetError, match=kind) as refusal:
        read_order_rows(content)

    assert REMEDY in refusal.value.message.details


def test_a_column_of_primary_keys_does_not_make_a_csv_an_archive() -> None:
    rows = read_order_rows(b"PK,product_code,orders_placed,hours_to_dispatch\n1,A,1,2\n")

    assert len(rows.valid) == 1


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("line", [3, 200_000])
def test_text_in_another_encoding_is_refused_with_its_first_line(encoding: str, line: int) -> None:
    header, sound = b"product_code,orders_placed,hours_to_dispatch\n", b"A,1,2\n"
    other = "SCHL\u00dcSSEL-1,31,2.84\n".encode(encoding)

    with pytest.raises(DatasetError) as refusal:
        read_order_rows(header + sound * (line - 2) + other + sound + other)

    assert refusal.value.message.headline.endswith(f": it is not UTF-8 text in line {line:,}.")
    assert "Windows-1252" in str(refusal.value)
    assert "the line reads 'SCHL\u00dcSSEL-1,31,2.84'" in str(refusal.value)


def test_a_disk_without_room_for_the_unpacked_file_is_no_fault_of_the_file() -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limit[1]))
    try:
        with pytest.raises(StoreError, match="(?s)^Cannot unpack a file into .*set TMPDIR"):
            with unpacked(io.BytesIO(gzip.compress(WEEK.encode() * 1_000))):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
