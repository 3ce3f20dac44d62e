"""Versions of the fusion network on disk: immutable folders and one pointer to the active one.

    <root>/                      VERSIONS_DIR
      active.json                the pointer; without one the base version serves
      previous.json              what the pointer said before
      <version>/                 a whole fusion folder: it loads like the base version's
        version.json             `VersionInfo`, and the SHA-256 of every other file; written last
        adapter/, change_record.* and whatever else the run kept
      .staging-*                 being made; locked by its maker
      .lock                      held while the pointer is switched

Whatever is read here was written to another name, flushed to disk and renamed: a kill at any moment leaves the old or
the new, never half of either. No torch and no database.
"""
