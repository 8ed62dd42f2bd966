"""The sizes at which kernels change their ways: one list for all tests.

Vectors hold 1 to 16 elements, loops take up to 4 of them at once, sums run in 16 lanes; so every
size up to 17 and those around the multiples of 16 up to 128 take different ways through a kernel.
Products are cut at 256 terms, sums at 4096.
"""

SMALL = [*range(18), 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129]
BLOCKS = [255, 256, 257, 511, 512, 513, 1000]
LONG = [4095, 4096, 4097, 8192 + 5]
EDGES = SMALL + BLOCKS + LONG

# (m, n, k): vectors and outer products; register tiles of up to 14 rows and 4 vectors, their edges;
# several blocks of k; and sizes from which operands are packed, whole and with edges.
PRODUCTS = [
    (0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1),
    (1, 5, 7), (1, 64, 300), (1, 129, 33), (1, 33, 1000), (5, 1, 7), (64, 1, 300), (33, 1, 1000),
    (2, 17, 9), (3, 10, 30), (7, 16, 5), (6, 33, 12), (8, 8, 8), (13, 31, 17), (14, 32, 64),
    (15, 33, 65), (16, 48, 256), (17, 65, 257), (29, 49, 3), (64, 10, 784), (10, 784, 64),
    (2, 300, 513), (300, 2, 513), (200, 200, 40), (201, 233, 257), (225, 210, 300),
]  # fmt: skip
