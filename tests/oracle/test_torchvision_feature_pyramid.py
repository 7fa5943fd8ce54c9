"""The feature pyramid against torchvision's: the same weights give the same maps."""

import torch

from visus.layers.feature_pyramid import FeaturePyramid


def test_maps_of_even_and_odd_sides() -> None:
    from torchvision.ops import FeaturePyramidNetwork

    torch.manual_seed(0)
    theirs = FeaturePyramidNetwork([8, 16, 32], 12)
    ours = FeaturePyramid({4: 8, 8: 16, 16: 32}, 12)
    for level in range(3):
        for mine, yours in ((ours.lateral, theirs.inner_blocks), (ours.output, theirs.layer_blocks)):
            mine[level].load_state_dict({k.removeprefix("0."): v for k, v in yours[level].state_dict().items()})
    for sides in ((16, 8, 4), (13, 7, 4)):
        maps = {s: torch.randn(2, c, side, side + 1) for s, c, side in zip((4, 8, 16), (8, 16, 32), sides, strict=True)}
        with torch.no_grad():
            mine = ours(maps)
            yours = theirs({str(s): m for s, m in maps.items()})
        assert list(mine) == [4, 8, 16]
        for stride in mine:
            torch.testing.assert_close(mine[stride], yours[str(stride)])
