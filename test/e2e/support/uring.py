"""io_uring for Python, as little of it as reading a file takes: the three system calls by number, the rings by mmap.

The rings are only touched between system calls, which order memory for us. Linux on little-endian machines.
Refuses everything but IORING_OP_READ.
"""

import ctypes
import mmap
import os
import struct

SETUP, ENTER = 425, 426
OFF_SQ_RING, OFF_CQ_RING, OFF_SQES = 0, 0x8000000, 0x10000000
ENTER_GETEVENTS = 1
OP_READ = 22
SETUP_SQPOLL = 2
SQE_ASYNC = 16
SQE_BYTES, CQE_BYTES = 64, 16

libc = ctypes.CDLL(None, use_errno=True)


def syscall(number, *args):
    result = libc.syscall(number, *[ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Ring:
    def __init__(self, entries):
        params = (ctypes.c_uint32 * 30)()
        self.fd = syscall(SETUP, entries, ctypes.byref(params))
        self.entries, cq_entries = params[0], params[1]
        # struct io_sqring_offsets from word 10 on, io_cqring_offsets from word 20 on.
        self.sq_tail, self.sq_array = params[11], params[16]
        self.cq_head, self.cq_tail, self.cqes = params[20], params[21], params[25]
        self.sq_mask, self.cq_mask = self.entries - 1, cq_entries - 1
        self.sq = mmap.mmap(self.fd, self.sq_array + self.entries * 4, offset=OFF_SQ_RING)
        self.cq = mmap.mmap(self.fd, self.cqes + cq_entries * CQE_BYTES, offset=OFF_CQ_RING)
        self.sqes = mmap.mmap(self.fd, self.entries * SQE_BYTES, offset=OFF_SQES)

    def read(self, fd, address, count, offset, tag, flags=0):
        """Queues one read; `address` is where the bytes go."""
        tail = struct.unpack_from("<I", self.sq, self.sq_tail)[0]
        at = tail & self.sq_mask
        entry = struct.pack("<BBHiQQIIQ24x", OP_READ, flags, 0, fd, offset, address, count, 0, tag)
        self.sqes[at * SQE_BYTES : (at + 1) * SQE_BYTES] = entry
        struct.pack_into("<I", self.sq, self.sq_array + at * 4, at)
        struct.pack_into("<I", self.sq, self.sq_tail, tail + 1)

    def submit_and_wait(self, submitted, wanted):
        """Yields (tag, result) of at least `wanted` reads."""
        syscall(ENTER, self.fd, submitted, wanted, ENTER_GETEVENTS, 0, 0)
        head, tail = (struct.unpack_from("<I", self.cq, place)[0] for place in (self.cq_head, self.cq_tail))
        while head != tail:
            at = self.cqes + (head & self.cq_mask) * CQE_BYTES
            yield struct.unpack_from("<Qi", self.cq, at)
            head = (head + 1) & 0xFFFFFFFF
        struct.pack_into("<I", self.cq, self.cq_head, head)

    def close(self):
        for part in (self.sq, self.cq, self.sqes):
            part.close()
        os.close(self.fd)
