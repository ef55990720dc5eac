"""The report's page in a real Chromium, at desktop and phone width, light and dark: no script error, nothing fetched.

usage: report_page_test.py PROGRAM
Ends with code 77, for skipped, where there is no Chromium.
"""
import base64
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import xml.dom.minidom
import zlib

PAGE = pathlib.Path(__file__).resolve().parents[3] / "lab/report/page"
PROGRAM = ""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LABELS = ["rms_norm", "dyt", "block:seed_norm+qk:seed_norm+output:rms_norm"]
EVIL = "<script>throw new Error('ran')</script><img src=x onerror=\"throw 1\">"


class Browser:
    """A headless Chromium that is spoken to through a pipe (its DevTools protocol)."""

    def __init__(self, profile):
        to_browser, ours_out = os.pipe()
        ours_in, from_browser = os.pipe()

        def pass_pipes():
            # The browser reads descriptor 3 and writes 4. The copies keep one from closing the other.
            a, b = os.dup(to_browser), os.dup(from_browser)
            os.dup2(a, 3), os.dup2(b, 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
            preexec_fn=pass_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser), os.close(from_browser)
        self.out, self.input = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb", 0)
        self.buffer, self.count, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(domain + ".enable")

    def read(self):
        while b"\0" not in self.buffer:
            more = self.input.read(1 << 16)
            assert more, "Chromium has gone"
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.out.write(json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != self.count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def open(self, page, width, scheme):
        """Opens a page and waits until its script is through, or failed."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page.as_uri())
        until = time.monotonic() + 30
        while not self.value("location.protocol === 'file:' && document.readyState === 'complete'"):
            assert time.monotonic() < until, "the page did not load"
            time.sleep(0.02)

    def drag(self, x0, x1, y):
        for kind, x in [("mousePressed", x0), ("mouseMoved", (x0 + x1) / 2), ("mouseMoved", x1), ("mouseReleased", x1)]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def errors(self):
        """What went wrong in the page, and what it asked the network for."""
        self.value("0")  # what was reported so far has been read after it
        out = [e["params"] for e in self.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
        out += [e["params"] for e in self.events
                if e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning")]
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        out += [url for url in asked if not url.startswith(("file:", "data:"))]
        if self.value("document.documentElement.dataset.ready") != "yes":
            out.append("the script did not reach its end")
        return out + list(filter(None, [self.value("document.documentElement.dataset.error")]))

    def close(self):
        self.out.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def folder_of(label, seed):
    return "".join(c if c.isalnum() or c in "_.-" else "~" for c in label) + f"-s{seed}"


def write_run(run, label, offset, diverges=False):
    """A run of 200 steps whose loss falls from 10 to about 3."""
    run.mkdir(parents=True)
    (run / "config.toml").write_text(f'about = "{EVIL}"\nsteps = 200\nseed = 0\n')
    lines = []
    for step in range(1, 201):
        loss = 3 + offset + 7 * math.exp(-step / 40) + 0.1 * math.sin(step * 12.9)
        common = {"step": step, "tokens": step * 1000, "seconds": step * 0.5}
        if diverges and step == 120:
            lines.append({"step": step, "tokens": step * 1000, "diverged": True})
            break
        lines.append(common | {"loss": loss, "loss_ema": loss, "grad_norm": 1.0})
        if step % 40 == 0:
            norm = {"saturated": step / 1000, "alpha": 1.0, "beta": 0.01}
            lines.append(common | {"valid": {"wiki": loss, "<b>books": loss + 0.1},
                                   "norms": {f"layers.{i}.norm<b>": norm for i in range(4)}})
            lines.append(common | {"tasks": {"piqa": 0.5 + step / 1000, "arc_easy": 0.4}})
            lines.append({"step": step, "sample": EVIL + "\nsaid " + label})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_race(folder, labels, seeds=3):
    runs, pairs = [], []
    for seed in range(seeds):
        for i, label in enumerate(labels):
            diverged = label == "dyt" and seed == 2
            write_run(folder / "runs" / folder_of(label, seed), label, -0.01 * i + 0.002 * seed, diverged)
            runs.append({"norm": label, "seed": seed, "steps": 200, "tokens": 200000, "train_loss": 3 - 0.01 * i,
                         "val_loss": None if diverged else 3.05 - 0.01 * i, "seconds": 100, "tokens_per_s": 2000,
                         "diverged": diverged, "dir": "runs/" + folder_of(label, seed)})
    for i, a in enumerate(labels):
        for k, b in enumerate(labels[i + 1:], i + 1):
            mean = -0.01 * (k - i)
            for metric in ["val_loss", "val_loss_equal_time", "train_loss"]:
                pairs.append({"a": a, "b": b, "metric": metric, "mean_diff": mean, "n": seeds,
                              "ci95": [mean - 0.004, mean + 0.004] if seeds > 1 else [None, None]})
    entrants = [{"label": label, "settings": ["norm=" + label]} for label in labels]
    (folder / "race.json").write_text(json.dumps({"recipe": "steps = 200\n", "seeds": seeds, "entrants": entrants}))
    (folder / "results.json").write_text(json.dumps({"recipe": "olmo2-3m", "runs": runs, "pairs": pairs}))


def png(level):
    """A PNG of 2 by 2 grey pixels, in base64."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    pixels = zlib.compress(b"".join(b"\0" + bytes([level, level]) for _ in range(2)))
    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def write_vision_race(folder):
    """A race in the format that says its metrics: more is better, images are counted, and two of six runs diverged."""
    metrics = [{"name": "top1", "title": "Top-1 accuracy", "unit": "%", "lower_is_better": False},
               {"name": "train_loss", "title": "Training loss (smoothed)", "unit": "nats per image", "lower_is_better": True}]
    info = {"format": 1, "workload": "classify", "unit": "image", "metrics": metrics}
    labels, runs = ["rms_norm", "seed_norm", "wild"], []
    for i, label in enumerate(labels):
        for seed in range(2):
            run = folder / "runs" / folder_of(label, seed)
            run.mkdir(parents=True)
            (run / "config.toml").write_text(f"steps = 20\nseed = {seed}\n")
            (run / "run.json").write_text(json.dumps(info))
            (run / "first_batch.png").write_bytes(base64.b64decode(png(100)))
            top1, diverged, lines = 50 + 2 * i + seed, label == "wild", []
            for step in range(1, 8 if diverged else 21):
                common = {"step": step, "images": step * 64, "seconds": step * (0.5 - 0.1 * i)}
                lines.append(common | {"loss": 3 - step / 20, "loss_ema": 3 - step / 20})
                if step % 5 == 0:
                    samples = [{"image": png(40 * step % 256), "title": f"class {k}"} for k in range(2)]
                    accuracy = {"weights": {"classes": {"cat": [10, step // 5 + i], "dog": [30, 2 * seed]}}}
                    lines.append(common | {"top1": top1 - 10 + step / 2, "samples": samples, "accuracy": accuracy})
            if diverged:
                lines.append({"step": 8, "images": 512, "diverged": True})
            (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            result = {"norm": label, "seed": seed, "steps": 20, "images": 1280, "seconds": 20 * (0.5 - 0.1 * i),
                      "diverged": diverged, "dir": f"runs/{run.name}", "train_loss": 2.0 + 0.1 * seed, "top1": top1,
                      "top1_equal_time": top1 - 0.5 * (label == "rms_norm")}
            runs.append(result | ({"diverged_at": 8, "top1": 0.0, "train_loss": 0.0} if diverged else {}))
    pairs = [{"a": "rms_norm", "b": "seed_norm", "metric": metric, "mean_diff": 2, "ci95": [1, 3], "n": 2, "p": 0.01,
              "p_holm": 0.03} for metric in ["top1", "top1_equal_time"]]
    entrants = [{"label": label, "settings": ["norm=" + label]} for label in labels]
    (folder / "race.json").write_text(json.dumps({"recipe": "steps = 20\n", "seeds": 2, "entrants": entrants}))
    pair = {"a": "rms_norm", "b": "seed_norm", "metric": "top1", "n": 2}
    statistics = {
        "reach": [pair | {"of": "units", "ratio": 0.8, "ci95": [0.7, 0.9]}, pair | {"of": "seconds", "ratio": 0.8, "ci95": [None, None]}],
        "trends": [pair | {"slope": 0.5, "ci95": [-0.5, 1.5]}],
        "noise": [pair | {"floor": 0.42}],
        "sweeps": [{"entrant": "wild", "metric": "top1", "lrs": [0.001, 0.002], "means": [50, None], "best_lr": 0.001,
                    "best": 50, "at_edge": True}],
        "tuned": [pair | {"mean_diff": 1.5, "ci95": [1.25, 1.75], "p": 0.001, "p_holm": 0.002}]}
    (folder / "results.json").write_text(json.dumps(
        {"recipe": "vit-tiny", "runs": runs, "pairs": pairs, "equal_time_s": 8.0} | statistics | info))


def report(*folders):
    return report_of(folders[0] / "report.html", *folders)


def report_of(page, *folders):
    done = subprocess.run([PROGRAM, "report", *map(str, folders), "--out", str(page)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return page


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.browser = Browser(cls.folder / "profile")
        cls.race = cls.folder / "race"
        write_race(cls.race, LABELS + [EVIL])

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def open(self, *folders, width=1280, scheme="light"):
        self.browser.open(report(*folders), width, scheme)
        self.assertEqual(self.browser.errors(), [])

    def value(self, expression):
        return self.browser.value(expression)

    def test_opens(self):
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                with self.subTest(width=width, scheme=scheme):
                    self.open(self.race, width=width, scheme=scheme)
                    self.assertLessEqual(self.value("document.documentElement.scrollWidth"), width)
                    paper = self.value("getComputedStyle(document.body).backgroundColor")
                    self.assertEqual(paper == "rgb(18, 20, 23)", scheme == "dark", paper)
                    # 4 charts, 3 maps of the norms
                    self.assertEqual(self.value("document.querySelectorAll('figure svg').length"), 7)

    def test_names_are_text(self):
        self.open(self.race)
        self.assertEqual(self.value("document.querySelectorAll('img, b').length"), 0)
        self.assertIn("\u2212 rms_norm", self.value("document.title"))
        self.assertIn(EVIL, self.value("document.body.innerText"))

    def test_is_accessible(self):
        self.open(self.race)
        for every in ("'table')].every(x => x.caption.textContent.length > 20)",
                      "'svg')].every(x => x.getAttribute('role') === 'img' && x.ariaLabel.length > 5)",
                      "'td')].every(x => x.closest('[role=table]'))",
                      "'select')].every(x => x.labels.length === 1)"):
            self.assertTrue(self.value(f"[...document.querySelectorAll({every}"), every)

    def test_every_control(self):
        """Each button and each choice of each list, twice."""
        self.open(self.race)
        self.value("""for (let k = 0; k < 2; ++k) {
          document.querySelectorAll('button').forEach(b => b.click());
          document.querySelectorAll('select').forEach(x => [...x.options].forEach(o => {
            x.value = o.value;
            x.dispatchEvent(new Event('change'));
          }));
        }""")
        self.assertEqual(self.browser.errors(), [])

    def test_zoom_and_read_out(self):
        self.open(self.race)
        self.value("document.querySelector('figure').scrollIntoView({block: 'center'})")
        left, right, y = self.value("(() => { const b = document.querySelector('figure svg').getBoundingClientRect();"
                                    "return [b.left, b.right, (b.top + b.bottom) / 2]; })()")
        chart = "document.querySelector('figure svg').textContent"
        reset = "[...document.querySelectorAll('button')].find(b => b.textContent === 'Reset zoom')"
        whole, third = self.value(chart), (right - left) / 3
        self.browser.drag(left + third, right - third, y)
        self.assertNotEqual(self.value(chart), whole)
        self.assertFalse(self.value(reset + ".disabled"))
        self.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + third, y=y)
        self.assertIn("rms_norm", self.value("document.querySelector('.tip:not([hidden])').innerText"))
        self.value(reset + ".click()")
        self.assertEqual(self.value(chart), whole)
        self.value("document.querySelector('figure svg').focus()")
        self.browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
        self.assertIn("tokens", self.value("document.querySelector('.tip:not([hidden])').innerText"))
        self.assertEqual(self.browser.errors(), [])

    def text_of(self, selector):
        return self.value(f"[...document.querySelectorAll({json.dumps(selector)})].map(x => x.innerText).join('\\n')")

    def column(self, table, label):
        """The cells of a table's column, by the label that a phone shows."""
        return self.value(f"[...document.querySelectorAll('table')][{table}].querySelectorAll('td[data-label=\"{label}\"]')"
                          ".values().map(x => x.innerText.trim()).toArray()")

    def test_spread_and_divergence(self):
        """A standard deviation beside each mean, and no loss of a run that diverged."""
        self.open(self.race)
        self.assertRegex(self.column(0, "Validation loss")[0], r"^3\.0500 \u00b1 0\.0000$")
        self.assertEqual(self.column(0, "Diverged"), ["none", "1 of 3", "none", "none"])
        self.assertEqual(self.column(0, "Runs"), ["3"] * 4)
        self.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        runs = self.value("[...document.querySelectorAll('table')].findIndex(t => t.caption.innerText.startsWith('Each run'))")
        states = self.column(runs, "State")
        self.assertEqual(states.count("diverged at step 120"), 1)
        self.assertEqual(self.column(runs, "Validation loss")[states.index("diverged at step 120")], "\u2013")
        self.assertNotIn("\n0.0000", "\n" + self.text_of("td[data-label='Validation loss']"))
        # Intervals stand beside the number of pairs, and the page says what several of them mean.
        self.assertIn("4 norms there are 6 pairs", self.text_of("p.hint"))
        self.assertIn("not corrected for the number of pairs", self.text_of("p.hint"))
        self.assertIn("This is one interval of 6, not corrected", self.value("document.getElementById('answer').innerText"))

    def test_equal_time_is_one(self):
        """Old results compared each two norms at another time: those pairs are not shown beside the table's values."""
        self.open(self.race)
        self.assertEqual(len(self.column(0, "Validation loss at equal time")), 4)
        self.assertNotIn("at equal time; left", self.text_of("th.part"))
        self.assertIn("differences at equal time were left out", self.text_of(".notes"))

    def test_metrics_have_directions(self):
        folder = self.folder / "vision"
        write_vision_race(folder)
        for width, scheme in [(1280, "light"), (390, "dark")]:
            self.open(folder, width=width, scheme=scheme)
            self.assertLessEqual(self.value("document.documentElement.scrollWidth"), width)
        self.open(folder)
        answer = self.value("document.getElementById('answer').innerText")
        self.assertIn("Top-1 accuracy, seed_norm \u2212 rms_norm: +2.00 \u00b1 1.00%", answer)
        self.assertIn("corrected p = 0.030): seed_norm is better; wild diverged in 2 of 2 runs.", answer)
        self.assertEqual(self.column(0, "Top-1 accuracy"), ["50.50 \u00b1 0.71", "52.50 \u00b1 0.71", "\u2013"])
        self.assertEqual(self.column(0, "Top-1 accuracy at equal time"), ["50.00 \u00b1 0.71", "52.50 \u00b1 0.71", "\u2013"])
        self.assertIn("After 8 s".lower(), self.text_of("caption").lower())
        best = "[...document.querySelectorAll('table')][0].querySelectorAll('td.best[data-label^=Top]').length"
        self.assertEqual(self.value(best), 2)
        self.assertIn("right of 0 is better", self.text_of("th.part"))
        self.assertIn("0.030", self.text_of("td[data-label='p, corrected']"))
        self.assertIn("corrected p (Holm", self.text_of("p.hint"))
        # The noise floor beside each difference, and what the race says beyond the last values.
        self.assertIn("0.42", self.text_of("td[data-label='Noise floor']"))
        self.assertIn("each norm at its best learning rate", self.text_of("caption"))
        self.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        self.assertIn("excludes 1: seed_norm is sooner", self.text_of("td[data-label='The interval']"))
        self.assertIn("includes 0: no trend shown", self.text_of("td[data-label='The interval']"))
        self.assertIn("sweep further", self.text_of("td[data-label='The best rate is']"))
        body = self.value("document.body.innerText")
        self.assertIn("Images per second", body)
        for word in ["nats per token", "tokens"]:
            self.assertNotIn(word, body)

    def test_sample_images(self):
        """Grids of images, side by side for the entrants, at each step."""
        folder = self.folder / "images"
        write_vision_race(folder)
        self.open(folder)
        batches = "[...document.querySelectorAll('figure.card img')]"
        self.assertEqual(self.value(batches + ".length"), 1)  # all runs of a race see the same
        self.assertTrue(self.value(batches + ".every(x => x.complete && x.naturalWidth === 2 && x.alt.length > 5)"))
        images = "[...document.querySelectorAll('.card .sample:not(.card) img')]"
        self.assertEqual(self.value(images + ".length"), 3 * 2 - 2)  # the one that diverged has none at the last step
        self.assertTrue(self.value(images + ".every(x => x.complete && x.naturalWidth === 2 && x.alt.length > 5)"))
        first = self.value(images + "[0].src")
        self.value("""[...document.querySelectorAll('select')].filter(x => x.labels[0].innerText.startsWith('Step')).forEach(x => {
          x.value = '5';
          x.dispatchEvent(new Event('change'));
        })""")
        self.assertEqual(self.value(images + ".length"), 6)
        self.assertNotEqual(self.value(images + "[0].src"), first)
        self.assertIn("class 1", self.text_of("figcaption"))
        self.assertEqual(self.browser.errors(), [])

    def test_classes(self):
        """A row for each class, a column for each entrant that has not diverged, means over seeds."""
        folder = self.folder / "classes"
        write_vision_race(folder)
        self.open(folder)
        table = "[...document.querySelectorAll('table')].find(t => t.caption.innerText.includes('by class'))"
        rows = self.value(f"[...{table}.tBodies[0].rows].map(r => [...r.cells].map(c => c.innerText.trim()))")
        self.assertEqual(rows, [["cat", "10", "40.0", "50.0"], ["dog", "30", "3.3", "3.3"]])
        self.assertEqual(self.browser.errors(), [])

    def test_charts_are_saved(self):
        self.open(self.race)
        downloads = self.folder / "downloads"
        downloads.mkdir()
        self.browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        for kind in ("SVG", "PNG", "CSV"):
            self.value(f"document.querySelector('button[aria-label=\"Save Validation loss as {kind}\"]').click()")
        files = [downloads / f"validation-loss.{kind}" for kind in ("svg", "png", "csv")]
        until = time.monotonic() + 60
        while not all(file.exists() and file.stat().st_size for file in files):
            assert time.monotonic() < until, list(downloads.iterdir())
            time.sleep(0.05)
        self.assertEqual(self.browser.errors(), [])
        svg, image, rows = files[0].read_text(), files[1].read_bytes(), files[2].read_text().splitlines()
        xml.dom.minidom.parseString(svg)
        self.assertNotIn("var(", svg)  # it must look the same without the page
        self.assertIn(">Validation loss</text>", svg)
        self.assertIn("rgb(", svg)
        width, height = struct.unpack(">II", image[16:24])
        self.assertGreater(width, 1000)
        self.assertGreater(height, 400)
        self.assertEqual(rows[0], "norm,seed,curve,tokens,Validation loss")
        self.assertIn("rms_norm,0,seed,40000,5.", "\n".join(rows))
        # Names are quoted as CSV wants it.
        self.assertTrue(any(row.startswith('"' + EVIL.replace('"', '""')) for row in rows))
        self.browser.open(files[0], 1280, "light")
        self.assertEqual(self.value("document.documentElement.localName"), "svg")

    def test_says_how_to_get_an_interval(self):
        folder = self.folder / "one seed"
        write_race(folder, LABELS[:2], seeds=1)
        self.open(folder)
        self.assertIn("--seeds 3 --out 'one seed-3-seeds'", self.text_of("pre"))
        self.assertIn("one pair of runs gives no interval", self.value("document.getElementById('answer').innerText"))

    def test_one_run(self):
        write_run(self.folder / "one-s7", "one", 0)
        self.open(self.folder / "one-s7", width=390, scheme="dark")
        self.assertIn("one", self.value("document.title"))

    def test_several_races(self):
        write_race(self.folder / "first", LABELS)
        write_race(self.folder / "second", LABELS, seeds=1)
        self.open(self.folder / "first", self.folder / "second")
        self.assertIn("second: dyt", self.value("document.body.innerText"))

    def test_empty_race(self):
        (self.folder / "empty").mkdir()
        (self.folder / "empty/race.json").write_text("{}")
        self.open(self.folder / "empty")
        self.assertIn("No run has finished yet.", self.value("document.body.innerText"))

    def test_evaluations(self):
        """Alone, and beside a race; names of models, tasks and sets are text too."""
        files = []
        for i, model in enumerate(["models/rms_norm", "models/seed_norm", "models/" + EVIL.replace("/", "|")]):
            tasks = {task: {"metric": "acc", "value": 0.4 + 0.01 * i, "stderr": 0.011, "docs": 1838} for task in ["piqa", EVIL]}
            if i == 2:  # not comparable with the others
                tasks["piqa"]["docs"] = 100
            sets = {"wikitext2": {"loss": 3.5 - 0.1 * i, "ppl": math.exp(3.5 - 0.1 * i), "tokens": 40950}}
            files.append(self.folder / f"eval-{i}.json")
            files[-1].write_text(json.dumps({"model": model, "tokenizer": EVIL, "tasks": tasks, "perplexity": sets}))
        for width, scheme in [(1280, "light"), (390, "dark")]:
            self.browser.open(report_of(self.folder / "evals.html", *files), width, scheme)
            self.assertEqual(self.browser.errors(), [])
            self.assertLessEqual(self.value("document.documentElement.scrollWidth"), width)
        self.assertEqual(self.value("document.querySelectorAll('img, b').length"), 0)
        self.assertEqual(self.value("document.querySelectorAll('figure').length"), 0)
        rows = "[...document.querySelectorAll('table')][0].rows"
        self.assertEqual(self.value(rows + ".length"), 1 + 3 + 0)
        self.assertEqual(self.value(rows + "[1].cells[4].className"), "num best")
        self.assertIn("42.0 \u00b1 1.1", self.value(rows + "[2].innerText"))
        self.open(self.race, *files)
        self.assertIn("wikitext2", self.value("document.body.innerText"))

    def test_an_error_is_seen(self):
        """The test itself: a page whose script fails does not pass."""
        page = report(self.race)
        page.write_text(page.read_text().replace('"use strict";', '"use strict"; missing();'))
        self.browser.open(page, 1280, "light")
        self.assertIn("missing is not defined", str(self.browser.errors()))


class Sources(unittest.TestCase):
    """The page's modules, whose imports are for readers and editors: the build joins them into one script."""

    def test_imports_are_true(self):
        top = {path.name: re.findall(r"^(export )?(?:const|let|function|class) (\w+)", path.read_text(), re.MULTILINE)
               for path in PAGE.glob("*.js")}
        names = [name for module in top.values() for _, name in module]
        self.assertEqual([name for name in set(names) if names.count(name) > 1], [], "at the top of two modules")
        for path in PAGE.glob("*.js"):
            text = path.read_text()
            for wanted, module in re.findall(r"^import {([^}]*)}\s+from \"\./([^\"]*)\";", text, re.MULTILINE):
                for name in wanted.replace(" ", "").replace("\n", "").split(","):
                    self.assertIn(("export ", name), top[module], f"{path.name} imports {name}")
                    self.assertGreater(len(re.findall(rf"\b{name}\b", text)), 1, f"{path.name} does not use {name}")
            self.assertLessEqual(text.count("\n"), 300, path.name)
        for path in PAGE.iterdir():
            self.assertLessEqual(max(map(len, path.read_text().splitlines())), 120, path.name)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    if not CHROMIUM:
        sources = unittest.main(argv=sys.argv[:1] + ["Sources"], exit=False).result
        print("skipped: no Chromium (Debian's package chromium)")
        sys.exit(77 if sources.wasSuccessful() else 1)
    unittest.main(verbosity=2)
