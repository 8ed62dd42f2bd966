"""The kernels over NumPy arrays, and nothing else.

float32 and float64 arrays are computed in their own dtype, everything else in float64. The GIL is
released while they run; large work is split over threads, which does not change a bit of the
result.
"""

from deepc._native import exp, log, matmul, relu, sigmoid, softmax, tanh

__all__ = ["exp", "log", "matmul", "relu", "sigmoid", "softmax", "tanh"]
