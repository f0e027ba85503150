"""Why an address cannot be listened on, in one line that names the flag to change."""

import errno
import socket

import pytest

from prana.startup import cannot_listen

LINES = [
    (
        "127.0.0.1:8078",
        errno.EADDRINUSE,
        "port 8078 is taken (127.0.0.1:8078); stop what listens there, or choose another with --listen",
    ),
    ("unix:/run/p", errno.EADDRINUSE, "unix:/run/p is taken; stop what listens there, or choose another with --listen"),
    ("192.0.2.1:1", errno.EADDRNOTAVAIL, "192.0.2.1:1 is no address of this machine; choose another with --listen"),
    ("127.0.0.1:80", errno.EACCES, "not allowed to listen on 127.0.0.1:80; choose a port above 1023 with --listen"),
    ("unix:/run/p", errno.EACCES, "cannot listen on unix:/run/p: Permission denied; choose another with --listen"),
    ("no.such:1", None, "cannot listen on no.such:1: lookup failed; choose another with --listen"),
]


@pytest.mark.parametrize(("address", "code", "line"), LINES)
def test_the_line_says_what_is_wrong_and_what_to_change(address: str, code: int | None, line: str) -> None:
    error = OSError("lookup failed") if code is None else OSError(code, "whatever")
    assert str(cannot_listen(address, "--listen", error)) == line


def test_a_name_that_is_not_found_is_said_in_the_words_of_the_lookup() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    line = "cannot listen on no.such:1: Name or service not known; choose another with --listen"
    assert str(cannot_listen("no.such:1", "--listen", error)) == line
