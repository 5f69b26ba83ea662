"""Start a command that the kernel kills when its parent is gone: `python tied.py PARENT IGNORED COMMAND...`.

Run as a script, before anything else is imported: code between fork and exec (subprocess's preexec_fn) is not safe in
a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(parent: int, ignored: list[int], command: list[str]) -> None:
    """Replace this process by `command`, with default signal handling but for what it is to ignore.

    Args:
        parent: process id of who started this; other systems than Linux cannot tie a process to it.
        ignored: numbers of signals that the command ignores, and what it starts, unless that sets a handler.
        command: program and arguments.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the tie was made
            sys.exit(1)
    # SIGHUP and SIGINT are ignored under nohup and in the background of a script. The trainer has to notice that DVC
    # ended, and does not look where SIGHUP is ignored; DVC is interrupted by SIGINT. Python ignores SIGPIPE.
    for default in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(default, signal.SIG_DFL)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(number) for number in sys.argv[2].split(",") if number], sys.argv[3:])
