/// A version of CUDA, such as 13.0.
public struct CUDAVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let major: Int
    public let minor: Int

    public init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// From the driver's number: 1000 · major + 10 · minor.
    init(number: Int) { self.init(major: number / 1000, minor: number % 1000 / 10) }

    public static func < (a: Self, b: Self) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

    public var description: String { "\(major).\(minor)" }
}

/// What a GPU can do, as NVIDIA numbers it: 8.0 is A100, 9.0 is H100 and H200.
public struct ComputeCapability: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let major: Int
    public let minor: Int

    public init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    public static let oldest = ComputeCapability(major: 8, minor: 0)

    public static func < (a: Self, b: Self) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

    public var description: String { "\(major).\(minor)" }

    /// The compiler's name of it: `sm_80`; `sm_90a` on 9.0, where Hopper's own instructions are wanted.
    public var architecture: String {
        major == 9 && minor == 0 ? "sm_90a" : "sm_\(major)\(minor)"
    }
}
