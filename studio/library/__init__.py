"""What is kept: records, files, scenes, uploads, users, index and trash."""
