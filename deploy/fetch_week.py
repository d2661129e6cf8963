"""`tox run -e fetch_data -- s3://bucket`: the newest week of a store into the folder `data/`."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from pipeline.orders.deliveries import newest_delivery
from pipeline.stages.errors import ObjectExists, PipelineError
from pipeline.stages.settings import SAMPLE_STORE
from pipeline.stores.base import ObjectStore, open_store


def main(arguments: Sequence[str]) -> int:
    """Copy the week, and return the exit code.

    Args:
        arguments: the store that has it, and the folder that it is copied to (default: `data/`).
    """
    if len(arguments) not in (1, 2):
        print("fetch_data: error: name the store, as in s3://bucket[/prefix].", file=sys.stderr)
        return 2
    source, target = (*arguments, str(SAMPLE_STORE))[:2]
    try:
        for key in fetch(open_store(source), open_store(target)):
            print(f"{target} has {key} of {source}.")
    except PipelineError as error:
        print(f"fetch_data: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def fetch(source: ObjectStore, target: ObjectStore) -> list[str]:
    """Copy the newest week, a file or a folder of parts, and return the keys of its files.

    Raises:
        PipelineError: there is no week, or it cannot be read or written.
    """
    key = newest_delivery(source, datetime.now(UTC)).key
    keys = source.list_keys(key) if key.endswith("/") else [key]
    for each in keys:
        content = source.read(each)
        try:
            target.write_new(each, content)
        except ObjectExists:
            if target.read(each) != content:
                raise
    return keys


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
