"""Fuzzing of everything that reads a file which somebody else may have written.

A reader may return a value or raise `HarnessError` that names its file. Any other exception, a crash of the process, an
input that takes longer than `SECONDS` and one that fills more memory than `MEMORY` is a bug. Inputs begin as a valid
file, whose values, structure and bytes hypothesis then changes; known traps (lengths that lie, bombs, deep nesting) are
among the changes.

`make test` runs a few fixed inputs a reader, `make test-big` 150. For longer, from the project's folder:

    python -m tests.fuzz --minutes 5                 # every reader, five minutes each, with a new seed
    python -m tests.fuzz --minutes 5 params pth      # these

Each reader runs in a process of its own. An input that fails is kept under out/fuzz/, the smallest of those that fail
alike, with the traceback beside it: make a test of it in the tests of the reader.
"""

import sys
from pathlib import Path

for folder in (Path(__file__).parents[1], Path(__file__).parents[1] / "statistics"):  # as pytest has them
    sys.path.insert(0, str(folder))
