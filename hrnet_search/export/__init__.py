"""The front as files of other libraries: one file a format, one table (`table.py`)."""
