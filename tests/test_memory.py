"""Where there is no memory: MemoryError, and nothing has changed; never the end of the process."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys

import pytest
from deepc import _deepc

# Each allocation of Python in turn fails, alone or with all that follow, in calls that go straight
# into the library: what NumPy does without memory, as it converts, is for NumPy to say.
EACH_ALLOCATION = """
import _testcapi, deepc, numpy as np
import deepc.autodiff as autodiff
from deepc import Adam, Linear, Sequential, SSE, Tanh

net = Sequential([Linear(3, 4, rng=1), Tanh(), Linear(4, 2, rng=2)])
x, t = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], [[1.0, 0.0], [0.0, 1.0]]
array = np.array(x, np.float32)
adam, tensor, scalar = Adam(), autodiff.Tensor([1.0, 2.0], requires_grad=True), autodiff.Scalar(2.0)

def of_tensors():
    tensor.grad = None
    y = (tensor * tensor).sum()
    y.backward()
    return y.data.tobytes(), tensor.grad.tobytes()

def of_scalars():
    scalar.grad = 0.0
    y = (scalar * scalar + 3) / scalar
    y.backward()
    return y.data, scalar.grad

calls = {
    "forward of lists": lambda: net.forward(x),
    "forward": lambda: net.forward(array).tobytes(),
    "backward of lists": lambda: net.backward(t),
    "loss of lists": lambda: SSE().loss(x, x),
    "gradient of lists": lambda: SSE().gradient(x, [[1.0] * 3] * 2),
    "product": lambda: deepc.kernels.matmul(array, array.T).tobytes(),
    "tensors": of_tensors,
    "scalars": of_scalars,
}
net.backward(net.forward(x))
adam.step(net)
for name, call in calls.items():
    right, params = call(), [p.tobytes() for p in net.params()]
    failures = 0
    for alone in (True, False):
        for first in range(1, 200):
            done = False
            _testcapi.set_nomemory(first, first + 1 if alone else 0)
            try:
                got = call()
                done = True
            except MemoryError:
                failures += 1
            finally:
                _testcapi.remove_mem_hooks()
            assert not done or got == right, name
            if done and not alone:
                break
        assert [p.tobytes() for p in net.params()] == params
        assert call() == right, name
    print(name, failures)
"""

# What is made, or done for the first time, each allocation failing in turn. Where it failed, doing
# it again comes to what it comes to anyway: nothing is half made.
EACH_MAKING = """
import _testcapi, random, numpy as np
from deepc import Dropout, Embedding, LayerNorm, Linear, Momentum, Sequential, Tanh

x = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
array = np.array(x, np.float32)
layers = [Linear(3, 4, rng=1), Tanh(), Linear(4, 2, rng=2)]

def network():
    return Sequential([Linear(3, 4, rng=1), Tanh(), Linear(4, 2, rng=2)])

def used():
    net = network()
    net.backward(net.forward(x))
    return net

def state(net):
    return [array.tobytes() for array in (*net.params(), *net.grads()) if array is not None]

def works(net):
    y = net.forward(x)
    return y, net.backward(y), state(net)

def made_anew(layer):
    layer.__init__(3, 4, rng=3)
    return layer

def replaced(net):
    net.layers[0] = Linear(3, 4, rng=5)
    return net

def frozen(net):
    net[0].freeze("w")
    return net

def assigned(layer):
    layer.w = array
    return layer

def stepped(both):
    net, optimizer = both
    optimizer.step(net)
    return net

# What there is before, what is done with it, and what that comes to.
makings = {
    "Linear": (lambda: None, lambda _: Linear(3, 2, rng=1), works),
    "Linear of common numbers": (lambda: None, lambda _: Linear(3, 2), lambda l: l.w.shape),
    "LayerNorm": (lambda: None, lambda _: LayerNorm(3), works),
    "Dropout": (lambda: None, lambda _: Dropout(0.5, rng=1), works),
    "Embedding": (lambda: None, lambda _: Embedding(3, 2, rng=1), lambda e: e.forward([0, 2])),
    "Sequential": (lambda: layers, Sequential, works),
    "a layer made anew": (lambda: Linear(3, 2, rng=1), made_anew, works),
    "a layer replaced": (used, replaced, works),
    "a layer frozen": (used, frozen, works),
    "a parameter assigned": (lambda: Linear(3, 2, rng=1), assigned, works),
    "forward": (network, lambda net: net.forward(x), list),
    "forward of an array": (network, lambda net: net.forward(array), np.ndarray.tolist),
    "backward": (used, lambda net: net.backward([[1.0, 2.0]] * 2), list),
    "step": (lambda: (used(), Momentum(0.1)), stepped, state),
}

# Short, and by itself: without memory for the place where it was, CPython handles an exception for
# ever in a function that is longer than some.
def attempt(make, given, first, last):
    try:
        _testcapi.set_nomemory(first, last)
        got = make(given)
        _testcapi.remove_mem_hooks()
        return got
    except MemoryError:
        _testcapi.remove_mem_hooks()
        return None

