"""The commands: one file each, found by its name; the object in it has the name of the file."""
