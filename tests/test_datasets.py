"""The data sets: what they hold, and what is refused of files that come from outside."""

import errno
import gzip
import hashlib
import io
import os
import struct
import threading
from urllib.error import URLError

import numpy as np
import pytest
from deepc import datasets
from deepc.datasets import _download, _mnist, binary_encode, fizz_buzz_encode, read_idx

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx(array, code=0x08):
    """The bytes of an IDX file."""
    array = np.asarray(array)
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def small_mnist():
    """The four files with 5 and 3 random images in place of 60,000 and 10,000."""
    rng = np.random.default_rng(0)

    def part(count):
        return rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8)

    (images, labels), (test_images, test_labels) = part(5), part(3)
    return {IMAGES: images, LABELS: labels, TEST_IMAGES: test_images, TEST_LABELS: test_labels}


def write_files(folder, files, rename=str, pack=bytes):
    for name, array in files.items():
        (folder / rename(name)).write_bytes(pack(idx(array)))


# ---- XOR and FizzBuzz ----------------------------------------------------------------------------


def test_xor():
    train_x, train_y, test_x, test_y = datasets.xor()
    assert train_x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert train_y.tolist() == [[0], [1], [1], [0]]
    assert np.array_equal(train_x, test_x)
    assert np.array_equal(train_y, test_y)
    assert not np.shares_memory(train_x, test_x)


def test_fizz_buzz_follows_the_encoders():
    data = datasets.fizz_buzz("float64")
    assert data.train_x.tolist() == [binary_encode(n) for n in range(101, 1024)]
    assert data.test_x.tolist() == [binary_encode(n) for n in range(1, 101)]
    assert data.train_y.tolist() == [fizz_buzz_encode(n).index(1) for n in range(101, 1024)]
    assert data.test_y.tolist() == [fizz_buzz_encode(n).index(1) for n in range(1, 101)]
    assert data.train_y.dtype == data.test_y.dtype == np.int64


def test_encoders_have_the_chapters_values():
    assert binary_encode(0) == [0] * 10
    assert binary_encode(1) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert binary_encode(101) == [1, 0, 1, 0, 0, 1, 1, 0, 0, 0]
    assert binary_encode(999) == [1, 1, 1, 0, 0, 1, 1, 1, 1, 1]
    assert binary_encode(np.int64(1023)) == [1] * 10
    assert fizz_buzz_encode(2) == [1, 0, 0, 0]
    assert fizz_buzz_encode(6) == [0, 1, 0, 0]
    assert fizz_buzz_encode(10) == [0, 0, 1, 0]
    assert fizz_buzz_encode(30) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("encode", "x", "error"),
    [
        (binary_encode, 1024, ValueError),
        (binary_encode, -1, ValueError),
        (binary_encode, 1.0, TypeError),
        (binary_encode, "1", TypeError),
        (binary_encode, True, TypeError),
        (fizz_buzz_encode, 15.0, TypeError),
        (fizz_buzz_encode, None, TypeError),
    ],
)
def test_encoders_refuse(encode, x, error):
    with pytest.raises(error, match=r"^x: expected"):
        encode(x)


# ---- Digits --------------------------------------------------------------------------------------


