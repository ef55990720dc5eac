"""Makes the packages of build/trainers (accelerate, peft) available to all tests."""

import pathlib
import sys

# At the end of the path, so that no installed package is replaced.
sys.path.append(str(pathlib.Path(__file__).parents[2] / "build" / "trainers"))
