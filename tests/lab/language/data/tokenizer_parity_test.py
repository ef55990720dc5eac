"""Our tokenizer against Hugging Face's `tokenizers`, where that can be imported: every character, and random texts of
what is hard: combining marks, white space of all kinds, added tokens and parts of them, cases that fold.

usage: tokenizer_parity_test.py TOOL FOLDER [--bench FILE]
  TOOL    the program lab_tokenizer_tool
  FOLDER  of tokenizer.json files
  --bench FILE  prints MB/s of processor time of both on a text instead
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import time
import unicodedata

SKIPPED = 77
SPACES = [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 32, 32, 32, 0x85, 0xA0, 0x1680, 0x180E, 0x200B, 0x2028, 0x2029, 0x202F,
          0x205F, 0x3000, 0xFEFF]
WORDS = ["'s", "'S", "'\u017f", "'LL", "'ve", "don't", "it's", "hello", "World", "1234567", "\u0663\u0664\u0665", "\ufb06",
         "'\ufb06", "\u0130", "\u00df", "'\u212a", "...", "\r\n", "\n\n", "  ", "   ", " " * 25, " " * 47, "'\t\t"]
CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
MARKS = [c for c in CHARACTERS if unicodedata.combining(chr(c))]
COMPOSED = [c for c in CHARACTERS if unicodedata.normalize("NFD", chr(c)) != chr(c)]


def random_text(rng, tokens):
    def piece():
        kind = rng.random()
        if kind < 0.2:
            return rng.choice(WORDS)
        if kind < 0.25:
            token = rng.choice(tokens)
            return token if rng.random() < 0.7 else token[:rng.randint(1, len(token))]
        if kind < 0.4:
            return chr(rng.choice(SPACES)) * rng.randint(1, 4)
        if kind < 0.5:
            return chr(rng.choice(MARKS))
        if kind < 0.6:
            return chr(rng.choice(COMPOSED))
        if kind < 0.7:
            return unicodedata.normalize("NFD", chr(rng.choice(COMPOSED)))
        return chr(rng.randint(33, 126)) if kind < 0.9 else chr(rng.choice(CHARACTERS))

    return "".join(piece() for _ in range(rng.randint(1, 20)))


def ours(tool, file, requests):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    output = subprocess.run([tool, file], input=lines.encode(), capture_output=True, check=True).stdout
    return [json.loads(line) for line in output.decode().split("\n")[:-1]]


def mismatches(tool, file, theirs, texts):
    ids = [encoding.ids for encoding in theirs.encode_batch(texts, add_special_tokens=False)]
    bad = [(text, a, b) for text, a, b in zip(texts, ours(tool, file, texts), ids) if a != b]
    # Ids that are no whole UTF-8 as well.
    rng = random.Random(2)
    lists = [rng.sample(part, len(part)) for part in ids[:5000]]
    decoded = [theirs.decode(part, skip_special_tokens=False) for part in lists]
    return bad + [entry for entry in zip(lists, ours(tool, file, lists), decoded) if entry[1] != entry[2]]


def megabytes_per_second(theirs, text):
    pieces = text.split("\n\n")
    best = 0
    for parts in ([text], pieces):
        start = time.process_time()
        for part in parts:
            theirs.encode(part, add_special_tokens=False)
        best = max(best, len(text.encode()) / 1e6 / (time.process_time() - start))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bench")
    arguments = parser.parse_args()
    try:
        from tokenizers import Tokenizer
    except ImportError:
        print("skipped: the Python package tokenizers is not installed")
        return SKIPPED
    files = sorted(file for file in arguments.folder.glob("*.json"))
    if not files:
        print(f"skipped: no tokenizers in {arguments.folder}")
        return SKIPPED
    failed = 0
    for file in files:
        theirs = Tokenizer.from_file(str(file))
        if arguments.bench:
            text = pathlib.Path(arguments.bench).read_text()
            result = subprocess.run([arguments.tool, file, "bench", arguments.bench], capture_output=True, check=True)
            print(f"{file.stem}: {float(result.stdout):.1f} MB/s, tokenizers {megabytes_per_second(theirs, text):.1f} MB/s")
            continue
        rng = random.Random(1)
        tokens = [token.content for token in theirs.get_added_tokens_decoder().values()]
        # In the middle are none yet.
        known = [f"a{c}{c}b 1{c} !{c} " for c in map(chr, CHARACTERS) if ord(c) < 0x32400 or 0xE0000 <= ord(c) < 0xE0200]
        every = ["".join(known[i:i + 16]) for i in range(0, len(known), 16)]
        for name, texts in (("every character", every), ("random", [random_text(rng, tokens) for _ in range(20000)])):
            bad = mismatches(arguments.tool, file, theirs, texts)
            print(f"{file.stem}: {name}: {len(texts)} texts, {len(bad)} mismatches", *map(ascii, bad[:3]), sep="\n  ")
            failed += len(bad)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
