"""Finishing: drawn pictures, brought to the size that they are shown in; the drawn ones stay as they are."""
