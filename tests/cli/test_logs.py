"""Log lines: their forms, what is masked and escaped, and a sink that never blocks."""

import json
import os
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from prana import logs
from prana.logs import Sink

Logged = Callable[[str, str], "Log"]


class Log:
    """Logging to a pipe, read back after a flush."""

    def __init__(self, level: str, form: str) -> None:
        reader, writer = os.pipe()
        self.reader: TextIO = os.fdopen(reader, encoding="utf-8", newline="\n")
        self.writer: TextIO = os.fdopen(writer, "w")
        self.sink = logs.configure(level, form, self.writer)
        self.logger: Any = structlog.get_logger()

    def lines(self) -> list[str]:
        self.sink.close()
        self.writer.close()
        with self.reader:
            return self.reader.read().splitlines()


@pytest.fixture
def log() -> Iterator[Callable[..., Log]]:
    opened: list[Log] = []

    def open_log(level: str = "info", form: str = "json") -> Log:
        opened.append(Log(level, form))
        return opened[-1]

    yield open_log
    for each in opened:
        if not each.writer.closed:
            each.lines()
    structlog.reset_defaults()


def test_a_json_line_has_time_level_event_and_values(log: Callable[..., Log]) -> None:
    here = log()
    here.logger.warning("node ejected", service="orders", for_s=1.5, urls=["a"], ok=True, nothing=None)
    (line,) = here.lines()
    fields = json.loads(line)
    assert list(fields)[:3] == ["timestamp", "level", "event"]
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {
        "level": "warning",
        "event": "node ejected",
        "service": "orders",
        "for_s": 1.5,
        "urls": ["a"],
        "ok": True,
        "nothing": None,
    }


def test_a_console_line_is_for_people(log: Callable[..., Log]) -> None:
    here = log(form="console")
    here.logger.info("app up", app="orders", why="two words", empty="", n=3, nodes=["a", 1])
    (line,) = here.lines()
    _, _, rest = line.partition(" ")
    assert rest == 'info    app up app=orders why="two words" empty="" n=3 nodes=["a",1]'


