"""Ctrl-C before a command listens for it: imported first by the command line, so it imports next to nothing itself.

Covered are the imports and the start of a command. The interpreter's own first moments, before this line is reached,
are not: nobody can catch an interrupt there.
"""

import os
import signal
import sys

SERVING = frozenset({"run", "demo", "registry"})  # these end by Ctrl-C, so that it is no failure of theirs


def _leave(*_: object) -> None:
    os._exit(0)  # nothing runs yet that would have to be ended; an exception could surface anywhere in an import


# Until `prana.signals.Stop` takes over. Not where SIGINT is ignored, as in the background of a shell.
if SERVING.intersection(sys.argv[1:2]) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _leave)
