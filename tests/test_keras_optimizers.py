"""Optimizers and schedules of Keras' face: values computed with NumPy in float64, and by Keras."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from deepc import keras
from deepc.keras import layers, optimizers
from deepc.keras._variables import Variable
from deepc.keras.optimizers import schedules
from deepc.shipping.hdf5 import read_arrays

# A parameter of 1 stepped by the gradients 0.1, -0.2, 0.3: where it is after each step.
STEPS = [
    (lambda: optimizers.SGD(), [0.999, 1.001, 0.998]),
    (lambda: optimizers.SGD(0.1, momentum=0.9), [0.99, 1.001, 0.9809]),
    (lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True), [0.981, 1.0109, 0.96281]),
    (lambda: optimizers.SGD(0.1, weight_decay=0.01), [0.989, 1.008011, 0.977002989]),
    (
        lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
        [0.99, 1.0, 0.97],
    ),
    (lambda: optimizers.RMSprop(), [0.996837880442, 0.999694994145, 0.997104365003]),
    (lambda: optimizers.RMSprop(momentum=0.5), [0.996837880442, 0.998113934366, 0.996161332186]),
    (lambda: optimizers.RMSprop(centered=True), [0.996666851836, 0.999559908479, 0.996929350506]),
    (lambda: optimizers.Adam(), [0.999000031622, 0.999366129971, 0.999022891792]),
    (lambda: optimizers.Adam(0.1, epsilon=0.1), [0.996934656997, 0.999352211176, 0.995721319061]),
    (lambda: optimizers.AdamW(), [0.998996031622, 0.999358133987, 0.999010898375]),
    (lambda: optimizers.Adagrad(), [0.999698488792, 1.000214886400, 0.999602514092]),
    (lambda: optimizers.Adadelta(1.0), [0.998585927838, 1.000383667942, 0.998219413562]),
    (lambda: optimizers.Adamax(), [0.999000001000, 0.999289474539, 0.999042242150]),
    (lambda: optimizers.Nadam(), [0.998937213259, 0.999818878441, 0.998987155832]),
    (lambda: optimizers.Lion(), [0.999, 1.0, 0.999]),
]


def stepped(optimizer, gradients):
    p = Variable(np.array([1.0]), name="p")
    places = []
    for g in gradients:
        optimizer.apply_gradients([(np.array([g]), p)])
        places.append(p.numpy()[0])
    return places


@pytest.mark.parametrize(("make", "expected"), STEPS)
def test_steps(make, expected):
    np.testing.assert_allclose(stepped(make(), [0.1, -0.2, 0.3]), expected, rtol=0, atol=6e-13)


def test_gradients_add_up_over_steps():
    made = optimizers.SGD(0.1, gradient_accumulation_steps=2)
    np.testing.assert_allclose(stepped(made, [0.1, -0.2, 0.3, 0.5]), [1, 1.005, 1.005, 0.965])


def test_the_learning_rate_is_inside_the_velocity():
    made = optimizers.SGD(0.1, momentum=0.9)
    first = stepped(made, [1.0])[0] - 1
    made.learning_rate = 0.01
    p = Variable(np.array([0.0]), name="p")
    made._built = None
    made.apply_gradients([(np.array([1.0]), p)])
    np.testing.assert_allclose([first, first + p.numpy()[0]], [-0.1, -0.2])


def test_global_clipnorm():
    made = optimizers.SGD(1.0, global_clipnorm=1.0)
    p, q = Variable(np.array([1.0, 2.0]), name="p"), Variable(np.array([3.0]), name="q")
    made.apply_gradients([(np.array([3.0, 0.0]), p), (np.array([4.0]), q)])
    np.testing.assert_allclose(p.numpy(), [0.4, 2])
    np.testing.assert_allclose(q.numpy(), [2.2])


RATES = [
    (schedules.ExponentialDecay(0.1, 10, 0.5), [0, 5, 10, 25],
     [0.1, 0.0707106781, 0.05, 0.0176776695]),
    (schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True), [0, 5, 10, 25],
     [0.1, 0.1, 0.05, 0.025]),
    (schedules.PiecewiseConstantDecay([5, 10], [1.0, 0.5, 0.1]), [5, 6, 10, 11],
     [1, 0.5, 0.5, 0.1]),
    (schedules.PolynomialDecay(0.1, 10), [5, 10, 20], [0.05005, 0.0001, 0.0001]),
    (
        schedules.PolynomialDecay(0.1, 10, 0.01, power=0.5, cycle=True),
        [5, 10, 15, 20],
        [0.0736396103, 0.01, 0.055, 0.01],
    ),
    (schedules.InverseTimeDecay(0.1, 10, 0.5), [5, 10, 20], [0.08, 0.1 / 1.5, 0.05]),
    (schedules.CosineDecay(0.1, 10), [5, 10], [0.05, 0]),
    (
        schedules.CosineDecay(0.0, 10, alpha=0.1, warmup_target=0.1, warmup_steps=5),
        [2, 5, 10, 15],
        [0.04, 0.1, 0.055, 0.01],
    ),
    (
        schedules.CosineDecayRestarts(0.1, 10),
        [5, 10, 20, 30, 50],
        [0.05, 0.1, 0.05, 0.1, 0.05],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "steps", "expected"), RATES)
def test_schedules(schedule, steps, expected):
    np.testing.assert_allclose(schedule.rates(np.array(steps)), expected, rtol=0, atol=6e-11)
    assert [schedule(step) for step in steps] == schedule.rates(np.array(steps)).tolist()


def test_cos_pi_is_as_exact_as_it_says():
    import mpmath
    from deepc.training.schedules import cos_pi

    x = np.linspace(0, 4, 401)
    exact = np.array([float(mpmath.cospi(v)) for v in x])
    np.testing.assert_allclose(cos_pi(x), exact, rtol=0, atol=4e-16)


def test_refusals():
    with pytest.raises(ValueError, match="Argument `learning_rate` should be float"):
        optimizers.SGD(learning_rate=1)
    with pytest.raises(ValueError, match=r"Argument\(s\) not recognized: {'lr': 0.1}"):
        optimizers.SGD(lr=0.1)
    with pytest.raises(ValueError, match="Only one of `clipnorm`"):
        optimizers.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ValueError, match="`momentum` must be a float"):
        optimizers.SGD(momentum=2.0)
    with pytest.raises(AttributeError, match="'SGD' object has no attribute 'lr'"):
        _ = optimizers.SGD().lr
    with pytest.raises(ValueError, match=r"Could not interpret optimizer identifier: adem.*'adam'"):
        optimizers.get("adem")
    with pytest.raises(AttributeError, match=r"Ftrl is not supported; the nearest is .*Adagrad"):
        _ = optimizers.Ftrl
    with pytest.raises(TypeError, match="not settable"):
        optimizers.SGD(schedules.CosineDecay(0.1, 10)).learning_rate = 0.1


# ---- What files hold of optimizers ---------------------------------------------------------------

FILES = {
    "sgd": (lambda: optimizers.SGD(0.1), []),
    "momentum": (lambda: optimizers.SGD(0.1, momentum=0.9), ["k", "b", "l", "c"]),
    "rmsprop": (lambda: optimizers.RMSprop(0.01), ["k", "b", "l", "c"]),
    "rmsprop momentum": (lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
                         ["k", "b", "l", "c"] * 3),
    "adam": (lambda: optimizers.Adam(0.01), list("kkbbllcc")),
    "amsgrad": (lambda: optimizers.Adam(0.01, amsgrad=True), list("kkbbllcckblc")),
    "nadam": (lambda: optimizers.Nadam(0.01), [*"kkbbllcc", "number"]),
    "adadelta": (lambda: optimizers.Adadelta(1.0), list("kkbbllcc")),
    "lion": (lambda: optimizers.Lion(0.01), list("kblc")),
    "averages": (lambda: optimizers.Nadam(0.01, use_ema=True), [*"kblckkbbllcc", "number"]),
    "accumulation": (lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2),
                     list("kblckkbbllcc")),
    "schedule": (lambda: optimizers.RMSprop(
        optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), momentum=0.5), list("kblckblc")),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_optimizers_come_back_from_files_in_keras_order(name, tmp_path):
    make, places = FILES[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=12)

    # The first layer is square: its states must not be turned round by their shapes.
    model = keras.Sequential([layers.Input((3,)), layers.Dense(3, "tanh"), layers.Dense(1)])
    model.compile(make(), "mse")
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        arrays = read_arrays(file.read("model.weights.h5"), "m.keras")
    shapes = {"k": (3, 3), "b": (3,), "l": (3, 1), "c": (1,), "number": ()}
    first = 1 if name == "schedule" else 2
    assert [arrays[f"optimizer/vars/{i + first}"].shape for i in range(len(places))] == [
        shapes[place] for place in places
    ]
    assert sum(key.startswith("optimizer/") for key in arrays) == len(places) + first
    assert arrays["optimizer/vars/0"] == model.optimizer.iterations
    again = keras.models.load_model(tmp_path / "m.keras")
    for one in (model, again):
        one.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        # The rate, and Nadam's product, are float32 in files.
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


def test_states_lie_in_files_as_the_weights_do(tmp_path):
    model = keras.Sequential([layers.Input((2,)), layers.Dense(2, use_bias=False)])
    model.set_weights([np.zeros((2, 2))])
    model.compile(optimizers.RMSprop(0.01, rho=0.5, momentum=0.5), "mse")
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0, 0.5]])
    model.train_on_batch(x, y)
    model.save_weights(tmp_path / "m.weights.h5")
    arrays = read_arrays((tmp_path / "m.weights.h5").read_bytes(), "m")
    gradient = -x.T @ y  # 2 (0 - y) / 2
    np.testing.assert_allclose(arrays["optimizer/vars/2"], 0.5 * gradient**2, rtol=1e-6)
    moved = 0.01 * gradient / np.sqrt(0.5 * gradient**2 + 1e-7)
    np.testing.assert_allclose(arrays["optimizer/vars/3"], moved, rtol=1e-6)
