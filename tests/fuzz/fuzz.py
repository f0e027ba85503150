"""Coverage-guided search for bytes that break the laws in `oracles.py`: `python -m tests.fuzz.fuzz [SECONDS]`.

Saved crashers are replayed first. Then each target runs for so many seconds (60 unless told), from the seeds and with
the dictionary in `seeds.py`. Bytes that break a law are saved beside the others in `crashers/<target>/`, where
`test_laws.py` finds them: the fault stays found.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from zlib import crc32

from tests.fuzz.seeds import DICTIONARY, REQUESTS, RESPONSES

CRASHERS = Path(__file__).parent / "crashers"
MAX_BYTES = 4096
SEEDS = {"requests": REQUESTS, "responses": RESPONSES}


def check(target: str, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
    """The laws of this target; where the bytes are cut follows from the bytes, so that a crasher is only bytes."""
    from tests.fuzz import oracles  # late: the fuzzer instruments what it imports

    rng = Random(crc32(data))
    places = range(1, len(data))
    cuts = list(places) if len(data) < 64 else rng.sample(places, rng.randint(1, 8))
    laws = oracles.check_requests if target == "requests" else oracles.check_responses
    laws(data, cuts, loop)


def crashers(target: str) -> list[Path]:
    return sorted(path for path in (CRASHERS / target).glob("*") if path.is_file())


def fuzz(target: str, arguments: list[str]) -> None:
    """In a process of its own: libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["prana.wire", "prana.request", "h11"]):
        import tests.fuzz.oracles  # noqa: F401 - it brings all that is to be instrumented
    loop = asyncio.new_event_loop()
    atheris.Setup([sys.argv[0], *arguments], lambda data: check(target, data, loop))
    atheris.Fuzz()


def main(seconds: int) -> int:
    loop = asyncio.new_event_loop()
    for target in SEEDS:
        for path in crashers(target):
            check(target, path.read_bytes(), loop)
    failed = 0
    for target, seeds in SEEDS.items():
        with tempfile.TemporaryDirectory(prefix="prana-fuzz-") as directory:
            corpus = Path(directory) / "corpus"
            corpus.mkdir()
            for name, data in seeds.items():
                (corpus / name).write_bytes(data)
            dictionary = Path(directory) / "dictionary"
            dictionary.write_text("".join(f"{_quoted(word)}\n" for word in DICTIONARY))
            (CRASHERS / target).mkdir(parents=True, exist_ok=True)
            failed |= subprocess.run(
                [
                    *(sys.executable, "-m", "tests.fuzz.fuzz", target, f"-max_total_time={seconds}"),
                    *(f"-max_len={MAX_BYTES}", f"-dict={dictionary}", f"-artifact_prefix={CRASHERS / target}/"),
                    *("-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=1", str(corpus)),
                ],
                check=False,
            ).returncode
    return failed


def _quoted(word: bytes) -> str:
    """A line of libFuzzer's dictionaries."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"'


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SEEDS:
        fuzz(sys.argv[1], sys.argv[2:])
    else:
        sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 60))
