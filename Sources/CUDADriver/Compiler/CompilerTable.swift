/// The functions of NVRTC that this project calls, by their names in the documentation. A program is a
/// pointer that nobody looks through, kept as an integer.
package struct CompilerTable: @unchecked Sendable {
    package typealias Program = UInt
    package typealias Status = Int32
    package typealias Strings = UnsafePointer<UnsafePointer<CChar>?>

    package var nvrtcVersion:
        @convention(c) (UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>) -> Status
    package var nvrtcGetErrorString: @convention(c) (Status) -> UnsafePointer<CChar>?
    package var nvrtcCreateProgram:
        @convention(c) (
            UnsafeMutablePointer<Program>, UnsafePointer<CChar>, UnsafePointer<CChar>, Int32,
            Strings?, Strings?
        ) -> Status
    package var nvrtcDestroyProgram: @convention(c) (UnsafeMutablePointer<Program>) -> Status
    package var nvrtcCompileProgram: @convention(c) (Program, Int32, Strings?) -> Status
    package var nvrtcGetProgramLogSize:
        @convention(c) (Program, UnsafeMutablePointer<Int>) -> Status
    package var nvrtcGetProgramLog: @convention(c) (Program, UnsafeMutablePointer<CChar>) -> Status
    package var nvrtcGetCUBINSize: @convention(c) (Program, UnsafeMutablePointer<Int>) -> Status
    package var nvrtcGetCUBIN: @convention(c) (Program, UnsafeMutablePointer<CChar>) -> Status

    struct Missing: Error {
        let symbol: String
    }

    init(resolving find: (_ symbol: String) -> UnsafeMutableRawPointer?) throws(Missing) {
        func entry<Function>(_ symbol: String) throws(Missing) -> Function {
            guard let address = find(symbol) else { throw Missing(symbol: symbol) }
            return unsafeBitCast(address, to: Function.self)
        }
        nvrtcVersion = try entry("nvrtcVersion")
        nvrtcGetErrorString = try entry("nvrtcGetErrorString")
        nvrtcCreateProgram = try entry("nvrtcCreateProgram")
        nvrtcDestroyProgram = try entry("nvrtcDestroyProgram")
        nvrtcCompileProgram = try entry("nvrtcCompileProgram")
        nvrtcGetProgramLogSize = try entry("nvrtcGetProgramLogSize")
        nvrtcGetProgramLog = try entry("nvrtcGetProgramLog")
        nvrtcGetCUBINSize = try entry("nvrtcGetCUBINSize")
        nvrtcGetCUBIN = try entry("nvrtcGetCUBIN")
    }
}
