"""A few steps of small models on a GPU and on the CPU end with the same losses, up to rounding.

usage: gpu_parity.py PROGRAM [DEVICE]    (DEVICE: cuda, or cpu to try this test)
"""
import json
import pathlib
import subprocess
import sys
import tempfile

SETTINGS = ["context=64", "batch_size=8", "micro_batch_size=4", "steps=5", "warmup_tokens=1000", "train_data=tokens", "valid_data=tokens",
            "eval_rows=8"]
# Each step divides by the root of squared gradients, so that differences of rounding grow from step to step.
BOUND = {"float32": 1e-4, "bfloat16": 3e-2}


def main():
    program, device = str(pathlib.Path(sys.argv[1]).resolve()), (sys.argv[2] if len(sys.argv) > 2 else "cuda")
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        def run(*arguments):
            done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{' '.join(arguments)}: {done.stderr}")

        (pathlib.Path(folder) / "text.txt").write_text("".join(f"{i} squared is {i * i}.\n" for i in range(900)))
        run("data", "tokenize", "text.txt", "--tokenizer", "byte", "--out", "tokens")
        for recipe in "olmo2-0.5m", "olmoe-0.5m":
            for norm in ("rms_norm", "layer_norm", "dyt", "seed_norm", "seed_norm(num_heads=2)")[:1 if device == "cpu" else None]:
                for dtype, bound in BOUND.items():
                    losses = []
                    for where in "cpu", device:
                        out = f"{recipe} {norm} {dtype} {where} {len(losses)}"
                        run("train", recipe, *SETTINGS, f"norm.block={norm}", f"dtype={dtype}", f"device={where}", "--out", out)
                        losses.append(json.loads((pathlib.Path(folder) / out / "result.json").read_text())["values"]["val_loss"])
                    good = abs(losses[0] - losses[1]) <= bound * abs(losses[0])
                    failures += not good
                    print(f"{recipe:12}{norm:24}{dtype:10}{losses[0]:10.5f}{losses[1]:10.5f}  {'ok' if good else 'DIFFERENT'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
