"""What replicas and the daemon say to each other about turns: five bytes a message, either way.

Each device has a page, a file of one byte that only the daemon writes: not 0 where nobody has the device and
nobody waits. Who takes it then need not wait for an answer; of two that do so at once, one is paused.

replica, once     kind, token           `T` this line asks for turns, `L` this one hears of cuts
daemon            `K` memory in MiB     the line is taken; else it is closed
replica           `A` 0                 asks for the device
replica           `B` 0                 has taken it: its page says that it is free
daemon            `G` 0                 it is yours
replica           `R` n answers         gives it back
daemon, on `L`    `C` seconds           the turn has lasted too long: give it up
"""

from struct import Struct

MESSAGE = Struct("<cI")
TOKEN_CHARS = 32
TURNS, LEASH = b"T", b"L"
TAKEN, ASK, BEGIN, GO, END, CUT = b"K", b"A", b"B", b"G", b"R", b"C"
BEGUN = MESSAGE.pack(BEGIN, 0)
ASKED = MESSAGE.pack(ASK, 0)
GIVEN = MESSAGE.pack(GO, 0)
