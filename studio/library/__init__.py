"""Things that are kept: records, files, scenes, uploads, users, index and trash."""
