"""Runs `train_model` in forked processes, and ends each at a step that the test names.

A program: it reads one line of JSON for each group of trainings that run at the same time, and
writes one with their outcomes. A step is what the interpreter itself tells of (`sys.addaudithook`)
before it makes, links, renames or removes a file, opens one of the store, or sends to S3.
"""

import atexit
import json
import os
import sys
import tempfile
from typing import Any

STEPS = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "http.client.send"}
WRITING = os.O_WRONLY | os.O_RDWR


def main() -> None:
    """Run the groups of trainings."""
    from pipeline.stages.interrupts import end_in_one_line, exit_code_of_interrupt
    from pipeline.train_model import main as train_model

    end_in_one_line()
    tempfile.gettempdir()  # Python tries the folder once, and may be killed while it does
    for line in sys.stdin:
        children = []
        for one in json.loads(line):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.environ.update(one["environment"])
                _count_steps(one["arguments"][0], one["signal"], one["step"], writing)
                try:
                    code = train_model(one["arguments"])
                except KeyboardInterrupt as interrupt:
                    code = exit_code_of_interrupt(interrupt)
                atexit._run_exitfuncs()
                os._exit(code)  # onnxruntime ends threads that a forked process has not
            os.close(writing)
            children.append((child, reading))
        print(json.dumps([_outcome(*each) for each in children]), flush=True)


def _count_steps(store: str, number: int, last: int, told: int) -> None:
    """Send this process a signal before a step; tell of each step by one byte."""
    steps = 0

    def count(event: str, facts: tuple[Any, ...]) -> None:
        nonlocal steps
        is_step = event in STEPS
        if event == "open":
            path, _, flags = facts
            is_step = bool(flags & WRITING) or str(path).startswith(store)
        if is_step:
            steps += 1
            os.write(told, b".")
            if steps == last:
                os.kill(os.getpid(), number)

    sys.addaudithook(count)


def _outcome(child: int, told: int) -> dict[str, int]:
    steps = 0
    while content := os.read(told, 1000):
        steps += len(content)
    os.close(told)
    return {"exit_code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "steps": steps}


if __name__ == "__main__":
    main()
