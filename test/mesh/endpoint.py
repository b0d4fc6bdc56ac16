"""The endpoint of endpoint.ts on OpenSSL, as Python's ssl module has it: the same options, files, pings and reports, but no streams.

  python3 test/mesh/endpoint.py --name a --dir DIR --listen 127.0.0.1:7001 --peer b=127.0.0.1:7002@TLSv1.2,TLSv1.3
    [--versions TLSv1.2,TLSv1.3] [--every 100] [--report 1000]

It reloads as programs on OpenSSL do that need no restart: new files make new contexts (and new ticket keys), which every
connection from then on uses, while one that has begun keeps its own.
"""

import argparse
import errno
import hashlib
import json
import os
import queue
import signal
import socket
import ssl
import threading
import time
import traceback
from datetime import datetime, timezone

CANARY = "replicert-canary"
ANSWER_WITHIN_S = 10
LOOK_EVERY_S = 0.05
PARTING_S = 0.5
FAILURES_KEPT = 20
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def digests(pem):
    end = "-----END CERTIFICATE-----"
    blocks = [block[block.index("-----BEGIN") :] + end for block in pem.split(end)[:-1]]
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(block)).hexdigest() for block in blocks]


def describe(error):
    if isinstance(error, ssl.SSLError) and error.reason is not None:
        return error.reason
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, str(error))
    return str(error) or type(error).__name__


class Loaded:
    """The files of one moment, as contexts for every version: never changed, so a thread that has one has it whole."""

    def __init__(self, folder, versions):
        self.folder = folder
        with open(os.path.join(folder, "ca.crt"), encoding="ascii") as file:
            bundle = file.read()
        with open(os.path.join(folder, "tls.crt"), encoding="ascii") as file:
            leaf = file.read()
        self.server = self._context(ssl.PROTOCOL_TLS_SERVER, bundle, versions)
        self.clients = {each: self._context(ssl.PROTOCOL_TLS_CLIENT, bundle, [each]) for each in VERSIONS}
        self.clients[None] = self._context(ssl.PROTOCOL_TLS_CLIENT, bundle, list(VERSIONS))
        self.report = {"bundle": digests(bundle), "leaf": digests(leaf)[0], "at": now()}

    def _context(self, protocol, bundle, versions):
        context = ssl.SSLContext(protocol)
        # Replication peers are known by their CA, not by a host name.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = VERSIONS[versions[0]]
        context.maximum_version = VERSIONS[versions[-1]]
        context.load_cert_chain(os.path.join(self.folder, "tls.crt"), os.path.join(self.folder, "tls.key"))
        context.load_verify_locations(cadata=bundle)
        return context


class Edge:
    """The dialling end of one edge. Only its own thread writes."""

    def __init__(self, host, port, versions):
        self.address = (host, port)
        self.turns = versions or [None]
        self.ok = self.failed = 0
        self.versions = {}
        self.errors = {}
        self.failures = []

    def report(self):
        return {
            "handshakes": {"ok": self.ok, "failed": self.failed},
            "versions": dict(self.versions),
            "failures": list(self.failures),
            "errors": dict(self.errors),
            "stream": {"connected": False, "broken": 0, "sentBytes": 0, "ackedBytes": 0},
        }

    def run(self, current, every):
        turn = 0
        while True:
            due = time.monotonic() + every
            loaded = current()
            if loaded is not None:
                self.handshake(loaded, self.turns[turn % len(self.turns)])
                turn += 1
            time.sleep(max(0, due - time.monotonic()))

    def handshake(self, loaded, version):
        began = now()
        try:
            spoken = self.ping(loaded.clients[version])
            self.ok += 1
            self.versions[spoken] = self.versions.get(spoken, 0) + 1
        except OSError as error:
            what = describe(error)
            # A peer that was never there is not up yet.
            if what == "ECONNREFUSED" and self.ok == 0:
                return
            self.failed += 1
            self.errors[what] = self.errors.get(what, 0) + 1
            if len(self.failures) < FAILURES_KEPT:
                failure = {"began": began, "ended": now(), "version": version, "error": what, "loaded": loaded.report}
                self.failures.append(failure)

    def ping(self, context):
        """A handshake of its own, never a resumed one. In TLS 1.3 only the answer tells that we were accepted."""
        with socket.create_connection(self.address, ANSWER_WITHIN_S) as raw, context.wrap_socket(raw) as secure:
            secure.sendall(b"ping\n")
            if secure.recv(64) == b"":
                raise OSError("closed without an answer")
            if secure.session_reused:
                raise OSError("no full handshake")
            return secure.version()


