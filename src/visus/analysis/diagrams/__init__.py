"""Networks drawn in the manner of the papers' figures, as SVG without any dependency."""
