import KVCache
import Testing
import Threading
import Transformer

@Suite struct MatrixTests {
    private func matrix(_ problem: Problem) throws -> Matrix {
        try Matrix(
            type: problem.type, rows: problem.rows, columns: problem.columns,
            bytes: UnsafeRawBufferPointer(problem.weights.bytes), owner: problem.weights)
    }

    @Test(arguments: [1, 2, 3], ProductArithmetic.allCases)
    func productsEqualTheOracleForAnyCount(threads: Int, arithmetic: ProductArithmetic) throws {
        var generator = SeededGenerator(seed: 11)
        let workers = WorkerPool(threads: threads)
        let scratch = MatrixScratch(columns: 640, workers: threads)
        scratch.arithmetic = arithmetic
        // More than eight on a matrix unit, where there is one; more than 512 in rounds.
        scratch.splitsVectors = true
        for type in [WeightType.q4_1, .q8_0, .f16] {
            let problem = Problem(
                type: type, rows: 203, columns: 608, count: type == .q4_1 ? 530 : 33,
                using: &generator)
            let matrix = try matrix(problem)
            for count in [1, 2, 3, 7, 8, 9, problem.count] {
                let output = AlignedFloats(count: count * problem.rows, value: .nan)
                matrix.multiply(
                    activations: problem.activations.pointer, count: count, into: output.pointer,
                    workers: workers, scratch: scratch)
                #expect(
                    problem.worstError(of: output.array, count: count)
                        < (arithmetic == .float ? WeightProductTests.tolerance : 1e-4),
                    "\(type), \(count) vectors")
            }
        }
    }

    @Test func theResultDoesNotDependOnTheNumberOfThreads() throws {
        var generator = SeededGenerator(seed: 12)
        let problem = Problem(type: .q4_1, rows: 500, columns: 576, count: 20, using: &generator)
        let matrix = try matrix(problem)
        for count in [1, 20] {
            var results: [[Float]] = []
            for threads in [1, 2, 4] {
                let workers = WorkerPool(threads: threads)
                let scratch = MatrixScratch(columns: 576, workers: threads)
                let output = AlignedFloats(count: count * problem.rows)
                matrix.multiply(
                    activations: problem.activations.pointer, count: count, into: output.pointer,
                    workers: workers, scratch: scratch)
                results.append(output.array)
            }
            #expect(results[0] == results[1] && results[0] == results[2])
        }
    }

    /// So that splitting a prompt into chunks does not change a bit, as long as each chunk is on the same path.
    @Test func aVectorsResultDoesNotDependOnItsNeighbours() throws {
        var generator = SeededGenerator(seed: 16)
        let workers = WorkerPool(threads: 2)
        let scratch = MatrixScratch(columns: 768, workers: 2)
        for type in WeightType.allCases {
            let problem = Problem(type: type, rows: 40, columns: 768, count: 25, using: &generator)
            let matrix = try matrix(problem)
            func rows(_ range: Range<Int>) -> [Float] {
                let output = AlignedFloats(count: range.count * 40)
                matrix.multiply(
                    activations: problem.activations.pointer + range.lowerBound * 768,
                    count: range.count, into: output.pointer, workers: workers, scratch: scratch)
                return output.array
            }
            let many = rows(0..<25)
            #expect(Array(many[40 * 9..<40 * 22]) == rows(9..<22), "\(type)")
            let few = rows(0..<7)
            #expect(Array(few[40 * 3..<40 * 4]) == rows(3..<4), "\(type)")
        }
    }

    @Test func aStackOfDifferentTypesEqualsItsMatrices() throws {
        var generator = SeededGenerator(seed: 13)
        let types: [(WeightType, Int)] = [(.q4_K, 50), (.q6_K, 17), (.f32, 9), (.q4_1, 33)]
        let problems = types.map {
            Problem(type: $0.0, rows: $0.1, columns: 512, count: 12, using: &generator)
        }
        let stack = try MatrixStack(problems.map { try matrix($0) })
        #expect(stack.rows == 109)
        #expect(stack.offsets == [0, 50, 67, 76])
        let workers = WorkerPool(threads: 2)
        let scratch = MatrixScratch(columns: 512, workers: 2)
        let input = problems[0].activations
        for count in [1, 4, 12] {
            let output = AlignedFloats(count: count * 112, value: 1)
            stack.multiply(
                activations: input.pointer, count: count, into: output.pointer, outputStride: 112,
                accumulate: true, workers: workers, scratch: scratch)
            for (i, problem) in problems.enumerated() {
                let single = AlignedFloats(count: count * problem.rows, value: 1)
                try matrix(problem).multiply(
                    activations: input.pointer, count: count, into: single.pointer,
                    accumulate: true, workers: workers, scratch: scratch)
                for t in 0..<count {
                    for r in 0..<problem.rows {
                        #expect(
                            output[112 * t + stack.offsets[i] + r] == single[problem.rows * t + r])
                    }
                }
            }
            for t in 0..<count { #expect(output[112 * t + 111] == 1) }
        }
    }

    @Test func stridesSkipWhatLiesBetweenVectors() throws {
        var generator = SeededGenerator(seed: 14)
        let problem = Problem(type: .q5_1, rows: 21, columns: 64, count: 10, using: &generator)
        let matrix = try matrix(problem)
        let workers = WorkerPool(threads: 2)
        let scratch = MatrixScratch(columns: 64, workers: 2)
        for count in [2, 10] {
            let wide = AlignedFloats(count: count * 100, value: .nan)
            for t in 0..<count {
                for k in 0..<64 { wide.pointer[100 * t + k] = problem.activations[64 * t + k] }
            }
            let output = AlignedFloats(count: count * 30)
            matrix.multiply(
                activations: wide.pointer, activationStride: 100, count: count,
                into: output.pointer, outputStride: 30, workers: workers, scratch: scratch)
            let worst = problem.worstError(of: output.array, count: count, stride: 30)
            #expect(worst < WeightProductTests.tolerance)
        }
    }

    @Test func rowsDecodeToTheOracle() throws {
        var generator = SeededGenerator(seed: 15)
        let problem = Problem(type: .q8_0, rows: 4, columns: 96, count: 1, using: &generator)
        let matrix = try matrix(problem)
        #expect(matrix.byteCount == 4 * 102)
        let values = AlignedFloats(count: 96)
        matrix.dequantizeRow(2, into: values.pointer)
        let row = UnsafeRawBufferPointer(rebasing: problem.weights.bytes[204..<306])
        let expected = WeightOracle.row(.q8_0, bytes: row, columns: 96)
        for k in 0..<96 { #expect(values[k] == Float(expected[k])) }
    }

    @Test func aMatrixKeepsItsOwnerAlive() throws {
        final class Owner: @unchecked Sendable {
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
            deinit { bytes.deallocate() }
        }
        weak var observed: Owner?
        var matrix: Matrix?
        do {
            let owner = Owner()
            observed = owner
            matrix = try Matrix(
                type: .f32, rows: 1, columns: 1, bytes: UnsafeRawBufferPointer(owner.bytes),
                owner: owner)
        }
        #expect(observed != nil)
        #expect(matrix?.rows == 1)
        matrix = nil
        #expect(observed == nil)
    }

    @Test func shapesThatDoNotFitAreRefused() {
        func make(_ type: WeightType, _ rows: Int, _ columns: Int, _ bytes: Int) throws -> Matrix {
            let owner = GuardedBytes([UInt8](repeating: 0, count: bytes))
            return try Matrix(
                type: type, rows: rows, columns: columns,
                bytes: UnsafeRawBufferPointer(owner.bytes), owner: owner)
        }
        #expect(throws: MatrixError.emptyShape(rows: 0, columns: 32)) {
            try make(.q4_0, 0, 32, 100)
        }
        #expect(throws: MatrixError.emptyShape(rows: 1, columns: -32)) {
            try make(.q4_0, 1, -32, 100)
        }
        #expect(throws: MatrixError.partialBlock(type: .q4_0, columns: 33)) {
            try make(.q4_0, 1, 33, 100)
        }
        #expect(throws: MatrixError.partialBlock(type: .q6_K, columns: 128)) {
            try make(.q6_K, 1, 128, 1000)
        }
        #expect(throws: MatrixError.tooLarge(type: .f32, rows: 1, columns: .max)) {
            try make(.f32, 1, .max, 100)
        }
        #expect(throws: MatrixError.tooLarge(type: .f32, rows: .max, columns: 2)) {
            try make(.f32, .max, 2, 100)
        }
        #expect(
            throws: MatrixError.tooFewBytes(
                type: .q4_1, rows: 2, columns: 64, needed: 80, given: 79)
        ) { try make(.q4_1, 2, 64, 79) }
        #expect(throws: MatrixError.emptyStack) { try MatrixStack([]) }
        #expect(throws: MatrixError.differentColumns(first: 2, other: 3)) {
            try MatrixStack([make(.f32, 1, 2, 8), make(.f32, 1, 3, 12)])
        }
        let message = MatrixError.partialBlock(type: .q4_0, columns: 33).errorDescription
        #expect(message?.contains("33 columns") == true)
    }
}
