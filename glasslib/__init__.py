"""glasslib: the thin shared library under the book.

systems → engines → frames → labels and descriptors → models → scores → plots → page.
Nothing heavy is imported here; ``from glasslib import frames`` and so on.
"""

__version__ = "0.1.0"
