"""A set of IDX files of small pictures, whose classes are directions of stripes."""
import random
import struct

SIDE, CLASSES = 8, 3


def write_idx(path, shape, data):
    path.write_bytes(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(data))


def write_stripes(folder, train, test):
    """Makes `folder` with so many pictures to train and to test with."""
    folder.mkdir()
    draw = random.Random(1)
    for part, count in ("train", train), ("t10k", test):
        labels = [i % CLASSES for i in range(count)]
        pixels = [(200 if ((x, y, x + y)[label]) % 4 < 2 else 20) + draw.randrange(40)
                  for label in labels for y in range(SIDE) for x in range(SIDE)]
        write_idx(folder / f"{part}-images-idx3-ubyte", (count, SIDE, SIDE), pixels)
        write_idx(folder / f"{part}-labels-idx1-ubyte", (count,), labels)
