"""Measures one piece of work of this process and prints it as one line of JSON."""
import json
import sys
import time


def peak_mb():
    # Not ru_maxrss: that one counts what the parent had before exec.
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def measured(work):
    """Runs work(), which returns the number of rows; imports are done before, and are not measured."""
    cpu, wall = time.process_time(), time.perf_counter()
    rows = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    json.dump({"wall_seconds": wall, "cpu_seconds": cpu, "peak_mb": peak_mb(), "rows": rows}, sys.stdout)
    print()
