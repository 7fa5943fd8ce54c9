"""One reader a file; each recognises its own layout."""