def test_digits():
    data = datasets.digits()
    assert data.train_x.shape == (1442, 64)
    assert data.test_x.shape == (355, 64)
    assert data.train_y.dtype == data.test_y.dtype == np.int64
    assert data.image_shape == (8, 8)
    assert data.classes == tuple("0123456789")
    # Every class in both parts, four to one.
    train, test = np.bincount(data.train_y), np.bincount(data.test_y)
    assert np.all(test == (train + test) // 5)
    # Centred on the training pixels; the pixels themselves were whole numbers from 0 to 16.
    assert abs(data.train_x.mean(dtype=np.float64)) < 1e-6
    pixels = np.concatenate([data.train_x, data.test_x]) * 16
    pixels -= pixels.min()
    assert np.allclose(pixels, pixels.round(), atol=1e-4)
    assert pixels.max().round() == 16


def test_digits_are_the_published_ones():
    folder = os.path.join(os.path.dirname(datasets.__file__), "data")
    images = read_idx(os.path.join(folder, "digits-images-idx3-ubyte.gz"))
    labels = read_idx(os.path.join(folder, "digits-labels-idx1-ubyte.gz"))
    assert images.shape == (1797, 8, 8)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert int(images.sum()) == 561718
    files = os.listdir(folder)
    assert sum(os.path.getsize(os.path.join(folder, name)) for name in files) < 100_000
    with open(os.path.join(folder, "README.md"), encoding="utf-8") as file:
        attribution = file.read()
    for words in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert words in attribution


@pytest.mark.parametrize("load", [datasets.xor, datasets.fizz_buzz, datasets.digits])
@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_dtype(load, dtype):
    data = load(dtype)
    assert data.train_x.dtype == data.test_x.dtype == np.dtype(dtype)
    assert load().train_x.dtype == np.float32


@pytest.mark.parametrize("load", [datasets.xor, datasets.fizz_buzz, datasets.digits])
@pytest.mark.parametrize("dtype", ["int64", "float16", "nonsense"])
def test_dtype_refused(load, dtype):
    with pytest.raises(ValueError, match=r"^dtype: expected float32 or float64"):
        load(dtype)


def test_dataset_unpacks_and_shows_itself():
    data = datasets.digits()
    assert [id(array) for array in data] == [
        id(data.train_x),
        id(data.train_y),
        id(data.test_x),
        id(data.test_y),
    ]
    assert "train_x=float32 (1442, 64)" in repr(data)
    with pytest.raises(AttributeError):
        data.train_x = data.test_x


# ---- IDX files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_read_idx_types(tmp_path, code, dtype, pack):
    array = (np.arange(24) - (0 if dtype == "u1" else 12)).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "file"
    path.write_bytes(pack(idx(array, code)))
    result = read_idx(path)
    assert result.dtype == np.dtype(dtype)
    assert result.dtype.isnative
    assert np.array_equal(result, array)
    result += 1  # nobody else's memory


def test_read_idx_takes_str_and_empty_arrays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(idx(np.empty((0, 28, 28), np.uint8)))
    assert read_idx(str(path)).shape == (0, 28, 28)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 11, 15, 16, 17, 27])
def test_read_idx_truncated_anywhere(tmp_path, length):
    whole = idx(np.ones((2, 3, 2), np.uint8))
    assert len(whole) == 28
    path = tmp_path / "short"
    path.write_bytes(whole[:length])
    with pytest.raises(ValueError, match=r"short: .*expected .* got \d+$"):
        read_idx(path)
    path.write_bytes(gzip.compress(whole[:length]))
    with pytest.raises(ValueError, match=r"short: .*expected .* got \d+$"):
        read_idx(path)


def test_read_idx_truncated_gzip(tmp_path):
    whole = gzip.compress(idx(np.ones((2, 3, 2), np.uint8)))
    path = tmp_path / "short.gz"
    for length in range(2, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"short\.gz: "):
            read_idx(path)


def test_read_idx_damaged_gzip(tmp_path):
    rng = np.random.default_rng(0)
    whole = gzip.compress(idx(rng.integers(0, 256, (7, 7), np.uint8)))
    path = tmp_path / "damaged.gz"
    for place in range(10, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"damaged\.gz: "):
            read_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n", "not an IDX file.*got 89 50 4e"),
        (b"<html><body>Not found", "not an IDX file.*got 3c 68 74"),
        (b"\0\1\x08\1\0\0\0\1\7", "not an IDX file.*got 00 01 08"),
        (b"\0\0\x0a\1\0\0\0\1\7", "not an IDX file.*got 00 00 0a"),
        (b"\0\0\x08\0\7", "expected 1 to 32 dimensions, got 0"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"\7", "expected 1 to 32 dimensions, got 255"),
        (b"\0\0\x08\1\0\0\0\1\7\7", "expected no more than 1 bytes"),
        (b"\x1f\x8b\x08\0 and so on, but no gzip", "damaged or truncated gzip"),
    ],
)
def test_read_idx_foreign(tmp_path, content, message):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"foreign: .*{message}"):
        read_idx(path)


@pytest.mark.parametrize(
    "shape",
    [
        (2**32 - 1,),
        (2**32 - 1,) * 2,
        (2**32 - 1,) * 32,
        (2**16, 2**16, 2**16, 2**16),  # 2**64, which is 0 for who does not look
        (0, 2**32 - 1, 2**32 - 1, 2**32 - 1),
    ],
)
def test_read_idx_believes_no_header(tmp_path, shape):
    path = tmp_path / "huge"
    path.write_bytes(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + b"\0" * 100)
    with pytest.raises(ValueError, match="huge: expected at most 1073741824 bytes"):
        read_idx(path)
    # Even where the limit allows it, memory follows the file and not the header.
    with pytest.raises(ValueError, match="huge: "):
        read_idx(path, max_bytes=2**33)


def test_read_idx_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(idx(np.zeros((10, 10), np.uint8))))
    assert read_idx(path, max_bytes=100).shape == (10, 10)
    with pytest.raises(ValueError, match=r"expected at most 99 bytes, got shape \(10, 10\)"):
        read_idx(path, max_bytes=99)


