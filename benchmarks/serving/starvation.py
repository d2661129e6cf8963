"""Single predictions while other clients do their worst: how long they wait, and in what memory."""

import asyncio
import http.client
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.measuring.result_tables import print_table
from benchmarks.measuring.server_processes import HOST, Question, RunningServer, running
from benchmarks.serving.batch_predictions import BATCH_PATH
from benchmarks.serving.goals import Goal, goal_cells
from benchmarks.serving.targets import OUR_HEADERS, V1_PATH, our_server, request_body
from benchmarks.serving.world import COLUMNS, ROWS, ServingWorld, batch_body, compact_json
from deploy.campaign.steady_load import close, exchange, request_bytes
from pipeline.server.server import allow_many_connections

CLIENTS, MANY_CLIENTS = 60, 3_000
PAUSE_SECONDS = 0.02
"""Between two single predictions, every second of which has a connection of its own."""
HEAD_START_SECONDS = 2.0
MAX_P50_MS, MAX_MS, MAX_MIB = Goal(100, False), Goal(500, False), Goal(250, False)
HEADER = ["attack", "clients", "predictions", "p50 ms", "goal", "", "max ms", "goal", ""]
HEADER += ["p50 CPU ms", "max CPU ms", "most MiB", "goal", ""]
KEY = [f"{name}: {value}" for name, value in OUR_HEADERS.items()]
CHUNKED = b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % (
    V1_PATH.encode(),
    "\r\n".join(KEY).encode(),
)


class Attack(NamedTuple):
    """What clients send.

    Attributes:
        clients: how many there are at once.
        request: what each sends again and again, after each answer or on a new connection.
        drip: what it sends without pause after that; the request is never complete.
        waits: whether it waits until it is disconnected instead.
    """

    clients: int
    request: bytes
    drip: bytes = b""
    waits: bool = False


class Starvation(NamedTuple):
    """What single predictions went through meanwhile.

    Attributes:
        attack: its name.
        clients: that attacked.
        milliseconds: from each request, or from its connection if it had one, to its answer.
        processor_ms: that the service worked meanwhile; other programs of the machine change it
            little.
        mib: most resident memory of the service.
    """

    attack: str
    clients: int
    milliseconds: tuple[float, ...]
    processor_ms: tuple[float, ...]
    mib: float


def attacks(world: ServingWorld) -> Mapping[str, Attack]:
    """Return all attacks by name."""
    rows = world.draw_orders(10_000, seed=3)
    columns = world.draw_orders(100_000, seed=3)
    worst = {"product_code": "x" * 350, "orders_placed": "y"}
    bodies = {
        "none": "",
        "batches of 10,000 rows": batch_body(rows, ROWS),
        "batches of 100,000 columns, 8 MiB": batch_body(columns, COLUMNS).ljust(8 * 1024**2),
        "1.3 million []": f'{{"orders":[{",".join(["[]"] * 1_300_000)}]}}',
        "4 MiB of worst items": compact_json({"orders": [worst] * 10_000}),
        "100,000 bad columns": compact_json({name: [None] * 100_000 for name in worst}),
        "1 MiB of 30,000 lists": f'{{"orders":[[{",".join(["[ ]" + " " * 30] * 29_900)}]]}}',
    }
    found = {name: Attack(CLIENTS, _request(BATCH_PATH, body)) for name, body in bodies.items()}
    found["none"] = Attack(0, b"")
    single = _request(V1_PATH, request_body(rows[0]))
    found["1 MiB of [] to v0.1"] = Attack(CLIENTS, _request(V1_PATH, f"[{'[],' * 349_000}[]]"))
    found["headers without end"] = Attack(CLIENTS, CHUNKED[:-2], b"a: b\r\n" * 1_000)
    found["one header without end"] = Attack(CLIENTS, CHUNKED[:-2] + b"a: ", b"x" * 6_000)
    found["trailers without end"] = Attack(CLIENTS, CHUNKED + b"0\r\n", b"a: b\r\n" * 1_000)
    found["pipelined requests"] = Attack(CLIENTS, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000)
    found["half-open"] = Attack(MANY_CLIENTS, single[:-10], waits=True)
    return found


