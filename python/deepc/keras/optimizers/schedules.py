"""Learning rates that change with the steps, by Keras' names for them."""

from __future__ import annotations

from typing import Any

from deepc._values import Array, missing
from deepc.training import schedules

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]


class LearningRateSchedule(schedules.Schedule):
    """A learning rate for each step. Subclass it and define ``__call__(step)``."""

    _made: schedules.Schedule
    _config: dict[str, Any]

    def rates(self, steps: Any) -> Array:
        """Return the rates of some steps, float64."""
        if not hasattr(self, "_made"):
            import numpy as np

            return np.array([float(self(int(step))) for step in steps], np.float64)
        return self._made.rates(steps)

    def decided_by(self) -> dict[str, Any] | None:
        """Return all that decides the rate of a step, None where that is not known."""
        known = type(self).__module__ == __name__ and hasattr(self, "_made")
        return self._made.decided_by() if known else None

    def __call__(self, step: Any) -> float:
        """Return the rate of one step, the number of steps before it."""
        if not hasattr(self, "_made"):
            raise NotImplementedError(
                f"Learning rate schedule '{type(self).__name__}' must override `__call__(self, "
                "step)`."
            )
        return self._made(step)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make it anew."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """Make one from such arguments."""
        return cls(**config)


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate**(step / decay_steps)``.

    Examples
    --------
    >>> ExponentialDecay(0.1, 10, 0.5)(10)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self._config = {
            "initial_learning_rate": initial_learning_rate, "decay_steps": decay_steps,
            "decay_rate": decay_rate, "staircase": staircase, "name": name,
        }  # fmt: skip
        self._made = schedules.Exponential(
            initial_learning_rate, decay_steps, decay_rate, staircase
        )


class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self._config = {
            "initial_learning_rate": initial_learning_rate, "decay_steps": decay_steps,
            "decay_rate": decay_rate, "staircase": staircase, "name": name,
        }  # fmt: skip
        self._made = schedules.InverseTime(
            initial_learning_rate, decay_steps, decay_rate, staircase
        )


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[i]`` up to and with step ``boundaries[i]``."""

    def __init__(self, boundaries: Any, values: Any, name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. Received: "
                f"boundaries={boundaries} of length {len(boundaries)}, and values={values} of "
                f"length {len(values)}."
            )
        self._config = {"boundaries": boundaries, "values": values, "name": name}
        self._made = schedules.Piecewise(boundaries, values)


class PolynomialDecay(LearningRateSchedule):
    """From one rate to another along ``(1 - step / decay_steps)**power``."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self._config = {
            "initial_learning_rate": initial_learning_rate, "decay_steps": decay_steps,
            "end_learning_rate": end_learning_rate, "power": power, "cycle": cycle, "name": name,
        }  # fmt: skip
        self._made = schedules.Polynomial(
            initial_learning_rate, decay_steps, end_learning_rate, power, cycle
        )


class CosineDecay(LearningRateSchedule):
    """Half a wave down, after a warm-up if there is one."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self._config = {
            "initial_learning_rate": initial_learning_rate, "decay_steps": decay_steps,
            "alpha": alpha, "name": name, "warmup_target": warmup_target,
            "warmup_steps": warmup_steps,
        }  # fmt: skip
        self._made = schedules.Cosine(
            initial_learning_rate, decay_steps, alpha, warmup_target, warmup_steps
        )


class CosineDecayRestarts(LearningRateSchedule):
    """Half waves down, each longer and lower than the one before."""

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self._config = {
            "initial_learning_rate": initial_learning_rate,
            "first_decay_steps": first_decay_steps, "t_mul": t_mul, "m_mul": m_mul,
            "alpha": alpha, "name": name,
        }  # fmt: skip
        self._made = schedules.CosineRestarts(
            initial_learning_rate, first_decay_steps, t_mul, m_mul, alpha
        )


__getattr__ = missing("deepc.keras.optimizers.schedules", __all__)
