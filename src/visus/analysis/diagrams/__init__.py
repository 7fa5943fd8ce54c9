"""Draws networks in the manner of the papers' figures, as SVG without any dependency.

Graphviz is not used: it needs a program that pip does not install, and draws neither volumes nor the form of a U.
"""
