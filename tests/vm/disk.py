"""A disk whose cache is volatile: an NBD server that forgets, when the power goes, what it was not told to keep.

    disk.py FILE SOCKET

Serves FILE to one QEMU at a time. What is written stays in memory until the machine flushes it (or asks for it by FUA).
When QEMU is killed, or at one of the next writes after SIGUSR1, each page of what was not flushed is lost or kept by
the throw of a coin, whose weight is thrown first: from nothing lost to all. So writes are lost, torn and reordered as a
drive may do it; a page of 4 KiB is whole, as on flash: ext4 does not survive half a superblock. From then on nothing is
answered until QEMU is killed. SIGTERM ends the server.

Prints a line for each power cut: `cut: N pages were not flushed, M of them are lost`.
"""

import os
import random
import signal
import socket
import struct
import sys

PAGE = 4096
OPTION = 0x49484156454F5054
REPLY = 0x3E889045565A9
HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 4, 8
FUA = 1
READ, WRITE, DISCONNECT, FLUSH = range(4)
EXPORT_NAME, ABORT, GO = 1, 2, 7
ACK, INFO, UNSUPPORTED = 1, 3, 0x80000001


class Disk:
    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.cache = {}
        self.left = None

    def read(self, offset, length):
        begin = offset - offset % PAGE
        data = bytearray(os.pread(self.file, offset + length - begin, begin))
        for at in range(0, len(data), PAGE):
            newer = self.cache.get(begin + at)
            if newer is not None:
                data[at : at + PAGE] = newer[: len(data) - at]
        return data[offset - begin :]

    def write(self, offset, data, through):
        begin, end = offset - offset % PAGE, offset + len(data)
        whole = self.read(begin, -(-(end - begin) // PAGE) * PAGE)
        whole[offset - begin : end - begin] = data
        for at in range(0, len(whole), PAGE):
            if through:
                self.cache.pop(begin + at, None)
            else:
                self.cache[begin + at] = whole[at : at + PAGE]
        if through:
            os.pwrite(self.file, whole, begin)

    def flush(self):
        for offset, data in self.cache.items():
            os.pwrite(self.file, data, offset)
        self.cache.clear()

    def is_over(self):
        """Whether this write is the last one."""
        if self.left is not None:
            self.left -= 1
        return self.left == 0

    def cut(self):
        weight = random.random()
        all_of_them = len(self.cache)
        lost = [offset for offset in self.cache if random.random() < weight]
        for offset in lost:
            del self.cache[offset]
        self.flush()
        print(f"cut: {all_of_them} pages were not flushed, {len(lost)} of them are lost", flush=True)


def receive(peer, length):
    data = bytearray()
    while len(data) < length:
        piece = peer.recv(length - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return bytes(data)


def negotiate(peer, disk):
    flags = HAS_FLAGS | SEND_FLUSH | SEND_FUA
    peer.sendall(b"NBDMAGIC" + struct.pack(">QH", OPTION, 1))
    receive(peer, 4)
    while True:
        magic, option, length = struct.unpack(">QII", receive(peer, 16))
        receive(peer, length)

        def reply(kind, body=b""):
            peer.sendall(struct.pack(">QIII", REPLY, option, kind, len(body)) + body)

        if option == GO:
            reply(INFO, struct.pack(">HQH", 0, disk.size, flags))
            reply(ACK)
            return
        if option == EXPORT_NAME:
            peer.sendall(struct.pack(">QH", disk.size, flags) + bytes(124))
            return
        if option == ABORT:
            raise ConnectionError
        reply(UNSUPPORTED)


def serve(peer, disk):
    while True:
        _, flags, command, handle, offset, length = struct.unpack(">IHHQQI", receive(peer, 28))
        answer = b""
        if command == READ:
            answer = disk.read(offset, length)
        elif command == WRITE:
            disk.write(offset, receive(peer, length), flags & FUA)
            if disk.is_over():
                disk.cut()
                while peer.recv(1 << 16):
                    pass
                return
        elif command == FLUSH:
            disk.flush()
        elif command == DISCONNECT:
            return
        peer.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + answer)


def main():
    path, name = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen()
    while True:
        peer, _ = listener.accept()
        disk = Disk(path)
        signal.signal(signal.SIGUSR1, lambda *_, disk=disk: setattr(disk, "left", random.randint(1, 100)))
        try:
            negotiate(peer, disk)
            serve(peer, disk)
        except ConnectionError:
            pass
        # A QEMU that says goodbye is killed at the same moment: it is no shutdown.
        if disk.left != 0:
            disk.cut()
        os.close(disk.file)
        peer.close()


main()
