"""A private package index: `python -m tests.support.package_index FOLDER PORT USER PASSWORD`.

It is pypiserver, which asks for the user and the password whatever one wants of it. Its own command
would need a library more to read a file of passwords.
"""

import sys
from pathlib import Path
from wsgiref.simple_server import make_server

import pypiserver


def main(folder: str, port: str, user: str, password: str) -> None:
    """Serve the packages of a folder until the process is stopped; uploads may overwrite them."""
    index = pypiserver.app(
        roots=[Path(folder)],
        authenticate=["list", "download", "update"],
        auther=lambda *credentials: credentials == (user, password),
        disable_fallback=True,
        overwrite=True,
    )
    make_server("127.0.0.1", int(port), index).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
