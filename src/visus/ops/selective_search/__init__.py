"""Selective search: where objects may be in an image, for detectors that look at proposed regions.

Uijlings, van de Sande, Gevers, Smeulders: "Selective Search for Object Recognition", IJCV 104 (2013), doi
10.1007/s11263-013-0620-5. Numpy arrays, no torch, no files.

- :mod:`colour_spaces`: the image in one of eight colour spaces;
- :mod:`segmentation`: small regions of like colour, to start from;
- :mod:`histograms`: colour and texture of a region;
- :mod:`grouping`: the two most similar neighbours are merged until one region is left;
- :mod:`search`: several groupings of one image, their boxes ranked.
"""

from visus.ops.selective_search.grouping import Hierarchy
from visus.ops.selective_search.search import MODES, SelectiveSearch, Strategies, selective_search

__all__ = ["MODES", "Hierarchy", "SelectiveSearch", "Strategies", "selective_search"]
