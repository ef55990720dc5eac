"""Our pictures against those of timm's transforms, which Pillow makes: decoding, crops, sizes, each operation of
RandAugment, normalization, erasing and mixing, on photographs where they are there and on made-up pictures.

timm draws from our random numbers here, so that the same numbers must lead to the same crop and the same operations.

    SEEDNORM_IMAGE_TOOL=build/lab/tests/lab/lab_image_tool python -m pytest tests/lab/vision/data/timm_parity_test.py
"""
import io
import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest

TOOL = os.environ.get("SEEDNORM_IMAGE_TOOL")
ROOT = pathlib.Path(__file__).resolve().parents[4]
# script/setup-torch puts timm and torchvision there, without what they depend on.
sys.path[:0] = [os.environ.get("SEEDNORM_TIMM_DIR", str(ROOT / "build" / "timm")), str(pathlib.Path(__file__).parent)]
try:
    import timm_shim  # noqa: F401; before timm
    import timm.data.auto_augment as auto_augment
    import timm.data.mixup as timm_mixup
    import timm.data.random_erasing as random_erasing
    import timm.data.transforms as timm_transforms
    from timm.data import create_transform
    import torch
    from PIL import Image, ImageOps
    from torchvision import transforms
    REASON = None
except ImportError as error:
    REASON = f"timm cannot be imported ({error}); script/setup-torch installs it"
pytestmark = [pytest.mark.skipif(not TOOL, reason="SEEDNORM_IMAGE_TOOL names no program"),
              pytest.mark.skipif(REASON is not None, reason=str(REASON))]

DATA = pathlib.Path(os.environ.get("SEEDNORM_TEST_DATA_DIR", ROOT.parent / "shared" / "data"))
PHOTOS = sorted((DATA / "vision" / "imagenet_sample" / "images").glob("*"))
FILL = (124, 116, 104)
BICUBIC = 3
NUM_OPS = 15


class Tool:
    def __init__(self):
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, *words):
        self.process.stdin.write((" ".join(str(word) for word in words) + "\n").encode())
        self.process.stdin.flush()
        head = self.process.stdout.readline().decode()
        kind, *rest = head.split()
        if kind == "error":
            raise ValueError(head[6:].strip())
        rows, columns = map(int, rest)
        dtype, channels = {"u8": (np.uint8, 3), "f32": (np.float32, 3), "f64": (np.float64, 1)}[kind]
        size = rows * columns * channels * np.dtype(dtype).itemsize
        array = np.frombuffer(self.process.stdout.read(size), dtype)
        return array if kind == "f64" else array.reshape(rows, columns, 3)


@pytest.fixture(scope="module")
def tool():
    tool = Tool()
    yield tool
    tool.process.stdin.close()
    tool.process.wait()


def made_up(seed, width, height):
    """Waves, edges and noise, in colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = 127 + 127 * np.sin(x[..., None] * rng.uniform(0.02, 0.5, 3) + y[..., None] * rng.uniform(0.02, 0.5, 3))
    waves[(x + 2 * y) % 97 < 20] = rng.uniform(0, 255, 3)
    return Image.fromarray(np.clip(waves + rng.normal(0, 8, waves.shape), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files: photographs of many shapes, and three that are always there."""
    folder = tmp_path_factory.mktemp("pictures")
    files = PHOTOS[::16]
    for i, size in enumerate([(300, 200), (64, 400), (33, 31)]):
        files.append(folder / f"{i}.png")
        made_up(i, *size).save(files[-1])
    return files


def equal(ours, theirs, what, tolerance=0):
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape, what
    difference = np.abs(ours.astype(int) - theirs.astype(int)).max()
    assert difference <= tolerance, f"{what}: differs by {difference}"


def as_rgb(file):
    return Image.open(file).convert("RGB")


class Drawn:
    """Stands in for the modules random and numpy.random: gives our numbers."""

    def __init__(self, numbers):
        self.numbers = list(numbers)

    def random(self):
        return self.numbers.pop(0)

    rand = random

    def uniform(self, low, high):
        return low + (high - low) * self.random()

    def randint(self, low, high, size=None):
        return low + int(self.random() * (high - low + 1))

    def gauss(self, mean, std):
        first, second = self.random(), self.random()
        return mean + std * float(np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second))

    def choice(self, items, num, replace, p):
        return [items[int(self.random() * len(items))] for _ in range(num)]


def test_decoding(tool, pictures):
    for file in pictures:
        equal(tool("load", file), as_rgb(file), file)