class Endpoint:
    def __init__(self, options):
        self.name = options.name
        self.dir = options.dir
        self.versions = options.versions
        self.edges = {name: Edge(*address) for name, address in options.peer}
        self.current = None
        self.loads = 0
        self.lock = threading.Lock()
        self.inbound = {"accepted": 0, "canaries": 0, "refused": 0}
        self.listener = None
        self.last = False

    def report(self, final=False):
        with self.lock:
            if self.last:
                return
            self.last = final
            whole = {
                "name": self.name,
                "final": final,
                "loaded": None if self.current is None else self.current.report,
                "loads": self.loads,
                "edges": {name: edge.report() for name, edge in self.edges.items()},
                "inbound": {**self.inbound, "receivedBytes": 0, "lost": 0},
            }
            try:
                print(json.dumps(whole), flush=True)
            except OSError:
                # Whoever reads the reports is gone: so is the mesh.
                os._exit(1)

    def follow(self, listen):
        """Loads every version of the files, all of them from one folder: the visible names change one after the other."""
        while True:
            folder = os.path.realpath(os.path.join(self.dir, "..data"))
            if os.path.isdir(folder) and (self.current is None or self.current.folder != folder):
                try:
                    self.load(Loaded(folder, self.versions), listen)
                except FileNotFoundError:
                    pass  # Replaced meanwhile: the next look finds the new folder.
            time.sleep(LOOK_EVERY_S)

    def load(self, loaded, listen):
        self.current = loaded
        self.loads += 1
        if self.listener is None:
            self.listener = socket.create_server(listen, backlog=128)
            start(self.serve)
        self.report()

    def serve(self):
        while True:
            raw, _ = self.listener.accept()
            start(self.answer, raw, self.current.server)

    def answer(self, raw, context):
        raw.settimeout(ANSWER_WITHIN_S)
        with raw:
            try:
                secure = context.wrap_socket(raw, server_side=True)
            except OSError:
                self.count("refused")
                return
            with secure:
                try:
                    subject = secure.getpeercert().get("subject", ())
                    self.count("canaries" if ((("commonName", CANARY),),) == subject else "accepted")
                    said = secure.recv(64)
                    if said == b"ping\n":
                        secure.sendall(b"pong\n")
                    while said not in (b"", b"ping\n"):
                        said = secure.recv(64)  # Whoever closes on what it has not read breaks the connection.
                except (OSError, ValueError):
                    pass  # It went away, perhaps before the handshake.

    def count(self, what):
        with self.lock:
            self.inbound[what] += 1


def start(what, *args):
    """Whatever ends for an error ends all: an endpoint that lives on but loads nothing, or takes nobody in, is no endpoint."""

    def whole():
        try:
            what(*args)
        except Exception:
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=whole, daemon=True).start()


def has_come(signals, within_s):
    try:
        signals.get(timeout=within_s)
        return True
    except queue.Empty:
        return False


def versions_of(text):
    found = [each for each in VERSIONS if each in text.split(",")]
    if len(found) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text} is not a list of {', '.join(VERSIONS)}")
    return found


def address_of(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def peer_of(text):
    name, address = text.split("=", 1)
    address, _, versions = address.partition("@")
    return name, (*address_of(address), versions_of(versions) if versions else [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--listen", required=True, type=address_of)
    parser.add_argument("--versions", type=versions_of, default=list(VERSIONS))
    parser.add_argument("--peer", type=peer_of, action="append", default=[])
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--report", type=int, default=1000)
    options = parser.parse_args()

    endpoint = Endpoint(options)
    # Not an Event: its lock may be held by this very thread when the signal comes, and then it waits for itself.
    ended = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: ended.put(None))
    start(endpoint.follow, options.listen)
    for edge in endpoint.edges.values():
        start(edge.run, lambda: endpoint.current, options.every / 1000)
    while not has_come(ended, options.report / 1000):
        endpoint.report()
    endpoint.report(final=True)
    # Partners are ended at the same time: none may see us gone before its own last report.
    time.sleep(PARTING_S)
    os._exit(0)


main()
