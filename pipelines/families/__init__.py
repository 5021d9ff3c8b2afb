"""Model families: one folder each, behind one protocol (`protocol.py`)."""