for name, (before, make, find) in makings.items():
    right, failures = find(make(before())), 0
    for last in (1, 10**6):
        successes = first = 0
        while successes < 5:
            given, first = before(), first + 1
            got = attempt(make, given, first, first + last)
            successes = 0 if got is None else successes + 1
            failures += got is None
            assert find(make(given) if got is None else got) == right, (name, first, last)
    print(name, failures)

# Backward after a forward without memory is that of the forward before it, or says that there is
# none.
net, failures = network(), 0
for first in range(1, 30):
    y = net.forward(x)
    right, gradients = net.backward(y), state(net)
    if attempt(lambda net: net.forward([[7.0, 8.0, 9.0]] * 2), net, first, first + 1) is None:
        failures += 1
        try:
            assert (net.backward(y), state(net)) == (right, gradients), first
        except RuntimeError:
            pass
print("backward after that", failures)
"""

# The limit is what the process has, and a little more.
NEW_THREADS = """
import resource, sys, threading
import numpy as np
import deepc, deepc.autodiff as autodiff

deepc.set_num_threads(int(sys.argv[2]))
x = np.ones((600, 300), np.float32)
net = deepc.Sequential([deepc.Linear(300, 200, rng=1), deepc.Tanh(), deepc.Linear(200, 10, rng=2)])
right, ended = net.forward(x).tobytes(), []
tensor = autodiff.Tensor(x[:5], requires_grad=True)

def body(get):
    try:
        ended.append(get())
    except MemoryError:
        ended.append(None)

def train():
    deepc.fit(net, x, x[:, :10], loss=deepc.SSE(), optimizer=deepc.SGD(0.0), progress=False)
    return net.forward(x).tobytes()

# What fit imports when it is called first is no part of this: an import without memory fails as it
# likes.
deepc.fit(deepc.Linear(3, 2), np.ones((4, 3)), np.ones((4, 2)), loss=deepc.SSE(),
          optimizer=deepc.SGD(0.0), progress=False)
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
calls = [lambda: net.forward(x).tobytes(), train, lambda: (tensor * tensor).sum().data]
threads = [threading.Thread(target=body, args=(call,)) for call in calls]
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]),) * 2)
started = 0
for thread in threads:
    try:
        thread.start()
    except (MemoryError, RuntimeError):
        continue
    thread.join()
    started += 1
assert len(ended) == started, (ended, started)
assert all(result in (None, right, 1500.0) for result in ended)
print("alive")
"""


PRODUCTS = """
import resource, sys
import numpy as np
import deepc
from deepc import kernels
deepc.set_num_threads(1)
a = np.ones((60_000, 256), np.float32)
for columns in (1, 4, 10, 17, 20, 30):
    b = np.ones((columns, 256), np.float32)
    c = np.ones((len(a), columns), np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kernels.matmul(a, b, transpose_b=True, out=c)
    print(columns, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def run(code, *arguments):
    command = [sys.executable, "-X", "faulthandler", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


CRASHES = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="CPython crashes where it makes a function without memory"
)


@pytest.mark.parametrize(
    ("code", "names", "least"),
    [(EACH_ALLOCATION, 8, 40), pytest.param(EACH_MAKING, 15, 900, marks=CRASHES)],
    ids=["calls", "makings"],
)
def test_each_allocation_of_python_may_fail(code, names, least):
    pytest.importorskip("_testcapi", reason="this Python cannot be told to have no memory")
    result = run(code)
    assert result.returncode == 0, result.stderr
    counts = [int(line.split()[-1]) for line in result.stdout.splitlines()]
    assert len(counts) == names
    assert sum(counts) > least


@pytest.mark.footprint
@pytest.mark.skipif(sys.platform != "linux", reason="needs the limits of Linux")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_call_of_a_thread_without_memory(threads):
    # 8 MB are the stack of a thread; it is what comes beyond them that is short.
    for more in (0, 2**20, 9 * 2**20, 17 * 2**20, 2**28):
        result = run(NEW_THREADS, more, threads)
        assert result.returncode == 0, (more, result.stderr)
        assert "alive" in result.stdout


@pytest.mark.footprint
@pytest.mark.skipif(sys.platform != "linux", reason="counts in the units of Linux")
def test_products_of_many_rows_do_not_copy_them():
    result = run(PRODUCTS)
    assert result.returncode == 0, result.stderr
    more = {int(columns): int(kb) for columns, kb in map(str.split, result.stdout.splitlines())}
    assert len(more) == 6
    assert max(more.values()) < 15_000, more  # the rows are 61 MB


@pytest.mark.skipif(
    shutil.which("readelf") is None or platform.libc_ver()[0] != "glibc", reason="needs readelf"
)
def test_no_memory_of_threads_is_made_when_it_is_first_touched():
    """What glibc makes so late, it cannot refuse: it ends the process."""
    command = ["readelf", "--relocs", "--wide", _deepc.__file__]
    relocations = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "TPOFF" in relocations or "TPREL" in relocations
    assert not [line for line in relocations.splitlines() if "DTPMOD" in line or "TLSDESC" in line]
