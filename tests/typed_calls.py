"""What type checkers know of results: a list for a list, an array for an array. mypy reads this."""

from __future__ import annotations

from typing import Any, assert_type

import deepc
import numpy as np
from deepc import Linear, Sequential, SoftmaxCrossEntropy, Tanh

Array = np.ndarray[Any, np.dtype[Any]]
numbers: list[float] = [1.0, 2.0]
array: Array = np.ones((3, 2))
net = Sequential([Linear(2, 3), Tanh()])
loss = SoftmaxCrossEntropy()

for layer in (Linear(2, 3), net, Tanh()):
    layer.backward(layer.forward(array))
assert_type(Linear(2, 3).forward(numbers), list[Any])
assert_type(Linear(2, 3).forward(array), Array)
assert_type(net.forward(numbers), list[Any])
assert_type(net.forward(array), Array)
net.forward(array)
assert_type(net.backward(np.ones((3, 3))), Array)
assert_type(net.backward(np.ones((3, 3)), False), None)
assert_type(loss.gradient(array, array), Array)
assert_type(loss.loss(array, array), float)
assert_type(len(net), int)
assert_type(net[0:1], Sequential)
assert_type(deepc.sigmoid(array), Array)
assert_type(deepc.sigmoid(0.5), float)
assert_type(deepc.fit(net, array, np.ones((3, 3)), loss=loss, optimizer=deepc.SGD()), deepc.History)
