/// How a decode launch is cut into blocks and warps: pure arithmetic that the kernel repeats.
///
///     problem   one sequence, one KV head, one chunk of the query heads that share it
///     cost      of a problem: body tiles + rawCost · raw tiles, in the time of a body tile. Raw tile i begins at cost
///               rawCost · i, body tile b at rawCost · raw tiles + b
///     warp w    of a problem takes the tiles that begin in [w · units, (w + 1) · units)
///
/// The raw cost is a power of two. The grid is (blocks of all sequences' KV heads) × chunks.
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
    /// Whether all blocks run at once, so that one may wait for another.
    package private(set) var isOneWave = true

    /// - Parameters:
    ///   - ratio: query heads of a KV head.
    ///   - rawCost: time of a raw tile over that of a body tile, a power of two; see ``DeviceLayout/Layer/rawCost``.
    ///   - leastUnits: a warp's share is not made smaller than this, since merging more partials takes longer.
    package init(
        lengths: [Length], ratio: Int, kvHeads: Int, headSize: Int, rawCost: Int, seats: Seats,
        leastUnits: Int = 1
    ) {
        chunks = Self.chunks(ratio: ratio, headSize: headSize)
        headsPerProblem = (ratio + chunks - 1) / chunks
        self.rawCost = rawCost
        let chunks = chunks
        problems = kvHeads * chunks * lengths.count
        let extents = lengths.map { Extent($0, rawCost: rawCost) }
        func blocks(_ units: Int) -> Int {
            chunks
                * extents.reduce(0) {
                    $0 + $1.blocks(units: units, kvHeads: kvHeads, warps: seats.warps)
                }
        }
        // Beyond the largest cost every problem has one warp.
        let largest = extents.reduce(1) { max($0, $1.end) }
        let waves = max(1, (blocks(largest) + seats.blocks - 1) / seats.blocks)
        var low = min(max(leastUnits, 1), largest)
        var high = largest
        while low < high {
            let middle = low + (high - low) / 2
            if blocks(middle) <= waves * seats.blocks {
                high = middle
            } else {
                low = middle + 1
            }
        }
        for extent in extents {
            var share = extent.share(units: low, warps: seats.warps)
            share.firstBlock = columns
            share.firstPartial = partials
            columns += share.columns(kvHeads: kvHeads, warps: seats.warps)
            if share.splits > 1 { partials += kvHeads * chunks * share.splits }
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
            // Nothing to see; one warp writes zeros.
            guard end > 0 else { return share(units: 1, splits: 1, warps: 1) }
            let needed = (end + units - 1) / units
            if needed <= warps / 2 {
                var count = 1
                while count < needed { count *= 2 }
                return share(units: aligned((end + count - 1) / count), splits: 1, warps: count)
            }
            // A block without the beginning of a tile would have nothing to do.
            let least = hasRaw ? (rawCost + warps - 1) / warps : 1
            let most = max(units, least) * warps
            let splits = (end + most - 1) / most
            let each = aligned(max(least, (end + splits * warps - 1) / (splits * warps)))
            return share(
                units: each, splits: (end + each * warps - 1) / (each * warps), warps: warps)
        }

        /// Whole pages where that makes a share less than 3 % larger.
        private func aligned(_ units: Int) -> Int {
            let rounded = (units + 3) / 4 * 4
            return 100 * rounded <= 103 * units ? rounded : units
        }

        private func share(units: Int, splits: Int, warps: Int) -> Share {
            Share(units: units, firstBlock: 0, splits: splits, warps: warps, firstPartial: 0)
        }

        func blocks(units: Int, kvHeads: Int, warps: Int) -> Int {
            share(units: units, warps: warps).columns(kvHeads: kvHeads, warps: warps)
        }
    }
}

extension DecodePlan.Share {
    /// Blocks of the grid's first dimension that work on a sequence, if a block has `warps` warps.
    package func columns(kvHeads: Int, warps: Int) -> Int {
        let together = warps / self.warps
        return splits > 1 ? kvHeads * splits : (kvHeads + together - 1) / together
    }
}
