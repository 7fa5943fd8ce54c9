"""Region proposals of images: computed once and kept, or read from the files of others."""
