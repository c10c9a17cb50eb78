"""The program ``conjure``, also as ``python -m conjure``: Ctrl-C at any time prints no traceback.

Nothing is imported before Ctrl-C is taken care of.
"""

import signal
import sys

INTERRUPTED = 130  # 128 + SIGINT


def main() -> int:
    """Run the command line; returns the exit status."""
    try:
        from .cli.main import main as run

        status = run()
    except KeyboardInterrupt:  # during the imports, or once more while a stopped run was ending
        status = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program is at its end
    return status


if __name__ == "__main__":
    sys.exit(main())
