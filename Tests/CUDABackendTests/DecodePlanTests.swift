import CUDABackend
import Testing

/// The split of a decode launch, against the arithmetic that the kernel does with it.
@Suite struct DecodePlanTests {
    typealias Length = DecodePlan.Length

    /// What each split of a problem takes, as the kernel finds it; then that nothing is missing, double or idle.
    private func check(
        _ plan: DecodePlan, _ lengths: [Length], ratio: Int, kvHeads: Int, warps: Int, step: Int = 4
    )
        -> String?
    {
        guard plan.shares.count == lengths.count else { return "shares" }
        var block = 0
        var partial = 0
        let problems = kvHeads * plan.chunks
        for (share, length) in zip(plan.shares, lengths) {
            guard share.firstBlock == block else { return "first block" }
            guard share.splits >= 1, share.units >= 1 else { return "no warps" }
            if share.splits > 1 {
                for block in [0, 1, share.splits - 1, share.splits, kvHeads * share.splits - 1] {
                    let problem = (UInt64(block) * UInt64(share.splitsMagic)) >> 32
                    guard problem == block / share.splits else { return "division" }
                }
            } else if share.splitsMagic != 0 {
                return "division by 1"
            }
            guard [1, 2, 4, warps].contains(share.warps), share.warps <= warps else {
                return "\(share.warps) warps of a block"
            }
            guard share.splits == 1 || share.warps == warps else { return "shared split block" }
            if share.splits > 1 {
                guard share.firstPartial == partial else { return "first partial" }
                partial += problems * share.splits
            }
            block += share.columns(kvHeads: kvHeads, blockWarps: warps)
            var raw = [Int](repeating: 0, count: length.rawTiles)
            var body = [Int](repeating: 0, count: length.bodyTiles)
            for split in 0..<share.splits {
                var found = 0
                let first = split * share.units
                let end = first + share.units
                for tile in raw.indices where (first..<end).contains(plan.rawCost * tile) {
                    raw[tile] += 1
                    found += 1
                }
                let start = plan.rawCost * length.rawTiles
                // Whole pages: the body begins with one.
                func page(_ cost: Int) -> Int {
                    min(max(0, (cost - start) & ~3), body.count)
                }
                let last = split == share.splits - 1 ? body.count : page(end)
                for tile in page(first)..<max(last, page(first)) {
                    body[tile] += 1
                    found += 1
                }
                if found == 0, share.splits > 1, share.units >= 8 {
                    return "split \(split) of \(share) is idle"
                }
            }
            guard raw.allSatisfy({ $0 == 1 }), body.allSatisfy({ $0 == 1 }) else {
                return "tiles of \(length) in \(share): \(raw) \(body)"
            }
        }
        guard plan.columns == block, plan.blocks == block * plan.chunks, plan.partials == partial
        else { return "sums" }
        return nil
    }

    @Test func everyTileIsTakenOnceByRandomLaunches() {
        var random = Random(3)
        func pick(_ range: ClosedRange<Int>) -> Int {
            range.lowerBound + Int(random.next() % UInt64(range.count))
        }
        for trial in 0..<3000 {
            let longest = [3, 40, 700, 5000][trial % 4]
            let lengths = (0..<[1, 2, 7, 64][trial / 4 % 4]).map { _ in
                Length(bodyTiles: pick(0...longest), rawTiles: pick(0...6))
            }
            let ratio = pick(1...16)
            let kvHeads = pick(1...32)
            let warps = [4, 8][trial % 2]
            let seats = DecodePlan.Seats(
                multiprocessors: pick(1...148), blocksPerMultiprocessor: pick(1...2), warps: warps)
            let plan = DecodePlan(
                lengths: lengths, ratio: ratio, kvHeads: kvHeads,
                headSize: [64, 128, 256][trial % 3],
                rawCost: 1 << pick(0...3), seats: seats, leastUnits: pick(1...4))
            if let fault = check(
                plan, lengths, ratio: ratio, kvHeads: kvHeads, warps: warps)
            {
                Issue.record("trial \(trial): \(fault)")
                return
            }
            #expect(plan.problems == lengths.count * kvHeads * plan.chunks)
            #expect(plan.headsPerProblem <= (trial % 3 == 2 ? 4 : 8))
            #expect((plan.chunks - 1) * plan.headsPerProblem < ratio)
            #expect(plan.chunks * plan.headsPerProblem >= ratio)
            #expect(
                plan.isOneWave
                    == (plan.blocks <= seats.multiprocessors * seats.blocksPerMultiprocessor))
            // One warp for each problem is the least; if that fits, the plan does.
            let least = lengths.count * plan.chunks * ((kvHeads + warps - 1) / warps)
            if least <= seats.multiprocessors { #expect(plan.isOneWave || plan.queues) }
        }
    }

