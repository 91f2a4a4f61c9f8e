# Hands on what it reads without copying it: splice(2) into a pipe of its own, and only a while later out of that to standard output.
#   splice.py FIFO HOLD_MS
import fcntl
import os
import sys
import time

fifo, hold_ms = sys.argv[1], int(sys.argv[2])
room = 1 << 20
out, into = os.pipe()
fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, room)
source = os.open(fifo, os.O_RDONLY)
while (left := os.splice(source, into, room)) > 0:
    time.sleep(hold_ms / 1000)
    while left > 0:
        part = os.read(out, left)
        left -= len(part)
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
