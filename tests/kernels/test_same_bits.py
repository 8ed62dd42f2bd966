"""The promise of the same bits: whatever the instruction set, the number of threads, the batch.

Each workload returns arrays and numbers; their hash must not change by a bit. The build without
fused multiply-add is outside the promise (on most targets but x86-64 the portable build has it).
"""

from __future__ import annotations

import deepc
import numpy as np
import pytest
from deepc import Linear, Relu, Sequential, Sigmoid, Tanh, kernels
from deepc._c import library
from deepc._c import random as c_random
from deepc._c.activations import ACTIVATIONS, activation_backward, activation_of_array
from deepc._c.arrays import array_sum
from deepc._c.library import TYPED, ffi
from reference import digest
from sizes import EDGES, PRODUCTS

FUSED = [name for name in library.available_isas() if library.promises_bits(name)]


def numbers(size, dtype, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, size).astype(dtype)


# ---- Workloads -----------------------------------------------------------------------------------


def products(dtype):
    for m, n, k in PRODUCTS:
        a, b = numbers((m, k), dtype, 1), numbers((k, n), dtype, 2)
        yield kernels.matmul(a, b)
        yield kernels.matmul(a.T.copy(), b, transpose_a=True)
        yield kernels.matmul(a, b.T.copy(), transpose_b=True)
        yield kernels.matmul(a.T.copy(), b.T.copy(), transpose_a=True, transpose_b=True)


def products_with_bias_and_activation(dtype):
    for m, n, k in (sizes for sizes in PRODUCTS if all(sizes)):
        layer = Linear(k, n, dtype=dtype, rng=3)
        layer.b = numbers(n, dtype, 3)
        for activation in ([], [Sigmoid()], [Tanh()], [Relu()]):
            yield Sequential([layer, *activation]).forward(numbers((m, k), dtype, 4))


def of_activation(name):
    activation = ACTIVATIONS[name]
    return lambda x: activation_of_array(activation.number, activation.default, x, None)


def elementwise(name):
    function = of_activation(name) if name in ACTIVATIONS else getattr(kernels, name)

    def run(dtype):
        bits = np.uint32 if dtype == np.float32 else np.uint64
        patterns = np.random.default_rng(5).integers(0, np.iinfo(bits).max, 20_000, dtype=bits)
        anything = patterns.view(dtype)
        for x in (anything[~np.isnan(anything)], numbers(20_000, dtype, 6, 5), *short(dtype)):
            yield function(np.abs(x) if name == "log" else x)

    return run


def short(dtype):
    return (numbers(n, dtype, n) for n in EDGES)


def backward_of_activations(dtype):
    for activation in ACTIVATIONS.values():
        for n in EDGES:
            kept, d_y = np.tanh(numbers(n, dtype, 7)), numbers(n, dtype, 8)
            d_x = np.empty(n, dtype)
            activation_backward(activation.number, activation.default, kept, d_y, d_x)
            yield d_x


def softmax_and_sums(dtype):
    typed = TYPED[dtype]
    for cols in EDGES[1:]:
        x, d_y = numbers((5, cols), dtype, cols, 3), numbers((5, cols), dtype, 9)
        y, d_x = kernels.softmax(x), np.empty_like(x)
        pointers = [ffi.from_buffer(typed.ctype, array) for array in (y, d_y, d_x)]
        assert typed.softmax_backward(5, cols, *pointers) == 0
        yield from (y, d_x, array_sum(x))


CROSS = "SoftmaxCrossEntropy"


def losses(dtype):
    for rows, cols in [(1, 1), (3, 2), (5, 10), (300, 10), (20, 33), (17, 65), (2, 5000), (600, 3)]:
        x = numbers((rows, cols), dtype, 10, 3)
        targets = kernels.softmax(numbers((rows, cols), dtype, 11))
        labels = np.random.default_rng(12).integers(0, cols, rows)
        for kind, actual in [("SSE", targets), (CROSS, targets), (CROSS, labels)]:
            yield getattr(deepc, kind)().loss(x, actual)
            yield getattr(deepc, kind)("mean").gradient(x, actual)


