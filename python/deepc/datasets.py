"""The chapter's data: XOR, FizzBuzz, and handwritten digits, a bundled small set and MNIST.

Each function returns a `Dataset` of fresh arrays. Only `mnist` without a folder ever touches the
network.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from deepc import _native
from deepc._native import Array

__all__ = [
    "Dataset",
    "binary_encode",
    "digits",
    "fizz_buzz",
    "fizz_buzz_encode",
    "mnist",
    "read_idx",
    "xor",
]

StrPath = str | os.PathLike[str]

DIGIT_NAMES = tuple("0123456789")
FIZZ_BUZZ_NAMES = ("number", "fizz", "buzz", "fizzbuzz")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples to train on and samples to test with.

    It unpacks into its four arrays: ``train_x, train_y, test_x, test_y = digits()``.

    Attributes
    ----------
    train_x, test_x : ndarray of shape (samples, inputs)
        The inputs, samples in rows, in a float dtype.
    train_y, test_y : ndarray of shape (samples,), int64
        The class of each sample, an index into `classes`. Only `xor`, which has no classes, has
        floats of shape (samples, 1).
    classes : tuple of str
        The names of the classes; empty if there are none.
    image_shape : tuple of two ints, or None
        Height and width, if the samples are images: ``train_x[i].reshape(image_shape)`` is one of
        them.

    Examples
    --------
    >>> data = fizz_buzz()
    >>> data
    Dataset(train_x=float32 (923, 10), train_y=int64 (923,),
            test_x=float32 (100, 10), test_y=int64 (100,))
    >>> data.classes[data.test_y[14]]
    'fizzbuzz'
    """

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Array]:
        return iter((self.train_x, self.train_y, self.test_x, self.test_y))

    def __repr__(self) -> str:
        names = ("train_x", "train_y", "test_x", "test_y")
        arrays = (f"{n}={a.dtype} {a.shape}" for n, a in zip(names, self, strict=True))
        return f"Dataset({', '.join(arrays)})"


# ---- XOR and FizzBuzz ----------------------------------------------------------------------------


def xor(dtype: Any = None) -> Dataset:
    """Return the four rows of exclusive or, which are both the training and the test set.

    Parameters
    ----------
    dtype : dtype, optional
        float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        x of shape (4, 2); y of shape (4, 1), floats as `SSE` compares them with a network's one
        output.

    Examples
    --------
    >>> data = xor()
    >>> data.train_x.tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> data.train_y.tolist()
    [[0.0], [1.0], [1.0], [0.0]]
    """
    real = _native.as_dtype(dtype)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], real)
    y = np.array([[0], [1], [1], [0]], real)
    return Dataset(x, y, x.copy(), y.copy())


def binary_encode(x: int) -> list[int]:
    """Return the ten binary digits of a number, the least significant first.

    Parameters
    ----------
    x : int
        0 to 1023.

    Returns
    -------
    list of int
        Ten zeros and ones.

    Raises
    ------
    TypeError, ValueError
        If `x` is not an int, or does not fit into ten digits.

    Examples
    --------
    >>> binary_encode(10)
    [0, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    """
    number = _native.as_int(x, "x", least=0)
    if number > 1023:
        raise ValueError(f"x: expected at most 1023, which has ten binary digits, got {number}")
    return [number >> i & 1 for i in range(10)]


def fizz_buzz_encode(x: int) -> list[int]:
    """Return what to say for a number, one-hot: the number itself, "fizz", "buzz" or "fizzbuzz".

    Parameters
    ----------
    x : int
        Any whole number.

    Returns
    -------
    list of int
        Four numbers, of which one is 1 and the others are 0.

    Raises
    ------
    TypeError
        If `x` is not an int.

    Examples
    --------
    >>> [fizz_buzz_encode(x) for x in (2, 6, 10, 30)]
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    """
    number = _native.as_int(x, "x")
    label = (number % 3 == 0) + 2 * (number % 5 == 0)
    return [int(i == label) for i in range(4)]


