"""Where the model is that is installed as a package: `package:NAME` as a store.

`make publish-model` makes such packages. They hold the folders of a store, and are only read.
"""

from importlib.metadata import PackageNotFoundError, distribution

from pipeline.stages.errors import StoreError

SCHEME = "package:"


def folder_of_package(url: str) -> str:
    """Return the folder in which an installed package holds a store.

    Args:
        url: `package:` and the name of the package, such as `package:time-to-dispatch-model`.

    Raises:
        StoreError: no such package is installed.
    """
    name = url.removeprefix(SCHEME)
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise StoreError(
            f"Cannot open the store {url}: no package of this name is installed.",
            "Install it beside time-to-dispatch, with --no-deps from your private index.",
        ) from error
    return str(found.locate_file(found.metadata["Name"].replace("-", "_")))
