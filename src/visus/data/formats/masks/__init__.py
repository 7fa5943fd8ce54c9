"""Images and masks: of classes, of objects, in pairs of files."""
