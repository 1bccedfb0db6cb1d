"""The promises of edgemnist."""

import os

# Threads of NumPy's BLAS would only wait for one another, and thousands of processes would start them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
