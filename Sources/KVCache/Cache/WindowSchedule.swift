/// Which tokens are sink, body and recent when `n` tokens have been seen: the whole rule, as arithmetic.
///
///     token    0 … sink−1 | sink … sink+32·S−1 | … n−1
///              sink        body, S tiles        recent
///
/// A tile of 32 tokens is sealed as soon as `recent` holds `window + 32` tokens, so recent holds
/// `window … window + 31` tokens from then on. Nothing is sealed before `firstSeal` tokens have been seen.
package struct WindowSchedule: Sendable, Hashable {
    package let sink: Int
    package let recent: Int
    /// Tokens seen when the first tile is sealed; the key normalizer is fixed at that moment, from them.
    package let firstSeal: Int
    package let slidingWindow: Int?

    package init(_ policy: LayerPolicy, slidingWindow: Int?) {
        sink = policy.windows.sink
        recent = policy.windows.recent
        firstSeal = max(
            policy.keyNormalization?.tokens ?? 0, policy.keys.statisticsTokens,
            policy.values.statisticsTokens, sink + recent + TileLayout.tokens)
        self.slidingWindow = slidingWindow
    }

    /// Tiles sealed after `n` tokens.
    package func sealedTiles(at n: Int) -> Int {
        n < firstSeal ? 0 : (n - sink - recent) / TileLayout.tokens
    }

    /// First token of tile `tile` of the body or, if it is not sealed, of the recent segment.
    package func firstToken(ofTile tile: Int) -> Int { sink + TileLayout.tokens * tile }

    package func sinkTokens(at n: Int) -> Int { min(n, sink) }
    package func sinkPages(at n: Int) -> Int { Self.pages(sinkTokens(at: n)) }

    /// Tokens after the body.
    package func recentTokens(at n: Int) -> Int {
        max(0, n - sink - TileLayout.tokens * sealedTiles(at: n))
    }

    package func recentPages(at n: Int) -> Int { Self.pages(recentTokens(at: n)) }

    /// First token that a query after `n` tokens can see.
    package func firstVisible(at n: Int) -> Int {
        guard let slidingWindow else { return 0 }
        return max(0, n - slidingWindow + 1)
    }

    /// Sealed tiles at the front that no later query can see.
    package func droppedTiles(at n: Int) -> Int {
        let beyondSink = firstVisible(at: n) - sink
        return min(max(0, beyondSink / TileLayout.tokens), sealedTiles(at: n))
    }

    /// Sink pages at the front that no later query can see. None before the first seal, which may need them for the
    /// key normalizer.
    package func droppedSinkPages(at n: Int) -> Int {
        guard n >= firstSeal else { return 0 }
        let visible = firstVisible(at: n)
        return visible >= sink ? sinkPages(at: n) : visible / TileLayout.tokens
    }

    private static func pages(_ tokens: Int) -> Int {
        (tokens + TileLayout.tokens - 1) / TileLayout.tokens
    }
}
