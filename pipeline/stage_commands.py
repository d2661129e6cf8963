"""The commands of an installed package: `ttd-train`, `ttd-serve`, `ttd-models` and `ttd-check`.

They do what `python -m pipeline.train_model` and its kind do. Each imports its stage when it is
called, since the one must not import what the other needs. Unlike `python -m`, neither they nor the
processes that they start import anything from the working directory.
"""

import gc
import os
import sys

from pipeline.stages.interrupts import end_in_one_line
from pipeline.stages.surroundings import refuse_poor_surroundings

end_in_one_line()


def train() -> int:
    """Run `train_model` with the arguments of the process, and return its exit code."""
    _begin(trains=True)
    from pipeline.train_model import main

    return main(sys.argv[1:])


def serve() -> int:
    """Run `serve_model` with the arguments of the process, and return its exit code."""
    _begin()
    gc.disable()  # as `python -m pipeline.serve_model` does; the stage enables it again
    from pipeline.serve_model import main

    return main(sys.argv[1:])


def models() -> int:
    """Run `manage_models` with the arguments of the process, and return its exit code."""
    _begin()
    from pipeline.manage_models import main

    return main(sys.argv[1:])


def check() -> int:
    """Run `check_dataset` with the arguments of the process, and return its exit code."""
    _begin(trains=True)
    from pipeline.check_dataset import main

    return main(sys.argv[1:])


def _begin(trains: bool = False) -> None:
    """Look around, and keep what is in the working directory out of the processes to come."""
    refuse_poor_surroundings(trains)
    os.environ["PYTHONSAFEPATH"] = "1"