def measure_starvation(world: ServingWorld, seconds: int) -> list[Starvation]:
    """Ask for single predictions during each attack, on a service of its own."""
    found = []
    (order,) = world.draw_orders(1, seed=4)
    question = Question(V1_PATH, OUR_HEADERS, request_body(order))
    allow_many_connections()
    for name, attack in attacks(world).items():
        with running(our_server(str(world.store))) as server:
            server.first_answer(question)
            with _attacking(server.port, attack):
                found.append(_ask_meanwhile(server, question, name, attack.clients, seconds))
    return found


def print_starvation(found: Sequence[Starvation], seconds: int) -> None:
    """Print a row for each attack."""
    rows = []
    for one in found:
        p50, most = median(one.milliseconds), max(one.milliseconds)
        rows.append(
            [
                one.attack,
                f"{one.clients:,}",
                f"{len(one.milliseconds):,}",
                f"{p50:,.1f}",
                *goal_cells(MAX_P50_MS, p50),
                f"{most:,.1f}",
                *goal_cells(MAX_MS, most),
                f"{median(one.processor_ms):,.1f}",
                f"{max(one.processor_ms):,.1f}",
                f"{one.mib:,.0f}",
                *goal_cells(MAX_MIB, one.mib),
            ]
        )
    print_table(f"Single predictions under attack: {seconds} s each", HEADER, rows)


def _request(path: str, body: str) -> bytes:
    return request_bytes("POST", path, body.encode(), KEY)


def _ask_meanwhile(
    server: RunningServer, question: Question, name: str, clients: int, seconds: int
) -> Starvation:
    time.sleep(HEAD_START_SECONDS)
    times, worked, mib = [], [], server.resident_mib()
    kept = http.client.HTTPConnection(HOST, server.port)
    headers = {"Content-Type": "application/json", **question.headers}
    end = time.perf_counter() + seconds
    for number in count():
        started, before = time.perf_counter(), _worked_ms(server)
        if started > end:
            break
        connection = kept if number % 2 else http.client.HTTPConnection(HOST, server.port)
        connection.request("POST", question.path, question.body, headers)
        answer = connection.getresponse()
        answer.read()
        times.append(1e3 * (time.perf_counter() - started if answer.status == 200 else seconds))
        worked.append(_worked_ms(server) - before)
        if connection is not kept:
            connection.close()
        mib = max(mib, server.resident_mib())
        time.sleep(PAUSE_SECONDS)
    return Starvation(name, clients, tuple(times), tuple(worked), mib)


def _worked_ms(server: RunningServer) -> float:
    """Return for how long the service was on a processor, to the microsecond."""
    return int(Path(f"/proc/{server.process.pid}/schedstat").read_text().split()[0]) / 1e6


@contextmanager
def _attacking(port: int, attack: Attack) -> Iterator[None]:
    """Attack from a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=_attack, args=(port, attack))
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _attack(port: int, attack: Attack) -> None:
    async def attack_with_all() -> None:
        await asyncio.gather(*[_client(port, attack) for _ in range(attack.clients)])

    asyncio.run(attack_with_all())


async def _client(port: int, attack: Attack) -> None:
    while True:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            connection = await asyncio.open_connection(HOST, port)
            try:
                await _talk(connection, attack)
            finally:
                await close(connection)
        await asyncio.sleep(0)


async def _talk(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], attack: Attack
) -> None:
    """Send until the connection is closed."""
    reader, writer = connection
    writer.write(attack.request)
    while attack.waits and await reader.read(65_536):
        pass
    while attack.drip and not reader.at_eof():
        writer.write(attack.drip)
        await writer.drain()
        await asyncio.sleep(0)
    while not attack.drip and not attack.waits:
        await exchange(connection, attack.request)
