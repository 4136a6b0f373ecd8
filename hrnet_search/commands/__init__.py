"""The commands: a file each, with `add`, `command`, and the same as a function from Python."""
