import CUDADriver
import Testing

/// NVRTC of this machine, if there is one.
private let compiler = try? RuntimeCompiler()

@Suite("Finding NVRTC")
struct CompilerSearchTests {
    private func search(
        _ environment: [String: String], _ folders: [String: [String]] = [:]
    ) -> CompilerSearch {
        CompilerSearch(environment: environment) { folders[$0] ?? [] }
    }

    @Test("The environment's file is the only one that counts")
    func named() {
        let search = search(["INNERQ_NVRTC": "/x/libnvrtc.so", "CUDA_HOME": "/cuda"])
        #expect(search.candidates(driver: nil) == ["/x/libnvrtc.so"])
        #expect(self.search(["INNERQ_NVRTC": ""]).candidates(driver: nil).count == 2)
    }

    @Test("The loader first, then the toolkit's folders and the user's cache")
    func order() {
        let search = search(
            ["CUDA_HOME": "/cuda", "HOME": "/home/a"],
            [
                "/cuda/lib64": ["libnvrtc.so.12"],
                "/usr/local": ["bin", "cuda-12.9", "cuda-13.0"],
                "/usr/local/cuda-13.0/lib64": ["libnvrtc.so.13", "libnvrtc.so"],
                "/usr/local/cuda-12.9/targets/x86_64-linux/lib": ["libnvrtc.so.12"],
                "/home/a/.cache/innerq": ["kernels", "nvrtc-13.0.88"],
                "/home/a/.cache/innerq/nvrtc-13.0.88/nvidia/cu13/lib": ["libnvrtc.so.13"],
            ])
        let thirteen = [
            "libnvrtc.so.13", "/usr/local/cuda-13.0/lib64/libnvrtc.so.13",
            "/home/a/.cache/innerq/nvrtc-13.0.88/nvidia/cu13/lib/libnvrtc.so.13",
        ]
        let twelve = [
            "libnvrtc.so.12", "/cuda/lib64/libnvrtc.so.12",
            "/usr/local/cuda-12.9/targets/x86_64-linux/lib/libnvrtc.so.12",
        ]
        #expect(search.candidates(driver: nil) == thirteen + twelve)
        #expect(search.candidates(driver: CUDAVersion(major: 13, minor: 0)) == thirteen + twelve)
        // What a driver for 12 may not load comes last.
        #expect(search.candidates(driver: CUDAVersion(major: 12, minor: 4)) == twelve + thirteen)
    }

    @Test("What lies beside NVRTC and is needed by it")
    func helpers() {
        let search = search(
            [:],
            ["/a/lib": ["libnvrtc-builtins.so.13.0", "libnvrtc-builtins.alt.so.13.0", "libx.so"]])
        #expect(
            search.helpers(of: "/a/lib/libnvrtc.so.13") == ["/a/lib/libnvrtc-builtins.so.13.0"])
        #expect(search.helpers(of: "libnvrtc.so.13") == [])
    }

    @Test("A file that is not NVRTC, and none at all")
    func missing() {
        #expect {
            _ = try RuntimeCompiler(
                searching: search(["INNERQ_NVRTC": "/nowhere/libnvrtc.so"]), driver: nil)
        } throws: {
            guard case .badCompiler("/nowhere/libnvrtc.so", _) = $0 as? CUDAError else {
                return false
            }
            return "\($0)".contains("INNERQ_NVRTC")
        }
        #expect {
            _ = try RuntimeCompiler(searching: search(["INNERQ_NVRTC": "libm.so.6"]), driver: nil)
        } throws: {
            "\($0)".contains("nvrtcVersion")
        }
        let text = "\(CUDAError.noCompiler(searched: ["libnvrtc.so.13"]))"
        #expect(text.contains("INNERQ_NVRTC") && text.contains("libnvrtc.so.13"))
    }
}

@Suite("Compiling with NVRTC", .enabled(if: compiler != nil, "NVRTC is not on this machine"))
struct CompilerTests {
    private let compiler: RuntimeCompiler

    init() throws { compiler = try RuntimeCompiler() }

    @Test(
        "The reader sees registers, spills, arrays and shared memory",
        arguments: ["sm_80", "sm_90a"])
    func kernels(architecture: String) throws {
        let source = """
            #include "amounts.h"
            extern "C" __global__ void plain(float *x) {
                __shared__ float s[THREADS];
                s[threadIdx.x] = x[threadIdx.x];
                __syncthreads();
                x[threadIdx.x] = s[THREADS - 1 - threadIdx.x];
            }
            // 64 values in 32 registers.
            extern "C" __global__ void __launch_bounds__(1024, 2) spilled(float *x) {
                float v[64];
                #pragma unroll
                for (int i = 0; i < 64; i++) v[i] = x[i * 1024 + threadIdx.x];
                for (int k = 0; k < 10; k++) {
                    #pragma unroll
                    for (int i = 0; i < 64; i++) v[i] = v[i] * v[(i + 7) & 63] + x[k];
                }
                #pragma unroll
                for (int i = 0; i < 64; i++) x[i * 1024 + threadIdx.x] = v[i];
            }
            extern "C" __global__ void indexed(float *x, int n) {
                float v[32];
                for (int i = 0; i < 32; i++) v[i] = x[i];
                float sum = 0;
                for (int i = 0; i < n; i++) sum += v[(i * 7 + threadIdx.x) & 31];
                x[0] = sum;
            }
            """
        let output = try compiler.compile(
            source, name: "sample.cu",
            headers: [.init(name: "amounts.h", text: "#define THREADS 64\n")],
            options: ["--gpu-architecture=\(architecture)", "-std=c++17"])
        let kernels = Dictionary(
            uniqueKeysWithValues: try Cubin(output.cubin).kernels.map { ($0.name, $0) })
        let plain = try #require(kernels["plain"])
        #expect(plain.stackBytes == 0)
        #expect(plain.staticSharedBytes == 256)
        #expect((4...32).contains(plain.registers))
        let spilled = try #require(kernels["spilled"])
        #expect(spilled.registers == 32)
        #expect(spilled.stackBytes > 100)
        #expect(kernels["indexed"]?.stackBytes == 128)
    }

    @Test("An error has the compiler's words, and the name of the source")
    func fails() {
        #expect {
            _ = try compiler.compile(
                "extern \"C\" __global__ void f() { undeclared(); }", name: "broken.cu",
                options: ["--gpu-architecture=sm_80"])
        } throws: {
            guard
                case .compilationFailed("broken.cu", "NVRTC_ERROR_COMPILATION", let log) =
                    $0 as? CUDAError
            else { return false }
            return log.contains("undeclared") && log.contains("broken.cu")
        }
    }

    @Test("Options that make no machine code, or that the compiler does not know")
    func options() {
        for option in ["--gpu-architecture=compute_80", "--no-such-option"] {
            #expect(throws: CUDAError.self, "\(option)") {
                _ = try compiler.compile("", name: "empty.cu", options: [option])
            }
        }
    }
}
