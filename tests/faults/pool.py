"""What a process of the pool does; here, because a pool cannot import `__main__`."""

from tests.faults.play import FailedError, Played, play
from tests.faults.starts import Server

_SERVERS: list[Server] = []


def serve_here() -> None:
    _SERVERS.append(Server())


def take(seed: int) -> Played | str:
    try:
        return play(seed, _SERVERS[0])
    except FailedError as error:
        return str(error)
