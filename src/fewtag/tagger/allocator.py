"""How this process asks the system for memory: two settings of glibc's allocator, for two kinds of work. Linux only; elsewhere nothing.

A process-wide decision, so only the command line makes it. ``FEWTAG_ALLOCATOR=off`` leaves everything as it was.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of <malloc.h>
_keeps = False  # whether this process keeps pages


def _set(**values: int) -> bool:
    names = {"trim": _TRIM_THRESHOLD, "pad": _TOP_PAD, "threshold": _MMAP_THRESHOLD}
    if sys.platform != "linux" or os.environ.get("FEWTAG_ALLOCATOR") == "off":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False  # another C library
    return all(mallopt(names[name], value) == 1 for name, value in values.items())


def return_pages() -> bool:
    """For endless streams: large blocks go back to the system when freed, so that memory stays flat. Costs some page faults.

    Without it the batches' buffers and the few small things that stay lie mixed on the heap, which then grows with the number of inputs.

    Returns:
        Whether it was done.
    """
    return _set(threshold=256 * 1024)


def keep_pages() -> bool:
    """For training: the heap keeps what it has, so that no step waits for the system to hand out and clear the same pages again.

    Blocks of 32 MB and more, such as the gradient of a vocabulary table, stay outside: among them the heap breaks into pieces, and
    searching these for a place came to take a fifth of a long run.

    Returns:
        Whether it was done.
    """
    global _keeps
    _keeps = _set(threshold=32 * 1024 * 1024, trim=-1, pad=64 * 1024 * 1024)
    return _keeps


def give_back() -> bool:
    """Where pages are kept: give the system those that nothing lies on. Now and then, it keeps the heap from growing step by step.

    Blocks of some megabytes, no two of one size (the guesses at a batch's hidden words), leave gaps that the next ones do not fit.

    Returns:
        Whether there was anything to give.
    """
    return _keeps and ctypes.CDLL("libc.so.6").malloc_trim(0) == 1
