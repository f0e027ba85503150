"""Where the programs are that a comparison starts, and which versions they have."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_VERSION_TIMEOUT_S = 20.0
_VERSION = re.compile(r"\d+\.\d+\.\d+")  # not that of a path such as lib/python3.11


class Tools:
    """Programs beside this Python, in `venv`, on the PATH or in /usr/sbin, in this order."""

    def __init__(self, venv: Path) -> None:
        self._path = os.pathsep.join(
            [
                str(Path(sys.executable).parent),
                # The package's own `envoy` is a Python script that executes this one: its start is not Envoy's.
                *map(str, venv.glob("lib/python*/site-packages/envoy/_bin")),
                str(venv / "bin"),
                os.environ.get("PATH", os.defpath),
                "/usr/sbin",  # Debian's nginx and haproxy; not on every user's PATH
            ]
        )

    def find(self, name: str) -> str | None:
        """The path of a program, or None where it is missing."""
        return shutil.which(name, path=self._path)


def version(program: str, *arguments: str) -> str:
    """The first version number that a program prints, or "unknown"."""
    done = subprocess.run(
        [program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_VERSION_TIMEOUT_S,
        check=False,  # wrk prints its version with its usage, and fails
    )
    found = _VERSION.search(done.stdout)
    return found[0] if found else "unknown"
