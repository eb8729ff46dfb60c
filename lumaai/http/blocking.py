"""A connection of bytes, waited for by the thread that uses it."""

from __future__ import annotations

import functools
import select
import socket
import ssl

from lumaai.http.address import Address
from lumaai.http.message import NotConnectedError

PIECE_BYTES = 65_536


class Stream:
    """A connection. One thread at a time.

    Raises:
        OSError: from all methods: the connection broke; TimeoutError: it took too long.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def connect(cls, address: Address, timeout: float | None) -> Stream:
        """A connection to an address, in the clear.

        Raises:
            NotConnectedError: there is none to be had.
        """
        try:
            sock = socket.create_connection((address.host, address.port), timeout)
        except OSError as error:
            raise NotConnectedError(str(error) or type(error).__name__) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    def secure(self, host: str, timeout: float | None) -> None:
        """Speak TLS from now on, with a host whose certificate is checked.

        Raises:
            NotConnectedError: no agreement was reached.
        """
        self._socket.settimeout(timeout)
        try:
            self._socket = tls_context().wrap_socket(self._socket, server_hostname=host)
        except OSError as error:
            raise NotConnectedError(str(error)) from error

    def write(self, data: bytes, timeout: float | None) -> None:
        """Send all of it."""
        self._socket.settimeout(timeout)
        self._socket.sendall(data)

    def read(self, timeout: float | None) -> bytes:
        """What has arrived, at least a byte; b"" at the end."""
        self._socket.settimeout(timeout)
        return self._socket.recv(PIECE_BYTES)

    @property
    def is_usable(self) -> bool:
        """Whether the other side still listens: between two requests there is nothing to be read."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """End it, at once."""
        self._socket.close()


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Which certificates are trusted: the system's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name."""
    return ssl.create_default_context()
