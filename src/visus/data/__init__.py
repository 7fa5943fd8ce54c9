"""Files become samples: decoding, formats, splits, checks; then transforms and the loader, where torch begins."""
