"""The loss of the vector [p_c, b_x, b_y, b_h, b_w, c]: by hand, without an object, and the coding of boxes."""

import numpy as np
import pytest
import torch

from visus.losses.localization import logistic_vector_loss, squared_vector_loss, to_fractions

LOSSES = (squared_vector_loss, logistic_vector_loss)


def arguments(there: float, weight: float = 1.0):
    """One image: the network says (0.8, box 0.5 0.6 0.3 0.4, classes 0.1 0.7 0.2), the truth is class 1."""
    return (
        torch.tensor([0.8]),
        torch.tensor([[0.5, 0.6, 0.3, 0.4]]),
        torch.tensor([[0.1, 0.7, 0.2]]),
        (torch.tensor([there]), torch.tensor([[0.5, 0.7, 0.3, 0.4]]), torch.tensor([1])),
        torch.tensor([weight]),
    )


def test_squared_error_by_hand() -> None:
    terms = squared_vector_loss(*arguments(1.0))
    assert terms["presence"] == pytest.approx(0.04)
    assert terms["box"] == pytest.approx(0.01)
    assert terms["class"] == pytest.approx(0.01 + 0.09 + 0.04)


def test_without_an_object_only_presence_counts() -> None:
    terms = squared_vector_loss(*arguments(0.0))
    assert terms["presence"] == pytest.approx(0.64)
    assert terms["box"] == terms["class"] == 0


def test_logistic_by_hand() -> None:
    terms = logistic_vector_loss(*arguments(1.0))
    assert terms["presence"] == pytest.approx(np.log1p(np.exp(-0.8)))
    assert terms["box"] == pytest.approx(0.5)  # one tenth of the image off: |x| = 1, where both pieces give 1/2
    assert terms["class"] == pytest.approx(np.log(np.exp([0.1, 0.7, 0.2]).sum()) - 0.7)
    empty = logistic_vector_loss(*arguments(0.0))
    assert empty["presence"] == pytest.approx(np.log1p(np.exp(0.8)))
    assert empty["box"] == empty["class"] == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_an_image_without_object(loss) -> None:
    presence, boxes, classes, truth, weights = arguments(0.0)
    values = [value.requires_grad_() for value in (presence, boxes, classes)]
    sum(loss(*values, truth, weights).values()).backward()
    assert presence.grad.abs() > 0
    assert not boxes.grad.any()
    assert not classes.grad.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_what_does_not_count_changes_nothing(loss) -> None:
    counted, left_out = arguments(1.0), arguments(0.0, weight=0.0)

    def both(a, b):
        return torch.cat([a, b])

    joined = [both(a, b) for a, b in zip(counted[:3], left_out[:3], strict=True)]
    truth = tuple(both(a, b) for a, b in zip(counted[3], left_out[3], strict=True))
    terms = loss(*joined, truth, both(counted[4], left_out[4]))
    for name, value in loss(*counted).items():
        assert terms[name] == pytest.approx(float(value))
    nothing = loss(*left_out)
    assert all(value == 0 for value in nothing.values())


def test_boxes_as_fractions() -> None:
    # b_x 0.5, b_y 0.7, b_h 0.3, b_w 0.4 of the course's example: corners (0.3, 0.55) and (0.7, 0.85) of the image
    fractions = to_fractions(torch.tensor([[30.0, 110, 70, 170]]), (200, 100))
    torch.testing.assert_close(fractions, torch.tensor([[0.5, 0.7, 0.3, 0.4]]))
    assert to_fractions(torch.tensor([20.0, 30, 60, 90]), (120, 200)).tolist() == pytest.approx([0.2, 0.5, 0.5, 0.2])
