import KVCache
import Testing
import Threading
import Transformer

/// Whether the kernels in use have panels.
private let hasPanels = variants.contains("avx2")

/// Matrices whose rows are interleaved in panels, against the float64 oracle and against the rows as they are.
@Suite struct InterleavedMatrixTests {
    private static let quantized = WeightType.allCases.filter { $0.blockElements > 1 }
    /// Products of activations rounded to 16 bits; see `WeightVerification`.
    private static let integerTolerance = 1e-4

    private func matrix(_ problem: Problem) throws -> Matrix {
        try Matrix(
            type: problem.type, rows: problem.rows, columns: problem.columns,
            bytes: UnsafeRawBufferPointer(problem.weights.bytes), owner: problem.weights)
    }

    private func multiply(
        _ matrix: Matrix, _ problem: Problem, count: Int, threads: Int,
        _ arithmetic: ProductArithmetic
    ) -> [Float] {
        let workers = WorkerPool(threads: threads)
        let scratch = MatrixScratch(columns: problem.columns, workers: threads)
        scratch.arithmetic = arithmetic
        let output = AlignedFloats(count: count * problem.rows, value: .nan)
        matrix.multiply(
            activations: problem.activations.pointer, count: count, into: output.pointer,
            workers: workers, scratch: scratch)
        return output.array
    }

    /// Rows that do not fill the last panel, and more threads than one.
    @Test(.enabled(if: hasPanels), arguments: quantized)
    func fewVectorsEqualTheOracle(_ type: WeightType) throws {
        var generator = SeededGenerator(seed: 31)
        for (rows, threads) in [(203, 2), (8, 1), (1, 3)] {
            let problem = Problem(
                type: type, rows: rows, columns: 768, count: 8, using: &generator)
            var memory = PanelMemory()
            let interleaved = try matrix(problem).interleaved(
                in: &memory, workers: WorkerPool(threads: threads))
            #expect(interleaved.isInterleaved)
            for count in [1, 2, 3, 4, 5, 8] {
                let output = multiply(
                    interleaved, problem, count: count, threads: threads, .integer)
                #expect(
                    problem.worstError(of: output, count: count) < Self.integerTolerance,
                    "\(rows) rows, \(count) vectors")
                // Products in float32 are those of the rows.
                let exact = multiply(interleaved, problem, count: count, threads: threads, .float)
                #expect(
                    exact
                        == multiply(
                            try matrix(problem), problem, count: count, threads: threads, .float))
            }
        }
    }

    @Test(.enabled(if: hasPanels), arguments: quantized)
    func manyVectorsAndRowsHaveTheBitsOfThoseNotInterleaved(_ type: WeightType) throws {
        var generator = SeededGenerator(seed: 32)
        let columns = type.blockElements == 32 ? 608 : 768
        let problem = Problem(type: type, rows: 75, columns: columns, count: 21, using: &generator)
        let plain = try matrix(problem)
        var memory = PanelMemory()
        let interleaved = plain.interleaved(in: &memory, workers: WorkerPool(threads: 2))
        #expect(
            multiply(interleaved, problem, count: 21, threads: 2, .integer)
                == multiply(plain, problem, count: 21, threads: 2, .integer))
        let (a, b) = (AlignedFloats(count: columns), AlignedFloats(count: columns))
        for row in [0, 7, 8, 63, 72, 74] {
            interleaved.dequantizeRow(row, into: a.pointer)
            plain.dequantizeRow(row, into: b.pointer)
            #expect(a.array.map(\.bitPattern) == b.array.map(\.bitPattern), "row \(row)")
        }
    }

    @Test(arguments: [WeightType.f32, .f16, .bf16])
    func typesWithoutPanelsStayAsTheyAre(_ type: WeightType) throws {
        var generator = SeededGenerator(seed: 33)
        let problem = Problem(type: type, rows: 9, columns: 64, count: 1, using: &generator)
        var memory = PanelMemory()
        let same = try matrix(problem).interleaved(in: &memory, workers: WorkerPool(threads: 1))
        #expect(!same.isInterleaved)
        #expect(
            problem.worstError(
                of: multiply(same, problem, count: 1, threads: 1, .integer), count: 1)
                < WeightProductTests.tolerance)
    }

    @Test func aStackOfInterleavedAndPlainMatricesEqualsTheOracle() throws {
        var generator = SeededGenerator(seed: 34)
        let workers = WorkerPool(threads: 2)
        let scratch = MatrixScratch(columns: 512, workers: 2)
        var memory = PanelMemory()
        let problems = [(WeightType.q4_K, 50), (.f16, 9), (.q4_1, 33)].map {
            Problem(type: $0.0, rows: $0.1, columns: 512, count: 2, using: &generator)
        }
        let stack = try MatrixStack(
            problems.map { try matrix($0).interleaved(in: &memory, workers: workers) })
        // One set of activations for all.
        let output = AlignedFloats(count: stack.rows)
        stack.multiply(
            activations: problems[0].activations.pointer, count: 1, into: output.pointer,
            workers: workers, scratch: scratch)
        for (index, problem) in problems.enumerated() {
            let first = stack.offsets[index]
            for row in 0..<problem.rows {
                let rowBytes = problem.type.rowBytes(columns: 512)!
                let weights = WeightOracle.row(
                    problem.type,
                    bytes: UnsafeRawBufferPointer(
                        rebasing: problem.weights.bytes[row * rowBytes..<(row + 1) * rowBytes]),
                    columns: 512)
                let (value, magnitude) = WeightOracle.product(
                    weights: weights, activations: problems[0].activations.pointer)
                #expect(
                    abs(Double(output[first + row]) - value) < Self.integerTolerance * magnitude)
            }
        }
    }

    @Test func panelMemoryHandsOutDisjointAlignedPieces() throws {
        var memory = PanelMemory()
        var pieces: [(UnsafeMutableRawPointer, Int, PanelPiece)] = []
        for bytes in [1, 100, 40 << 20, 30 << 20, 64 << 20, 100 << 20, 5] {
            let taken = memory.take(bytes)
            let (pointer, owner) = try #require(taken)
            #expect(Int(bitPattern: pointer).isMultiple(of: 64))
            // Both ends can be written, and hold zeros before.
            for offset in Set([0, bytes - 1]) {
                #expect(pointer.load(fromByteOffset: offset, as: UInt8.self) == 0)
            }
            pointer.storeBytes(of: 1, toByteOffset: 0, as: UInt8.self)
            pointer.storeBytes(of: 1, toByteOffset: bytes - 1, as: UInt8.self)
            pieces.append((pointer, bytes, owner))
        }
        let sorted = pieces.sorted { $0.0 < $1.0 }
        for (a, b) in zip(sorted, sorted.dropFirst()) { #expect(a.0 + a.1 <= b.0) }
        // What was handed out survives giving back the rest.
        memory.giveBackRest()
        for (pointer, bytes, _) in pieces {
            #expect(pointer.load(as: UInt8.self) == 1)
            #expect(pointer.load(fromByteOffset: bytes - 1, as: UInt8.self) == 1)
        }
        #expect(memory.take(0) == nil)
        #expect(memory.take(.max) == nil)
    }
}
