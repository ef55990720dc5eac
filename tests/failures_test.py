#!/usr/bin/env python3
"""script/failures names the failed tests of ctest and of pytest with the end of what they printed, and no others."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "script" / "failures"


def failures(text):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "results.xml"
        file.write_text(text)
        return subprocess.run([sys.executable, SCRIPT, file], capture_output=True, text=True, check=True).stdout


class Failures(unittest.TestCase):
    def test_ctest(self):
        lines = "\n".join(f"line {i}" for i in range(100))
        self.assertEqual(failures(
            '<testsuite tests="3"><testcase name="lab.a" classname="lab.a" status="run"><system-out>fine</system-out></testcase>'
            '<testcase name="b" status="fail"><failure message=""/><system-out>' + lines + "</system-out></testcase>"
            '<testcase name="c" status="disabled"/></testsuite>'),
            "FAILED b\n" + "".join(f"    line {i}\n" for i in range(40, 100)))

    def test_pytest(self):
        self.assertEqual(failures(
            '<testsuites><testsuite><testcase classname="suite.Case" name="test_a"/><testcase classname="suite.Case" name="test_b">'
            '<failure message="m">assert 1 == 2</failure></testcase><testcase classname="s" name="c"><skipped/></testcase>'
            "</testsuite></testsuites>"), "FAILED suite.Case.test_b\n    assert 1 == 2\n")


if __name__ == "__main__":
    unittest.main()
