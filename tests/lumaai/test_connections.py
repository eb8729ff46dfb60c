from __future__ import annotations

import logging
import resource

import pytest

from lumaai.connections import Connections, files_max


class Connection:
    def __init__(self) -> None:
        self.is_closed = False

    def make_room(self) -> None:
        self.is_closed = True


def entered(connections: Connections, count: int) -> list[Connection]:
    made = [Connection() for _ in range(count)]
    assert all(connections.enter(connection) for connection in made)
    return made


def test_those_that_ask_nothing_go_before_those_that_wait_for_their_next_request() -> None:
    """The oldest first; one on which a request is under way stays, whatever comes."""
    connections = Connections(4)
    answered, busy, first, second = entered(connections, 4)
    for connection in (answered, busy):
        connections.work(connection)
    connections.wait(answered)
    for expected in (first, second):
        (late,) = entered(connections, 1)
        assert expected.is_closed
        connections.work(late)
        connections.leave(expected)
        assert not answered.is_closed
    entered(connections, 1)
    assert answered.is_closed
    assert not busy.is_closed


def test_where_all_are_at_work_a_new_one_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Said once a minute; when one has left there is room again."""
    now = [0.0]
    connections = Connections(2, clock=lambda: now[0])
    made = entered(connections, 2)
    for connection in made:
        connections.work(connection)
    with caplog.at_level(logging.WARNING, "lumaai"):
        for seconds in (0.0, 1.0, 61.0):
            now[0] = seconds
            late = Connection()
            assert not connections.enter(late)
            connections.leave(late)
    assert [record.message for record in caplog.records] == ["connections.full"] * 2
    connections.leave(made[0])
    entered(connections, 1)
    assert connections.held == 2
    assert not any(connection.is_closed for connection in made)


def test_half_of_the_files_are_the_databases() -> None:
    """However many connections are asked for; and more files are asked of the system where there are few."""
    assert Connections.within(10_000, 1_024).maximum == 512
    assert Connections.within(100, 1_024).maximum == 100
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        files = files_max()
        assert files >= 512
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == files
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
