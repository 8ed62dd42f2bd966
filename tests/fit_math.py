"""Where the coefficients in csrc/kernels/vecmath.h and activations.h come from.

    python tests/fit_math.py

The tests do not run this; it needs mpmath and some minutes. It prints each polynomial as C
constants, lowest power first, with the largest error that the polynomial itself (exact arithmetic,
rounded coefficients) brings into the function, in units of 2^-24 of the result for float and 2^-53
for double.

Method: Remez's exchange, one point at a time, on a grid of Chebyshev points, with a weight that
makes the error one relative to the function's value. Coefficients are rounded one by one from the
lowest power on; after each rounding those that are left are fitted again, which takes up most of
what the rounding did.
"""

from bisect import bisect

from mpmath import (
    atanh,
    cos,
    erfc,
    exp,
    expm1,
    frexp,
    ldexp,
    log,
    log1p,
    lu_solve,
    matrix,
    mp,
    mpf,
    nint,
    pi,
    polyval,
    sqrt,
    tanh,
)

mp.prec = 200
GRID = 600
SLACK = 1 + mpf(2) ** -12  # the reduced argument passes its bound a little by rounding


def rounded(value, bits):
    """`value` rounded to `bits` significant bits."""
    mantissa, exponent = frexp(value)
    return ldexp(nint(ldexp(mantissa, bits)), exponent - bits)


def remez(points, values, weights, terms):
    """The polynomial of `terms` coefficients nearest to the values on the points.

    Nearest: the largest |weight (value - polynomial)| is as small as can be.
    """
    last = len(points) - 1
    chosen = [last * i // terms for i in range(terms + 1)]
    while True:
        system = matrix(terms + 1, terms + 1)
        for row, i in enumerate(chosen):
            for k in range(terms):
                system[row, k] = points[i] ** k
            system[row, terms] = (-1) ** row / weights[i]
        solution = lu_solve(system, matrix([values[i] for i in chosen]))
        coefficients, level = list(solution[:terms]), abs(solution[terms])
        errors = [
            w * (v - polyval(coefficients[::-1], x))
            for x, v, w in zip(points, values, weights, strict=True)
        ]
        worst = max(range(len(points)), key=lambda i: abs(errors[i]))
        if abs(errors[worst]) <= level * mpf("1.001"):
            return coefficients
        # The worst point comes in for a neighbour of its sign, or at an end for the other end.
        place = bisect(chosen, worst)
        if place > 0 and errors[chosen[place - 1]] * errors[worst] > 0:
            chosen[place - 1] = worst
        elif place <= terms and errors[chosen[place]] * errors[worst] > 0:
            chosen[place] = worst
        elif place == 0:
            chosen = [worst, *chosen[:-1]]
        else:
            chosen = [*chosen[1:], worst]


def fit(function, weight, low, high, terms, bits, first_bits=None):
    """Coefficients for function(x) on [low, high], rounded to `bits` significant bits.

    The first one to `first_bits` if given. Returned with their largest weighted error.
    """
    angles = [pi * (2 * i + 1) / (2 * GRID) for i in range(GRID)]
    points = [(low + high) / 2 - (high - low) / 2 * cos(angle) for angle in angles]
    values = [function(x) for x in points]
    weights = [abs(weight(x)) for x in points]
    fixed = []
    for k in range(terms):
        rest = [
            (v - polyval(fixed[::-1] or [0], x)) / x**k for x, v in zip(points, values, strict=True)
        ]
        heavy = [w * abs(x) ** k for x, w in zip(points, weights, strict=True)]
        kept = first_bits if first_bits and k == 0 else bits
        fixed.append(rounded(remez(points, rest, heavy, terms - k)[0], kept))
    worst = max(
        w * abs(v - polyval(fixed[::-1], x))
        for x, v, w in zip(points, values, weights, strict=True)
    )
    return fixed, worst


def show(what, function, weight, low, high, terms, bits, first_bits=None):
    """Print a polynomial; a first coefficient of more bits in two parts."""
    coefficients, worst = fit(function, weight, mpf(low), mpf(high), terms, bits, first_bits)
    print(f"{what}: {float(ldexp(worst, bits)):.3f}")
    high = rounded(coefficients[0], bits)
    if high != coefficients[0]:
        coefficients[:1] = [high, rounded(coefficients[0] - high, bits)]
    for c in coefficients:
        mantissa, exponent = float(c).hex().split("p")
        digits = mantissa.rstrip("0").rstrip(".")
        print(f"    {digits}p{exponent}" + ("f" if bits == 24 else ""))


def show_exp():
    most = log(2) / 2 * SLACK

    def rest(r):
        return (expm1(r) - r) / r**2

    def weight(r):
        return r**2 / exp(r)

    show("float exp, (e^r - 1 - r) / r^2", rest, weight, -most, most, 5, 24)
    show("double exp, (e^r - 1 - r) / r^2", rest, weight, -most, most, 10, 53)


def show_log():
    def rest(f):
        return (log1p(f) - f) / f**2

    def weight(f):
        return f**2 / log1p(f)

    show("float log, (log(1 + f) - f) / f^2", rest, weight, mpf(-1) / 3, mpf(1) / 3, 9, 24)

    def odd_rest(z):
        s = sqrt(z)
        return 2 * (atanh(s) / s - 1) / z

    def odd_weight(z):
        s = sqrt(z)
        return s * z / (2 * atanh(s))

    most = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2
    show(
        "double log, (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2",
        odd_rest,
        odd_weight,
        0,
        most,
        7,
        53,
    )


def show_tanh():
    turn = mpf("0.55078125")  # where tanh is a little more than 1/2

    def near(z):
        x = sqrt(z)
        return (tanh(x) - x) / x**3

    def near_weight(z):
        x = sqrt(z)
        return x**3 / tanh(x)

    show("float tanh, (tanh x - x) / x^3 in x^2", near, near_weight, 0, turn**2, 4, 24)

    def far(r):
        return expm1(-2 * r) / r

    def far_weight(r):
        n = 2 if log(2) + r >= turn else 3  # the least n that comes with r
        e = exp(-2 * r) / 2**n
        tanh_error = 2 * e / (1 + e) ** 2  # of a relative error of e
        return r / exp(-2 * r) * tanh_error

    most = log(2) / 4 * SLACK
    show("float tanh, (e^-2r - 1) / r", far, far_weight, -most, most, 5, 24)


def show_gelu():
    def show_tail(what, middle, most, terms, bits):
        def tail(s):
            a = middle * (1 + s) / (1 - s)
            return erfc(a / sqrt(2)) / 2 * exp(a * a / 2) * (1 + mpf("1.25") * a)

        high = (most - middle) / (most + middle)
        show(what, tail, lambda s: 1 / tail(s), -1, high, terms, bits, 2 * bits)

    show_tail("float gelu, G in s", mpf("2.5"), mpf("14.7"), 11, 24)
    show_tail("double gelu, G in s", mpf(4), mpf("38.8"), 25, 53)


if __name__ == "__main__":
    show_exp()
    show_log()
    show_tanh()
    show_gelu()
