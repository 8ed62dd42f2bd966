"""The chapter's method in plain Python: floats in lists, one sample at a time.

An oracle for tests, and what benchmarks compare with. Random numbers are drawn, and sums added up,
in the order in which the chapter does it, so its runs end where the chapter's do.
"""

from __future__ import annotations

import math
import platform
import random
import sys
from functools import reduce

# ---- Numbers -------------------------------------------------------------------------------------


# Results after many chaotic steps hang on the last bit of every exp, and this is where they were
# recorded. Elsewhere they are near.
RECORDED = platform.libc_ver()[0] == "glibc" and platform.machine() == "x86_64"


def total(numbers):
    """Add up from the left. From Python 3.12 on, `sum` makes up for rounding."""
    return sum(numbers) if sys.version_info < (3, 12) else reduce(float.__add__, numbers, 0.0)


def quantile(p):
    """Where the standard normal distribution reaches `p`, by halving [-10, 10] down to 1e-5."""
    bounds = [-10.0, 10.0]
    while bounds[1] - bounds[0] > 1e-5:
        centre = (bounds[0] + bounds[1]) / 2
        reached = (1 + math.erf(centre / math.sqrt(2))) / 2 >= p
        bounds[reached] = centre
    return centre


def uniform_row(size):
    return [random.random() for _ in range(size)]


def normal_row(size, factor=1.0):
    return [factor * quantile(random.random()) for _ in range(size)]


def squash(x):
    """Logistic function."""
    return 1 / (1 + math.exp(-x))


def hyperbolic(x):
    """Tangent of that kind, by one exponential."""
    if abs(x) > 100:
        return math.copysign(1.0, x)
    e = math.exp(-2 * x)
    return (1 - e) / (1 + e)


def probabilities(scores):
    top = max(scores)
    weights = [math.exp(s - top) for s in scores]
    whole = total(weights)
    return [w / whole for w in weights]


# ---- Layers --------------------------------------------------------------------------------------


class Dense:
    """Weighted sums of all inputs: rows of weights, one a neuron, and biases."""

    def __init__(self, inputs, outputs, init="xavier"):
        if init == "uniform":
            self.weights = [uniform_row(inputs) for _ in range(outputs)]
            self.biases = uniform_row(outputs)
        else:
            factors = (2 / (outputs + inputs), 1 / outputs) if init == "xavier" else (1.0, 1.0)
            self.weights = [normal_row(inputs, factors[0]) for _ in range(outputs)]
            self.biases = normal_row(outputs, factors[1])

    def forward(self, x):
        self.x = x
        return [
            total([a * b for a, b in zip(x, row, strict=True)]) + bias
            for row, bias in zip(self.weights, self.biases, strict=True)
        ]

    def backward(self, d_y):
        self.d_biases = d_y
        self.d_weights = [[a * d for a in self.x] for d in d_y]
        d_x = [0.0] * len(self.x)
        for row, d in zip(self.weights, d_y, strict=True):
            d_x = [t + w * d for t, w in zip(d_x, row, strict=True)]
        return d_x

    def pairs(self):
        """Yield each row of parameters with the row of its gradients."""
        yield from zip(self.weights, self.d_weights, strict=True)
        yield self.biases, self.d_biases


class Elementwise:
    """A function of each input; its slope is given by its value."""

    def __init__(self, function, slope):
        self.function, self.slope = function, slope

    def forward(self, x):
        self.y = [self.function(t) for t in x]
        return self.y

    def backward(self, d_y):
        return [self.slope(y) * d for y, d in zip(self.y, d_y, strict=True)]

    def pairs(self):
        return ()


def sigmoid_layer():
    return Elementwise(squash, lambda y: y * (1 - y))


def tanh_layer():
    return Elementwise(hyperbolic, lambda y: 1 - y**2)


def relu_layer():
    return Elementwise(lambda x: x if x > 0 else 0.0, lambda y: 1.0 if y > 0 else 0.0)


class Drop:
    """Zeros in place of a part of the inputs; outside training, all of them scaled."""

    def __init__(self, share):
        self.share, self.training = share, True

    def forward(self, x):
        if not self.training:
            return [t * (1 - self.share) for t in x]
        self.kept = [random.random() >= self.share for _ in x]
        return [t * k for t, k in zip(x, self.kept, strict=True)]

    def backward(self, d_y):
        return [d * k for d, k in zip(d_y, self.kept, strict=True)]

    def pairs(self):
        return ()


class Chain:
    """One layer after the other."""

    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, d_y):
        for layer in reversed(self.layers):
            d_y = layer.backward(d_y)
        return d_y

    def pairs(self):
        for layer in self.layers:
            yield from layer.pairs()


# ---- Losses: (value, gradient) -------------------------------------------------------------------


def squared_error(y, target):
    differences = [a - b for a, b in zip(y, target, strict=True)]
    return total([d**2 for d in differences]), [2 * d for d in differences]


def cross_entropy(scores, target):
    p = probabilities(scores)
    terms = [math.log(a + 1e-30) * b for a, b in zip(p, target, strict=True)]
    return -total(terms), [a - b for a, b in zip(p, target, strict=True)]


# ---- Updates -------------------------------------------------------------------------------------


class Descent:
    def __init__(self, rate):
        self.rate = rate

    def step(self, model):
        for row, slopes in model.pairs():
            row[:] = [p - g * self.rate for p, g in zip(row, slopes, strict=True)]


class Averaged:
    """Steps along a running average of the gradients."""

    def __init__(self, rate, keep):
        self.rate, self.keep = rate, keep
        self.averages = None

    def step(self, model):
        pairs = list(model.pairs())
        if self.averages is None:
            self.averages = [[0.0] * len(row) for row, _ in pairs]
        for average, (row, slopes) in zip(self.averages, pairs, strict=True):
            average[:] = [
                self.keep * a + (1 - self.keep) * g for a, g in zip(average, slopes, strict=True)
            ]
            row[:] = [p - self.rate * a for p, a in zip(row, average, strict=True)]


def train_step(model, loss, update, x, target):
    """Learn from one sample; return the loss before that."""
    value, slopes = loss(model.forward(x), target)
    model.backward(slopes)
    update.step(model)
    return value


# ---- The chapter's examples ----------------------------------------------------------------------


def place_of_largest(values):
    return values.index(max(values))


def one_hot(place, size):
    return [float(i == place) for i in range(size)]


XOR_X = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
XOR_Y = [[0.0], [1.0], [1.0], [0.0]]


def bits(number):
    """The ten binary digits of a number, lowest first."""
    return [float(number >> i & 1) for i in range(10)]


def fizz_buzz_class(number):
    """0 for the number itself, 1 fizz, 2 buzz, 3 fizzbuzz."""
    return (number % 3 == 0) + 2 * (number % 5 == 0)


def fizz_buzz(numbers):
    return [bits(n) for n in numbers], [one_hot(fizz_buzz_class(n), 4) for n in numbers]


def accuracy(model, xs, ys):
    hits = [
        place_of_largest(model.forward(x)) == place_of_largest(y)
        for x, y in zip(xs, ys, strict=True)
    ]
    return sum(hits) / len(hits)
