"""Processing images of Clary's own: `clary-<name>` runs `main` of the file of that name, with underscores.

A member is a module with `main(arguments) -> int`, given `{"arguments": ContainerArguments}`.
"""
