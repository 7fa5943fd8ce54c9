"""YOLO and Darknet."""
