/// How a decode launch is cut into blocks and warps: pure arithmetic that the kernel repeats.
///
///     problem   one sequence, one KV head, one chunk of the query heads that share it
///     cost      of a problem: body tiles + rawCost · raw tiles, in the time of a body tile. Raw tile i begins at cost
///               rawCost · i, body tile b at rawCost · raw tiles + b
///     split s   of a problem takes the tiles that begin in [s · units, (s + 1) · units), of the body from page to page
///               (both ends are rounded down); its warps share them out
///
/// A problem has either whole blocks, `splits` of them, or `warps` of one block that it shares with others. The grid is
/// (blocks of all sequences' KV heads) × chunks. All blocks of a launch run at once if they can: the plan is the one with
/// the least cost a warp whose blocks fit one wave, so that long sequences get more warps than short ones and all end at
/// the same time. Blocks are shared only if there are not enough for all problems; if even one warp for each problem is
/// too much, there are as few waves as possible. Where that leaves many seats empty, long problems are cut into four
/// blocks each, which follow one another as seats become free.
package struct DecodePlan: Sendable, Hashable {
    /// What the GPU seats at once.
    package struct Seats: Sendable, Hashable {
        package var multiprocessors: Int
        package var blocksPerMultiprocessor: Int
        /// Warps of a block: a power of two.
        package var warps: Int

        package init(multiprocessors: Int, blocksPerMultiprocessor: Int, warps: Int) {
            self.multiprocessors = multiprocessors
            self.blocksPerMultiprocessor = blocksPerMultiprocessor
            self.warps = warps
        }

        package var blocks: Int { max(1, multiprocessors * blocksPerMultiprocessor) }
    }

    /// Tiles that the query of one sequence sees.
    package struct Length: Sendable, Hashable {
        package var bodyTiles: Int
        package var rawTiles: Int

        package init(bodyTiles: Int, rawTiles: Int) {
            self.bodyTiles = bodyTiles
            self.rawTiles = rawTiles
        }
    }

    /// The part of a launch that works on one sequence.
    package struct Share: Sendable, Hashable {
        /// Cost that one split takes.
        package var units: Int
        /// In the grid's first dimension, as all blocks of a sequence.
        package var firstBlock: Int
        /// Blocks of one problem.
        package var splits: Int
        /// Warps of one problem in a block: all of them, or fewer where a block holds several problems.
        package var warps: Int
        /// First record of the sequence in the partials: one for each problem and split, where splits > 1.
        package var firstPartial: Int

        /// ⌈2³² / splits⌉, with which the kernel divides by splits; 0 for 1.
        package var splitsMagic: UInt32 {
            splits > 1 ? UInt32(((1 << 32) + splits - 1) / splits) : 0
        }

        /// Blocks of the grid's first dimension that work on a sequence, if a block has `blockWarps` warps.
        package func columns(kvHeads: Int, blockWarps: Int) -> Int {
            let together = blockWarps / warps
            return splits > 1 ? kvHeads * splits : (kvHeads + together - 1) / together
        }
    }

    /// Query heads of a problem at most: the columns of a tensor core tile.
    package static func mostHeads(headSize: Int) -> Int { headSize > 128 ? 4 : 8 }

    /// Problems that the query heads of one KV head are cut into.
    package static func chunks(ratio: Int, headSize: Int) -> Int {
        let most = mostHeads(headSize: headSize)
        return (ratio + most - 1) / most
    }

    /// Problems of one KV head.
    package let chunks: Int
    /// Query heads of a problem; the last one of a KV head may have fewer.
    package let headsPerProblem: Int
    package let rawCost: Int
    package private(set) var shares: [Share] = []
    /// Blocks of the grid's first dimension; the second is ``chunks``.
    package private(set) var columns = 0
    /// Blocks of the whole launch.
    package var blocks: Int { columns * chunks }
    /// Problems of the whole launch.
    package let problems: Int
    /// Records of the partials that the launch needs.
    package private(set) var partials = 0
    /// Whether more blocks than seats were made on purpose.
    package let queues: Bool
    /// Whether all blocks run at once, so that one may wait for another.
    package private(set) var isOneWave = true

    /// - Parameters:
    ///   - ratio: query heads of a KV head.
    ///   - rawCost: time of a raw tile over that of a body tile, a power of two; see ``DeviceLayout/Layer/rawCost``.
    ///   - leastUnits: a split is not made smaller than this, since merging more partials takes longer; 4 if not
    ///     given.
    package init(
        lengths: [Length], ratio: Int, kvHeads: Int, headSize: Int, rawCost: Int, seats: Seats,
        leastUnits: Int? = nil
    ) {
        let chunks = Self.chunks(ratio: ratio, headSize: headSize)
        self.chunks = chunks
        headsPerProblem = (ratio + chunks - 1) / chunks
        self.rawCost = rawCost
        problems = kvHeads * chunks * lengths.count
        let warps = seats.warps
        let least = max(1, leastUnits ?? 4)
        let costs = lengths.map { $0.bodyTiles + rawCost * $0.rawTiles }
        let longest = costs.max() ?? 0
        queues = Self.queues(
            problems: problems, shortest: costs.min() ?? 0, longest: longest, seats: seats)
        let mayShare = problems > seats.blocks && !queues
        let extents = lengths.map {
            Extent($0, rawCost: rawCost, warps: warps, least: least, mayShare: mayShare)
        }
        func blocks(_ units: Int) -> Int {
            chunks
                * extents.reduce(0) {
                    $0 + $1.share(units: units).columns(kvHeads: kvHeads, blockWarps: warps)
                }
        }
        // At this cost every problem has one warp or, where blocks are not shared, one block.
        let largest = extents.reduce(1) { max($0, $1.end) } * (mayShare ? warps : 1)
        let waves = max(1, (blocks(largest) + seats.blocks - 1) / seats.blocks)
        var low = min(least, largest)
        var high = largest
        while low < high {
            let middle = low + (high - low) / 2
            if blocks(middle) <= waves * seats.blocks { high = middle } else { low = middle + 1 }
        }
        if queues { low = max(least, (longest + Self.queuedSplits - 1) / Self.queuedSplits) }
        for extent in extents {
            var share = extent.share(units: low)
            share.firstBlock = columns
            share.firstPartial = partials
            columns += share.columns(kvHeads: kvHeads, blockWarps: warps)
            if share.splits > 1 { partials += kvHeads * chunks * share.splits }
            shares.append(share)
        }
        isOneWave = self.blocks <= seats.blocks
    }

    /// Blocks of a long problem where more blocks queue than have seats.
    package static let queuedSplits = 4

    /// Whether more blocks than seats end sooner. Measured on an H200 with 136 to 400 problems of 3.5 bits, against one
    /// block a problem: 5 to 10 % less time at 32,768 tokens where it fills fewer than two thirds of the seats of its only
    /// wave or four fifths of several waves'; more time at 8,192.
    /// Sequences of different lengths fill the seats otherwise: the long ones get more of them.
    private static func queues(
        problems: Int, shortest: Int, longest: Int, seats: Seats
    ) -> Bool {
        guard problems > seats.multiprocessors, longest >= 512, 4 * longest <= 5 * shortest else {
            return false
        }
        let waves = (problems + seats.blocks - 1) / seats.blocks
        let filled = Double(problems) / Double(waves * seats.blocks)
        return filled < (waves == 1 ? 0.65 : 0.8)
    }

    /// The problems of one sequence: their tiles begin in 0 ..< end.
    private struct Extent {
        let end: Int
        private let warps: Int
        private let least: Int
        private let mayShare: Bool

        init(_ length: Length, rawCost: Int, warps: Int, least: Int, mayShare: Bool) {
            let raw = rawCost * length.rawTiles
            end = length.bodyTiles > 0 ? raw + length.bodyTiles : max(0, raw - rawCost + 1)
            self.warps = warps
            // A split without the beginning of a tile would have nothing to do.
            self.least = length.rawTiles > 0 ? max(least, rawCost) : least
            self.mayShare = mayShare
        }

        /// Warps, then blocks, of a problem if no block takes more than `units`.
        func share(units: Int) -> Share {
            var count = mayShare ? 1 : warps
            while count < warps, end * warps > units * count { count *= 2 }
            if count < warps { return share(splits: 1, warps: count) }
            let most = max(units, least)
            return share(splits: (end + most - 1) / most, warps: warps)
        }

        private func share(splits: Int, warps: Int) -> Share {
            var units = max(1, (end + max(splits, 1) - 1) / max(splits, 1))
            if splits > 1 { units = max(units, least) }
            return Share(
                units: units, firstBlock: 0, splits: max(1, (end + units - 1) / units),
                warps: warps, firstPartial: 0)
        }
    }
}
