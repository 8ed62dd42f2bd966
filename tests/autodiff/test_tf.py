"""Variable, GradientTape and the functions of `deepc.tf`, by what TensorFlow gives for them."""

import random

import numpy as np
import pytest
from deepc import tf


class NaiveDense:
    def __init__(self, input_size, output_size, activation):
        self.activation = activation
        w_shape = (input_size, output_size)
        w_initial_value = tf.random.uniform(w_shape, minval=0, maxval=1e-1)
        self.W = tf.Variable(w_initial_value)
        b_shape = (output_size,)
        b_initial_value = tf.zeros(b_shape)
        self.b = tf.Variable(b_initial_value)

    def __call__(self, inputs):
        return self.activation(tf.matmul(inputs, self.W) + self.b)

    @property
    def weights(self):
        return [self.W, self.b]


def test_the_books_naive_layers_learn():
    random.seed(0)
    layers = [NaiveDense(2, 16, tf.nn.relu), NaiveDense(16, 2, tf.nn.softmax)]
    weights = [w for layer in layers for w in layer.weights]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 2))  # float64, which is converted
    labels = (x.sum(1) > 0).astype(int)
    losses = []
    for _ in range(200):
        with tf.GradientTape() as tape:
            y = x
            for layer in layers:
                y = layer(y)
            loss = tf.reduce_mean(tf.square(y - tf.one_hot(labels, 2)))
        for g, w in zip(tape.gradient(loss, weights), weights, strict=True):
            w.assign_sub(g * 1.0)
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]
    assert y.dtype == tf.float32
    assert np.mean(np.asarray(tf.argmax(y, axis=1)) == labels) > 0.95


def test_gradient_in_the_structure_of_the_sources():
    a, b = tf.Variable(2.0), tf.Variable([1.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        y = a * b * b
    assert tape.gradient(y, a).numpy() == 10.0
    found = tape.gradient(y, {"a": a, "both": (a, b)})
    assert found["a"].numpy() == 10.0
    assert found["both"][1].numpy().tolist() == [4.0, 12.0]
    assert tape.gradient([y, a], a).numpy() == 11.0
    assert tape.gradient(y, b, output_gradients=[1.0, 0.0]).numpy().tolist() == [4.0, 0.0]
    assert tape.jacobian(y, b).numpy().tolist() == [[4.0, 0.0], [0.0, 12.0]]


def test_second_order_by_nested_tapes():
    time = tf.Variable(0.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            position = 4.9 * time**2
        speed = inner.gradient(position, time)
    assert float(outer.gradient(speed, time)) == pytest.approx(9.8)


def test_what_is_not_connected_or_not_trained():
    a, b = tf.Variable(1.0), tf.Variable([1.0, 2.0])
    fixed, whole = tf.Variable(1.0, trainable=False), tf.Variable(3)
    with tf.GradientTape(persistent=True) as tape:
        y = a * fixed
    assert tape.gradient(y, [b, fixed, whole]) == [None, None, None]
    zero = tape.gradient(y, b, unconnected_gradients="zero")
    assert zero.numpy().tolist() == [0.0, 0.0]


def test_constants_are_watched_or_refused():
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    assert tape.gradient(y, x).numpy() == 6.0
    with tf.GradientTape() as tape:
        y = tf.Variable(1.0) * 2.0
    with pytest.raises(ValueError, match=r"not watched; call tape.watch"):
        tape.gradient(y, tf.constant(1.0))
    with pytest.raises(TypeError, match="floats"):
        tape.watch(tf.constant(1))


def test_a_tape_is_used_once():
    a = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = a * a
        assert tape.gradient(y, a).numpy() == 2.0
    with pytest.raises(RuntimeError, match="A non-persistent GradientTape can only be used"):
        tape.gradient(y, a)


def test_assigning_does_not_disturb_what_was_read():
    a = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = a * a
        a.assign(5.0)
    assert tape.gradient(y, a).numpy() == 4.0
    assert a.numpy() == 5.0


def test_variables():
    v = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    assert repr(v) == (
        "<tf.Variable 'Variable:0' shape=(2, 2) dtype=float32, numpy=\n"
        "array([[1., 2.],\n       [3., 4.]], dtype=float32)>"
    )
    with pytest.raises(ValueError, match=r"Cannot assign value to variable ' Variable:0': Shape"):
        v.assign(np.zeros((3, 2)))
    with pytest.raises(TypeError, match="does not support item assignment"):
        v[0, 0] = 1.0
    assert v.assign_add(tf.ones((2, 2))).numpy().tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert (v[0, 1].numpy(), float(v[1, 1]), f"{v[0, 0]:.2f}") == (3.0, 5.0, "2.00")
    assert v.name == "Variable:0"


def test_tensors_print_as_tensorflows():
    assert repr(tf.constant(3.0)) == "<tf.Tensor: shape=(), dtype=float32, numpy=3.0>"
    assert str(tf.constant([1, 2])) == "tf.Tensor([1 2], shape=(2,), dtype=int32)"
    assert tf.constant(np.ones(2)).dtype == tf.float64
    assert (tf.constant([1.0]) * np.ones(1)).dtype == tf.float32


def test_functions():
    x = tf.constant([[1.0, 4.0], [9.0, 16.0]])
    assert tf.sqrt(x).numpy().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert tf.reduce_sum(x, axis=0).numpy().tolist() == [10.0, 20.0]
    assert tf.reduce_max(x, axis=1, keepdims=True).numpy().tolist() == [[4.0], [16.0]]
    assert tf.reduce_mean(x).numpy() == 7.5
    assert tf.matmul(x, x, transpose_b=True).numpy()[0].tolist() == [17.0, 73.0]
    assert tf.cast(tf.equal([1, 2], [1, 3]), tf.float32).numpy().tolist() == [1.0, 0.0]
    assert tf.one_hot([1, 5], 3).numpy().tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert tf.argmax([[1, 3], [2, 0]]).numpy().tolist() == [1, 0]
    assert tf.concat([x, x], axis=1).shape == (2, 4)
    assert tf.transpose(tf.reshape(x, (4, 1))).shape == (1, 4)
    assert tf.nn.softmax(x).numpy().sum() == pytest.approx(2.0)

    @tf.function
    def f(x):
        return tf.abs(x)

    assert f(tf.constant(-2.0)).numpy() == 2.0


def test_random_numbers():
    tf.random.set_seed(3)
    a = tf.random.normal((100,), mean=5.0, stddev=0.1)
    b = tf.random.uniform((2, 3), 2, 4)
    tf.random.set_seed(3)
    assert np.array_equal(a, tf.random.normal((100,), mean=5.0, stddev=0.1))
    assert abs(a.numpy().mean() - 5) < 0.1
    assert ((b.numpy() >= 2) & (b.numpy() < 4)).all()
    assert tf.random.uniform((50,), 0, 3, tf.int32).numpy().max() == 2
    assert tf.random.uniform(()).shape == ()


def test_unknown_names():
    with pytest.raises(AttributeError, match="did you mean 'square'"):
        tf.squar  # noqa: B018
