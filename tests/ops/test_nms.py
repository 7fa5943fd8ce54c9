"""Suppression of tensors."""

import torch

from visus.ops.nms import nms_by_class


def test_the_same_boxes_as_torchvisions() -> None:
    from torchvision.ops import batched_nms

    generator = torch.Generator().manual_seed(0)
    corners = 60 * torch.rand(1500, 2, generator=generator)
    boxes = torch.cat([corners, corners + 5 + 30 * torch.rand(1500, 2, generator=generator)], 1)
    scores, labels = torch.rand(1500, generator=generator), torch.randint(7, (1500,), generator=generator)
    expected = batched_nms(boxes, scores, labels, 0.5)
    assert torch.equal(nms_by_class(boxes, scores, labels, 0.5), expected)
    assert torch.equal(nms_by_class(boxes.requires_grad_(), scores, labels, 0.5, 20), expected[:20])
    assert len(nms_by_class(boxes[:0], scores[:0], labels[:0], 0.5)) == 0
