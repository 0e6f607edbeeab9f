#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension WorkerPool {
    /// Physical cores that this process may use, at least 1: a second hardware thread of a core adds nothing to
    /// loops that keep its multiply-add units busy.
    ///
    /// Linux: the affinity mask (`Cpus_allowed_list` in `/proc/self/status`), one processor per set of siblings in
    /// `/sys/devices/system/cpu/cpuN/topology`. Darwin: the fast cores.
    public static var recommendedThreads: Int {
        #if os(Linux)
            let list = line(of: "/proc/self/status", startingWith: "Cpus_allowed_list:")
            guard let list, let allowed = processors(inList: list), !allowed.isEmpty else {
                return max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
            }
            var cores = Set<String>()
            for processor in allowed {
                let file = "/sys/devices/system/cpu/cpu\(processor)/topology/thread_siblings_list"
                cores.insert(line(of: file, startingWith: "") ?? "\(processor)")
            }
            return max(1, cores.count)
        #elseif canImport(Darwin)
            var value: Int32 = 0
            var size = MemoryLayout<Int32>.size
            for name in ["hw.perflevel0.physicalcpu", "hw.physicalcpu"]
            where sysctlbyname(name, &value, &size, nil, 0) == 0 && value > 0 {
                return Int(value)
            }
            return 1
        #else
            return 1
        #endif
    }

    /// Processor numbers in the kernel's notation, "0-3,8,10-11"; `nil` if it is something else.
    package static func processors(inList list: String) -> [Int]? {
        var numbers: [Int] = []
        for item in list.split(separator: ",") {
            let ends = item.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2,
                first >= 0, first <= last, last < 1 << 16
            else { return nil }
            numbers.append(contentsOf: first...last)
        }
        return numbers
    }

    #if os(Linux)
        /// The rest of the first line that starts so, without blanks around it.
        private static func line(of path: String, startingWith start: String) -> String? {
            guard let file = fopen(path, "r") else { return nil }
            defer { fclose(file) }
            var buffer = [CChar](repeating: 0, count: 4096)
            while fgets(&buffer, Int32(buffer.count), file) != nil {
                let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                let line = String(decoding: bytes, as: UTF8.self)
                guard line.hasPrefix(start) else { continue }
                var rest = line.dropFirst(start.count).drop { $0.isWhitespace }
                while rest.last?.isWhitespace == true { rest.removeLast() }
                return String(rest)
            }
            return nil
        }
    #endif
}
