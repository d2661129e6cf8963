"""The command line of a stage, which follows from the fields of its settings."""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

ENVIRONMENT_PREFIX = "TTD_"
POSITIONAL = "store"
"""The setting that is given without a name, unless another is required."""
VERSION_FILE = Path(__file__).resolve().parents[2] / "VERSION"


def parse_arguments(
    settings: type[BaseModel], arguments: Sequence[str], program: str, examples: Sequence[str]
) -> dict[str, Any]:
    """Return the settings that a command line gives, as text, or as a bool if it is a flag.

    Ends the process with exit code 2 and one line if it cannot be read, and with 0 after `--help`
    and `--version`.

    Args:
        settings: class with the fields; each group of options is one of its base classes.
        arguments: the command line without the name of the program.
        program: its name.
        examples: command lines for the end of the help, each with its meaning.
    """
    parser = OneLineParser(
        prog=program,
        description=settings.__doc__,
        epilog="\n  ".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    required = [name for name, field in settings.model_fields.items() if field.is_required()]
    positional = required[0] if required else POSITIONAL
    for title, fields in _groups(settings):
        group = parser.add_argument_group(title)
        for name, field in fields.items():
            _add_argument(group, name, field, name == positional)
    known, unknown = parser.parse_known_args(list(arguments))
    options = [option_of(name) for name in settings.model_fields]
    for argument in unknown:
        name = argument.partition("=")[0]  # the rest may be a secret
        parser.error(f"unknown argument {name}{did_you_mean(name, options)}")
    return vars(known)


def refuse_unknown_variables(known: Iterable[str], program: str) -> None:
    """End the process with exit code 2 if the environment has a `TTD_…` that no stage knows.

    A mistyped variable would be ignored, and with it the key or the limit that it should set.

    Args:
        known: names of the settings of all stages.
        program: its name, for the message.
    """
    prefix = ENVIRONMENT_PREFIX
    ours = {name.upper() for name in os.environ if name.upper().startswith(prefix)}
    names = {name.removeprefix(prefix): name for name in map(variable_of, known)}
    unknown = sorted(ours - set(names.values()))
    for variable in unknown:
        hint = did_you_mean(variable.removeprefix(prefix), names).replace("mean ", f"mean {prefix}")
        print(f"{program}: error: unknown variable {variable}{hint}", file=sys.stderr)
    if unknown:
        sys.exit(2)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest one, if it is near."""
    nearest = get_close_matches(name, sorted(known), n=1)
    return f": did you mean {nearest[0]}?" if nearest else ""


def option_of(name: str) -> str:
    """Return how a setting is called on the command line."""
    return name.upper() if name == POSITIONAL else f"--{name.replace('_', '-')}"


def variable_of(name: str) -> str:
    """Return how a setting is called in the environment."""
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"


class OneLineParser(argparse.ArgumentParser):
    """Says in one line what is wrong, and where the help is, instead of printing all usage.

    It takes `--version`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a parser as argparse does."""
        super().__init__(*args, **kwargs)
        version = f"time-to-dispatch {_version()}"
        self.add_argument("--version", action="version", version=version)

    def error(self, message: str) -> NoReturn:
        """End the process with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def _groups(settings: type[BaseModel]) -> Iterable[tuple[str, Mapping[str, FieldInfo]]]:
    """Return the fields of each class that declares some, under the title that it has."""
    declared: set[str] = set()
    for base in reversed(settings.__mro__):
        fields = getattr(base, "model_fields", {}) if base is not BaseModel else {}
        own = {name: field for name, field in fields.items() if name not in declared}
        if own:
            declared |= own.keys()
            yield getattr(base, "options_title", "options"), own


def _add_argument(group: Any, name: str, field: FieldInfo, is_positional: bool) -> None:
    """Add an option, whose last word says what its value is: `--drain-seconds SECONDS`."""
    default = "none" if field.default is None else field.default
    help_text = f"{field.description} (default: {default}; {variable_of(name)})".replace("%", "%%")
    option = f"--{name.replace('_', '-')}"
    if field.is_required():
        group.add_argument(name, metavar=name.upper(), help=field.description)
    elif is_positional:
        group.add_argument(name, nargs="?", metavar=name.upper(), help=help_text)
    elif field.annotation is bool:
        group.add_argument(option, action=argparse.BooleanOptionalAction, help=help_text)
    else:
        metavar = name.rpartition("_")[2].upper()
        if get_origin(field.annotation) is Literal:
            metavar = "{" + ",".join(get_args(field.annotation)) + "}"
        group.add_argument(option, dest=name, metavar=metavar, help=help_text)


def _version() -> str:
    """Return the version of the checkout, or else of the installed package."""
    if VERSION_FILE.is_file():
        return VERSION_FILE.read_text().strip()
    try:
        return metadata.version("time-to-dispatch")
    except metadata.PackageNotFoundError:  # some of the files were copied somewhere
        return "of unknown version"
