"""A script that fails."""


def open_the_box():
    raise RuntimeError("the box is empty")


open_the_box()
