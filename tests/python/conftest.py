"""Makes the packages of build/trainers (accelerate, peft) available to all tests, and MKL reproducible."""

import os
import pathlib
import sys

# Otherwise MKL's products depend on where matrices lie in memory on AMD's processors. MKL reads it at its first call.
os.environ.setdefault("MKL_CBWR", "AUTO")

# At the end of the path, so that no installed package is replaced.
sys.path.append(str(pathlib.Path(__file__).parents[2] / "build" / "trainers"))
