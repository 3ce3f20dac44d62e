"""Every sentence that a caller can read outside of an analysis, in both languages, by its stable code."""