OPTIMIZERS = {
    "gradient descent": lambda: deepc.GradientDescent(0.1),
    "momentum": lambda: deepc.Momentum(0.1, 0.9),
    "sgd": lambda: deepc.SGD(0.1, weight_decay=0.01),
    "sgd with momentum": lambda: deepc.SGD(0.1, momentum=0.9, weight_decay=0.01),
    "sgd with Nesterov's": lambda: deepc.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: deepc.RMSProp(0.01, weight_decay=0.01),
    "adam": lambda: deepc.Adam(0.01, weight_decay=0.01),
    "adamw": lambda: deepc.AdamW(0.01),
    "adagrad": lambda: deepc.Adagrad(0.1),
}


class Flat(deepc.Layer):
    """Parameters of many sizes, given gradients."""

    def __init__(self, dtype):
        self.parameters = [numbers(n, dtype, n + 1) for n in EDGES if n]

    def params(self):
        return self.parameters

    def grads(self):
        return [0.5 * p[::-1] for p in self.parameters]


def optimizer_steps(dtype):
    for make in OPTIMIZERS.values():
        layer, optimizer = Flat(dtype), make()
        for _ in range(3):
            optimizer.step(layer)
        yield from layer.parameters


def random_numbers(dtype):
    yield c_random.uniform((3000,), dtype, 1)
    yield c_random.normal((3000,), dtype, 2)
    yield c_random.permutation(3000, 3)
    for n in EDGES:
        layer = deepc.Dropout(0.3, rng=4)
        yield layer.forward(numbers(n or 1, dtype, 13))


def network(dtype, rng=1, dropout=0.2):
    return deepc.Sequential(
        [
            deepc.Linear(20, 33, dtype=dtype, rng=rng),
            deepc.Tanh(),
            deepc.Dropout(dropout, rng=rng + 1),
            deepc.Linear(33, 17, dtype=dtype, rng=rng + 2),
            deepc.Relu(),
            deepc.Linear(17, 9, dtype=dtype, rng=rng + 3),
            deepc.Sigmoid(),
            deepc.Linear(9, 5, dtype=dtype, rng=rng + 4),
        ]
    )


def training(dtype):
    x = numbers((50, 20), dtype, 14)
    labels = np.random.default_rng(15).integers(0, 5, 50)
    for make in OPTIMIZERS.values():
        for batch_size in (1, 7, 50):
            net, optimizer = network(dtype), make()
            yield deepc.fit(
                net, x, labels, loss=deepc.SoftmaxCrossEntropy(), optimizer=optimizer, epochs=2,
                batch_size=batch_size, shuffle=True, rng=16,
            )  # fmt: skip
            yield from net.params()


WORKLOADS = {
    "products": products,
    "products with bias and activation": products_with_bias_and_activation,
    **{name: elementwise(name) for name in ("exp", "log", *ACTIVATIONS)},
    "backward of activations": backward_of_activations,
    "softmax and sums": softmax_and_sums,
    "losses": losses,
    "optimizer steps": optimizer_steps,
    "random numbers": random_numbers,
    "training": training,
}


def digests(workload, dtype):
    return [digest(value) for value in WORKLOADS[workload](dtype)]


# ---- Instruction sets ----------------------------------------------------------------------------


@pytest.mark.skipif(len(FUSED) < 2, reason="one instruction set with fused multiply-add only")
@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_instruction_set(workload, dtype):
    before = library.isa()
    results = {}
    try:
        for name in FUSED:
            library.set_isa(name)
            results[name] = digests(workload, dtype)
    finally:
        library.set_isa(before)
    first = results.pop(FUSED[0])
    assert len(set(first)) > 3
    for name, result in results.items():
        wrong = [i for i, (a, b) in enumerate(zip(first, result, strict=True)) if a != b]
        assert not wrong, f"{name} differs from {FUSED[0]} in results {wrong[:10]} of {len(first)}"


# ---- Threads -------------------------------------------------------------------------------------


def large_products(dtype):
    for m, n, k in [
        (300, 310, 520),
        (1, 4000, 600),
        (1500, 1, 900),
        (40, 3000, 20),
        (2000, 33, 40),
    ]:
        a, b = numbers((m, k), dtype, 1), numbers((k, n), dtype, 2)
        yield kernels.matmul(a, b)
        yield kernels.matmul(a.T.copy(), b, transpose_a=True)
        yield kernels.matmul(a, b.T.copy(), transpose_b=True)


