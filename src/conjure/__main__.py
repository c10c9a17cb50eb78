"""The program ``conjure``, also as ``python -m conjure``: Ctrl-C at any time prints no traceback.

Nothing is imported before Ctrl-C is taken care of.
"""

import signal
import sys

INTERRUPTED = 130  # 128 + SIGINT


def main() -> int:
    """Run the command line; returns the exit status."""
    pressed = []

    def press(number: int, frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, press)
        from .cli.main import main as run

        status = run()
    except BaseException as error:  # an import that is interrupted may end in any error
        if not pressed and not isinstance(error, KeyboardInterrupt):
            raise
        status = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program is at its end
    return status


if __name__ == "__main__":
    sys.exit(main())
