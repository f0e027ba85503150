"""Java and Maven of this machine, and Maven projects of the tests: each built once, then taken from its target/."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIN_JAVA = 17
BUILD_TIMEOUT_S = 600.0  # a first build downloads some 100 MB


class JavaUnavailableError(Exception):
    """This machine cannot build what is needed; the message says what is missing."""


@dataclass(frozen=True)
class Toolchain:
    java: str
    mvn: str

    def build(self, project: Path) -> Path:
        """The project's target folder, built unless it is of these very sources. Raises JavaUnavailableError."""
        target = project / "target"
        built_key = target / "built.sources"
        key = _sources_key(project)
        with (project / "pom.xml").open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # two test runs in one work tree build once
            if not (built_key.exists() and built_key.read_text() == key):
                _package(self.mvn, project)
                target.mkdir(exist_ok=True)
                built_key.write_text(key)
        return target


def find_toolchain() -> Toolchain:
    """Raises JavaUnavailableError when there is no JDK >= 17 or no Maven."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        raise JavaUnavailableError("no java found (JAVA_HOME, PATH)")
    version = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', version)
    if major is None or int(major[1]) < MIN_JAVA:
        raise JavaUnavailableError(f"java >= {MIN_JAVA} needed, found: {version.partition(chr(10))[0]}")
    mvn = shutil.which("mvn")
    if mvn is None:
        raise JavaUnavailableError("no mvn found on the PATH")
    return Toolchain(java, mvn)


def _package(mvn: str, project: Path) -> None:
    try:
        build = subprocess.run(
            [mvn, "-q", "-B", "package"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise JavaUnavailableError(f"mvn package took more than {BUILD_TIMEOUT_S:.0f} s") from error
    if build.returncode != 0:
        raise JavaUnavailableError(f"mvn package failed in {project.name}:\n{build.stdout[-3000:]}")


def _sources_key(project: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(project.rglob("*")):
        relative = path.relative_to(project)
        if path.is_file() and "target" not in relative.parts:
            digest.update(relative.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