def fizz_buzz(dtype: Any = None) -> Dataset:
    """Return FizzBuzz as the chapter poses it: learn from 101 to 1023, be tested on 1 to 100.

    Parameters
    ----------
    dtype : dtype, optional
        Of x: float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        A row of x is the ten binary digits of a number (`binary_encode`); y is 0 to 3: the number
        itself, fizz, buzz, fizzbuzz (the place of the 1 in `fizz_buzz_encode`).

    Examples
    --------
    >>> data = fizz_buzz()
    >>> data.test_x[9].astype(int).tolist() == binary_encode(10)
    True
    >>> data.test_y[:15].tolist()
    [0, 0, 1, 0, 2, 1, 0, 0, 1, 2, 0, 1, 0, 0, 3]
    """
    real = _native.as_dtype(dtype)

    def encoded(first: int, last: int) -> tuple[Array, Array]:
        numbers = np.arange(first, last + 1, dtype=np.int64)
        bits = numbers[:, None] >> np.arange(10) & 1
        return bits.astype(real), (numbers % 3 == 0) + 2 * (numbers % 5 == 0)

    return Dataset(*encoded(101, 1023), *encoded(1, 100), classes=FIZZ_BUZZ_NAMES)


# ---- The bundled digits --------------------------------------------------------------------------


def digits(dtype: Any = None) -> Dataset:
    """Return 1,797 real handwritten digits of 8 x 8 pixels, which come with the package.

    Of each class every fifth image, in the order of the file, is for testing: 355 in all; 1,442 are
    for training. The same thirteen people wrote both parts: on the hand of somebody else a network
    does worse.

    A pixel was a count from 0 (paper) to 16 (ink). As in the chapter the mean of all training
    pixels is subtracted, and the rest divided, here by 16: values lie between -0.31 and 0.69.

    Parameters
    ----------
    dtype : dtype, optional
        Of x: float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        x of shape (samples, 64); y the digits.

    Notes
    -----
    Optical Recognition of Handwritten Digits, by E. Alpaydin and C. Kaynak, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, under CC BY 4.0; its test set, as scikit-learn
    distributes it.

    Examples
    --------
    >>> data = digits()
    >>> data.train_x.shape, data.test_x.shape, data.image_shape
    ((1442, 64), (355, 64), (8, 8))
    >>> pixels = 16 * (data.train_x[0] - data.train_x.min())
    >>> for row in pixels.reshape(data.image_shape):
    ...     print("".join(" .:oO@"[int(pixel / 3)] for pixel in row).rstrip())
      .Oo
      O@o@.
     .@  o:
     .O  ::
     .:  o:
     .o  O:
      O.oO
      :Oo
    """
    real = _native.as_dtype(dtype)
    folder = os.path.join(os.path.dirname(__file__), "data")
    images = read_idx(os.path.join(folder, "digits-images-idx3-ubyte.gz"))
    labels = read_idx(os.path.join(folder, "digits-labels-idx1-ubyte.gz"))
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[4::5]] = True
    return _image_dataset(images[~test], labels[~test], images[test], labels[test], 16, real)


def _image_dataset(
    train_images: Array,
    train_labels: Array,
    test_images: Array,
    test_labels: Array,
    divisor: int,
    dtype: np.dtype[Any],
) -> Dataset:
    """Centre, scale and flatten images of bytes."""
    count, height, width = train_images.shape
    # One division after the other, as the chapter has it: in float64 that gives its very numbers.
    mean = int(train_images.sum(dtype=np.int64)) / count / height / width
    values = ((np.arange(256) - mean) / divisor).astype(dtype)

    def scaled(images: Array) -> Array:
        x = np.empty((len(images), height * width), dtype)
        flat = images.reshape(x.shape)
        for start in range(0, len(x), 1024):  # because NumPy widens indices to eight bytes each
            x[start : start + 1024] = values[flat[start : start + 1024]]
        return x

    return Dataset(
        scaled(train_images),
        train_labels.astype(np.int64),
        scaled(test_images),
        test_labels.astype(np.int64),
        DIGIT_NAMES,
        (height, width),
    )


# ---- MNIST ---------------------------------------------------------------------------------------

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
# More than the longest of the compressed files, so that no server can fill the memory.
LONGEST_DOWNLOAD = 16 * 2**20


class _MnistFile(NamedTuple):
    """One of the four files: its name, the length and the SHA-256 of what is in it."""

    name: str
    length: int
    sha256: str