def test_read_idx_arguments(tmp_path):
    with pytest.raises(TypeError, match=r"^path: expected a path"):
        read_idx(3)
    with pytest.raises(ValueError, match=r"^max_bytes: expected at least 0"):
        read_idx(tmp_path / "file", max_bytes=-1)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "file")


# ---- MNIST in a folder ---------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["-idx", ".idx"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_in_a_folder(tmp_path, spelling, suffix):
    files = small_mnist()
    write_files(
        tmp_path,
        files,
        lambda name: name.replace("-idx", spelling) + suffix,
        gzip.compress if suffix else bytes,
    )
    data = datasets.mnist(tmp_path)
    assert data.train_x.shape == (5, 784)
    assert data.test_x.shape == (3, 784)
    assert data.train_x.dtype == np.float32
    assert data.train_y.tolist() == [0, 1, 2, 3, 4]
    assert data.train_y.dtype == np.int64
    assert data.image_shape == (28, 28)
    # As the chapter computes them, rounded once.
    mean = int(files[IMAGES].sum(dtype=np.int64)) / 5 / 28 / 28
    for x, name in ((data.train_x, IMAGES), (data.test_x, TEST_IMAGES)):
        expected = [[(pixel - mean) / 256 for pixel in i.ravel().tolist()] for i in files[name]]
        assert np.array_equal(x, np.array(expected, np.float32))
    wide = datasets.mnist(str(tmp_path), "float64")
    assert np.array_equal(wide.train_x.astype(np.float32), data.train_x)


def test_mnist_without_a_folder_or_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^folder: there is no folder .*nowhere"):
        datasets.mnist(tmp_path / "nowhere")
    files = small_mnist()
    del files[TEST_IMAGES], files[LABELS]
    write_files(tmp_path, files)
    with pytest.raises(FileNotFoundError, match=f"^folder: .*lacks {LABELS}, {TEST_IMAGES} "):
        datasets.mnist(tmp_path)


@pytest.mark.parametrize("folder", [1, 2.5, b"bytes", ["a"]])
def test_mnist_folder_of_a_wrong_type(folder):
    with pytest.raises(TypeError, match=r"^folder: expected a path"):
        datasets.mnist(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (IMAGES, np.zeros((4, 28, 28), np.uint8), f"{LABELS}: expected 4 labels.*got 5"),
        (LABELS, np.zeros(4, np.uint8), f"{LABELS}: expected 5 labels.*got 4"),
        (TEST_LABELS, np.zeros(5, np.uint8), f"{TEST_LABELS}: expected 3 labels.*got 5"),
        (LABELS, np.array([0, 9, 10, 0, 0], np.uint8), "labels 0 to 9, got 10 at 2"),
        (IMAGES, np.zeros((0, 28, 28), np.uint8), r"expected uint8 of shape \(n, 28, 28\)"),
        (IMAGES, np.zeros((5, 8, 8), np.uint8), r"of shape \(n, 28, 28\), got .*\(5, 8, 8\)"),
        (IMAGES, np.zeros(5, np.uint8), r"of shape \(n, 28, 28\), got .*\(5,\)"),
        (LABELS, np.zeros((5, 28, 28), np.uint8), r"of shape \(n,\), got .*\(5, 28, 28\)"),
    ],
)
def test_mnist_files_that_do_not_fit(tmp_path, name, array, message):
    write_files(tmp_path, small_mnist() | {name: array})
    with pytest.raises(ValueError, match=message):
        datasets.mnist(tmp_path)


@pytest.mark.parametrize(("name", "shape"), [(IMAGES, (5, 28, 28)), (LABELS, (5,))])
def test_mnist_files_of_another_type(tmp_path, name, shape):
    write_files(tmp_path, small_mnist())
    (tmp_path / name).write_bytes(idx(np.zeros(shape, np.float32), 0x0D))
    with pytest.raises(ValueError, match=f"{name}: expected uint8 of shape .*, got float32"):
        datasets.mnist(tmp_path)


@pytest.mark.parametrize("name", [IMAGES, LABELS, TEST_IMAGES, TEST_LABELS])
def test_mnist_truncated(tmp_path, name):
    write_files(tmp_path, small_mnist())
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{name}: truncated"):
        datasets.mnist(tmp_path)


# ---- MNIST from a mirror -------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def mirror(monkeypatch):
    """A public mirror that holds the small files; `opened` are the addresses asked for."""
    files = small_mnist()
    contents = {name: idx(files[name]) for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS)}
    known = (
        _download.KnownFile(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    )
    monkeypatch.setattr(_mnist, "MNIST_FILES", tuple(known))
    opened = []

    def open_url(url):
        opened.append(url)
        name = url.rsplit("/", 1)[1].removesuffix(".gz")
        return io.BytesIO(gzip.compress(contents[name]))

    monkeypatch.setattr(_download, "_open_url", open_url)
    return opened


def test_download_once(cache, mirror):
    data = datasets.mnist()
    assert data.train_x.shape == (5, 784)
    assert len(mirror) == 4
    assert all(url.startswith(_mnist.MIRRORS[0]) for url in mirror)
    assert sorted(os.listdir(cache)) == sorted(
        f"{name}.gz" for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS)
    )
    assert np.array_equal(datasets.mnist().train_x, data.train_x)
    assert len(mirror) == 4


