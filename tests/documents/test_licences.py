"""Licences are found wherever packages tell them, and nobody lists one without a look at it."""

from email.message import Message
from importlib.metadata import PackageMetadata

import pytest

from tools.licences import CLASSIFIER, licence_of


def package(**fields: str) -> PackageMetadata:
    """Return the metadata of a package with these fields."""
    described: PackageMetadata = Message()  # type: ignore[assignment]
    for name, value in fields.items():
        described[name.replace("_", "-")] = value  # type: ignore[index]
    return described


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT", "License": "see LICENSE"}, "MIT"),
        ({"Classifier": f"{CLASSIFIER}BSD License", "License": "see LICENSE"}, "BSD License"),
        ({"License": "Apache-2.0\nVersion 2.0, January 2004"}, "Apache-2.0"),
    ],
)
def test_a_licence_is_found_in_the_newest_field(fields: dict[str, str], licence: str) -> None:
    assert licence_of(package(**fields)) == licence


@pytest.mark.parametrize("licence", ["", "AGPL-3.0", "MIT AND LGPL-2.1", "Proprietary", "SUMMIT"])
def test_a_licence_that_nobody_has_judged_is_an_error(licence: str) -> None:
    with pytest.raises(SystemExit, match="Judge it"):
        licence_of(package(Name="some", License=licence))
