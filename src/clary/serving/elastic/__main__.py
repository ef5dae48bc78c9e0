"""`python -m clary.serving.elastic`: the daemon of the accelerators, until SIGTERM."""

import gc
import signal
import sys
from types import FrameType

from clary.kernel.settings import Settings
from clary.serving.elastic.daemon import Daemon


def main() -> int:
    """Run it."""
    daemon = Daemon(Settings.load())

    def end(_number: int, _frame: FrameType | None) -> None:
        daemon.is_over = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor stops it in order
    gc.collect()
    gc.freeze()
    daemon.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