def test_parts_are_those_of_the_whole(tool, pictures):
    rng = random.Random(0)
    for file in pictures:
        whole = np.asarray(as_rgb(file))
        for _ in range(20):
            width, height = rng.randint(1, whole.shape[1]), rng.randint(1, whole.shape[0])
            x, y = rng.randint(0, whole.shape[1] - width), rng.randint(0, whole.shape[0] - height)
            part = tool("part", x, y, width, height, file)
            equal(part, whole[y:y + height, x:x + width], (file, x, y, width, height))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_kinds_of_jpeg(tool, tmp_path, subsampling, progressive):
    rng = random.Random(subsampling)
    for mode in "RGB", "L", "CMYK":
        for size in (150, 87), (17, 16), (1, 1), (8, 300):
            file = tmp_path / "image.jpg"
            made_up(1, *size).convert(mode).save(file, subsampling=subsampling, progressive=progressive, quality=90)
            whole = np.asarray(as_rgb(file))
            equal(tool("load", file), whole, (mode, size))
            for _ in range(10):
                width, height = rng.randint(1, size[0]), rng.randint(1, size[1])
                x, y = rng.randint(0, size[0] - width), rng.randint(0, size[1] - height)
                equal(tool("part", x, y, width, height, file), whole[y:y + height, x:x + width], (mode, size))


def test_kinds_of_png(tool, tmp_path):
    image = made_up(2, 50, 40)
    file = tmp_path / "image.png"
    for mode in "RGB", "L", "1", "P", "RGBA", "LA":
        converted = image.convert(mode)
        if mode == "RGBA":
            converted.putalpha(image.convert("L"))
        converted.save(file)
        equal(tool("load", file), as_rgb(file), mode)
    gray16 = (np.asarray(image.convert("L")).astype(np.uint16) << 8) + 17
    Image.fromarray(gray16).save(file)
    equal(tool("load", file), np.repeat((gray16 >> 8).astype(np.uint8)[..., None], 3, 2), "16 bits")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns(tool, tmp_path, orientation):
    for name in "image.jpg", "image.png":
        exif = Image.Exif()
        exif[0x0112] = orientation
        made_up(3, 40, 24).save(tmp_path / name, exif=exif)
        turned = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / name)))
        equal(tool("load", tmp_path / name), turned, name)
        equal(tool("part", 3, 5, 11, 13, tmp_path / name), turned[5:18, 3:14], name)


@pytest.mark.parametrize("name", ["box", "bilinear", "bicubic"])
def test_sizes(tool, pictures, name):
    filter = {"box": Image.BOX, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}[name]
    rng = random.Random(1)
    for file in pictures:
        image = as_rgb(file)
        tool("load", file)
        for size in (224, 224), (32, 32), (500, 7), (image.width, 50), (50, image.height), image.size:
            width, height = rng.randint(1, image.width), rng.randint(1, image.height)
            if rng.random() < 0.5:
                width, height = image.size
            x, y = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
            theirs = image.crop((x, y, x + width, y + height)).resize(size, filter)
            equal(tool("resize", x, y, width, height, *size, name), theirs, (file, size))


def test_evaluation(tool, pictures):
    """timm.data.create_transform's for evaluation, to the floats."""
    theirs = create_transform(224, is_training=False, interpolation="bicubic", crop_pct=0.875)
    for file in pictures:
        tool("load", file)
        tool("center", 256, 224, "bicubic")
        ours = tool("normalize", "imagenet")
        expected = theirs(as_rgb(file)).permute(1, 2, 0).numpy()
        assert ours.tobytes() == np.ascontiguousarray(expected).tobytes(), file


def adm_center_crop(image, size):
    """As the DiT paper describes: halved by boxes, scaled, cut."""
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), resample=Image.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), resample=Image.BICUBIC)
    top, left = (image.height - size) // 2, (image.width - size) // 2
    return image.crop((left, top, left + size, top + size))


def test_adm_crop(tool, pictures):
    to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
    for file in pictures:
        tool("load", file)
        for size in 16, 64, 256:
            equal(tool("adm", size), adm_center_crop(as_rgb(file), size), (file, size))
        ours = tool("normalize", "symmetric")
        expected = to_tensor(as_rgb(file)).permute(1, 2, 0).numpy()
        assert ours.tobytes() == np.ascontiguousarray(expected).tobytes(), file


def test_random_crops(tool, pictures, monkeypatch):
    for file in pictures:
        image = as_rgb(file)
        tool("load", file)
        for row in range(40):
            low = (0.08, 0.2)[row % 2]
            monkeypatch.setattr(timm_transforms, "random", Drawn(tool("uniforms", 7, 3, row)))
            theirs = timm_transforms.RandomResizedCropAndInterpolation.get_params(image, (low, 1), (3 / 4, 4 / 3))
            assert tuple(tool("crop", 7, 3, row, low)) == theirs, (file, row)


