import Foundation
import Reports
import Testing

@Suite("Tests of significance")
struct StatisticsTests {
    /// Relative, or absolute below 1e-300, where doubles end.
    private func agrees(_ value: Double, _ other: Double, within limit: Double = 1e-9) -> Bool {
        abs(value - other) <= limit * max(abs(value), abs(other)) + 1e-300
    }

    @Test(
        "Scores of 0 and 1 get scipy's exact sign test",
        arguments: StatisticsValues.signTests.indices)
    func signTest(_ index: Int) throws {
        let value = StatisticsValues.signTests[index]
        // Ties, which do not count, among them.
        let own =
            Array(repeating: 1.0, count: value.better) + Array(repeating: 0, count: value.worse) + [
                0, 1, 1,
            ]
        let other =
            Array(repeating: 0.0, count: value.better) + Array(repeating: 1, count: value.worse) + [
                0, 1, 1,
            ]
        let test = try #require(PairedTest(of: own, with: other))
        #expect(agrees(test.pValue, value.p), "\(test.pValue) \(value.p)")
        #expect(test.isSignificant == (value.p < 0.05))
    }

    @Test("Student's tails are scipy's", arguments: StatisticsValues.studentTails.indices)
    func studentTail(_ index: Int) {
        let value = StatisticsValues.studentTails[index]
        // Differences of variance 1 whose mean gives this t.
        let count = Double(value.degrees + 1)
        let mean = value.t / count.squareRoot()
        let moments = Moments(
            count: value.degrees + 1, sum: mean * count,
            squares: count - 1 + mean * mean * count, largest: 1)
        #expect(
            agrees(PairedTest(moments).pValue, value.p, within: 1e-8),
            "\(PairedTest(moments).pValue) \(value.p)")
    }

    @Test("Other scores get scipy's paired t test", arguments: StatisticsValues.pairedTests.indices)
    func pairedTest(_ index: Int) throws {
        let value = StatisticsValues.pairedTests[index]
        let test = try #require(PairedTest(of: value.own, with: value.other))
        #expect(agrees(test.difference.value, value.mean))
        #expect(agrees(test.difference.error, value.error))
        #expect(agrees(test.pValue, value.p, within: 1e-8), "\(test.pValue) \(value.p)")
    }

    @Test("Without differences, or with one alone, chance explains all")
    func nothingDiffers() throws {
        #expect(PairedTest(of: [], with: []) == nil)
        #expect(PairedTest(of: [1], with: [1, 0]) == nil)
        #expect(try #require(PairedTest(of: [0.5, 0.25], with: [0.5, 0.25])).pValue == 1)
        #expect(try #require(PairedTest(of: [1, 0, 1], with: [1, 0, 1])).pValue == 1)
        #expect(try #require(PairedTest(of: [0.5], with: [0.1])).pValue == 1)
    }

    @Test("The same difference everywhere, or an infinite one, is no accident")
    func certainDifferences() throws {
        #expect(try #require(PairedTest(of: [0.75, 0.5], with: [0.5, 0.25])).pValue == 0)
        #expect(PairedTest(Moments([.infinity, 1, 2])).pValue == 0)
    }
}

@Suite("Moments and histograms")
struct MomentsTests {
    @Test("Mean, variance and error are those of the values")
    func moments() {
        let moments = Moments([2, 4, 4, 4, 5, 5, 7, 9])
        #expect(moments.mean == 5)
        #expect(abs(moments.variance - 32.0 / 7) < 1e-12)
        #expect(abs(moments.standardError - (32.0 / 56).squareRoot()) < 1e-12)
        #expect(moments.largest == 9)
        #expect(Moments().mean.isNaN)
        #expect(Moments([3]).standardError.isNaN)
    }

    @Test("Parts add up to the whole")
    func merging() {
        let values = [0.5, -2, 8, 0.25, 3, 1.5]
        for cut in 0...values.count {
            var moments = Moments(values[..<cut])
            moments += Moments(values[cut...])
            #expect(moments == Moments(values))
        }
        #expect(Moments([-3, -1]).largest == -1)
        var negative = Moments()
        negative += Moments([-3, -1])
        #expect(negative.largest == -1)
    }

    @Test("Quantiles are the values', at most 9 % above them")
    func quantiles() throws {
        var numbers = SeededNumbers(3)
        let values = (0..<5000).map { _ in exp(2.5 * numbers.normal() - 3) }
        var histogram = LogHistogram()
        for value in values { histogram.add(value) }
        let sorted = values.sorted()
        for share in [0.001, 0.25, 0.5, 0.9, 0.99, 1] {
            let exact = sorted[max(0, Int((share * 5000).rounded(.up)) - 1)]
            let quantile = try #require(histogram.quantile(share))
            #expect(quantile >= exact * (1 - 1e-12))
            #expect(quantile <= exact * 1.0906)
        }
        #expect(LogHistogram().quantile(0.5) == nil)
    }

    @Test("Histograms of parts add up, and keep every value whatever it is")
    func histogramsMerge() throws {
        var whole = LogHistogram()
        var left = LogHistogram()
        var right = LogHistogram()
        for (index, value) in [0, 1e-12, 0.1, 3, 1e300, .infinity, .nan, -1].enumerated() {
            whole.add(value)
            if index % 2 == 0 { left.add(value) } else { right.add(value) }
        }
        left += right
        #expect(left == whole)
        #expect(whole.count == 8)
        // A damaged share asks for what is there.
        #expect(whole.quantile(.nan) == whole.quantile(0))
        #expect(whole.quantile(7) == whole.quantile(1))
    }
}
