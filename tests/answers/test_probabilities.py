"""Softmax and sigmoid against double precision, and at values where the plain formulas overflow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from visus.answers.probabilities import BLOCK, sigmoid, softmax


def test_sigmoid_in_double_precision() -> None:
    logits = np.random.default_rng(0).normal(0, 20, (3, BLOCK // 2, 1)).astype(np.float32)  # more than one block
    before = logits.copy()
    exact = 1 / (1 + np.exp(-logits.astype(np.float64)))
    found = sigmoid(logits)
    assert found.dtype == np.float32
    assert found.shape == logits.shape
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-30)
    np.testing.assert_array_equal(logits, before)


def test_sigmoid_far_out() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = sigmoid(np.array([-1e30, -200, -30, 0, 30, 200, 1e30], np.float32))
    expected = [0, 0, math.exp(-30), 0.5, 1, 1, 1]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert math.isnan(sigmoid(np.array([math.nan], np.float32))[0])


def test_sigmoid_of_a_view_and_of_nothing() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    view = values[:, 1:, ::2]
    np.testing.assert_array_equal(sigmoid(view), sigmoid(view.copy()))
    assert sigmoid(np.zeros((0, 5), np.float32)).shape == (0, 5)


def test_softmax_in_double_precision() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (4, 7, 5)).astype(np.float32)
    shares = np.exp(logits.astype(np.float64))
    for axis in (0, 1, 2):
        exact = shares / shares.sum(axis, keepdims=True)
        np.testing.assert_allclose(softmax(logits, axis), exact, rtol=1e-5, atol=1e-30)


def test_softmax_far_out() -> None:
    with np.errstate(over="raise", invalid="raise"):
        found = softmax(np.array([[1e30, 0, -1e30], [3e38, 3e38, 0]], np.float32))
    assert found.tolist() == [[1, 0, 0], [0.5, 0.5, 0]]
