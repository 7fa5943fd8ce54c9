"""Operations on boxes: IoU, coding, anchors, matching, non-maximum suppression, merging."""
