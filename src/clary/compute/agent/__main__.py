"""`python -m clary.compute.agent HOME`: one agent in an interpreter of its own."""

import sys
from pathlib import Path

from clary.compute.agent import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
