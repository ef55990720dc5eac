"""The verbs score and eval as a user meets them: numbers against Hugging Face's transformers, and bad input.

    SEEDNORM_PROGRAM=build/lab/bin/seednorm python -m pytest tests/lab/cli/eval_cli_test.py
"""
import json
import math
import os
import pathlib
import subprocess
import sys

import pytest
import torch
from transformers import Olmo2Config, Olmo2ForCausalLM

# These models are so small that threads would only wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

PROGRAM = os.environ.get("SEEDNORM_PROGRAM")
DATA = pathlib.Path(os.environ.get("SEEDNORM_TEST_DATA_DIR", pathlib.Path(__file__).parents[4] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not PROGRAM, reason="SEEDNORM_PROGRAM names no program")

# Log-probabilities of a few nats, from sums of some hundred float32 products in another order.
MAX_ERROR = 2e-5
CONTEXT = 128


def save_model(folder, vocab=257, hidden=64, context=CONTEXT, **settings):
    torch.manual_seed(0)
    config = Olmo2Config(vocab_size=vocab, hidden_size=hidden, intermediate_size=48, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=context,
                         initializer_range=0.15, pad_token_id=None, eos_token_id=256, **settings)
    model = Olmo2ForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of bytes, and its folder."""
    folder = tmp_path_factory.mktemp("model")
    return save_model(folder), folder


def run(*args):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True)


def result(tmp_path, *args):
    done = run(*args, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / "out.json").read_text())


def refused(*args):
    """The one line that the program says about bad input."""
    done = run(*args)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, (done.returncode, done.stderr)
    return done.stderr


def log_probs(model, ids):
    """log p of each token but the first."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].float()
    return logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def some_ids(count, vocab=257):
    return torch.randint(0, vocab, (count,), generator=torch.Generator().manual_seed(1)).tolist()


def write_ids(tmp_path, ids):
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    return tmp_path / "ids.json"


def close(got, want):
    return len(got) == len(want) and all(abs(g - w) <= MAX_ERROR * max(1, abs(w)) for g, w in zip(got, want))


@pytest.mark.parametrize("context, stride", [(None, None), (64, None), (64, 24), (10, 1)])
def test_score_of_tokens(model, tmp_path, context, stride):
    ids = some_ids(300)
    options = (["--context", context] if context else []) + (["--stride", stride] if stride else [])
    got = result(tmp_path, "score", "--model", model[1], "--tokens", write_ids(tmp_path, ids), *options)
    want, size, step = [], context or CONTEXT, stride or context or CONTEXT
    for begin in range(0, 299, step):
        scores = log_probs(model[0], ids[begin:begin + size + 1])
        want += scores[len(want) - begin:]
    assert close(got["token_logprobs"], want)
    assert got["tokens"] == 299
    assert got["nll"] == pytest.approx(-sum(want) / 299, rel=1e-5)
    assert got["ppl"] == pytest.approx(math.exp(got["nll"]), rel=1e-9)
    assert got["bits_per_byte"] is None  # no tokenizer says what the ids stand for


def test_score_of_chunks(model, tmp_path):
    ids = some_ids(300)
    got = result(tmp_path, "score", "--model", model[1], "--tokens", write_ids(tmp_path, ids), "--chunks", "--context", 90)
    want = [None] * 299
    for begin in (0, 90, 180):
        want[begin:begin + 89] = log_probs(model[0], ids[begin:begin + 90])
    assert [x is None for x in got["token_logprobs"]] == [x is None for x in want]
    assert close([x for x in got["token_logprobs"] if x is not None], [x for x in want if x is not None])
    assert got["tokens"] == 3 * 89


def test_score_of_text(model, tmp_path):
    text = "In the beginning \u00e9 was 1 \u4e2d word."
    (tmp_path / "text.txt").write_text(text)
    got = result(tmp_path, "score", "--model", model[1], "--text", tmp_path / "text.txt", "--tokenizer", "byte")
    want = log_probs(model[0], list(text.encode()))
    assert close(got["token_logprobs"], want)
    assert got["bits_per_byte"] == pytest.approx(-sum(want) / math.log(2) / len(text.encode()), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_score_with_stored_weights(tmp_path, dtype):
    """Activations are float32, whatever the weights are stored in."""
    save_model(tmp_path / "model").to(dtype).save_pretrained(tmp_path / "half")
    model = Olmo2ForCausalLM.from_pretrained(tmp_path / "half", dtype=torch.float32).eval()
    ids = some_ids(100)
    got = result(tmp_path, "score", "--model", tmp_path / "half", "--tokens", write_ids(tmp_path, ids))
    assert close(got["token_logprobs"], log_probs(model, ids))


def peak_of(*args):
    """Most memory that the program had at once, in bytes."""
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", code, PROGRAM, *map(str, args)], capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout)


def test_memory_of_score(tmp_path):
    """At most the weights, one batch's activations and 200 MB, of which the program and libtorch take a part. All
    logits of one batch alone would be 4 x 512 x 100,000 x 4 bytes = 820 MB."""
    save_model(tmp_path / "model", vocab=100_000, context=512)
    weights = (tmp_path / "model" / "model.safetensors").stat().st_size
    # Of a layer: its input, norms, queries, keys, values, gate and up projections and their product.
    activations = 4 * 512 * (12 * 64 + 4 * 48) * 4
    ids = write_ids(tmp_path, some_ids(4096, 100_000))
    peak = peak_of("score", "--model", tmp_path / "model", "--tokens", ids, "--batch", 4)
    print(f"peak {peak / 1e6:.0f} MB, weights {weights / 1e6:.0f} MB, activations {activations / 1e6:.0f} MB")
    assert peak <= weights + activations + 200e6


# --- eval

PIQA = [{"goal": f"reach goal {i}", "sol1": "walk" * (i + 1), "sol2": f"take the {i} bus \u00e9", "label": i % 2} for i in range(9)]


def write_lines(folder, name, lines):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.validation.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def scores_of(model, requests, context=CONTEXT):
    """acc, len_norm and ce_loss as the definition has them, one forward pass for each request."""
    values = {}
    for r in requests:
        ids = (r["context_ids"] + r["continuation_ids"])[-context - 1:]
        values.setdefault(r["document"], []).append(
            (sum(log_probs(model, ids)[-len(r["continuation_ids"]):]), len(r["continuation"]) - 1, r["gold"]))
    best = lambda list, key: max(range(len(list)), key=lambda i: (key(list[i]), -i))
    n = len(values)
    return {"acc": sum(best(v, lambda x: x[0]) == v[0][2] for v in values.values()) / n,
            "len_norm": sum(best(v, lambda x: x[0] / x[1]) == v[0][2] for v in values.values()) / n,
            "ce_loss": sum(-v[v[0][2]][0] / v[v[0][2]][1] for v in values.values()) / n}


def read_lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_eval(model, tmp_path):
    write_lines(tmp_path / "data", "piqa", PIQA)
    (tmp_path / "data" / "mine.txt").write_text("A text of my own. " * 40)
    got = result(tmp_path, "eval", "--model", model[1], "--tokenizer", "byte", "--tasks", "piqa,mine", "--data",
                 tmp_path / "data", "--dump-requests", tmp_path / "requests.jsonl")
    requests = read_lines(tmp_path / "requests.jsonl")
    assert len(requests) == 18
    assert requests[1]["context"] == "Question: reach goal 0\nAnswer:" and requests[1]["continuation"] == " take the 0 bus \u00e9"
    assert requests[1]["continuation_ids"] == list(" take the 0 bus \u00e9".encode())
    want, task = scores_of(model[0], requests), got["tasks"]["piqa"]
    assert (task["metric"], task["docs"], task["requests"]) == ("len_norm", 9, 18)
    assert task["scores"]["acc"] == want["acc"] and task["value"] == want["len_norm"]
    assert task["scores"]["ce_loss"] == pytest.approx(want["ce_loss"], rel=1e-5)
    assert task["stderr"] == pytest.approx(math.sqrt(want["len_norm"] * (1 - want["len_norm"]) / 9))
    ids = list(("A text of my own. " * 40).encode()) + [256]
    chunks = [log_probs(model[0], ids[i:i + CONTEXT]) for i in range(0, len(ids) - CONTEXT + 1, CONTEXT)]
    assert got["perplexity"]["mine"]["tokens"] == len(chunks) * (CONTEXT - 1)
    assert got["perplexity"]["mine"]["loss"] == pytest.approx(-sum(map(sum, chunks)) / len(chunks) / (CONTEXT - 1), rel=1e-5)


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not there")
def test_eval_of_real_tasks(tmp_path):
    """Twelve tasks, four documents each; long contexts are cut to the model's."""
    model = save_model(tmp_path / "model", context=512)
    got = result(tmp_path, "eval", "--model", tmp_path / "model", "--tokenizer", "byte", "--tasks", "all,wikitext2", "--data", DATA,
                 "--limit", 4, "--dump-requests", tmp_path / "requests.jsonl", "--batch", 5)
    assert list(got["perplexity"]) == ["wikitext2"] and len(got["tasks"]) >= 12
    requests = read_lines(tmp_path / "requests.jsonl")
    assert got["tasks"]["boolq"]["cut"] > 0 and got["tasks"]["hellaswag"]["source"] == "text dump"
    for name, task in got["tasks"].items():
        want = scores_of(model, [r for r in requests if r["task"] == name], 512)
        assert task["scores"]["acc"] == want["acc"] and task["scores"]["len_norm"] == want["len_norm"], name
        assert task["scores"]["ce_loss"] == pytest.approx(want["ce_loss"], rel=1e-5), name


def test_eval_goes_on(model, tmp_path):
    write_lines(tmp_path / "data", "piqa", PIQA)
    args = ["eval", "--model", model[1], "--tokenizer", "byte", "--tasks", "piqa", "--data", tmp_path / "data", "--out",
            tmp_path / "out"]
    first = result(tmp_path, *args)
    kept = tmp_path / "out" / "results" / "piqa.json"
    before = kept.stat().st_mtime_ns
    assert result(tmp_path, *args) == first == json.loads((tmp_path / "out" / "eval.json").read_text())
    assert kept.stat().st_mtime_ns == before
    assert "choose another --out" in refused(*args, "--limit", 3)
    assert "choose another --out" in refused(*args, "--dtype", "bfloat16")
    # Only a task that is missing is computed.
    write_lines(tmp_path / "data", "copa", [{"premise": "It rained.", "choice1": "I left", "choice2": "He came", "question": "cause", "label": 0}])
    args[args.index("piqa")] = "copa,piqa"
    assert result(tmp_path, *args)["tasks"]["piqa"] == first["tasks"]["piqa"]


def test_a_changed_norm_is_another_model(model, tmp_path):
    """Every byte of the weights counts, wherever it is in the file."""
    import shutil
    from safetensors.torch import load_file, save_file
    write_lines(tmp_path / "data", "piqa", PIQA)
    folder = tmp_path / "m"
    shutil.copytree(model[1], folder)
    args = ["eval", "--model", folder, "--tokenizer", "byte", "--tasks", "piqa", "--data", tmp_path / "data", "--out", tmp_path / "out"]
    first = result(tmp_path, *args)
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in weights:
        changed = {n: w.clone() for n, w in weights.items()}
        changed[name].view(-1)[-1] += 1
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        assert "choose another --out" in refused(*args), name
    shutil.copy(model[1] / "model.safetensors", folder)
    assert result(tmp_path, *args) == first


def test_nan_is_no_result(tmp_path):
    from safetensors.torch import load_file, save_file
    save_model(tmp_path / "m")
    weights = load_file(tmp_path / "m/model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, tmp_path / "m/model.safetensors")
    write_lines(tmp_path / "data", "piqa", PIQA)
    (tmp_path / "data/text.txt").write_text("text " * 100)
    for args in (["eval", "--tokenizer", "byte", "--tasks", "piqa", "--data", tmp_path / "data", "--out", tmp_path / "out"],
                 ["eval", "--tokenizer", "byte", "--tasks", "text", "--data", tmp_path / "data", "--out", tmp_path / "out"],
                 ["score", "--tokens", write_ids(tmp_path, some_ids(50))]):
        done = run(*args, "--model", tmp_path / "m")
        assert done.returncode == 1 and "not finite" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert list((tmp_path / "out/results").iterdir()) == []


def test_special_tokens_and_a_byte_order_mark_are_no_text(model, tmp_path):
    def bits(*args):
        return result(tmp_path, "score", "--model", model[1], "--tokenizer", "byte", *args)

    ids = [*b"some text", 256, *b"and more", 256]
    scored = bits("--tokens", write_ids(tmp_path, ids))
    want = scored["nll"] / math.log(2) * (len(ids) - 1) / sum(i != 256 for i in ids)
    assert scored["bits_per_byte"] == pytest.approx(want, rel=1e-6)
    (tmp_path / "plain.txt").write_bytes(b"some text")
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbfsome text")
    assert bits("--text", tmp_path / "marked.txt") == bits("--text", tmp_path / "plain.txt")


def test_a_choice_beyond_the_context_is_left_out(model, tmp_path):
    write_lines(tmp_path / "data", "piqa", PIQA)
    args = ["eval", "--model", model[1], "--tokenizer", "byte", "--tasks", "piqa", "--data", tmp_path / "data"]
    want = result(tmp_path, *args)["tasks"]["piqa"]
    write_lines(tmp_path / "data", "piqa", [{"goal": "g", "sol1": "long " * 40, "sol2": "b", "label": 0}] + PIQA)
    got = result(tmp_path, *args)["tasks"]["piqa"]
    assert got.pop("left_out") == 1 and "left_out" not in want
    assert {k: v for k, v in got.items() if k != "seconds"} == {k: v for k, v in want.items() if k != "seconds"}
    assert "longer than the context" in run(*args).stdout


BAD_EVAL = {
    "piqq": 'no task or set "piqq" (did you mean piqa?)',
    "pile": "has no set pile",
    "": "no task given",
    "arc_easy": "has no arc_easy.validation.jsonl",
    "../mine": 'no task or set "../mine"',
}


@pytest.mark.parametrize("tasks", BAD_EVAL)
def test_bad_names(model, tmp_path, tasks):
    write_lines(tmp_path / "data", "piqa", PIQA)
    (tmp_path / "mine.txt").write_text("text")
    assert BAD_EVAL[tasks] in refused("eval", "--model", model[1], "--tokenizer", "byte", "--tasks", tasks, "--data",
                                      tmp_path / "data")


def test_bad_files(model, tmp_path):
    def error(*args, tokenizer="byte"):
        return refused("eval", "--model", model[1], "--tokenizer", tokenizer, "--tasks", "piqa", "--data", tmp_path / "data", *args)

    file = tmp_path / "data" / "piqa.validation.jsonl"
    write_lines(tmp_path / "data", "piqa", PIQA + [{"goal": "g", "sol1": "a", "label": 0}])
    assert f'{file}:10: has no "sol2"' in error()
    write_lines(tmp_path / "data", "piqa", [{"goal": "g", "sol1": "long " * 40, "sol2": "b", "label": 0}])
    assert f"{file}:1: choice 1 has 201 tokens, but an input at most 128" in error()
    write_lines(tmp_path / "data", "piqa", PIQA)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": {}, "merges": [')
    assert "tokenizer.json: is not valid JSON" in error(tokenizer=tmp_path / "tokenizer.json")
    assert "tokenizer.json: is not there; --tokenizer names" in refused(
        "eval", "--model", model[1], "--tasks", "piqa", "--data", tmp_path / "data")
    (tmp_path / "there").write_text("mine")
    assert "already exists" in error("--dump-requests", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
    assert "no such folder" in refused("eval", "--model", model[1], "--tasks", "piqa", "--data", tmp_path / "none")


BAD_TOKENS = {
    "[1, 2": "is not valid JSON",
    "[" * 10_000: "is nested deeper than 100 levels",
    "[1]": "has 1 tokens; scoring it needs 2",
    "[1, 257]": "[1]: expected a whole number from 0 to 256, got 257",
    "[1, -1]": "[1]: expected a whole number",
    '{"ids": [1]}': "expected an array",
}


@pytest.mark.parametrize("text", BAD_TOKENS, ids=lambda text: text[:12])
def test_bad_tokens(model, tmp_path, text):
    (tmp_path / "ids.json").write_text(text)
    message = refused("score", "--model", model[1], "--tokens", tmp_path / "ids.json")
    assert str(tmp_path / "ids.json") in message and BAD_TOKENS[text] in message


def test_bad_windows(model, tmp_path):
    ids = write_ids(tmp_path, some_ids(50))
    assert "--context: the model's context is 128" in refused("score", "--model", model[1], "--tokens", ids, "--context", 129)
    assert "--stride: expected at most" in refused("score", "--model", model[1], "--tokens", ids, "--context", 8, "--stride", 9)
    assert "needs 128 or more" in refused("score", "--model", model[1], "--tokens", ids, "--chunks")
    assert "the model only 257" in refused(
        "score", "--model", model[1], "--text", ids, "--tokenizer", save_tokenizer(tmp_path / "large.json"))


def save_tokenizer(file):
    """A tokenizer of 300 tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(a, b) for a in "etaoinsr" for b in "etaoinsr"][:44]
    vocab = {token: i for i, token in enumerate(alphabet + [a + b for a, b in merges])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(file))
    return file


def test_score_is_the_models_own_tokenizer(tmp_path):
    model = save_model(tmp_path / "model", vocab=300)
    save_tokenizer(tmp_path / "model" / "tokenizer.json")
    from tokenizers import Tokenizer
    text = "on a sea of notes, rest is seen"
    ids = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json")).encode(text).ids
    (tmp_path / "text").write_text(text)
    by_text = result(tmp_path, "score", "--model", tmp_path / "model", "--text", tmp_path / "text")
    assert close(by_text["token_logprobs"], log_probs(model, ids))
    by_tokens = result(tmp_path, "score", "--model", tmp_path / "model", "--tokens", write_ids(tmp_path, ids))
    assert by_tokens == by_text
