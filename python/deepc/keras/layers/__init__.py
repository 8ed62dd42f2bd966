"""Layers by the names that Keras has for them.

Each is made of layers of deepc as soon as it knows the shape of its input, and shows their arrays:
a `Dense` is a `deepc.Linear` and an activation. A model puts all of them into one network; shapes
are a matter of this face, the network computes rows.
"""

from __future__ import annotations

from deepc._values import missing
from deepc.keras.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from deepc.keras.layers.base import MODELS, Layer, run_rows
from deepc.keras.layers.core import ActivityRegularization, Dense, Embedding, Identity, Lambda
from deepc.keras.layers.inputs import Input, InputLayer
from deepc.keras.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from deepc.keras.layers.normalization import (
    BatchNormalization,
    LayerNormalization,
    Normalization,
    Rescaling,
)
from deepc.keras.layers.places import InputSpec, KerasTensor, Shape, as_shape
from deepc.keras.layers.regularization import Dropout, GaussianDropout, GaussianNoise
from deepc.keras.layers.reshaping import Flatten, Reshape

__all__ = [
    "Input", "InputLayer", "InputSpec", "KerasTensor", "Layer", "MODELS", "Shape", "add",
    "as_shape", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "run_rows",
    "subtract", "Dense", "Embedding", "Identity", "Activation", "ELU", "LeakyReLU", "PReLU", "ReLU",
    "Softmax", "Dropout", "GaussianNoise", "GaussianDropout", "Flatten", "Reshape", "Rescaling",
    "Normalization", "BatchNormalization", "LayerNormalization", "Add", "Subtract", "Multiply",
    "Average", "Maximum", "Minimum", "Concatenate", "Dot", "ActivityRegularization", "Lambda",
]  # fmt: skip

_CLASSES: list[type[Layer]] = [
    Dense, Activation, ReLU, LeakyReLU, ELU, Softmax, Identity, PReLU, Dropout, GaussianNoise,
    GaussianDropout, Flatten, Reshape, Rescaling, Normalization, BatchNormalization,
    LayerNormalization, Embedding, InputLayer, Add, Subtract, Multiply, Average, Maximum, Minimum,
    Concatenate, Dot, ActivityRegularization,
]  # fmt: skip
CLASSES: dict[str, type[Layer]] = {cls.__name__: cls for cls in _CLASSES}

_IMAGES = "layers.Flatten and layers.Dense: images are rows of pixels here"
_STEPS = "layers.Flatten and layers.Dense: there are no layers over time"
_LEFT_OUT = {
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D",
         "MaxPooling2D", "MaxPool2D", "AveragePooling2D", "GlobalAveragePooling2D",
         "GlobalMaxPooling2D", "UpSampling2D", "ZeroPadding2D", "RandomFlip", "RandomRotation",
         "RandomZoom", "Resizing", "CenterCrop"),
        _IMAGES,
    ),
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "Attention",
         "MultiHeadAttention", "GlobalAveragePooling1D", "MaxPooling1D", "Masking"),
        _STEPS,
    ),
    "GroupNormalization": "layers.LayerNormalization",
    "UnitNormalization": "layers.LayerNormalization",
    "AlphaDropout": "layers.Dropout",
    "SpatialDropout1D": "layers.Dropout",
}  # fmt: skip

__getattr__ = missing("deepc.keras.layers", __all__, _LEFT_OUT)
