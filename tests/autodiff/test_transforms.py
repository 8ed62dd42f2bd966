"""Gradients as functions of functions."""

import itertools

import numpy as np
import pytest
from deepc import Linear, Sequential, SoftmaxCrossEntropy, Tanh
from deepc import autodiff as ad
from deepc.autodiff import Tensor

A = np.array([1.0, 2.0, 3.0])


def cube(x):
    return x**3


def test_gradients_of_gradients():
    assert ad.grad(cube)(2.0) == 12
    assert ad.grad(ad.grad(cube))(2.0) == 12
    assert ad.grad(ad.grad(ad.grad(cube)))(2.0) == 6


def test_derivatives_inside_derivatives_are_not_confused():
    assert ad.grad(lambda x: x * ad.grad(lambda y: x + y)(x))(5.0) == 1
    assert ad.grad(lambda x: ad.grad(lambda y: y * (x - y))(x))(1.0) == -1
    # The inner function sees x from outside only: its gradient depends on x all the same.
    assert ad.grad(lambda x: ad.grad(lambda y: x * y * y)(2.0))(5.0) == 4


def test_kinds_are_kept():
    assert isinstance(ad.grad(cube)(2.0), float)
    assert isinstance(ad.grad(lambda x: (x * x).sum())(A), np.ndarray)
    assert isinstance(ad.grad(lambda x: (x * x).sum())(Tensor(A)), Tensor)
    assert ad.grad(lambda x: (x * x).sum())(A.astype(np.float32)).dtype == np.float32


def test_structures_and_argnums():
    def f(parameters, x):
        return (parameters["w"] * x + parameters["b"][0]).sum()

    parameters = {"w": A, "b": (np.array(1.0), None)}
    by_parameters, by_x = ad.grad(f, (0, 1))(parameters, A)
    assert by_parameters["w"].tolist() == A.tolist()
    assert by_parameters["b"][0] == 3
    assert by_parameters["b"][1] is None
    assert by_x.tolist() == A.tolist()
    (value, aux), g = ad.value_and_grad(lambda x: ((x * x).sum(), "aux"), has_aux=True)(A)
    assert (value, aux, g.tolist()) == (14, "aux", [2, 4, 6])


def test_vjp_jvp_jacobian_hessian_hvp_agree():
    def f(x):
        return ad.stack([x[0] * x[1], ad.sin(x[2]), x[0] * x[2] * x[2]])

    jacobian = ad.jacobian(f)(A)
    want = [[2, 1, 0], [0, 0, np.cos(3)], [9, 0, 6]]
    np.testing.assert_allclose(jacobian, want)
    value, pullback = ad.vjp(f, A)
    np.testing.assert_allclose(value, [2, np.sin(3), 9])
    np.testing.assert_allclose(pullback(np.array([1.0, 2.0, 3.0]))[0], [1, 2, 3] @ jacobian)
    value, tangent = ad.jvp(f, (A,), (np.array([1.0, -1.0, 2.0]),))
    np.testing.assert_allclose(tangent, jacobian @ [1, -1, 2])

    def g(x):
        return (f(x) * f(x)).sum()

    hessian = ad.hessian(g)(A)
    np.testing.assert_allclose(hessian, hessian.T)
    v = np.array([0.5, 1.0, -1.0])
    np.testing.assert_allclose(ad.hvp(g, A, v), hessian @ v)
    np.testing.assert_allclose(ad.hvp(g, (A,), (v,))[0], hessian @ v)
    assert ad.jacobian(lambda x: x * 2)(2.0) == 2


def test_jvp_of_several_arguments_and_of_a_linear_function():
    _, tangent = ad.jvp(lambda a, b: a * b, (A, A), (np.ones(3), 2 * np.ones(3)))
    np.testing.assert_allclose(tangent, 3 * A)
    np.testing.assert_allclose(ad.jvp(lambda x: x * 2, (A,), (A,))[1], 2 * A)


def test_gradients_leave_grad_alone_and_visit_only_what_leads_there():
    x, z = Tensor(A, requires_grad=True), Tensor(A, requires_grad=True)
    called = []
    side = z * 2
    side.register_hook(called.append)
    h = x * x
    y = (h + side).sum()
    by_x, by_h = ad.gradients(y, [x, h])
    assert (by_x.tolist(), by_h.tolist()) == ([2, 4, 6], [1, 1, 1])
    assert called == []
    assert x.grad is None


def test_what_nothing_depends_on():
    x, z = Tensor(A, requires_grad=True), Tensor(A, requires_grad=True)
    y = (x * x).sum()
    assert ad.gradients(y, z) is None
    assert ad.gradients(y, {"z": z}, unused="zeros")["z"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"no gradient at place 0, shape \(3,\)"):
        ad.gradients(y, [z], unused="raise")


def test_the_same_x_twice_gives_arrays_of_their_own():
    x = Tensor(A, requires_grad=True)
    first, second = ad.gradients((x * x).sum(), [x, x])
    first += 1
    assert second.tolist() == [2, 4, 6]


def test_gradients_inside_no_grad():
    with ad.no_grad():
        assert ad.grad(cube)(2.0) == 12


def test_scalars_too():
    a = ad.Scalar(3.0)
    (g,) = ad.gradients(a * a * a, [a], create_graph=True)
    assert g.data == 27
    assert ad.gradients(g, a) == 18


def test_scalar_added_to_a_tensor_in_a_pass_that_makes_a_graph():
    s, t = ad.Scalar(2.0), Tensor(A, True)
    by_s, by_t = ad.gradients([t + s], [s, t], seeds=[[1.0, 2.0, 4.0]], create_graph=True)
    assert by_s.data == 7
    assert by_t.data.tolist() == [1, 2, 4]


def test_check_gradients_finds_a_wrong_one():
    def wrong(x):
        from deepc._c import tape

        return tape.record("wrong", lambda g, y, i, c: (g * 2.0,), x.data * 3, (x,), None)

    with pytest.raises(AssertionError, match=r"input 0, element \(0,\): the gradient is"):
        ad.check_gradients(wrong, A)


def test_check_gradients_of_layers_and_losses():
    net = Sequential(
        [Linear(3, 4, dtype="float64", rng=1), Tanh(), Linear(4, 2, dtype="float64", rng=2)]
    )
    assert ad.check_gradients(net, A) < 1e-8
    assert ad.check_gradients(SoftmaxCrossEntropy(), [[0.5, 1.0]], [1]) < 1e-8


def test_physics_informed_step_is_right():
    """u'' + u = 0 by a 1-8-8-1 tanh network: gradients of third order, against differences."""
    rng = np.random.default_rng(0)
    sizes = [1, 8, 8, 1]
    parameters = [rng.standard_normal(s) for i, o in itertools.pairwise(sizes)
                  for s in ((i, o), (o,))]  # fmt: skip
    points = np.linspace(0, 1, 16)[:, None]

    def network(ps, t):
        for i in range(0, len(ps), 2):
            t = ad.linear(t, ps[i], ps[i + 1], "tanh" if i + 2 < len(ps) else None)
        return t

    def loss(*ps):
        t = Tensor(points, requires_grad=True)
        u = network(ps, t)
        first = ad.gradients(u, t, np.ones(u.shape), create_graph=True)
        second = ad.gradients(first, t, np.ones(u.shape), create_graph=True)
        return ((second + u) ** 2).mean()

    assert ad.check_gradients(loss, *parameters, tolerance=1e-5) < 1e-6
