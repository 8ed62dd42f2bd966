#!/usr/bin/env python3
"""How well the two MNIST programs that beginners of Keras know do with deepc, over several seeds.

The first is the opening example of Chollet's book, the second that of TensorFlow's beginners. Each
runs as its readers type it, with the imports changed and a seed set; what is measured is the
accuracy on the 10,000 test images.

    python bench/mnist_programs.py FOLDER            three seeds of each, with the files in FOLDER
    python bench/mnist_programs.py FOLDER --peers    and with Keras itself, where it is installed
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

# Name, and what the best and the worst of the seeds must reach.
AIMS = {"784-512-10 rmsprop, batch 128": (0.98, 0.974), "784-128-10 adam": (0.975, 0.969)}
EPOCHS = 5


def book(keras: Any, data: Any) -> Any:
    """Return the trained model of the book, and its test images."""
    (train_images, train_labels), (test_images, _) = data
    train_images = train_images.reshape((60000, 28 * 28))
    train_images = train_images.astype("float32") / 255
    test_images = test_images.reshape((10000, 28 * 28))
    test_images = test_images.astype("float32") / 255
    layers = keras.layers
    model = keras.Sequential(
        [layers.Dense(512, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_images, train_labels, epochs=EPOCHS, batch_size=128, verbose=0)
    return model, test_images


def beginners(keras: Any, data: Any) -> Any:
    """Return the trained model of the beginners' page, and its test images."""
    (train_images, train_labels), (test_images, _) = data
    train_images, test_images = train_images / 255.0, test_images / 255.0
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_images, train_labels, epochs=EPOCHS, verbose=0)
    return model, test_images


def run(keras: Any, data: Any, seeds: int, who: str) -> bool:
    """Print a line for each program and seed; return whether the aims are reached."""
    reached = True
    for (name, (best, worst)), program in zip(AIMS.items(), (book, beginners), strict=True):
        found = []
        for seed in range(seeds):
            keras.utils.set_random_seed(seed)
            start = time.perf_counter()
            model, images = program(keras, data)
            seconds = time.perf_counter() - start
            accuracy = model.evaluate(images, data[1][1], verbose=0)[1]
            found.append(accuracy)
            print(f"{who}, {name}, seed {seed}: {accuracy:.2%} in {seconds:.1f} s", flush=True)
        good = max(found) >= best and min(found) >= worst
        reached = reached and good
        print(f"{who}, {name}: best {max(found):.2%} (aim {best:.1%}), worst {min(found):.2%} "
              f"(aim {worst:.1%}){'' if good else ': MISSED'}", flush=True)  # fmt: skip
    return reached


def main() -> int:
    """Run what is asked for; return 1 where an aim is missed by deepc."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", help="the four IDX files of MNIST")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="how many (default 3)")
    parser.add_argument("--peers", action="store_true", help="Keras on JAX too, if installed")
    given = parser.parse_args()

    from deepc import keras

    data = keras.datasets.mnist.load_data(given.folder)
    reached = run(keras, data, given.seeds, "deepc")
    if given.peers:
        os.environ.setdefault("KERAS_BACKEND", "jax")
        try:
            import keras as theirs
        except ImportError as error:
            print(f"Keras: left out, {error}")
        else:
            run(
                theirs,
                data,
                given.seeds,
                f"Keras {theirs.__version__} on {theirs.backend.backend()}",
            )
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