def timm_ops():
    hparams = dict(translate_const=int(224 * 0.45), img_mean=FILL, interpolation=Image.BICUBIC)
    return auto_augment.rand_augment_ops(magnitude=9, prob=1.0, hparams=hparams,
                                         transforms=auto_augment._RAND_INCREASING_TRANSFORMS)


@pytest.mark.parametrize("op", range(NUM_OPS))
def test_operations(tool, pictures, monkeypatch, op):
    theirs = timm_ops()
    assert len(theirs) == NUM_OPS
    for file in pictures:
        image = as_rgb(file)
        tool("load", file)
        for magnitude in 0, 0.3, 2.5, 5, 7.77, 9, 9.99, 10:
            for negative in 0, 1:
                if theirs[op].name == "PosterizeIncreasing" and magnitude == 10:
                    assert not tool("op", op, magnitude, 0).any()  # 0 bits: Pillow refuses since version 12
                    continue
                theirs[op].magnitude = magnitude
                monkeypatch.setattr(auto_augment, "random", Drawn([0.9 if negative else 0.1] * 2))
                equal(tool("op", op, repr(magnitude), negative), theirs[op](image),
                      (theirs[op].name, file, magnitude, negative))


def test_rand_augment(tool, pictures, monkeypatch):
    """Draws and operations together."""
    text = "rand-m9-mstd0.5-inc1"
    theirs = auto_augment.rand_augment_transform(
        text, dict(translate_const=100, img_mean=FILL, interpolation=Image.BICUBIC))
    for file in pictures:
        image = as_rgb(file)
        tool("load", file)
        for row in range(40):
            drawn = Drawn(tool("uniforms", 11, 0, row))
            monkeypatch.setattr(auto_augment, "random", drawn)
            monkeypatch.setattr(auto_augment.np, "random", drawn)
            try:
                expected = theirs(image)
            except ValueError:  # 0 bits, as above
                continue
            equal(tool("rand_augment", 11, 0, row, text), expected, (file, row))


def test_erasing(tool, tmp_path, monkeypatch):
    """The same boxes; what fills them has mean 0 and variance 1."""
    file = tmp_path / "image.png"
    Image.new("RGB", (60, 50)).save(file)
    tool("load", file)
    theirs = random_erasing.RandomErasing(1.0, mode="pixel", device="cpu")
    values = []
    for row in range(100):
        monkeypatch.setattr(random_erasing, "random", Drawn(tool("uniforms", 5, 2, row)))
        expected = theirs(torch.zeros(3, 50, 60)).permute(1, 2, 0).numpy()
        ours = tool("erase", 5, 2, row)
        for axis in 0, 1:  # torch's numbers may be 0
            assert [f(np.nonzero(ours)[axis]) for f in (min, max)] == [f(np.nonzero(expected)[axis]) for f in (min, max)]
        values.append(ours[ours != 0])
    values = np.concatenate(values)
    assert abs(values.mean()) < 5 / len(values) ** 0.5
    assert abs(values.var() - 1) < 5 * (2 / len(values)) ** 0.5


class DrawnMix:
    """Stands in for numpy.random in timm's mixing: the choices are those of our mix."""

    def __init__(self, is_cut, lam, center):
        self.numbers = [0.0, 0.0 if is_cut else 1.0]  # mixed; cut or not
        self.lam, self.center = lam, list(center)

    def rand(self):
        return self.numbers.pop(0)

    def beta(self, a, b):
        return self.lam

    def randint(self, low, high, size=None):
        return self.center.pop(0)


def test_mixing(tool, tmp_path, monkeypatch):
    """A picture with its partner and their targets, to the bit, from the same lambda and middle of the box."""
    rng = np.random.default_rng(0)
    file = tmp_path / "image.png"
    Image.fromarray(rng.integers(0, 256, (30, 20, 3), dtype=np.uint8)).save(file)
    tool("load", file)
    one = tool("normalize", "imagenet")
    pair = torch.from_numpy(np.stack([one, one[::-1]])).permute(0, 3, 1, 2)  # the partner is upside down
    theirs = timm_mixup.Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=7)
    kinds = set()
    for step in range(60):
        is_cut, lam, y, x = tool("mix_draws", 3, step, 0)
        kinds.add(is_cut)
        monkeypatch.setattr(timm_mixup.np, "random", DrawnMix(is_cut, lam, (int(y), int(x))))
        mixed, expected = theirs(pair.clone(), torch.tensor([2, 5]))
        monkeypatch.undo()
        assert tool("mix", 3, step, 0).tobytes() == mixed[0].permute(1, 2, 0).contiguous().numpy().tobytes(), step
        targets = tool("mix_targets", 3, step, 0, 2, 5, 7)
        assert targets.astype(np.float32).tobytes() == expected[0].numpy().tobytes(), step
    assert kinds == {0, 1}
