"""Answers leave in one write, whole and in order, also those that end their connection."""

import asyncio
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
import uvicorn
import uvloop

from local_aws.images.container_server import application
from local_aws.images.one_write import OneWrite
from local_aws.images.xgboost.payload import Answer


def echo(body, headers):
    if body == b"break":
        raise RuntimeError("the handler broke")
    return Answer(200, "text/plain", body)


class Counting(OneWrite):
    """Its connections count what is written to them."""

    def connection_made(self, transport: Any) -> None:
        counted: Any = Counted(transport)
        super().connection_made(counted)


class Counted:
    written: list[int | str] = []  # noqa: RUF012 - of the test that runs

    def __init__(self, transport):
        self._transport = transport

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def writelines(self, pieces):
        self.written.append(sum(map(len, pieces)))
        self._transport.writelines(pieces)


@asynccontextmanager
async def served(**options):
    """A server on a port of its own; gives (reader, writer) of a connection to it."""
    Counted.written = []
    http = partial(Counting, **options)
    config = uvicorn.Config(
        application(echo, None), port=0, loop="uvloop", http=http, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    connection = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname(), limit=1 << 24)
    try:
        yield connection
    finally:
        connection[1].close()
        with suppress(ConnectionError):
            await connection[1].wait_closed()
        server.should_exit = True
        await server.shutdown()


def request(body, headers=""):
    head = f"POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


async def answer(reader):
    """(status, body)"""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    body = await asyncio.wait_for(reader.readexactly(int(fields["content-length"])), 30)
    return int(head.split()[1]), body


def test_head_and_body_are_one_write_and_pipelined_answers_keep_their_order():
    async def play():
        async with served() as (reader, writer):
            for body in (b"small", b""):
                writer.write(request(body))
                assert await answer(reader) == (200, body)
            assert len(Counted.written) == 2
            writer.write(b"".join(request(b"%d" % number) for number in range(20)))
            assert [await answer(reader) for _ in range(20)] == [(200, b"%d" % n) for n in range(20)]

    uvloop.run(play())


@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"])
def test_what_is_due_before_an_answer_is_done_before_it(headers):
    async def play():
        async with served(before_write=lambda: Counted.written.append("before")) as (reader, writer):
            writer.write(request(b"body", headers))
            assert await answer(reader) == (200, b"body")
            assert [type(each) for each in Counted.written] == [str, int]

    uvloop.run(play())


@pytest.mark.parametrize("megabytes", [1, 6])
def test_a_large_answer_arrives_whole_beyond_the_high_water_mark(megabytes):
    body = bytes(range(256)) * (megabytes * 4096)

    async def play():
        async with served() as (reader, writer):
            writer.write(request(body))
            assert await answer(reader) == (200, body)
            writer.write(request(b"next"))
            assert await answer(reader) == (200, b"next")

    uvloop.run(play())


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (request(b"last", "Connection: close\r\n"), 200, b"last"),
        (request(b"break"), 500, b"Internal Server Error"),
        (b"no HTTP at all\r\n\r\n", 400, b"Invalid HTTP request received."),
    ],
)
def test_the_last_answer_of_a_connection_is_sent_before_it_closes(sent, status, body):
    async def play():
        async with served() as (reader, writer):
            writer.write(sent)
            assert await answer(reader) == (status, body)
            assert await asyncio.wait_for(reader.read(), 30) == b""

    uvloop.run(play())


def test_a_client_that_waits_for_permission_to_send_gets_it():
    async def play():
        async with served() as (reader, writer):
            head, _, body = request(b"patient", "Expect: 100-continue\r\n").rpartition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            assert (
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30) == b"HTTP/1.1 100 Continue\r\n\r\n"
            )
            writer.write(body)
            assert await answer(reader) == (200, b"patient")

    uvloop.run(play())
