/// The Python that runs around the generated program: it shuts itself in, then runs what it was given.
///
/// A shell script of `unshare`, `mount`, `pivot_root` and `setpriv` would do the same. The calls through `ctypes` need
/// none of these tools, start Python once, and name the call that failed.
enum SandboxProgram {
    /// Reads the program from standard input and its settings, as JSON, from its only argument. Descriptor 3 hears
    /// `ready` when the walls stand, and then one of `end`, `exit N` or `signal N`; nothing else can write to it.
    static let stage = #"""
        import ctypes, json, os, resource, signal, sys

        settings = json.loads(sys.argv[1])
        how = settings["mechanism"]
        libc = ctypes.CDLL(None, use_errno=True)

        def call(name, *arguments):
            if getattr(libc, name)(*arguments) == -1:
                code = ctypes.get_errno()
                raise OSError(code, name + ": " + os.strerror(code))

        READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE = 1, 2, 4, 8, 32, 4096, 16384
        NO_ACCESS_TIME, NO_FOLDER_TIME, PRIVATE, RELATIVE_TIME = 1024, 2048, 1 << 18, 1 << 21

        def mount(source, target, kind=None, flags=0, data=None):
            texts = [None if t is None else os.fsencode(t) for t in (source, target, kind, data)]
            call("mount", texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])

        def namespaces():
            user, group = os.getuid(), os.getgid()
            NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_USER = 0x20000, 0x4000000, 0x8000000, 0x10000000
            NEW_PID, NEW_NETWORK = 0x20000000, 0x40000000
            flags = NEW_MOUNT | NEW_UTS | NEW_IPC | NEW_PID | NEW_NETWORK
            call("unshare", flags | (NEW_USER if how == "user" else 0))
            if how == "user":
                for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % user),
                                   ("gid_map", "0 %d 1" % group)):
                    with open("/proc/self/" + name, "w") as file:
                        file.write(text)

        def bind(source, root):
            """Shows a file or folder of the machine at the same place below `root`; links stay links."""
            target = root + source
            if os.path.islink(source):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                if not os.path.lexists(target):
                    os.symlink(os.readlink(source), target)
            elif os.path.isdir(source):
                os.makedirs(target, exist_ok=True)
                mount(source, target, flags=BIND | RECURSIVE)
            elif os.path.exists(source):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                open(target, "w").close()
                mount(source, target, flags=BIND)

        def walls(root):
            """A root of the system's programs and Python only, read-only, with an empty writable /tmp."""
            mount(None, "/", flags=RECURSIVE | PRIVATE)
            mount("none", root, "tmpfs", NO_SUID | NO_DEV, "mode=0755,size=1m")
            # Before the others: Python's environment may lie in /tmp.
            os.mkdir(root + "/tmp")
            mount("none", root + "/tmp", "tmpfs", NO_SUID | NO_DEV,
                  "mode=0777,nr_inodes=4096,size=%d" % settings["diskBytes"])
            shown = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store",
                     "/etc/ld.so.cache"]
            prefixes = (sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix)
            for prefix in prefixes + tuple(os.path.realpath(p) for p in prefixes):
                if not any((prefix + "/").startswith(place + "/") for place in shown):
                    shown.append(prefix)
            for place in shown:
                bind(place, root)
            # A mount inside what was bound keeps its own flags, and a flag that the machine's owner set may not
            # be taken away: each is mounted again with what it has, and read-only.
            known = {"nosuid": NO_SUID, "nodev": NO_DEV, "noexec": NO_EXEC, "noatime": NO_ACCESS_TIME,
                     "nodiratime": NO_FOLDER_TIME, "relatime": RELATIVE_TIME}
            with open("/proc/self/mountinfo", "rb") as file:
                for line in file:
                    fields = line.split()
                    point = os.fsdecode(fields[4].decode("latin-1").encode("latin-1")
                                        .decode("unicode_escape").encode("latin-1"))
                    if point.startswith(root + "/") and point != root + "/tmp":
                        flags = sum(known.get(o, 0) for o in fields[5].decode().split(","))
                        mount(None, point, flags=REMOUNT | BIND | READ_ONLY | flags)
            for name in ("null", "zero", "random", "urandom"):
                bind("/dev/" + name, root)
            os.mkdir(root + "/.machine")
            os.chdir(root)
            call("pivot_root", b".", b".machine")
            call("umount2", b".machine", 2)
            os.rmdir(".machine")
            mount(None, "/", flags=REMOUNT | BIND | READ_ONLY | NO_SUID | NO_DEV)
            os.chdir("/tmp")

        def drop():
            """No capability, none to be had again, and as root another user: root's processes are not counted."""
            for capability in range(64):
                if libc.prctl(24, capability, 0, 0, 0) == -1:
                    break
            if how == "root":
                os.setgroups([])
                os.setresgid(*[settings["user"]] * 3)
                os.setresuid(*[settings["user"]] * 3)
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            call("capset", header, (ctypes.c_uint32 * 6)())
            call("prctl", 38, 1, 0, 0, 0)

        def limit(kind, value, room=0):
            hard = resource.getrlimit(kind)[1]
            most = value + room if hard == resource.RLIM_INFINITY else min(value + room, hard)
            resource.setrlimit(kind, (min(value, most), most))

        def program(source):
            os.closerange(3, 65536)
            drop()
            nothing = os.open("/dev/null", os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.close(nothing)
            os.environ.clear()
            os.environ.update(settings["environment"])
            limit(resource.RLIMIT_CORE, 0)
            # A second of room: at the hard limit the kernel does not say that it was the time.
            limit(resource.RLIMIT_CPU, settings["processorSeconds"], room=1)
            limit(resource.RLIMIT_NOFILE, 256)
            limit(resource.RLIMIT_FSIZE, settings["diskBytes"])
            limit(resource.RLIMIT_NPROC, settings["processes"])
            limit(resource.RLIMIT_AS, settings["memoryBytes"])
            # Not __main__, as in the published harnesses: a block for running as a script does not run.
            import linecache, traceback, types
            lines = source.splitlines(True)
            linecache.cache["program.py"] = (len(source), None, lines, "program.py")
            module = types.ModuleType("program")
            sys.modules["program"] = module
            sys.argv = ["program.py"]
            try:
                exec(compile(source, "program.py", "exec"), module.__dict__)
                return 0
            except SystemExit:
                sys.stderr.write("SystemExit: the program ended itself before its last line\n")
            except BaseException:
                traceback.print_exc()
            sys.stderr.flush()
            return 1

        def keeper(source):
            """The first process of its namespace: when it ends, the kernel kills all others in it."""
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            call("prctl", 1, signal.SIGKILL, 0, 0, 0)
            if how != "inside":
                walls(settings["root"])
            os.write(3, b"ready\n")
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    # Any other way out, such as os._exit(0), is not the end of the program.
                    code = 83 if program(source) == 0 else 1
                finally:
                    os._exit(code)
            while True:
                ended, status = os.wait()
                if ended == child:
                    break
            if os.WIFSIGNALED(status):
                text = "signal %d\n" % os.WTERMSIG(status)
            elif os.WEXITSTATUS(status) == 83:
                text = "end\n"
            else:
                text = "exit %d\n" % os.WEXITSTATUS(status)
            os.write(3, text.encode())

        source = sys.stdin.buffer.read().decode("utf-8", "replace")
        if how == "inside":
            keeper(source)
        else:
            namespaces()
            first = os.fork()
            if first == 0:
                try:
                    keeper(source)
                    os._exit(0)
                except BaseException as error:
                    sys.stderr.write("%s\n" % error)
                    sys.stderr.flush()
                    os._exit(1)
            os.waitpid(first, 0)
        """#

    /// Tries to get out, and fails by an assertion that says where it could. `port` is one that this process listens
    /// to on 127.0.0.1.
    static func probe(port: UInt16, processes: Int) -> String {
        #"""
        import os, socket, sys
        try:
            socket.create_connection(("127.0.0.1", \#(port)), 1).close()
            raise AssertionError("the machine's own network is reachable")
        except OSError:
            pass
        try:
            # Sends nothing: it only looks for a route.
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
            raise AssertionError("the network is reachable")
        except OSError:
            pass
        for place in ("/", "/usr", "/dev", "/etc", "/home", "/root", "/var/tmp", sys.prefix):
            try:
                open(place + "/innerq-probe", "w").close()
                os.unlink(place + "/innerq-probe")
            except OSError:
                continue
            raise AssertionError(place + " can be written to")
        open("note", "w").close()
        children = 0
        try:
            while children < \#(processes) + 4:
                child = os.fork()
                if child == 0:
                    import time
                    time.sleep(60)
                    os._exit(0)
                children += 1
            raise AssertionError("the number of processes is not limited")
        except OSError:
            pass
        """#
    }
}
