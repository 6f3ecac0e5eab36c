"""One computing thread for each process of the tests: they run side by side on all cores.

The libraries read these when they are loaded, so this file loads none of them. Processes that a
test starts inherit them. `OMP_NUM_THREADS=2 pytest` takes two.
"""

import os

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
