"""Memory that is freed is there for the next large read."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from prana.allocator import keep_freed_memory

keep_freed_memory()
[bytes(range(256)) * 1000 for _ in range(10)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    [bytes(range(256)) * 1000 for _ in range(10)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_the_pages_of_a_large_block_are_not_cleared_each_time() -> None:
    faults = int(subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout)
    assert faults < 1000, "of 620 pages, twenty times"