def test_download_only_what_the_cache_lacks(cache, mirror):
    cache.mkdir(parents=True)
    (cache / IMAGES).write_bytes(idx(small_mnist()[IMAGES]))
    datasets.mnist()
    assert [url.rsplit("/", 1)[1] for url in mirror] == [
        f"{name}.gz" for name in (LABELS, TEST_IMAGES, TEST_LABELS)
    ]


def test_download_from_the_second_mirror(cache, mirror, monkeypatch):
    good = _download._open_url

    def open_url(url):
        if url.startswith(_mnist.MIRRORS[0]):
            raise URLError("no such host")
        return good(url)

    monkeypatch.setattr(_download, "_open_url", open_url)
    assert datasets.mnist().test_y.tolist() == [0, 1, 2]


def test_offline(cache, monkeypatch):
    def open_url(url):
        raise URLError("no route to host")

    monkeypatch.setattr(_download, "_open_url", open_url)
    with pytest.raises(ConnectionError) as caught:
        datasets.mnist()
    message = str(caught.value)
    assert "no route to host" in message
    assert str(cache) in message
    assert "mnist(folder)" in message
    for name in (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, *_mnist.MIRRORS):
        assert name in message
    assert os.listdir(cache) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"something else"), "expected content of SHA-256 [0-9a-f]{64}, got"),
        (gzip.compress(b"\0" * 10_000_000), "expected content of SHA-256 [0-9a-f]{64}, got"),
        (b"<html>please log in</html>", "expected a gzip file, got 26 bytes"),
        (gzip.compress(idx(small_mnist()[IMAGES]))[:-9], "expected a gzip file"),
        (b"\0" * (_download.LONGEST_DOWNLOAD + 1), "expected at most 16777216 bytes, got more"),
    ],
    ids=["other-content", "bomb", "login-page", "truncated", "too-long"],
)
def test_download_of_something_else(cache, mirror, monkeypatch, content, message):
    monkeypatch.setattr(_download, "_open_url", lambda url: io.BytesIO(content))
    with pytest.raises(ConnectionError, match=message):
        datasets.mnist()
    assert os.listdir(cache) == []


def test_interrupted_download_leaves_nothing(cache, mirror, monkeypatch):
    class Interrupted(io.BytesIO):
        def read(self, size=-1):
            raise KeyboardInterrupt

    monkeypatch.setattr(_download, "_open_url", lambda url: Interrupted())
    with pytest.raises(KeyboardInterrupt):
        datasets.mnist()
    assert os.listdir(cache) == []


def test_threads_that_fill_the_cache_at_once(cache, mirror):
    results, barrier = [], threading.Barrier(4)

    def work():
        barrier.wait()
        results.append(datasets.mnist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(
        np.array_equal(a, b) for one in results for a, b in zip(one, results[0], strict=True)
    )
    assert sorted(os.listdir(cache)) == sorted(f"{file.name}.gz" for file in _mnist.MNIST_FILES)


def test_failed_write_leaves_nothing(cache, mirror, monkeypatch):
    def replace(source, target):
        raise PermissionError(errno.EACCES, "read-only")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(PermissionError, match="read-only"):
        datasets.mnist()
    assert os.listdir(cache) == []


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("HOME", os.path.abspath("home"))
    monkeypatch.setenv("USERPROFILE", os.path.abspath("home"))
    monkeypatch.delenv("DEEPC_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    default = os.path.join(os.path.abspath("home"), ".cache", "deepc")
    assert _mnist._cache_folder() == default
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert _mnist._cache_folder() == default
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.abspath("xdg"))
    assert _mnist._cache_folder() == os.path.join(os.path.abspath("xdg"), "deepc")
    monkeypatch.setenv("DEEPC_CACHE", "mine")
    assert _mnist._cache_folder() == "mine"


def test_known_files():
    lengths = {file.name: file.length for file in _mnist.MNIST_FILES}
    assert lengths == {
        IMAGES: 16 + 60000 * 784,
        LABELS: 8 + 60000,
        TEST_IMAGES: 16 + 10000 * 784,
        TEST_LABELS: 8 + 10000,
    }
    assert all(len(file.sha256) == 64 for file in _mnist.MNIST_FILES)
