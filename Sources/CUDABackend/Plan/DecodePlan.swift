/// How a decode launch is cut into blocks and warps: pure arithmetic that the kernel repeats.
///
///     problem   one sequence, one KV head, one chunk of the query heads that share it
///     cost      of a problem: body tiles + rawCost · raw tiles, in the time of a body tile. Raw tile i begins at cost
///               rawCost · i, body tile b at rawCost · raw tiles + b
///     warp w    of a problem takes the tiles that begin in [w · units, (w + 1) · units)
///
/// A problem has either whole blocks, `splits` of them, or `warps` of one block that it shares with others. All blocks
/// of a launch run at once if they can: the plan is the one with the fewest units a warp whose blocks fit one wave,
/// so that long sequences get more warps than short ones and all end at the same time. If even one warp for each
/// problem does not fit, there are as few waves as possible.
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
        /// Cost that one warp takes.
        package var units: Int
        package var firstBlock: Int
        /// Blocks of one problem.
        package var splits: Int
        /// Warps of one problem in a block: all of them, or fewer where a block holds several problems.
        package var warps: Int
        /// First record of the sequence in the partials: one for each problem and split, where splits > 1.
        package var firstPartial: Int
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
    /// Blocks of the whole launch.
    package private(set) var blocks = 0
    /// Problems of the whole launch.
    package let problems: Int
    /// Records of the partials that the launch needs.
    package private(set) var partials = 0
    /// Whether all blocks run at once, so that one may wait for another.
    package private(set) var isOneWave = true

    /// - Parameters:
    ///   - ratio: query heads of a KV head.
    ///   - rawCost: time of a raw tile over that of a body tile; see ``rawCost(layout:)``.
    ///   - leastUnits: a warp's share is not made smaller than this, since merging more partials takes longer.
    package init(
        lengths: [Length], ratio: Int, kvHeads: Int, headSize: Int, rawCost: Int, seats: Seats,
        leastUnits: Int = 1
    ) {
        chunks = Self.chunks(ratio: ratio, headSize: headSize)
        headsPerProblem = (ratio + chunks - 1) / chunks
        self.rawCost = rawCost
        let each = kvHeads * chunks
        problems = each * lengths.count
        let extents = lengths.map { Extent($0, rawCost: rawCost) }
        func blocks(_ units: Int) -> Int {
            extents.reduce(0) { $0 + $1.blocks(units: units, problems: each, warps: seats.warps) }
        }
        // Beyond the largest cost every problem has one warp.
        let largest = extents.reduce(1) { max($0, $1.end) }
        let waves = max(1, (blocks(largest) + seats.blocks - 1) / seats.blocks)
        var low = min(max(leastUnits, 1), largest)
        var high = largest
        while low < high {
            let middle = low + (high - low) / 2
            if blocks(middle) <= waves * seats.blocks { high = middle } else { low = middle + 1 }
        }
        for extent in extents {
            var share = extent.share(units: low, warps: seats.warps)
            share.firstBlock = self.blocks
            share.firstPartial = partials
            self.blocks += share.blocks(problems: each, warps: seats.warps)
            if share.splits > 1 { partials += each * share.splits }
            shares.append(share)
        }
        isOneWave = self.blocks <= seats.blocks
    }

    /// Tiles' beginnings lie in 0 ..< end.
    private struct Extent {
        let end: Int
        let rawCost: Int
        let hasRaw: Bool

        init(_ length: Length, rawCost: Int) {
            self.rawCost = rawCost
            hasRaw = length.rawTiles > 0
            let raw = rawCost * length.rawTiles
            end = length.bodyTiles > 0 ? raw + length.bodyTiles : max(0, raw - rawCost + 1)
        }

        /// Warps of a problem if none takes more than `units`: 1, 2, 4 … up to a block's, then whole blocks.
        func share(units: Int, warps: Int) -> Share {
            guard end > 0 else {
                // Nothing to see; one warp writes zeros.
                return Share(units: 1, firstBlock: 0, splits: 1, warps: 1, firstPartial: 0)
            }
            var units = units
            let needed = (end + units - 1) / units
            if needed <= warps / 2 {
                var count = 1
                while count < needed { count *= 2 }
                return Share(
                    units: aligned((end + count - 1) / count, warps: count, splits: 1),
                    firstBlock: 0, splits: 1, warps: count, firstPartial: 0)
            }
            // A block without the beginning of a tile would have nothing to do.
            if hasRaw { units = max(units, (rawCost + warps - 1) / warps) }
            var splits = (end + units * warps - 1) / (units * warps)
            units = (end + splits * warps - 1) / (splits * warps)
            if hasRaw, splits > 1 { units = max(units, (rawCost + warps - 1) / warps) }
            splits = (end + units * warps - 1) / (units * warps)
            return Share(
                units: aligned(units, warps: warps, splits: splits), firstBlock: 0, splits: splits,
                warps: warps, firstPartial: 0)
        }

        /// Whole pages where that makes the largest share less than 3 % larger and leaves no block empty.
        private func aligned(_ units: Int, warps: Int, splits: Int) -> Int {
            let rounded = (units + 3) / 4 * 4
            guard 100 * rounded <= 103 * units, (splits - 1) * warps * rounded < end else {
                return units
            }
            return rounded
        }

        func blocks(units: Int, problems: Int, warps: Int) -> Int {
            share(units: units, warps: warps).blocks(problems: problems, warps: warps)
        }
    }
}

extension DecodePlan.Share {
    /// Blocks that work on a sequence of `problems` problems, if a block has `warps` warps.
    package func blocks(problems: Int, warps: Int) -> Int {
        let together = warps / self.warps
        return splits > 1 ? problems * splits : (problems + together - 1) / together
    }
}
