"""The cards of U-Net. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Conversion, ReleasedFile
from visus.structures.preprocessing import Preprocessing

_PAPERS = Conventions(
    padding="none (figure 1)",
    initialisation="normal, of variance 2 / fan-in (section 3)",
)
_OWN = Conventions(
    padding="1 around 3x3 kernels: no network of the paper",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="torch's default",
)

_PAPER = (
    "O. Ronneberger, P. Fischer, T. Brox. U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI "
    "2015, arXiv:1505.04597, figure 1"
)
_WHOLE_FILES = Preprocessing(size=None, fit="none", channels=1, mean=(0.5,), std=(0.5,))

_PUBLISHED = Card(
    name="unet",
    edition="paper",
    task="segmentation",
    builder="visus.models.segmentation.unet:unet",
    title="U-Net, valid convolutions: 572 pixels a side in, 388 out",
    year=2015,
    paper=_PAPER,
    input=(1, 572, 572),
    classes=2,
    parameters=31_030_658,
    macs=150_428_424_448,
    preprocessing=_WHOLE_FILES,
    fact="unet",
    citation="ronneberger2015unet",
    conventions=_PAPERS,
    proof_level="L2",
)

CARDS: tuple[Card, ...] = (
    _PUBLISHED,
    Card(
        name="unet",
        edition="padded",
        task="segmentation",
        builder="visus.models.segmentation.unet:unet_padded",
        title="U-Net, padded: as large out as in",
        year=2015,
        paper=_PAPER,
        input=(1, 256, 256),
        classes=2,
        parameters=31_036_546,
        macs=48_096_083_968,
        preprocessing=_WHOLE_FILES,
        citation="ronneberger2015unet",
        conventions=_OWN,
        takes_backbone=True,
        proof_level="L2",
        note="convolutions padded with zeros, batch normalisation (option norm), no dropout (option dropout)",
    ),
    replace(
        _PUBLISHED,
        edition="caffe",
        title="U-Net as its authors released it (phseg_v5)",
        parameters=31_100_354,
        macs=None,
        fact="",
        options={"edition": "caffe"},
        conversions=(Conversion("visus.models.segmentation.unet_weights:from_caffe", suffix=".caffemodel"),),
        released=(
            ReleasedFile(
                "phseg_v5.caffemodel", "PhC-C2DH-U373 (ISBI cell tracking)", source="u-net-release-2015-10-02.tar.gz"
            ),
        ),
        proof_level="L1",
        note="A ReLU behind each up-convolution, the last of which leaves 128 channels, not 64. How the released "
        "program scales its images is not known here: the preprocessing is that of the paper's edition.",
    ),
)
