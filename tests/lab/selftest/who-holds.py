"""Says whether another process holds a lock on the file, as F_GETLK tells."""

import fcntl
import struct
import sys

with open(sys.argv[1], "r+") as file:
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    answer = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    print("free" if struct.unpack("hhqqi4x", answer)[0] == fcntl.F_UNLCK else "held")
