"""The published facts (layer tables and exact counts), from ``facts/*.yaml`` in the package, one file for each paper.

An entry of a file says of one network, at the paper's classes and input:

- ``id``, ``paper`` (with table or figure), ``input`` (channels, height, width), ``classes`` (without background);
- ``params``: trainable values without auxiliary heads; ``params_with_auxiliary``: with them;
  ``params_with_fixed``: without them, but with the values that never learn (FCN's last upsampling);
- ``macs``: multiply-accumulates of convolutions and linear layers for one image; biases, pooling, activations and
  BatchNorm do not count;
- ``running_statistics``: BatchNorm's means and variances;
- ``depth``: weight layers on the longest way from image to output;
- ``printed``: figures as the publication prints them, each {what, value, within, text, where} and, where the printed
  figure is wrong, ``wrong``: the reason; ``what`` is one of the keys above, or "NAME.KEY" of a layer's row. A printed
  number of operations may say its ``unit``: "MACs" (as papers mean it, whatever they call it), or "operations", each
  multiplication and each addition counted, which are two for a MAC; and a figure of the whole network for another
  image says for which ``input``;
- ``layers``: rows of the layer table, each with ``name`` and ``kind`` for people, ``at``: the modules it stands for
  (path in the network, or "PATH#2" for the second call of a module; a list where a row sums several), and what is
  published of it: ``kernel``, ``stride``, ``pad``, ``groups``, ``out`` (channels, height, width), ``params``, ``macs``,
  ``sees`` (side of the receptive field), ``branches`` (chains of convolutions and poolings, each written as in
  "1x1 96 > 3x3 128 s2 > 1x1 256" or "pool 3x3 > 1x1 32": kernel, output channels, depthwise, g = groups, s = stride, p0
  = no padding; "[ A | B ] > C" is C behind A and B), ``connections`` (MACs, and one for each bias at each place);
- ``tabulated``: the keys of the rows whose values stand in cells of the publication's own table or figure, or in its
  authors' definition file: a list for all rows, or {NAME or KIND: list}, a row's name before its kind. ``channels``
  there stands for the first number of ``out``, where the table prints no more of it. All other values of rows, and the
  totals, are derived: they follow from the table and the text, but stand in no cell;
- ``port``: {source, totals, rows}: the totals, and the keys of the rows, that were taken from somebody else's
  implementation, and from which ("all" for all); a figure of ``printed`` that such an implementation states has
  ``port: true``;
- ``like``: the id of another entry, whose keys hold here too where this one does not have them.

``kernel``, ``stride`` and ``pad`` are a number, or [vertical, horizontal]; ``pad`` is also [top, bottom, left, right].
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from visus.errors import UsageError


def fact(id_: str) -> dict[str, Any]:
    """One entry of the facts; fields that it lacks come from the entry named in its ``like``.

    Raises:
        UsageError: if there is no fact of this id.
    """
    known = all_facts()
    if id_ not in known:
        raise UsageError(f"no published fact {id_}", expected=" or ".join(known), got=id_)
    entry = known[id_]
    return {**fact(entry["like"]), **entry} if "like" in entry else dict(entry)


@cache
def all_facts() -> dict[str, dict[str, Any]]:
    """Every entry by its id, as written in its file."""
    folder = files("visus.proof") / "facts"
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")]
    return {entry["id"]: entry for text in texts for entry in yaml.load(text, _LOADER)["architectures"]}


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where it is there: ten times as fast
