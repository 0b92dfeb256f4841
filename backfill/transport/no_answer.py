"""Why no answer came: a sentence with the way out, and whether another attempt can help."""

import errno
import os
import socket
import ssl
from typing import Final

import h11

from backfill.transport.connection import ForeignAnswerError, NotConnectedError
from backfill.transport.retry import NoAnswer
from backfill.transport.tls import authorities

_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def no_answer(err: Exception, host: str) -> NoAnswer:
    """Say what happened; a foreign message may quote the request, so it is not repeated.

    Args:
        err: what ``answer_of`` raised.
        host: the server's name, without the port.
    """
    is_connected = not isinstance(err, NotConnectedError)
    cause = err if is_connected else err.__cause__ or err
    match cause:
        case ssl.SSLCertVerificationError():
            return NoAnswer(_certificate_problem(cause, host), is_final=True)
        case ForeignAnswerError():
            return NoAnswer(f"{cause}, so it is not plain what was answered")
        case h11.RemoteProtocolError():
            return NoAnswer("what came is no HTTP")
    if is_connected:
        why = "no answer in time" if isinstance(cause, TimeoutError) else "the connection broke"
        return NoAnswer(f"{why} ({type(cause).__name__})")
    return NoAnswer(_connection_problem(cause, host) + _proxy_hint())


def _certificate_problem(err: ssl.SSLCertVerificationError, host: str) -> str:
    return (
        f"the TLS certificate of {host} is not trusted ({err.verify_message.rstrip('.')}); the "
        f"trusted authorities are those of {authorities()}; where a proxy of your network signs "
        "certificates, name its authority with SSL_CERT_FILE=FILE"
    )


def _connection_problem(err: BaseException, host: str) -> str:
    match err:
        case socket.gaierror():
            return f"the name {host} cannot be resolved (DNS); check --url and the network"
        case TimeoutError():
            return f"no connection to {host} in time; a firewall may drop it"
        case ConnectionRefusedError():
            return f"{host} refuses the connection: nothing listens at its port"
        case ssl.SSLError():
            reason = (err.reason or "handshake failed").replace("_", " ").lower()
            return f"{host} does not speak TLS as expected ({reason}); check --url"
        case OSError(errno=number) if number in _UNREACHABLE:
            return f"the network does not reach {host}"
    return f"no connection to {host} ({type(err).__name__})"


def _proxy_hint() -> str:
    """What a person behind a proxy has to know."""
    for name in _PROXIES:
        if os.environ.get(name):
            return (
                f"; {name} is set, but orders go to Klaviyo directly and through no proxy: "
                "allow that, or run where it is allowed"
            )
    return ""