    @Test func emptySequencesHaveABlockToWriteZeros() {
        let lengths = [
            Length(bodyTiles: 0, rawTiles: 0), Length(bodyTiles: 0, rawTiles: 1),
            Length(bodyTiles: 1, rawTiles: 0),
        ]
        let plan = DecodePlan(
            lengths: lengths, ratio: 4, kvHeads: 8, headSize: 128, rawCost: 4,
            seats: .init(multiprocessors: 132, blocksPerMultiprocessor: 1, warps: 8))
        #expect(check(plan, lengths, ratio: 4, kvHeads: 8, warps: 8) == nil)
        #expect(plan.shares.allSatisfy { $0.splits == 1 && $0.warps == 8 })
        #expect(plan.blocks == 24)
    }

    /// Shapes of the speed table on 132 multiprocessors: batch, KV heads, ratio, body tiles; splits or, where there are
    /// more problems than multiprocessors, blocks of 4 warps that do not share.
    @Test(arguments: [
        (1, 32, 1, 1024, 4), (1, 8, 4, 1024, 16), (8, 8, 4, 256, 2), (1, 8, 4, 4096, 16),
        (1, 8, 4, 60, 16), (3, 44, 1, 300, 1),
    ])
    func knownShapesFillTheDevice(
        _ batch: Int, _ kvHeads: Int, _ ratio: Int, _ tiles: Int, _ splits: Int
    ) {
        let plan = DecodePlan(
            lengths: .init(repeating: Length(bodyTiles: tiles, rawTiles: 5), count: batch),
            ratio: ratio, kvHeads: kvHeads, headSize: 128, rawCost: 4,
            seats: .init(multiprocessors: 132, blocksPerMultiprocessor: 1, warps: 8))
        #expect(plan.isOneWave)
        #expect(plan.shares.allSatisfy { $0.splits == splits && $0.warps == 8 })
    }

    @Test(arguments: [
        (8, 32, 4, 256), (32, 8, 4, 256), (64, 8, 2, 256), (64, 16, 1, 256), (64, 32, 1, 512),
    ])
    func manyProblemsShareBlocks(_ batch: Int, _ kvHeads: Int, _ warps: Int, _ blocks: Int) {
        let plan = DecodePlan(
            lengths: .init(repeating: Length(bodyTiles: 500, rawTiles: 5), count: batch),
            ratio: 1, kvHeads: kvHeads, headSize: 128, rawCost: 4,
            seats: .init(multiprocessors: 132, blocksPerMultiprocessor: 2, warps: 4))
        #expect(plan.shares.allSatisfy { $0.splits == 1 && $0.warps == warps })
        #expect(plan.blocks == blocks)
        #expect(plan.isOneWave == (blocks <= 264))
    }

    /// Long problems that would leave many seats empty are cut into blocks that queue; short ones are not.
    @Test(arguments: [
        (160, 1024, 4), (160, 256, 1), (200, 1024, 1), (300, 1024, 4), (400, 1024, 4),
    ])
    func longProblemsQueue(_ kvHeads: Int, _ tiles: Int, _ splits: Int) {
        let lengths = [Length(bodyTiles: tiles, rawTiles: 5)]
        let plan = DecodePlan(
            lengths: lengths, ratio: 1, kvHeads: kvHeads, headSize: 128, rawCost: 4,
            seats: .init(multiprocessors: 132, blocksPerMultiprocessor: 2, warps: 4))
        #expect(check(plan, lengths, ratio: 1, kvHeads: kvHeads, warps: 4) == nil)
        #expect(plan.shares[0].splits == splits)
        #expect(plan.isOneWave == (plan.blocks <= 264))
        #expect(plan.queues == (splits > 1))
        #expect(splits == 1 || plan.blocks == kvHeads * splits)
    }

    @Test func longSequencesGetMoreBlocks() {
        let lengths = [
            Length(bodyTiles: 4096, rawTiles: 5), Length(bodyTiles: 64, rawTiles: 5),
            Length(bodyTiles: 512, rawTiles: 5),
        ]
        let plan = DecodePlan(
            lengths: lengths, ratio: 4, kvHeads: 8, headSize: 128, rawCost: 4,
            seats: .init(multiprocessors: 132, blocksPerMultiprocessor: 1, warps: 8))
        let splits = plan.shares.map(\.splits)
        #expect(plan.isOneWave)
        #expect(splits[0] > 5 * splits[2] && splits[2] > splits[1])
        // Nobody takes twice what an even cut would give.
        let total = 8 * (4096 + 64 + 512 + 3 * 20)
        #expect(plan.shares.allSatisfy { $0.units <= 2 * total / 132 })
    }
}