# Just above where work is split, and not a multiple of what one task takes.
LARGE = (1 << 18) + 12_345


def large_arrays(dtype):
    x = numbers(LARGE, dtype, 3, 4)
    yield kernels.exp(x)
    for name in ACTIVATIONS:
        yield of_activation(name)(x)
    yield kernels.log(np.abs(x))
    yield array_sum(x)
    rows = x[: LARGE // 10 * 10].reshape(-1, 10)
    yield kernels.softmax(rows)
    labels = np.random.default_rng(4).integers(0, 10, len(rows))
    targets = kernels.softmax(rows[::-1])
    for kind, actual in [("SSE", targets), (CROSS, targets), (CROSS, labels)]:
        yield getattr(deepc, kind)().loss(rows, actual)
        yield getattr(deepc, kind)("mean").gradient(rows, actual)
    yield deepc.Dropout(0.4, rng=1).forward(x)


def large_steps(dtype):
    for make in OPTIMIZERS.values():
        layer, optimizer = Flat(dtype), make()
        layer.parameters = [numbers(LARGE, dtype, 5), numbers(100_001, dtype, 6)]
        optimizer.step(layer)
        yield from layer.parameters


def large_training(dtype):
    net = deepc.Sequential(
        [
            deepc.Linear(300, 400, dtype=dtype, rng=1),
            deepc.Relu(),
            deepc.Dropout(0.1, rng=2),
            deepc.Linear(400, 10, dtype=dtype, rng=3),
        ]
    )
    x = numbers((500, 300), dtype, 7)
    labels = np.random.default_rng(8).integers(0, 10, 500)
    yield deepc.fit(
        net,
        x,
        labels,
        loss=deepc.SoftmaxCrossEntropy("mean"),
        optimizer=deepc.Adam(),
        batch_size=250,
    )
    yield from net.params()
    output = net.forward(x)
    yield output
    yield net.backward(output)
    yield from net.grads()


THREADED = {
    "products": large_products,
    "arrays": large_arrays,
    "optimizer steps": large_steps,
    "training": large_training,
}


@pytest.mark.parametrize("workload", THREADED)
def test_every_number_of_threads(workload, dtype):
    results = {}
    for count in (1, 2, 3):
        with deepc.num_threads(count):
            results[count] = [digest(value) for value in THREADED[workload](dtype)]
    assert results[2] == results[1]
    assert results[3] == results[1]


# ---- Batches -------------------------------------------------------------------------------------


def test_row_of_a_batch_is_what_the_sample_gives_alone(isa, dtype):
    net = network(dtype)
    net.layers[2].train = False
    x = numbers((301, 20), dtype, 17)
    whole = net.forward(x)
    for i in range(0, 301, 20):
        assert net.forward(x[i]).tobytes() == whole[i].tobytes()
    for rows in (1, 2, 3, 5, 16, 31, 200):
        assert net.forward(x[:rows]).tobytes() == whole[:rows].tobytes(), rows


def test_row_of_a_wide_batch_is_what_the_sample_gives_alone(dtype):
    """Wide enough that the batch's products are packed and split over threads."""
    net = deepc.Sequential(
        [
            deepc.Linear(600, 300, dtype=dtype, rng=1),
            deepc.Tanh(),
            deepc.Linear(300, 250, dtype=dtype),
        ]
    )
    x = numbers((400, 600), dtype, 18)
    whole = net.forward(x)
    for i in range(0, 400, 57):
        assert net.forward(x[i]).tobytes() == whole[i].tobytes()


def test_sequential_gives_the_bits_of_its_layers_one_by_one(isa, dtype):
    compiled, single = network(dtype), network(dtype)
    x = numbers((37, 20), dtype, 19)
    for batch in (x, x[:1], x[0]):
        y = compiled.forward(batch)
        value = batch
        for layer in single.layers:
            value = layer.forward(value)
        assert value.tobytes() == y.tobytes()
        gradient = d_x = numbers(y.shape, dtype, 20)
        for layer in reversed(single.layers):
            gradient = layer.backward(gradient)
        assert compiled.backward(d_x).tobytes() == gradient.tobytes()
        assert digest(*compiled.grads()) == digest(*single.grads())
