#!/usr/bin/env python3
"""script/check_layers finds includes that point up and calls that are forbidden, and lets those pass that point down."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "script" / "check_layers"


def problems(files):
    """What check_layers says of a tree with these files: path -> the headers that it includes."""
    with tempfile.TemporaryDirectory() as folder:
        for path in {*files, *(header for headers in files.values() for header in headers)}:
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f'#include "{header}"\n' for header in files.get(path, ())))
        result = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
    return [line for line in result.stdout.splitlines() if "must not include" in line]


class Forbidden(unittest.TestCase):
    def test_call(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, code in (("lab/nn/a.cc", "\n  at::parallel_for(0, n, 1, work);\n"), ("ops/a.cc", "at::parallel_for(0, n);\n"),
                               ("lab/nn/b.cc", "// Not at::parallel_for.\nparallel_for(0, n, 1, work);\n")):
                file = pathlib.Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(code)
            result = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
        self.assertEqual(result.stdout.splitlines()[:-1],
                         ["lab/nn/a.cc:2: at::parallel_for: use parallel_for of lab/base/parallel.h; ATen's template needs "
                          "-fopenmp to be parallel"])


class Core(unittest.TestCase):
    def test_down(self):
        self.assertEqual(problems({
            "core/norms/a-inl.h": ["core/cpu/engine-inl.h", "core/kernel/kernel_args.h"],
            "core/norms/a.cuh": ["core/cuda/engine.cuh"],
            "core/cpu/engine-inl.h": ["core/kernel/kernel_args.h"],
            "core/src/registry.cc": ["core/kernel/norm_info.h", "core/norms/norms.def"],
            "core/cuda/cuda.cc": ["core/src/check.h", "core/norms/norms.def"],
            "ops/call.cc": ["core/src/check.h", "core/kernel/norm_info.h"],
        }), [])

    def test_up(self):
        for file, header in (("core/cpu/engine-inl.h", "core/norms/a-inl.h"), ("core/cpu/engine-inl.h", "core/src/check.h"),
                             ("core/kernel/chunks.h", "core/norms/row_scale.h"), ("core/kernel/a.h", "core/norms/norms.def"),
                             ("core/kernel/a.h", "core/cpu/lanes-inl.h"), ("core/src/check.cc", "core/norms/a-inl.h"),
                             ("core/src/check.cc", "core/cuda/geometry.h"), ("core/src/check.cc", "ops/call.h"),
                             ("core/a/new.h", "lab/base/error.h"), ("core/include/seednorm/a.h", "core/kernel/a.h")):
            with self.subTest(file=file, header=header):
                self.assertEqual(len(problems({file: [header]})), 1)


if __name__ == "__main__":
    unittest.main()
