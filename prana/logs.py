"""Logs: structlog in front of a bounded sink that never blocks the one who logs.

A full pipe must not stop the event loop, so lines go into a bounded buffer that one thread empties; when it is
full the oldest lines are dropped and counted. One line per event: control characters of values are escaped,
so that no value can forge a line or move a terminal's cursor. Credentials in URLs are masked in every value.
"""

import atexit
import os
import re
import select
import threading
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog

from prana.config.masking import mask_credentials

Event = MutableMapping[str, Any]

_CAPACITY_BYTES = 1024 * 1024
_FLUSH_TIMEOUT_S = 1.0

# C0 and C1 controls, DEL, and the two separators that JavaScript and some terminals take for line ends.
# JSON itself escapes only the first of these; the rest are escaped as it would.
_CONTROL = {code: f"\\u{code:04x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
_CONTROL |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Sink:
    """A bounded buffer of lines in front of a file descriptor, emptied by one thread of its own.

    `dropped_line(count)` makes the line that reports how many were dropped, once there is room again.
    """

    def __init__(
        self, descriptor: int, dropped_line: Callable[[int], bytes], *, capacity_bytes: int = _CAPACITY_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._capacity_bytes = capacity_bytes
        self._lines: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._dropped = 0
        self._writing = False
        self._closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._drain, name="prana-log", daemon=True).start()

    def write(self, line: bytes) -> None:
        """Takes a line, with its line end; never waits for the descriptor."""
        with self._changed:
            self._lines.append(line)
            self._buffered_bytes += len(line)
            while self._buffered_bytes > self._capacity_bytes:
                self._buffered_bytes -= len(self._lines.popleft())
                self._dropped += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float = _FLUSH_TIMEOUT_S) -> bool:
        """Waits until everything is written; False when the reader did not take it in time."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout_s)

    def close(self) -> None:
        """Flushes and ends the thread."""
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_idle(self) -> bool:
        return not self._lines and not self._dropped and not self._writing

    def _drain(self) -> None:
        while (chunk := self._next_chunk()) is not None:
            try:
                self._write_all(chunk)
            except OSError:
                # The reader is gone, and with it the only place to say so.
                continue

    def _next_chunk(self) -> bytes | None:
        """Waits for lines and takes them all; None when the sink is closed."""
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._lines or self._dropped or self._closed)
            if self._closed:
                return None
            lines = list(self._lines)
            if self._dropped:
                lines.insert(0, self._dropped_line(self._dropped))
            self._lines.clear()
            self._buffered_bytes = self._dropped = 0
            self._writing = True
            return b"".join(lines)

    def _write_all(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody made the descriptor non-blocking; it is shared with other processes
                select.select([], [self._descriptor], [])


class _Logger:
    """What structlog calls with a rendered line, whatever the level."""

    def __init__(self, sink: Sink) -> None:
        self._write = sink.write

    def msg(self, line: bytes) -> None:
        self._write(line)

    debug = info = warning = error = critical = exception = msg


def configure(level: str, format: str, stream: TextIO) -> Sink:
    """Makes `structlog.get_logger()` write to `stream`: levels debug, info, warning, error; JSON or console lines.

    Whoever configures again, as tests do, closes the returned sink first.
    """
    console = format == "console" or (format == "auto" and stream.isatty())
    render = _console_line if console else _json_line

    def dropped_line(count: int) -> bytes:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        return render(None, "", {"timestamp": time, "level": "warning", "event": "log lines dropped", "count": count})

    sink = Sink(stream.fileno(), dropped_line)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _plain_values,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Logger(sink),
        cache_logger_on_first_use=True,
    )
    atexit.register(sink.close)
    return sink


def _plain_values(_logger: object, _method: str, event: Event) -> Event:
    """Every value as JSON knows it, credentials masked; time, level and event first."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {_text(key): _plain(value) for key, value in (first | dict(event)).items()}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_text(key): _plain(element) for key, element in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(element) for element in value]
    return _text(value)


def _text(value: object) -> str:
    # Bytes of a request may arrive as lone surrogates, which UTF-8 cannot write.
    return mask_credentials(str(value).encode(errors="backslashreplace").decode())


def _json_line(_logger: object, _method: str, event: Event) -> bytes:
    return _escaped(msgspec.json.encode(event).decode()).encode() + b"\n"


def _console_line(_logger: object, _method: str, event: Event) -> bytes:
    fields = dict(event)
    time, level, what = (fields.pop(key, "") for key in ("timestamp", "level", "event"))
    trace = str(fields.pop("exception", ""))
    words = [f"{time} {level:<7} {_escaped(what)}", *(f"{_escaped(key)}={_value(fields[key])}" for key in fields)]
    lines = [" ".join(words), *(f"    {_escaped(line)}" for line in trace.splitlines())]
    return ("\n".join(lines) + "\n").encode()


def _escaped(value: object) -> str:
    return str(value).translate(_CONTROL)


def _value(value: object) -> str:
    bare = isinstance(value, str) and re.fullmatch(r"[^\s\"=]+", value)
    return _escaped(value if bare else msgspec.json.encode(value).decode())
