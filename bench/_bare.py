"""The same training without a platform: in a fork of a process that has its imports, and in a cold one.

python -m bench._bare warm SCRIPT    imports, then for every line on stdin forks, runs, prints the seconds
python -m bench._bare cold SCRIPT    imports and runs once
"""

import os
import runpy
import sys
import time
import warnings


def main() -> int:
    """Run as told."""
    how, script = sys.argv[1:]
    if how == "cold":
        runpy.run_path(script, run_name="__main__")
        return 0
    import joblib  # noqa: F401, PLC0415 - warm means that the imports are done
    import pandas  # noqa: F401, PLC0415
    import sklearn.linear_model  # noqa: F401, PLC0415
    import xgboost  # noqa: F401, PLC0415

    warnings.simplefilter("ignore")
    for _line in sys.stdin:
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                runpy.run_path(script, run_name="__main__")
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if status:
            return 1
        print(time.perf_counter() - began, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