MNIST_FILES = (
    _MnistFile(
        "train-images-idx3-ubyte",
        47040016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    _MnistFile(
        "train-labels-idx1-ubyte",
        60008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    _MnistFile(
        "t10k-images-idx3-ubyte",
        7840016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    _MnistFile(
        "t10k-labels-idx1-ubyte",
        10008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def mnist(folder: StrPath | None = None, dtype: Any = None) -> Dataset:
    """Return MNIST: 60,000 handwritten digits of 28 x 28 pixels to train on, 10,000 to test with.

    As in the chapter the mean of all training pixels is subtracted from a pixel (0 to 255), and the
    difference is divided by 256.

    Parameters
    ----------
    folder : str or path, optional
        Where the four IDX files are: ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
        ``t10k-images-idx3-ubyte``, ``t10k-labels-idx1-ubyte``; with ``.idx`` in place of ``-idx``
        and with ``.gz`` at the end they are found as well. If not given, they are downloaded once,
        11 MB from a public mirror, checked by SHA-256, and kept in ``mnist`` in the cache folder:
        that is the variable ``DEEPC_CACHE``, else ``deepc`` in ``XDG_CACHE_HOME``, else
        ``~/.cache/deepc``.
    dtype : dtype, optional
        Of x: float32 or float64; `deepc.default_dtype` if not given.

    Returns
    -------
    Dataset
        x of shape (samples, 784); y the digits.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or not all of the files are in it.
    ValueError
        If a file is truncated or not what its name says: the message tells its name, what was
        expected and what came.
    ConnectionError
        If they are neither in the cache nor to be had from a mirror: the message says which files
        to put where.

    Examples
    --------
    >>> data = mnist("path/to/folder")  # doctest: +SKIP
    >>> data.train_x.shape, data.test_x.shape  # doctest: +SKIP
    ((60000, 784), (10000, 784))
    """
    real = _native.as_dtype(dtype)
    paths = _downloaded_mnist() if folder is None else _mnist_in(folder)
    train_images, train_labels, test_images, test_labels = map(read_idx, paths)
    _check_mnist(paths[0], train_images, paths[1], train_labels)
    _check_mnist(paths[2], test_images, paths[3], test_labels)
    return _image_dataset(train_images, train_labels, test_images, test_labels, 256, real)


def _mnist_in(folder: StrPath) -> list[str]:
    """Return the paths of the four files in a folder."""
    try:
        place = os.fspath(folder)
    except TypeError:
        place = None
    if not isinstance(place, str):
        raise TypeError(f"folder: expected a path, got {_native.describe(folder)}")
    if not os.path.isdir(place):
        raise FileNotFoundError(f"folder: there is no folder {place!r}")
    found = [_find(place, file.name) for file in MNIST_FILES]
    missing = [file.name for file, path in zip(MNIST_FILES, found, strict=True) if path is None]
    if missing:
        raise FileNotFoundError(
            f"folder: {place!r} lacks {', '.join(missing)} (with or without .gz at the end)"
        )
    return [path for path in found if path is not None]


def _find(folder: str, name: str) -> str | None:
    """Return the path of a file under one of the names that it goes by."""
    for spelling in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = os.path.join(folder, spelling + suffix)
            if os.path.isfile(path):
                return path
    return None


def _check_mnist(images_path: str, images: Array, labels_path: str, labels: Array) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
        raise ValueError(
            f"{images_path}: expected uint8 of shape (n, 28, 28), got {images.dtype} of shape "
            f"{images.shape}"
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise ValueError(
            f"{labels_path}: expected uint8 of shape (n,), got {labels.dtype} of shape "
            f"{labels.shape}"
        )
    if len(labels) != len(images):
        raise ValueError(
            f"{labels_path}: expected {len(images)} labels, one for each image in "
            f"{os.path.basename(images_path)}, got {len(labels)}"
        )
    if labels.max() > 9:
        place = int(np.argmax(labels > 9))
        raise ValueError(f"{labels_path}: expected labels 0 to 9, got {labels[place]} at {place}")


def _cache_folder() -> str:
    own = os.environ.get("DEEPC_CACHE")
    if own:
        return own
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # such a value is to be ignored, says the XDG specification
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "deepc")


def _downloaded_mnist() -> list[str]:
    """Return the paths of the four files in the cache; download those that it lacks."""
    folder = os.path.join(_cache_folder(), "mnist")
    os.makedirs(folder, exist_ok=True)
    return [_find(folder, file.name) or _download(file, folder) for file in MNIST_FILES]


def _download(file: _MnistFile, folder: str) -> str:
    """Fetch one file from the first mirror that has it, check it, put it into a folder."""
    from http.client import HTTPException

    path = os.path.join(folder, f"{file.name}.gz")
    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{file.name}.gz"
        try:
            content = _fetch(url)
            _check_content(content, file)
        except (OSError, HTTPException, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        _write(path, content)
        return path
    names = ", ".join(f"{each.name}.gz" for each in MNIST_FILES)
    raise ConnectionError(
        f"MNIST could not be downloaded ({'; '.join(failures)}). Offline, put the files {names} "
        f"into {folder}, or into any folder and call mnist(folder)."
    )


def _open_url(url: str) -> Any:
    from urllib.request import urlopen

    return urlopen(url, timeout=30)


def _fetch(url: str) -> bytes:
    content = bytearray()
    with _open_url(url) as response:
        while chunk := response.read(2**16):
            content += chunk
            if len(content) > LONGEST_DOWNLOAD:
                raise ValueError(f"expected at most {LONGEST_DOWNLOAD} bytes, got more")
    return bytes(content)


def _check_content(content: bytes, file: _MnistFile) -> None:
    """Refuse compressed content that is not the file's, by its SHA-256."""
    import gzip
    import hashlib
    import io
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            raw = _read_at_most(stream, file.length + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"expected a gzip file, got {len(content)} bytes: {error}") from None
    sha256 = hashlib.sha256(raw).hexdigest()
    if sha256 != file.sha256:
        raise ValueError(f"expected content of SHA-256 {file.sha256}, got {sha256}")


def _write(path: str, content: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    temporary = f"{path}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


# ---- IDX files -----------------------------------------------------------------------------------

IDX_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(np.int16),
    0x0C: np.dtype(np.int32),
    0x0D: np.dtype(np.float32),
    0x0E: np.dtype(np.float64),
}


def read_idx(path: StrPath, max_bytes: int = 2**30) -> Array:
    """Return the array in an IDX file, the format of MNIST; gzipped or not, whatever its name.

    The format: two zero bytes, a byte for the type, a byte for the number of dimensions, the
    dimensions as 32-bit numbers, the elements in C order; all with the most significant byte first.

    Parameters
    ----------
    path : str or path
        The file.
    max_bytes : int, optional
        The largest array to accept. No more memory is ever taken than the file really fills.

    Returns
    -------
    ndarray
        uint8, int8, int16, int32, float32 or float64 in the byte order of the machine.

    Raises
    ------
    ValueError
        If the file is not IDX, is truncated, goes on after its end, or is too large.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "example.idx")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    ...     read_idx(path)
    array([[1, 2, 3],
           [4, 5, 6]], dtype=uint8)
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: expected a path, got {_native.describe(path)}")
    max_bytes = _native.as_int(max_bytes, "max_bytes", least=0)
    name = os.fspath(path)
    with open(path, "rb") as file:
        if file.peek(2)[:2] != b"\x1f\x8b":
            return _parse_idx(file, name, max_bytes)
        import gzip
        import zlib

        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return _parse_idx(stream, name, max_bytes)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{name}: damaged or truncated gzip file: {error}") from None


class _Readable(Protocol):
    """A file, gzipped or not."""

    def read(self, size: int, /) -> bytes: ...


def _parse_idx(file: _Readable, name: str, max_bytes: int) -> Array:
    magic = _read_at_most(file, 4)
    if len(magic) < 4:
        raise ValueError(
            f"{name}: expected the 4 bytes that an IDX file starts with, got {len(magic)}"
        )
    zeros, code, ndim = struct.unpack(">HBB", magic)
    if zeros or code not in IDX_TYPES:
        codes = ", ".join(f"{each:02x}" for each in IDX_TYPES)
        raise ValueError(
            f"{name}: not an IDX file: expected it to start with 00 00 and one of {codes}, "
            f"got {magic[:3].hex(' ')}"
        )
    if not 1 <= ndim <= 32:
        raise ValueError(f"{name}: expected 1 to 32 dimensions, got {ndim}")
    dimensions = _read_at_most(file, 4 * ndim)
    if len(dimensions) < 4 * ndim:
        raise ValueError(
            f"{name}: truncated: expected {4 * ndim} bytes for {ndim} dimensions, "
            f"got {len(dimensions)}"
        )
    shape = struct.unpack(f">{ndim}I", dimensions)
    dtype = IDX_TYPES[code]
    # A dimension of 0 does not excuse the others, whose product NumPy must be able to hold.
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > max_bytes:
        raise ValueError(
            f"{name}: expected at most {max_bytes} bytes, got shape {shape} of {dtype}"
        )
    length = math.prod(shape) * dtype.itemsize
    data = _read_at_most(file, length + 1)
    if len(data) != length:
        problem = "truncated: expected" if len(data) < length else "expected no more than"
        came = f"{len(data)}" if len(data) < length else "more"
        raise ValueError(f"{name}: {problem} {length} bytes of data for shape {shape}, got {came}")
    array: Array = np.frombuffer(data, dtype.newbyteorder(">")).reshape(shape)
    return array.astype(dtype, copy=False)


def _read_at_most(file: _Readable, length: int) -> bytearray:
    """Read until the end or `length` bytes; memory follows what is really there."""
    data = bytearray()
    while chunk := file.read(min(2**20, length - len(data))):
        data += chunk
    return data
