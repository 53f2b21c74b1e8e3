"""Of a Python that has no network: what is asked outside this machine is written down and fails.

A folder on PYTHONPATH makes it part of each process that a command starts.
"""

import ipaddress
import os
import socket

_connect, _connect_ex, _lookup = (
    socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo,
)  # fmt: skip


def _here(host):
    if host in (None, "", b"", "localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(what):
    with open(os.environ["MEDRL_HEARD"], "a") as file:
        file.write(f"{what}\n")
    raise OSError(101, "Network is unreachable")


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _here(address[0]):
        _refuse(address)
    return _connect(self, address)


def connect_ex(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _here(address[0]):
        _refuse(address)
    return _connect_ex(self, address)


def getaddrinfo(host, *rest, **more):
    if not _here(host):
        _refuse(host)
    return _lookup(host, *rest, **more)


socket.socket.connect, socket.socket.connect_ex = connect, connect_ex
socket.getaddrinfo = getaddrinfo
