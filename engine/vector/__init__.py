"""Nearest neighbours of vectors, by FAISS.

FAISS's threads (OpenMP) wait for one another by spinning, unless told otherwise before they are loaded. On a machine
that does other work as well, one of them is often not running, and the others burn their time: batches of 100 queries
on 2 cores at a load of 9 took 231 µs of processor time a query and 718 µs by the clock, spinning, and 61 and 123 µs,
sleeping. Who sets the variable has it their way.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
