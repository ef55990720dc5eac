"""The side of a peer in the turns of contestant.py, for train_peer.py and vision_peer.py."""

import json
import resource
import sys
import time
from collections.abc import Callable


def timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def take_turns(step: Callable[[], None], steps: int, warmup: int, about: Callable[[], dict]) -> None:
    """After 1 + warmup steps writes a line of JSON about the peer; then, for each line of the standard input, one with the
    seconds of so many steps; at the end of the input one with the peak memory."""
    for _ in range(1 + warmup):
        step()
    print(json.dumps(about()), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"peer": [timed(step) for _ in range(steps)]}), flush=True)
    print(json.dumps({"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)
