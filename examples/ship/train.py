"""Train a network on handwritten digits; write it, and the digits it has not seen, for main.c."""

import sys
from pathlib import Path

import deepc
from deepc.datasets import digits

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
data = digits()
net = deepc.Sequential(
    [deepc.Linear(data.train_x.shape[1], 30, rng=1), deepc.Tanh(), deepc.Linear(30, 10, rng=2)]
)
loss, optimizer = deepc.SoftmaxCrossEntropy(), deepc.Momentum(0.05)
deepc.fit(net, data.train_x, data.train_y, loss=loss, optimizer=optimizer, epochs=5, rng=0,
          shuffle=True)  # fmt: skip
deepc.save(net, folder / "digits.safetensors")
# The file can go on training: with what the optimizer remembers now, to the bit.
deepc.export_c(net, folder / "digits_net.c", train=optimizer, loss=loss)

rows = data.test_x[:200]
(folder / "rows.bin").write_bytes(rows.tobytes() + data.test_y[:200].astype("i4").tobytes())
right = (net.forward(rows).argmax(axis=1) == data.test_y[:200]).sum()
print(f"Python: {right} of 200 right")
