"""The loss classes: values, gradients, labels, reductions, lists and arrays, peers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import deepc
import numpy as np
import pytest
import reference
from deepc import SSE, Loss, SoftmaxCrossEntropy, losses, one_hot_encode
from deepc._c import losses as library

LOSSES = {"squared error": SSE, "cross-entropy": SoftmaxCrossEntropy}
ROOT = Path(__file__).parents[1]


def numbers(dtype, rng, rows=7, cols=5):
    predicted = rng.normal(0, 2, (rows, cols)).astype(dtype)
    targets = rng.dirichlet(np.ones(cols), rows).astype(dtype)
    return predicted, targets


def expected_of(name, predicted, targets):
    p, t = predicted.astype(np.float64), targets.astype(np.float64)
    if name == "squared error":
        return float(((p - t) ** 2).sum()), 2 * (p - t)
    return reference.cross_entropy(p, t), reference.softmax(p) - t


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_value_and_gradient(isa, dtype, name, reduction, rng):
    predicted, targets = numbers(dtype, rng)
    loss = LOSSES[name](reduction=reduction)
    scale = 1 if reduction == "sum" else 1 / 7
    value, gradient = expected_of(name, predicted, targets)
    rtol = 1e-5 if dtype == np.float32 else 1e-13
    assert loss.loss(predicted, targets) == pytest.approx(scale * value, rel=rtol)
    got = loss.gradient(predicted, targets)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, scale * gradient, rtol=10 * rtol, atol=rtol)
    # The mean is over samples, so one sample has the same loss either way.
    value, gradient = expected_of(name, predicted[:1], targets[:1])
    assert loss.loss(predicted[0], targets[0]) == pytest.approx(value, rel=rtol)
    np.testing.assert_allclose(
        loss.gradient(predicted[0], targets[0]), gradient[0], rtol=10 * rtol, atol=rtol
    )


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_finite_difference(name, rng):
    predicted, targets = numbers(np.float64, rng, 3, 4)
    for reduction in ("sum", "mean"):
        loss = LOSSES[name](reduction)
        differences = reference.finite_differences(lambda: loss.loss(predicted, targets), predicted)  # noqa: B023
        np.testing.assert_allclose(
            loss.gradient(predicted, targets), differences, rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_labels_are_one_hot_rows(isa, dtype, reduction, rng):
    predicted, _ = numbers(dtype, rng, 9, 6)
    labels = rng.integers(0, 6, 9)
    one_hot = reference.one_hot(labels, 6)
    loss = SoftmaxCrossEntropy(reduction)
    expected = loss.loss(predicted, one_hot.astype(dtype))
    gradient = loss.gradient(predicted, one_hot.astype(dtype)).tobytes()
    kinds = [
        labels, labels.astype(np.int32), labels.astype(np.uint8), labels.tolist(),
        tuple(labels.tolist()), np.repeat(labels, 2)[::2], one_hot, one_hot.tolist(),
    ]  # fmt: skip
    for given in kinds:
        assert loss.loss(predicted, given) == expected
        assert loss.gradient(predicted, given).tobytes() == gradient
    one = loss.gradient(predicted[0], one_hot[0])
    for label in (int(labels[0]), labels[0], np.array(labels[0])):
        assert loss.gradient(predicted[0], label).tobytes() == one.tobytes()
        assert loss.loss(predicted[0], label) == loss.loss(predicted[0], one_hot[0])


@pytest.mark.parametrize("name", LOSSES)
def test_lists_give_lists(name, rng):
    predicted, targets = numbers(np.float64, rng)
    loss = LOSSES[name]()
    for p, t in [(predicted, targets), (predicted[0], targets[0])]:
        assert loss.loss(p.tolist(), t.tolist()) == loss.loss(p, t)
        gradient = loss.gradient(p.tolist(), t.tolist())
        assert isinstance(gradient, list)
        assert gradient == loss.gradient(p, t).tolist()
        assert isinstance(loss.gradient(p, t.tolist()), np.ndarray)
        assert isinstance(loss.loss(p, t), float)


@pytest.mark.parametrize("name", LOSSES)
def test_layout_and_dtype_of_what_comes_in(name, rng):
    predicted, targets = numbers(np.float64, rng, 6, 6)
    loss = LOSSES[name]()
    value, gradient = loss.loss(predicted, targets), loss.gradient(predicted, targets)
    for view in (
        np.asfortranarray,
        lambda x: np.repeat(x, 2, 1)[:, ::2],
        lambda x: x.astype(">f8"),
    ):
        assert loss.loss(view(predicted), view(targets)) == value
        assert loss.gradient(predicted, view(targets)).tobytes() == gradient.tobytes()
    single = predicted.astype(np.float32)
    assert loss.gradient(single, targets).dtype == np.float32
    assert loss.gradient(predicted, targets.astype(np.float32)).dtype == np.float64


def test_chapters_values():
    assert SSE().loss([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]) == 9**2 + 18**2 + 27**2
    assert SSE().gradient([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]) == [-18, -36, -54]
    loss = SoftmaxCrossEntropy()
    assert loss.loss([0.0] * 10, one_hot_encode(3)) == pytest.approx(np.log(10), rel=1e-15)
    assert loss.gradient([0.0, 0.0], [0, 1]) == [0.5, -0.5]


def test_reduction_may_be_changed():
    loss = SSE()
    assert loss.reduction == "sum"
    loss.reduction = "mean"
    assert loss.loss([[1.0], [3.0]], [[0.0], [0.0]]) == 5
    with pytest.raises(ValueError, match="reduction"):
        loss.reduction = "max"
    assert loss.reduction == "mean"


def test_a_loss_keeps_nothing_of_what_it_saw(rng):
    loss = SoftmaxCrossEntropy()
    predicted, targets = numbers(np.float64, rng)
    first = loss.loss(predicted, targets)
    before = predicted.copy(), targets.copy()
    loss.loss(rng.standard_normal((2, 3)), [0, 1])
    assert loss.loss(predicted, targets) == first
    assert np.array_equal(predicted, before[0])
    assert np.array_equal(targets, before[1])


def test_each_loss_of_the_library_has_a_class():
    assert set(losses.CLASSES) == set(library.LOSSES) == set(TORCH)
    for name, facts in library.LOSSES.items():
        cls = losses.CLASSES[name]
        assert cls.__name__ in losses.__all__
        assert getattr(deepc, cls.__name__) is cls
        given = dict(inspect.signature(cls).parameters)
        assert given.pop("reduction").default == "sum"
        if facts.parameter:
            assert given.pop(facts.parameter).default == facts.default
        if facts.takes_smoothing:
            assert given.pop("label_smoothing").default == 0
        assert not given


def case(name, rng):
    """Return predictions and targets that the loss is made for."""
    facts = library.LOSSES[name]
    p, t = rng.normal(0, 2, (6, 4)), rng.normal(0, 2, (6, 4))
    if name in ("binary_cross_entropy", "binary_cross_entropy_clamped", "kl_divergence",
                "categorical_cross_entropy", "poisson", "squared_logarithmic_error"):  # fmt: skip
        p, t = rng.dirichlet(np.ones(4), 6) + 0.01, rng.dirichlet(np.ones(4), 6)
    if name == "negative_log_likelihood":
        p = np.log(rng.dirichlet(np.ones(4), 6))
    if facts.takes_smoothing:
        t = rng.dirichlet(np.ones(4), 6)
    if "hinge" in name:
        t = reference.one_hot(rng.integers(0, 4, 6), 4)
    return p, t


@pytest.mark.parametrize("name", library.LOSSES)
def test_gradients_of_all_losses_are_finite_differences(name, rng):
    p, t = case(name, rng)
    weights = rng.uniform(0, 2, 6)
    weights[1] = 0
    facts = library.LOSSES[name]
    for more in ({}, {facts.parameter: 0.25}, {"label_smoothing": 0.1}):
        if "" in more or ("label_smoothing" in more and not facts.takes_smoothing):
            continue
        for reduction in ("sum", "mean", "mean_of_elements", "mean_by_weight"):
            loss = losses.CLASSES[name](reduction, **more)
            differences = reference.finite_differences(lambda: loss.loss(p, t, weights), p)  # noqa: B023
            gradient = loss.gradient(p, t, weights)
            np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=2e-6)
            if "hinge" not in name:
                assert np.abs(gradient[0]).max() > 0
            value, single = loss.loss_and_gradient(*(a.astype("f4") for a in (p, t, weights)))
            assert value == pytest.approx(loss.loss(p, t, weights), rel=1e-5)
            np.testing.assert_allclose(single, gradient, rtol=1e-4, atol=1e-5)


def _torch_hinge(F, p, t):
    side = 2 * t - 1
    return (1 - side * p).clamp(min=0)


def _torch_categorical_hinge(F, p, t):
    return (((1 - t) * p).max(-1).values - (t * p).sum(-1) + 1).clamp(min=0)


# What PyTorch makes of predictions and targets, to be added up.
TORCH = {
    "squared_error": lambda F, p, t: F.mse_loss(p, t, reduction="none"),
    "softmax_cross_entropy": lambda F, p, t: F.cross_entropy(p, t, reduction="none"),
    "absolute_error": lambda F, p, t: F.l1_loss(p, t, reduction="none"),
    "huber": lambda F, p, t: F.huber_loss(p, t, reduction="none"),
    "smooth_l1": lambda F, p, t: F.smooth_l1_loss(p, t, reduction="none"),
    "log_cosh": lambda F, p, t: (p - t).cosh().log(),
    "absolute_percentage_error": lambda F, p, t: 100 * (p - t).abs() / t.abs().clamp(min=1e-7),
    "squared_logarithmic_error": lambda F, p, t: (p.log1p() - t.log1p()) ** 2,
    "binary_cross_entropy": lambda F, p, t: F.binary_cross_entropy(p, t, reduction="none"),
    "binary_cross_entropy_clamped": lambda F, p, t: F.binary_cross_entropy(p, t, reduction="none"),
    "binary_cross_entropy_logits": lambda F, p, t: F.binary_cross_entropy_with_logits(
        p, t, reduction="none"),
    "poisson": lambda F, p, t: F.poisson_nll_loss(p, t, False, eps=1e-7, reduction="none"),
    "kl_divergence": lambda F, p, t: F.kl_div(p.log(), t, reduction="none"),
    "hinge": _torch_hinge,
    "squared_hinge": lambda F, p, t: _torch_hinge(F, p, t) ** 2,
    "categorical_hinge": _torch_categorical_hinge,
    "categorical_cross_entropy": lambda F, p, t: -(t * (p / p.sum(-1, keepdim=True)).log()).sum(-1),
    "negative_log_likelihood": lambda F, p, t: -(t * p).sum(-1),
    "cosine_similarity": lambda F, p, t: -F.cosine_similarity(p, t, eps=1e-7),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_says_the_same_of_all_losses(name, rng):
    torch = pytest.importorskip("torch")
    p, t = case(name, rng)
    x = torch.tensor(p, requires_grad=True)
    rows = TORCH[name](torch.nn.functional, x, torch.tensor(t))
    rows.sum().backward()
    loss = losses.CLASSES[name]()
    value, gradient = loss.loss_and_gradient(p, t)
    assert value == pytest.approx(float(rows.sum().detach()), rel=1e-12)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-9, atol=1e-10)
    if library.LOSSES[name].takes_labels:
        labels = rng.integers(0, 4, 6)
        one_hot = reference.one_hot(labels, 4)
        assert loss.loss(p, labels) == loss.loss(p, one_hot)
        assert loss.gradient(p, labels).tobytes() == loss.gradient(p, one_hot).tobytes()


def test_numbers_of_keras():
    """Keras 3 gives these for the same arrays."""
    p, t = np.array([[1.5, 2.0], [2.0, 2.0]]), np.array([[1.0, 2.0], [3.0, 5.0]])
    for name, expected in {
        "squared_error": 2.5625, "absolute_error": 1.125, "absolute_percentage_error": 35.8333333,
        "squared_logarithmic_error": 0.153251758, "huber": 0.78125, "log_cosh": 0.7158059605,
        "poisson": 0.0407656299,
    }.items():  # fmt: skip
        loss = losses.CLASSES[name]("mean_of_elements")
        assert loss.loss(p, t) == pytest.approx(expected, rel=1e-8)
    assert losses.CosineSimilarity("mean").loss(p, t) == pytest.approx(-0.9770062051, rel=1e-9)
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    loss = losses.CategoricalCrossEntropy("mean")
    assert loss.loss(probabilities, [0, 1]) == pytest.approx(0.7803238741, rel=1e-9)
    loss.label_smoothing = 0.1
    assert loss.loss(probabilities, [0, 1]) == pytest.approx(0.8403928446, rel=1e-9)
    yes, chance, logits = [[1.0], [0.0], [1.0]], [[0.9], [0.2], [0.5]], [[2.0], [-1.0], [0.0]]
    loss = losses.BinaryCrossEntropy("mean")
    assert loss.loss(chance, yes) == pytest.approx(0.3405504158, rel=1e-8)
    loss.label_smoothing = 0.2
    assert loss.loss(chance, yes) == pytest.approx(0.460001047, rel=1e-8)
    loss = losses.BinaryCrossEntropyLogits("mean")
    assert loss.loss(logits, yes) == pytest.approx(0.3777789597, rel=1e-9)


@pytest.mark.parametrize("name", [n for n, facts in library.LOSSES.items() if facts.parameter])
def test_parameters_of_losses_may_be_changed_and_are_checked(name, rng):
    p, t = case(name, rng)
    cls, parameter = losses.CLASSES[name], library.LOSSES[name].parameter
    loss = cls("mean")
    setattr(loss, parameter, 0.25)
    assert getattr(loss, parameter) == 0.25
    assert f"{parameter}=0.25" in repr(loss)
    assert loss.loss(p, t) == cls("mean", 0.25).loss(p, t)
    for wrong in (-1, float("nan"), 1e300, "1"):
        with pytest.raises((ValueError, TypeError), match=f"^{parameter}: expected"):
            setattr(loss, parameter, wrong)
        with pytest.raises((ValueError, TypeError), match=f"^{parameter}: expected"):
            cls("mean", wrong)
        assert getattr(loss, parameter) == 0.25


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_pytorch_says_the_same(reduction, rng):
    torch = pytest.importorskip("torch")
    predicted, _ = numbers(np.float64, rng)
    labels = rng.integers(0, 5, 7)
    x = torch.tensor(predicted, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(x, torch.tensor(labels), reduction=reduction)
    loss.backward()
    own = SoftmaxCrossEntropy(reduction)
    assert own.loss(predicted, labels) == pytest.approx(loss.item(), rel=1e-13)
    np.testing.assert_allclose(
        own.gradient(predicted, labels), x.grad.numpy(), rtol=1e-12, atol=1e-14
    )


def test_a_dtype_that_is_equal_but_another_object():
    """NumPy keeps metadata beside a dtype; such an array holds the same floats."""
    other = np.dtype(np.float32, metadata={"unit": "m"})
    predicted, actual = np.array([1, 2, 3], other), np.array([1, 2, 5], other)
    assert SSE().loss(predicted, actual) == 4.0
    np.testing.assert_array_equal(SSE().gradient(predicted, actual), [0, 0, -4])


def test_what_is_not_defined_is_told_by_name():
    class Mine(Loss):
        pass

    assert repr(Mine()) == "Mine()"
    for name in ("loss", "gradient"):
        with pytest.raises(NotImplementedError, match=f"Mine defines no {name}"):
            getattr(Mine(), name)([1.0], [1.0])


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs the documentation")
def test_the_table_of_losses_is_that_of_the_library():
    text = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\|(?: `(\w+)` \w = (\S+))? \|$", text, re.MULTILINE)
    shown = {name: (parameter, float(usual or 0)) for name, parameter, usual in rows}
    assert shown == {name: (f.parameter, f.default) for name, f in library.LOSSES.items()}


@pytest.mark.parametrize("targets", [[1.0, 1.0, 0.0], [2.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
def test_gradient_of_targets_that_do_not_add_up_to_one(targets):
    predicted, actual = np.array([0.3, -0.2, 0.5]), np.array(targets)
    loss = SoftmaxCrossEntropy()
    gradient = loss.gradient(predicted, actual)
    differences = reference.finite_differences(lambda: loss.loss(predicted, actual), predicted)
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-9)
    expected = actual.sum() * reference.softmax(predicted) - actual
    np.testing.assert_allclose(gradient, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["sum", "mean", "mean_of_elements", "mean_by_weight"])
def test_sample_weight(isa, dtype, name, reduction, rng):
    predicted, targets = numbers(dtype, rng)
    weights = rng.uniform(0, 3, 7).astype(dtype)
    weights[2] = 0
    loss = LOSSES[name](reduction)
    each = [LOSSES[name]().loss(p, t) for p, t in zip(predicted, targets, strict=True)]
    grads = [LOSSES[name]().gradient(p, t) for p, t in zip(predicted, targets, strict=True)]
    divisors = {"sum": 1, "mean": 7, "mean_of_elements": 35, "mean_by_weight": weights.sum()}
    factor = 1 / float(divisors[reduction])
    rtol = 1e-5 if dtype == np.float32 else 1e-13
    value = factor * np.dot(weights.astype(float), each)
    gradient = factor * weights[:, None] * np.array(grads)
    assert loss.loss(predicted, targets, weights) == pytest.approx(value, rel=rtol)
    got = loss.gradient(predicted, targets, sample_weight=weights)
    np.testing.assert_allclose(got, gradient, rtol=rtol, atol=rtol)
    both = loss.loss_and_gradient(predicted, targets, weights)
    assert both[0] == loss.loss(predicted, targets, weights)
    assert both[1].tobytes() == got.tobytes()
    rows = loss.row_losses(predicted, targets, weights)
    width = 5 if reduction == "mean_of_elements" else 1
    np.testing.assert_allclose(rows, weights * each / width, rtol=rtol)
    # What a sample of weight 0 holds does not matter; other kinds of numbers are converted.
    predicted[2], targets[2] = np.nan, np.inf
    assert loss.loss(predicted, targets, weights) == both[0]
    assert loss.gradient(predicted, targets, weights).tobytes() == got.tobytes()
    assert loss.loss(predicted, targets, weights[:, None].tolist()) == both[0]
    ones = loss.loss(predicted[3:], targets[3:], [1] * 4)
    assert ones == loss.loss(predicted[3:], targets[3:])


def test_weights_of_one_sample_and_of_none(rng):
    loss = SSE()
    assert loss.loss([1.0, 2.0], [1.0, 5.0], 2) == 18
    assert loss.gradient([1.0, 2.0], [1.0, 5.0], [0.5]) == [0, -3]
    assert loss.row_losses([1.0, 2.0], [1.0, 5.0]) == 9
    with pytest.raises(ValueError, match=r"sample_weight: expected 2 numbers"):
        loss.loss([[1.0], [2.0]], [[1.0], [5.0]], [1.0])
    with pytest.raises(ValueError, match=r"sample_weight"):
        loss.gradient([[1.0], [2.0]], [[1.0], [5.0]], [[1.0, 2.0], [3.0, 4.0]])
    assert np.isnan(SSE("mean_by_weight").loss([[1.0]], [[5.0]], [0.0]))


def test_labels_of_samples_without_weight_are_not_looked_at():
    predicted, labels = np.array([[2.0, 1.0, 0.1], [0.5, -1.0, 3.0]]), np.array([0, -100])
    loss = SoftmaxCrossEntropy("mean_by_weight")
    assert loss.loss(predicted, labels, [1, 0]) == pytest.approx(0.4170300163, abs=1e-10)
    with pytest.raises(ValueError, match="labels from 0 to 2, got -100"):
        loss.loss(predicted, labels, [0, 1])


def test_smoothing(rng):
    predicted, targets = numbers(np.float64, rng)
    loss = SoftmaxCrossEntropy(label_smoothing=0.2)
    value, gradient = loss.loss_and_gradient(predicted, targets)
    plain = SoftmaxCrossEntropy().loss_and_gradient(predicted, 0.8 * targets + 0.04)
    assert value == pytest.approx(plain[0], rel=1e-14)
    np.testing.assert_allclose(gradient, plain[1], rtol=1e-12, atol=1e-15)
    assert repr(loss) == "SoftmaxCrossEntropy(reduction='sum', label_smoothing=0.2)"
    loss.reduction = "mean"
    assert loss.label_smoothing == 0.2
    with pytest.raises(ValueError, match="label_smoothing: expected at least 0 and at most 1"):
        SoftmaxCrossEntropy(label_smoothing=1.5)