def test_without_a_terminal_auto_is_json(log: Callable[..., Log]) -> None:
    here = log(form="auto")
    here.logger.info("app up")
    assert json.loads(here.lines()[0])["event"] == "app up"


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", "debug info warning error"),
        ("info", "info warning error"),
        ("warning", "warning error"),
        ("error", "error"),
    ],
)
def test_only_the_level_and_above_is_written(level: str, written: str, log: Callable[..., Log]) -> None:
    here = log(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(here.logger, name)(name)
    assert [json.loads(line)["event"] for line in here.lines()] == written.split()


CANARIES: list[Any] = [
    "http://user:hunter2@eureka:8761/",
    "tried https://user:hunter2@a/ and https://other:hunter2@b/",
    "http://user:hun@ter2hunter2@a/",
    ["http://user:hunter2@a/"],
    {"url": {"deep": "http://user:hunter2@a/"}},
    {"http://user:hunter2@a/": 1},
    ValueError("http://user:hunter2@a/"),
    b"http://user:hunter2@a/",
]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("value", CANARIES)
def test_credentials_in_urls_are_never_written(value: Any, form: str, log: Callable[..., Log]) -> None:
    here = log(form=form)
    here.logger.info("eureka failed", value=value)
    here.logger.info(value)
    try:
        raise ConnectionError(value)
    except ConnectionError:
        here.logger.exception("eureka failed")
    text = "\n".join(here.lines())
    assert "hunter2" not in text
    assert "://***@" in text


@pytest.mark.parametrize("form", ["json", "console"])
@given(st.text(st.characters(), max_size=20))
def test_whatever_is_logged_is_one_line_without_control_characters(form: str, text: str) -> None:
    here = Log("info", form)
    here.logger.info(text, value=text, nested={text: [text]}, **{"key": text})
    lines = here.lines()
    structlog.reset_defaults()
    (line,) = lines
    assert [character for character in line if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")] == []
    if form == "json":
        assert json.loads(line)["value"] == text.encode(errors="backslashreplace").decode()


def test_a_value_cannot_pass_for_another_field(log: Callable[..., Log]) -> None:
    here = log(form="console")
    here.logger.info("request", path='x" status="200', other="a=b")
    (line,) = here.lines()
    assert line.endswith(r'path="x\" status=\"200" other="a=b"')


def test_a_traceback_in_the_console_stands_below_its_line(log: Callable[..., Log]) -> None:
    here = log(form="console")
    try:
        raise ValueError("bad\x1b[31m")
    except ValueError:
        here.logger.exception("it failed", n=1)
    first, *trace = here.lines()
    assert first.endswith("error   it failed n=1")
    assert all(line.startswith("    ") for line in trace)
    assert trace[-1] == r"    ValueError: bad\u001b[31m"


class Pipe:
    """A sink in front of a pipe that is already full, so that its thread is stuck until somebody reads."""

    def __init__(self, capacity_bytes: int) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.filling = 0
        try:
            while True:
                self.filling += os.write(self.writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(self.writer, True)
        self.sink = Sink(self.writer, lambda count: b"dropped %d\n" % count, capacity_bytes=capacity_bytes)

    def read_rest(self) -> bytes:
        """What the sink wrote, once it is through."""
        chunks: list[bytes] = []

        def read() -> None:
            while chunk := os.read(self.reader, 65536):
                chunks.append(chunk)

        thread = threading.Thread(target=read)
        thread.start()
        assert self.sink.flush(10)
        self.sink.close()
        os.close(self.writer)
        thread.join()
        os.close(self.reader)
        return b"".join(chunks)[self.filling :]


def test_a_full_pipe_does_not_block_and_drops_the_oldest_lines_and_says_how_many() -> None:
    pipe = Pipe(capacity_bytes=100)
    lines = [b"line %06d" % number for number in range(1000)]  # with their ends 12 bytes each: eight fit
    for line in lines:
        pipe.sink.write(line + b"\n")
    written = pipe.read_rest().splitlines()
    kept = [line for line in written if line in lines]
    reports = [line for line in written if line not in lines]
    assert kept == sorted(kept)
    assert kept[-8:] == lines[-8:]
    # How often the thread took lines before the pipe held it up is the scheduler's; none is lost unsaid.
    assert sum(int(report.removeprefix(b"dropped ")) for report in reports) == len(lines) - len(kept) > 0
    assert written[-9] == reports[-1]


def test_a_line_larger_than_the_buffer_is_dropped() -> None:
    pipe = Pipe(capacity_bytes=100)
    pipe.sink.write(b"x" * 101)
    assert pipe.read_rest() == b"dropped 1\n"


def test_a_flush_gives_up_when_nobody_reads() -> None:
    pipe = Pipe(capacity_bytes=100)
    pipe.sink.write(b"line\n")
    assert not pipe.sink.flush(0.01)
    assert pipe.read_rest() == b"line\n"


def test_a_descriptor_that_is_not_blocking_is_waited_for() -> None:
    pipe = Pipe(capacity_bytes=1_000_000)
    os.set_blocking(pipe.writer, False)
    line = b"x" * 300_000 + b"\n"  # more than a pipe takes at once
    pipe.sink.write(line)
    assert not pipe.sink.flush(0.01)
    assert pipe.read_rest() == line


def test_what_was_logged_before_the_end_of_the_process_is_written() -> None:
    code = (
        "import sys, structlog; from prana import logs; logs.configure('info', 'json', sys.stderr); "
        "log = structlog.get_logger(); [log.info('line', n=n) for n in range(1000)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert [json.loads(line)["n"] for line in done.stderr.splitlines()] == list(range(1000))


def test_a_reader_that_is_gone_does_not_hurt() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer, lambda count: b"")
    os.close(reader)
    sink.write(b"line\n")
    assert sink.flush(10)
    sink.write(b"line\n")
    assert sink.flush(10)
    sink.close()
    os.close(writer)
