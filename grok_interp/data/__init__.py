"""What models read: text as token blocks on disk, copy tests, repeated sequences."""
