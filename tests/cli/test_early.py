"""Ctrl-C while a command is still being imported."""

import subprocess
import sys

import pytest

INTERRUPTED = """
import importlib.abc, os, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from prana.cli import main
sys.exit(main(sys.argv[1:2]))
"""


@pytest.mark.parametrize("command", ["demo", "run"])
@pytest.mark.parametrize("module", ["prana.config.loader", "prana.app", "prana.config.consistency"])
def test_an_interrupt_during_the_imports_ends_a_serving_command_without_a_word(command: str, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, command, module], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
