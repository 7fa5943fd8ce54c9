"""The border where files come in: they are looked at before they are read, and their content before it is used."""
