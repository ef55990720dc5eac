#!/usr/bin/env python3
"""Runs what a document of this repository shows.

A comment before a code block says what the block is:
  <!-- file: NAME -->   the text of a file; saved under that name
  <!-- run -->          commands; run where the files were saved, with the installed library found
  <!-- run: KIND -->    commands that need what is of a KIND, as the Python package (python) or the program (lab); run
                        with --only KIND, and then only these, with the folder --path found first
  <!-- output -->       what the commands before print, exactly
  <!-- excerpt: PATH --> lines that the repository's file PATH has, in this order
Other bash blocks may name this repository's scripts, programs of build/release and CMake presets only: these must
exist, and their --help must name the options.
Blocks of other languages need one of the comments; `text` alone is left alone. Links to files must lead somewhere, from
the document's folder, and so must names in backticks that look like paths, from the repository's root.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?:^<!-- *([a-z]+)(?:: *(\S+))? *-->\n)?^```([a-z+]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PATH = re.compile(r"`((?:bench|cmake|core|docs|examples|ops|python|script|tests|\.ci)/[\w./-]*)`")

OTHER_RUN = "not run here"


class Failure(Exception):
    pass


def check_command(words, build):
    """A command of a bash block that is not run here: it is run by script/test, or is too long to run."""
    if words[0].startswith(("script/", "bench/", "build/release/")):
        in_build = words[0].startswith("build/release/")
        program = build / words[0].removeprefix("build/release/") if in_build else ROOT / words[0]
        if not os.access(program, os.X_OK):
            raise Failure(f"no program {words[0]}")
        options = [word for word in words[1:] if word.startswith("--")]
        text = subprocess.run([program, "--help"], capture_output=True, text=True).stdout if options else ""
        for option in options:
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text):
                raise Failure(f"{words[0]} --help does not name {option}")
    elif words[0] in ("cmake", "ctest") and "--preset" in words:
        name = words[words.index("--preset") + 1]
        kind = "testPresets" if words[0] == "ctest" else "buildPresets" if "--build" in words else "configurePresets"
        presets = json.loads((ROOT / "CMakePresets.json").read_text())[kind]
        if name not in [preset["name"] for preset in presets if not preset.get("hidden")]:
            raise Failure(f"no {kind} {name}")
    # These two are run by the tests of the packages.
    elif words[:2] != ["cmake", "--install"] and words[:3] != ["pip", "install", "."]:
        raise Failure(f"not checked by anything: {shlex.join(words)}")


def check_excerpt(path, body):
    lines = iter((ROOT / path).read_text().splitlines())
    for wanted in filter(None, body.splitlines()):
        if not any(line.strip() == wanted.strip() for line in lines):
            raise Failure(f"{path} has no such line, or not here: {wanted}")


def environment(arguments):
    if arguments.only:
        return {**os.environ, "PATH": f"{arguments.path}:{os.environ['PATH']}"}
    added = {"CMAKE_PREFIX_PATH": arguments.prefix, "PKG_CONFIG_PATH": f"{arguments.libdir}/pkgconfig",
             "LD_LIBRARY_PATH": arguments.libdir, "CC": arguments.cc, "CXX": arguments.cxx}
    return {**os.environ, **added}


def check_blocks(text, work, arguments):
    printed, num_blocks = None, 0
    for match in BLOCK.finditer(text):
        kind, name, language, body = match.groups()
        num_blocks += 1
        try:
            if kind == "file":
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                (work / name).write_text(body)
            elif kind == "run" and name != arguments.only:
                printed = OTHER_RUN
            elif kind == "run":
                result = subprocess.run(["bash", "-euo", "pipefail", "-c", body], cwd=work, capture_output=True,
                                        text=True, env=environment(arguments))
                printed = result.stdout
                if result.returncode != 0:
                    raise Failure(f"exit code {result.returncode}\n{result.stdout}{result.stderr}")
            elif kind == "output":
                if printed is OTHER_RUN:
                    continue
                if printed is None or not printed.endswith(body):
                    raise Failure(f"printed instead:\n{printed}")
            elif kind == "excerpt":
                check_excerpt(name, body)
            elif language == "bash" and not arguments.only:
                for line in body.replace("\\\n", " ").splitlines():
                    if words := shlex.split(line, comments=True):
                        check_command(words, pathlib.Path(arguments.build))
            elif language not in ("text", "bash"):
                raise Failure(f"a block of '{language}' needs a comment that says what it is")
        except Failure as failure:
            line = text.count("\n", 0, match.start()) + 1
            yield f"line {line}: {failure}"
    print(f"{num_blocks} blocks")


def check_paths(text, folder):
    for base, match in [(folder, m) for m in LINK.finditer(text)] + [(ROOT, m) for m in PATH.finditer(text)]:
        if not (base / match[1]).exists():
            yield f"line {text.count(chr(10), 0, match.start()) + 1}: there is no {match[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path, help="a folder to work in")
    parser.add_argument("--only", metavar="KIND", help="run the commands of this kind; the rest is not needed then")
    parser.add_argument("--path", help="folder of the programs for --only")
    for option, text in (("--prefix", "where the library is installed"), ("--libdir", "its folder of libraries"),
                         ("--build", "the folder that stands for build/release"), ("--cc", ""), ("--cxx", "")):
        parser.add_argument(option, required="--only" not in sys.argv, help=text)
    arguments = parser.parse_args()
    text = arguments.document.read_text()
    work = arguments.work / arguments.document.stem
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    problems = [*check_blocks(text, work, arguments), *check_paths(text, arguments.document.parent)]
    for problem in problems:
        print(f"{arguments.document.name}: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
