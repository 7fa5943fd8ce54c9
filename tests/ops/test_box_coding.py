"""Box coding: the worked example of R-CNN's formulas, and decode as the inverse of encode."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from visus.ops.box_coding import BoxCoding


def test_worked_example_of_rcnn() -> None:
    # facts/operators.yaml, detection.bbox_regression: centre form (x, y, w, h)
    from torchvision.ops import box_convert

    p = box_convert(torch.tensor([[50.0, 60.0, 20.0, 40.0]]), "cxcywh", "xyxy")
    g = box_convert(torch.tensor([[60.0, 50.0, 40.0, 20.0]]), "cxcywh", "xyxy")
    assert_close(BoxCoding().encode(g, p), torch.tensor([[0.5, -0.25, 0.6931471805599453, -0.6931471805599453]]))


def test_variances_divide() -> None:
    p = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    g = torch.tensor([[1.0, 0.0, 11.0, 10.0]])  # one tenth of a side to the right
    assert_close(BoxCoding((0.1, 0.1, 0.2, 0.2)).encode(g, p), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))


corner = st.floats(0, 200)
side = st.floats(1, 200)
box = st.tuples(corner, corner, side, side).map(lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3]))


@given(boxes=st.lists(st.tuples(box, box), min_size=1, max_size=8))
def test_decode_is_the_inverse_of_encode(boxes: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    coding = BoxCoding((0.1, 0.1, 0.2, 0.2))
    objects = torch.tensor([pair[0] for pair in boxes], dtype=torch.float64)
    references = torch.tensor([pair[1] for pair in boxes], dtype=torch.float64)
    # Beyond the limit of decode the inverse ends.
    ratios = (objects[:, 2:] - objects[:, :2]) / (references[:, 2:] - references[:, :2])
    near = (ratios < 62).all(1)
    back = coding.decode(coding.encode(objects, references), references)
    assert_close(back[near], objects[near], rtol=1e-9, atol=1e-7)


def test_zero_offsets_give_the_reference_back() -> None:
    references = torch.tensor([[3.0, 4.0, 10.0, 20.0]])
    assert_close(BoxCoding().decode(torch.zeros(1, 4), references), references)


def test_wild_offsets_stay_finite() -> None:
    wild = torch.tensor([[1e4, -1e4, 1e4, 1e4]])
    assert torch.isfinite(BoxCoding().decode(wild, torch.tensor([[0.0, 0.0, 30.0, 30.0]]))).all()
