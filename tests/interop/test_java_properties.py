"""Our reader of .properties files against Java's own, on texts of the characters that are special to it."""

import subprocess
from pathlib import Path
from random import Random

import pytest

from prana.config.properties import Malformed, parse
from tests.eureka.toolchain import Toolchain

pytestmark = pytest.mark.eureka

PROGRAM = Path(__file__).parent / "java" / "properties" / "LoadProperties.java"
PIECES = ["a", "b", "é", "\\", "\\", "\\u0041", "\\u00e", "=", ":", " ", "\t", "\f", "#", "!"]
ENDS = ["\n", "\r", "\r\n", "\\\n", "\\\r\n", "\\\n  ", "\n#"]


def test_java_and_we_read_the_same_properties(toolchain: Toolchain) -> None:
    random = Random(3)
    # In a backslash at the very end Java finds a property without name or value, which "." keeps away.
    texts = ["".join(random.choices(PIECES + ENDS, k=random.randint(1, 25))) + "." for _ in range(5_000)]
    texts.append("two\\ud83d\\ude00one = \\uD83D\\uDE00")
    told = "\0".join(texts).encode("iso-8859-1")
    run = subprocess.run([toolchain.java, PROGRAM], input=told, capture_output=True, check=True)
    answers = run.stdout.decode().split("\n")
    for text, answer in zip(texts, answers, strict=False):
        assert ours(text) == answer, repr(text)


def ours(text: str) -> str:
    try:
        read = {each.name: each.value for each in parse(text)}
    except Malformed:
        return "malformed"
    in_order = sorted((name.encode("utf-16-be").hex(), value.encode("utf-16-be").hex()) for name, value in read.items())
    return " ".join(f"{name}={value}" for name, value in in_order)
