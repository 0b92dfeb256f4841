"""Who may look into a sandbox: those who ask for this machine by name."""

from typing import Final

from aiohttp import web

LOCAL_HOSTS: Final = ("127.0.0.1", "localhost")


def asks_for_this_machine(request: web.Request) -> bool:
    """Whether the request was addressed to a name of this machine.

    A website could read the store otherwise: its own host name, resolved to 127.0.0.1, makes this
    server one of its origin (DNS rebinding).
    """
    return request.host.partition(":")[0] in LOCAL_HOSTS
