"""The lesson's engine as its notebook writes it, in plain Python: the reference for ours."""

from __future__ import annotations

import random


class Scalar:
    def __init__(self, data, _backward=lambda: None, _prev=()):
        self.data = float(data)
        self.grad = 0.0
        self._backward = _backward
        self._prev = _prev

    def backward(self):
        order, visited = [], set()

        def visit(scalar):
            if scalar not in visited:
                visited.add(scalar)
                for prev in scalar._prev:
                    visit(prev)
                order.append(scalar)

        visit(self)
        self.grad = 1.0
        for scalar in reversed(order):
            scalar._backward()

    def __repr__(self):
        return f"Scalar(data={self.data}, grad={self.grad})"


def apply(function, *args):
    inputs = [arg if isinstance(arg, Scalar) else Scalar(arg) for arg in args]
    output = Scalar(
        function.forward(*inputs),
        _backward=lambda: function.backward(*inputs, output),
        _prev=inputs,
    )
    return output


class Add:
    def forward(a, b):
        return a.data + b.data

    def backward(a, b, output):
        a.grad += 1.0 * output.grad
        b.grad += 1.0 * output.grad


class Mul:
    def forward(a, b):
        return a.data * b.data

    def backward(a, b, output):
        a.grad += b.data * output.grad
        b.grad += a.data * output.grad


class ReLU:
    def forward(a):
        return (a.data > 0) * a.data

    def backward(a, output):
        a.grad += (a.data > 0) * output.grad


Scalar.__add__ = lambda self, other: apply(Add, self, other)
Scalar.__radd__ = lambda self, other: apply(Add, other, self)
Scalar.__mul__ = lambda self, other: apply(Mul, self, other)
Scalar.__rmul__ = lambda self, other: apply(Mul, other, self)
Scalar.relu = lambda self: apply(ReLU, self)


def modules(scalar):
    """Return the notebook's MLP over a class of scalars."""

    class Neuron:
        def __init__(self, nin, nonlin=True):
            self.w = [scalar(random.uniform(-1, 1)) for _ in range(nin)]
            self.b = scalar(0.0)
            self.nonlin = nonlin

        def __call__(self, x):
            act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
            return act.relu() if self.nonlin else act

        def parameters(self):
            return [*self.w, self.b]

    class MLP:
        def __init__(self, nin, nouts):
            sz = [nin, *nouts]
            self.layers = [
                [Neuron(sz[i], nonlin=i != len(nouts) - 1) for _ in range(sz[i + 1])]
                for i in range(len(nouts))
            ]

        def __call__(self, x):
            for layer in self.layers:
                x = [neuron(x) for neuron in layer]
            return x

        def parameters(self):
            return [p for layer in self.layers for neuron in layer for p in neuron.parameters()]

        def zero_grad(self):
            for p in self.parameters():
                p.grad = 0.0

    return MLP


def manual_step(scalar, model, image, label, learning_rate):
    """Do the notebook's step: return the loss and the outputs."""
    model.zero_grad()
    outputs = model([scalar(float(value)) for value in image])
    target = [scalar(1.0 if idx == label else 0.0) for idx in range(len(outputs))]
    diffs = [output + (scalar(-1.0) * t) for output, t in zip(outputs, target, strict=True)]
    loss = sum([diff * diff for diff in diffs], scalar(0.0))
    loss.backward()
    for param in model.parameters():
        param.data -= learning_rate * param.grad
    return loss.data
