"""What the C library does with memory that we free."""

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 8 * 1024 * 1024
_MAPPED_FROM_BYTES: Final = 1024 * 1024  # well above the 250 KiB that the loop reads at once


def keep_freed_memory() -> None:
    """Let glibc keep a few MiB of what is freed. By itself it gives the block of each large read back to the kernel,
    and has every page of the next one cleared again: half of the processor time of a large body. Elsewhere nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
