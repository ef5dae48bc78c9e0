"""What replicas and the daemon say to each other about turns: five bytes a message, either way.

replica, once     kind, token           `T` this line asks for turns, `L` this one hears of cuts
daemon            `K` memory in MiB     the line is taken; else it is closed
replica           `A` 0                 asks for the device
daemon            `G` 0                 it is yours
replica           `R` n answers         gives it back
daemon, on `L`    `C` seconds           the turn has lasted too long: give it up
"""

from struct import Struct

MESSAGE = Struct("<cI")
TOKEN_CHARS = 32
TURNS, LEASH = b"T", b"L"
TAKEN, ASK, GO, END, CUT = b"K", b"A", b"G", b"R", b"C"
ASKED = MESSAGE.pack(ASK, 0)
GIVEN = MESSAGE.pack(GO, 0)
