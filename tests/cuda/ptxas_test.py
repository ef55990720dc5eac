#!/usr/bin/env python3
"""Registers and memory of every kernel for GPUs, as ptxas reported them: nothing is spilled.

Those for float64, which is for checks, may spill: their numbers take two registers each. So may, a little, those for huge
rows.

usage: ptxas_test.py BUILD_FOLDER      where cmake/keep_ptxas_report has left *.ptxas
"""
import pathlib
import re
import subprocess
import sys

# Most registers a thread may have. A multiprocessor has 65,536 and a block at most 512 threads, so that up to 128 one
# block fits; two blocks of backward's 256 threads fit, too, which is what the number of chunks counts on. Of forward's
# 128 threads at least four blocks shall fit: 512 threads with 64 bytes each on their way are 32 KB a multiprocessor,
# where 25 KB keep an H200's memory busy.
MOST = {"forward_kernel": 112, "backward_kernel": 128, "finish_kernel": 64}

COMPILING = re.compile(r"Compiling entry function '(\S+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")


def kernels(report):
    """(mangled name, architecture, registers, bytes spilled) of each kernel in one report."""
    entry, spilled = None, 0
    for line in report.read_text().splitlines():
        if match := COMPILING.search(line):
            entry, spilled = match.groups(), 0
        elif match := FRAME.search(line):
            spilled += int(match[2]) + int(match[3])
        elif (match := USED.search(line)) and entry:
            yield *entry, int(match[1]), spilled
            entry = None


def may_spill(name):
    """Bytes, stored and loaded again: up to three registers of the kernels for rows that a block reads twice."""
    return 24 if name.startswith("backward_kernel<") and name.endswith(", true>") else 0


def main():
    reports = sorted(pathlib.Path(sys.argv[1]).rglob("*.ptxas"))
    found = [kernel for report in reports for kernel in kernels(report)]
    names = subprocess.run(["c++filt"], input="\n".join(kernel[0] for kernel in found), capture_output=True, text=True,
                           check=True).stdout.splitlines()
    problems, most = [], {}
    for name, (_, arch, registers, spilled) in zip(names, found, strict=True):
        kind = next((kind for kind in MOST if kind in name), None)
        if kind is None:
            problems.append(f"{name}: a kernel without a bound on its registers")
            continue
        most[kind] = max(most.get(kind, 0), registers)
        short = re.sub(r"void |seednorm::|cuda::|\(.*", "", name)
        if spilled > may_spill(short) and "kernel<double" not in short:
            problems.append(f"{arch} {short}: {spilled} bytes spilled")
        if not registers <= MOST[kind]:
            problems.append(f"{arch} {short}: {registers} registers, {MOST[kind]} at most")
    problems += [f"no {kind} in {sys.argv[1]}: nothing was compiled" for kind in MOST if kind not in most]
    print("\n".join(problems))
    print(f"{len(found)} kernels, most registers: " + ", ".join(f"{kind} {n}" for kind, n in most.items()))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
