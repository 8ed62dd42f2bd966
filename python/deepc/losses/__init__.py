"""Losses: how wrong predictions are, and how that changes with them.

`base` holds what they share, and the checks of labels and weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from deepc.losses.base import BuiltinLoss as BuiltinLoss
from deepc.losses.base import Loss, Number, Smoothing
from deepc.losses.base import as_labels as as_labels
from deepc.losses.base import check_labels as check_labels

__all__ = [
    "Loss",
    "SSE",
    "SoftmaxCrossEntropy",
    "AbsoluteError",
    "Huber",
    "SmoothL1",
    "LogCosh",
    "AbsolutePercentageError",
    "SquaredLogarithmicError",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyClamped",
    "BinaryCrossEntropyLogits",
    "Poisson",
    "KLDivergence",
    "Hinge",
    "SquaredHinge",
    "CategoricalHinge",
    "CategoricalCrossEntropy",
    "NegativeLogLikelihood",
    "CosineSimilarity",
]


class SSE(BuiltinLoss):
    """The sum of squared errors.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: of the samples, of all elements, or by the
        weights of the samples.

    Examples
    --------
    >>> SSE().loss([1.0, 2.0], [1.0, 5.0])
    9.0
    >>> SSE().gradient([1.0, 2.0], [1.0, 5.0])
    [0.0, -6.0]
    """

    _name = "squared_error"


class SoftmaxCrossEntropy(BuiltinLoss):
    """The negative log likelihood of what was right, by softmax of the predictions.

    ``actual`` holds a probability for each class (one-hot, say); or the class numbers: an int for
    one sample, integers of shape (samples,) for a batch. A row that does not add up to 1 counts as
    often as its sum, in the loss and in the gradient.

    The logarithm of the probability is computed as ``x - max - log(sum(exp(x - max)))``. Where the
    book adds 1e-30 to a probability before taking its logarithm, this is exact, and larger only for
    probabilities below that.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    label_smoothing : float, optional
        How much of each target is spread evenly over the classes, 0 to 1.

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> loss.gradient([0.0, 0.0], [1.0, 0.0])
    [-0.5, 0.5]
    >>> loss.gradient([0.0, 0.0], 0)
    [-0.5, 0.5]
    """

    _name = "softmax_cross_entropy"
    _shown: tuple[str, ...] = ("reduction", "label_smoothing")

    label_smoothing = Smoothing()

    def __init__(self, reduction: str = "sum", label_smoothing: float = 0.0) -> None:
        self._set(reduction, None, label_smoothing)


class AbsoluteError(BuiltinLoss):
    """The sum of the absolute errors; where there is no error the slope is 0.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.

    Examples
    --------
    >>> AbsoluteError().loss([1.0, 2.0], [1.0, 5.0])
    3.0
    """

    _name = "absolute_error"


class Huber(BuiltinLoss):
    """Half the squared error up to `delta`, and from there a straight line.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    delta : float, optional
        The error from which the loss is a straight line, above 0.

    Examples
    --------
    >>> Huber(delta=2.0).loss([1.0, 2.0], [2.0, 5.0])
    4.5
    """

    _name = "huber"
    _shown: tuple[str, ...] = ("reduction", "delta")

    delta = Number("The error from which the loss is a straight line, above 0.")

    def __init__(self, reduction: str = "sum", delta: float = 1.0) -> None:
        self._set(reduction, delta)


class SmoothL1(BuiltinLoss):
    """The absolute error, made smooth within `beta`: `Huber` divided by that.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    beta : float, optional
        The error up to which the loss is a parabola, at least 0.

    Examples
    --------
    >>> SmoothL1(beta=2.0).loss([1.0, 2.0], [2.0, 5.0])
    2.25
    """

    _name = "smooth_l1"
    _shown: tuple[str, ...] = ("reduction", "beta")

    beta = Number("The error up to which the loss is a parabola, at least 0.")

    def __init__(self, reduction: str = "sum", beta: float = 1.0) -> None:
        self._set(reduction, beta)


class LogCosh(BuiltinLoss):
    """The sum of log cosh of the errors: parabolas, and far away straight lines.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.

    Examples
    --------
    >>> LogCosh().loss([1.0, 1000.0], [1.0, 0.0])
    999.3068528194401
    """

    _name = "log_cosh"


class AbsolutePercentageError(BuiltinLoss):
    """The absolute errors in per cent of the targets.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    epsilon : float, optional
        The least that an error is divided by, at least 0.

    Examples
    --------
    >>> AbsolutePercentageError().loss([1.0, 3.0], [1.0, 4.0])
    25.0
    """

    _name = "absolute_percentage_error"
    _shown: tuple[str, ...] = ("reduction", "epsilon")

    epsilon = Number("The least that an error is divided by, at least 0.")

    def __init__(self, reduction: str = "sum", epsilon: float = 1e-7) -> None:
        self._set(reduction, epsilon)


class SquaredLogarithmicError(BuiltinLoss):
    """The squared differences of ``log(1 + x)`` of predictions and targets.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    epsilon : float, optional
        What smaller predictions and targets are taken for, at least 0.

    Examples
    --------
    >>> SquaredLogarithmicError().loss([0.5, 3.0], [0.5, 3.0])
    0.0
    """

    _name = "squared_logarithmic_error"
    _shown: tuple[str, ...] = ("reduction", "epsilon")

    epsilon = Number("What smaller predictions and targets are taken for, at least 0.")

    def __init__(self, reduction: str = "sum", epsilon: float = 1e-7) -> None:
        self._set(reduction, epsilon)


class BinaryCrossEntropy(BuiltinLoss):
    """The negative log likelihood of yes and no; a prediction is the probability of yes.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    epsilon : float, optional
        What predictions are kept away from 0 and 1 by.
    label_smoothing : float, optional
        How far targets are moved towards 1/2, 0 to 1.

    Examples
    --------
    >>> round(BinaryCrossEntropy().loss([0.9, 0.2], [1.0, 0.0]), 6)
    0.328504
    """

    _name = "binary_cross_entropy"
    _shown: tuple[str, ...] = ("reduction", "epsilon", "label_smoothing")

    epsilon = Number("What predictions are kept away from 0 and 1 by.")
    label_smoothing = Smoothing()

    def __init__(
        self, reduction: str = "sum", epsilon: float = 1e-7, label_smoothing: float = 0.0
    ) -> None:
        self._set(reduction, epsilon, label_smoothing)


class BinaryCrossEntropyClamped(BuiltinLoss):
    """As `BinaryCrossEntropy`, but with logarithms of at least -100, as PyTorch has it.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    label_smoothing : float, optional
        How far targets are moved towards 1/2, 0 to 1.

    Examples
    --------
    >>> BinaryCrossEntropyClamped().loss([1.0, 0.0], [1.0, 1.0])
    100.0
    """

    _name = "binary_cross_entropy_clamped"
    _shown: tuple[str, ...] = ("reduction", "label_smoothing")

    label_smoothing = Smoothing()

    def __init__(self, reduction: str = "sum", label_smoothing: float = 0.0) -> None:
        self._set(reduction, None, label_smoothing)


class BinaryCrossEntropyLogits(BuiltinLoss):
    """As `BinaryCrossEntropy`, of the sigmoid of what is predicted; nothing overflows.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    positive_weight : float, optional
        What the losses of targets of yes are multiplied by, at least 0.
    label_smoothing : float, optional
        How far targets are moved towards 1/2, 0 to 1.

    Examples
    --------
    >>> BinaryCrossEntropyLogits().loss([1000.0, -1000.0], [0.0, 0.0])
    1000.0
    """

    _name = "binary_cross_entropy_logits"
    _shown: tuple[str, ...] = ("reduction", "positive_weight", "label_smoothing")

    positive_weight = Number("What the losses of targets of yes are multiplied by, at least 0.")
    label_smoothing = Smoothing()

    def __init__(
        self, reduction: str = "sum", positive_weight: float = 1.0, label_smoothing: float = 0.0
    ) -> None:
        self._set(reduction, positive_weight, label_smoothing)


class Poisson(BuiltinLoss):
    """``p - t log(p + epsilon)``: how unlikely counts t are where p are expected.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    epsilon : float, optional
        What is added to a prediction before its logarithm, at least 0.

    Examples
    --------
    >>> Poisson(epsilon=0.0).loss([1.0, 2.0], [3.0, 0.0])
    3.0
    """

    _name = "poisson"
    _shown: tuple[str, ...] = ("reduction", "epsilon")

    epsilon = Number("What is added to a prediction before its logarithm, at least 0.")

    def __init__(self, reduction: str = "sum", epsilon: float = 1e-7) -> None:
        self._set(reduction, epsilon)


class KLDivergence(BuiltinLoss):
    """``t log(t / p)``, the divergence of Kullback and Leibler of two distributions.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    epsilon : float, optional
        What predictions and targets are kept away from 0 by.

    Examples
    --------
    >>> KLDivergence().loss([0.5, 0.5], [0.5, 0.5])
    0.0
    """

    _name = "kl_divergence"
    _shown: tuple[str, ...] = ("reduction", "epsilon")

    epsilon = Number("What predictions and targets are kept away from 0 by.")

    def __init__(self, reduction: str = "sum", epsilon: float = 1e-7) -> None:
        self._set(reduction, epsilon)


class Hinge(BuiltinLoss):
    """``max(1 - t p, 0)`` for targets of 1 and -1; a 0 is taken for -1.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.

    Examples
    --------
    >>> Hinge().loss([0.5, 2.0], [1.0, -1.0])
    3.5
    """

    _name = "hinge"


class SquaredHinge(BuiltinLoss):
    """``max(1 - t p, 0) ** 2`` for targets of 1 and -1; a 0 is taken for -1.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.

    Examples
    --------
    >>> SquaredHinge().loss([0.5, 2.0], [1.0, -1.0])
    9.25
    """

    _name = "squared_hinge"


class CategoricalHinge(BuiltinLoss):
    """How far the best wrong class is from being 1 below the right one.

    Targets are one-hot rows or class numbers, as for `SoftmaxCrossEntropy`.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    label_smoothing : float, optional
        How much of each target is spread evenly over the classes, 0 to 1.

    Examples
    --------
    >>> CategoricalHinge().loss([2.0, 1.5, 0.0], 0)
    0.5
    """

    _name = "categorical_hinge"
    _shown: tuple[str, ...] = ("reduction", "label_smoothing")

    label_smoothing = Smoothing()

    def __init__(self, reduction: str = "sum", label_smoothing: float = 0.0) -> None:
        self._set(reduction, None, label_smoothing)


class CategoricalCrossEntropy(BuiltinLoss):
    """The negative log likelihood of what was right; predictions are probabilities.

    They are divided by their sum. Targets are as for `SoftmaxCrossEntropy`, which is more exact
    where it can be used.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    epsilon : float, optional
        What predictions are kept away from 0 and 1 by.
    label_smoothing : float, optional
        How much of each target is spread evenly over the classes, 0 to 1.

    Examples
    --------
    >>> loss = CategoricalCrossEntropy()
    >>> loss.loss([0.5, 0.5], 0) == loss.loss([3.0, 3.0], [1.0, 0.0])
    True
    """

    _name = "categorical_cross_entropy"
    _shown: tuple[str, ...] = ("reduction", "epsilon", "label_smoothing")

    epsilon = Number("What predictions are kept away from 0 and 1 by.")
    label_smoothing = Smoothing()

    def __init__(
        self, reduction: str = "sum", epsilon: float = 1e-7, label_smoothing: float = 0.0
    ) -> None:
        self._set(reduction, epsilon, label_smoothing)


class NegativeLogLikelihood(BuiltinLoss):
    """The same of logarithms of probabilities, as `LogSoftmax` gives them.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    label_smoothing : float, optional
        How much of each target is spread evenly over the classes, 0 to 1.

    Examples
    --------
    >>> NegativeLogLikelihood().loss([-0.25, -1.5], 1)
    1.5
    """

    _name = "negative_log_likelihood"
    _shown: tuple[str, ...] = ("reduction", "label_smoothing")

    label_smoothing = Smoothing()

    def __init__(self, reduction: str = "sum", label_smoothing: float = 0.0) -> None:
        self._set(reduction, None, label_smoothing)


class CosineSimilarity(BuiltinLoss):
    """Minus the cosine of the angle between a prediction and its target.

    Parameters
    ----------
    reduction : {"sum", "mean", "mean_of_elements", "mean_by_weight"}, optional
        The sum over the samples of a batch, or a mean: see `SSE`.
    epsilon : float, optional
        The least that a length is taken for, at least 0.

    Examples
    --------
    >>> CosineSimilarity().loss([1.0, 0.0], [3.0, 0.0])
    -1.0
    """

    _name = "cosine_similarity"
    _shown: tuple[str, ...] = ("reduction", "epsilon")

    epsilon = Number("The least that a length is taken for, at least 0.")

    def __init__(self, reduction: str = "sum", epsilon: float = 1e-7) -> None:
        self._set(reduction, epsilon)


# The class of each loss of the library, by its name there.
CLASSES: Mapping[str, type[BuiltinLoss]] = {
    cls._name: cls for cls in (globals()[name] for name in __all__ if name != "Loss")
}
