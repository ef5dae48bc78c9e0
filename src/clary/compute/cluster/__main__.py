"""`python -m clary.compute.cluster ADDRESS NAMESPACE LEASE_S`: the driver in a process of its own."""

import os
import sys

from clary.compute.cluster import driver

if __name__ == "__main__":
    code = driver.main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # Ray's threads are not waited for
