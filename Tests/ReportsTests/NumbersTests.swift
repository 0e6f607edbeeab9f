import Reports
import Testing

@Suite("Numbers as people read them")
struct NumbersTests {
    @Test("Thousands are apart, minus is a minus, and what is no number is a dash")
    func fixed() {
        #expect(Numbers.fixed(1234567.891, 2) == "1,234,567.89")
        #expect(Numbers.fixed(-999.5, 0) == "−1,000")
        #expect(Numbers.fixed(-0.001, 2) == "0.00")
        #expect(Numbers.fixed(.nan, 2) == "–")
        #expect(Numbers.fixed(-.infinity, 2) == "−∞")
        #expect(Numbers.fixed(1e300, 2) == "1.0 × 10³⁰⁰")
        #expect(Numbers.count(0) == "0")
        #expect(Numbers.count(-1234) == "−1,234")
        #expect(Numbers.count(.min) == "−9,223,372,036,854,775,808")
    }

    @Test("Small numbers keep their digits")
    func significant() {
        #expect(Numbers.significant(0.012345) == "0.0123")
        #expect(Numbers.significant(7.4412) == "7.44")
        #expect(Numbers.significant(1234.5) == "1,234" || Numbers.significant(1234.5) == "1,235")
        #expect(Numbers.significant(0.0000312, 2) == "3.1 × 10⁻⁵")
        #expect(Numbers.significant(-0.5) == "−0.500")
        #expect(Numbers.significant(0) == "0")
    }

    @Test("Shares, changes, probabilities, bytes and contexts")
    func units() {
        #expect(Numbers.percent(0.1234) == "12.3 %")
        #expect(Numbers.change(0.02713) == "+2.71 %")
        #expect(Numbers.change(-0.25) == "−25.0 %")
        #expect(Numbers.change(740.1) == "+74,010 %")
        #expect(Numbers.change(.nan) == "–")
        #expect(Numbers.pValue(0.0004) == "< 0.001")
        #expect(Numbers.pValue(0.0412) == "0.041")
        #expect(Numbers.pValue(1) == "1.00")
        #expect(Numbers.bytes(0) == "0 bytes")
        #expect(Numbers.bytes(1_310_720) == "1.25 MiB")
        #expect(Numbers.bytes(5 << 40) == "5,120 GiB")
        #expect(Numbers.bytesTick(67_108_864) == "64 MiB")
        #expect(Numbers.context(131_072) == "128K")
        #expect(Numbers.context(7000) == "7,000")
        #expect(Numbers.context(2 << 20) == "2M")
    }

    @Test("Ticks have the digits that they need")
    func ticks() {
        #expect(
            [0.1, 0.25, 3, 1000, 1e-6, 2e8, -0.5].map(Numbers.tick) == [
                "0.1", "0.25", "3", "1,000", "10⁻⁶", "2 × 10⁸", "−0.5",
            ])
        #expect([1.1e-6, -1e-6].map(Numbers.tick) == ["1.1 × 10⁻⁶", "−10⁻⁶"])
        // What arithmetic blurs is not shown.
        #expect(Numbers.tick(0.1 + 0.2) == "0.3")
    }
}

@Suite("Axes and labels")
struct AxisTests {
    @Test("Linear ticks are round and within the axis")
    func linear() {
        #expect(Scale(.linear, 0, 41, from: 0, to: 100).ticks(5) == [0, 10, 20, 30, 40])
        let ticks = Scale(.linear, 0.87, 1.23, from: 0, to: 100).ticks(5)
        #expect(ticks.map { ($0 * 10).rounded() } == [9, 10, 11, 12])
    }

    @Test("Logarithmic ticks are decades, with parts of them where there is room")
    func logarithmic() {
        #expect(Scale(.log, 1e-5, 10, from: 0, to: 100).ticks(7).count == 7)
        let ticks = Scale(.log, 0.9, 25, from: 0, to: 100).ticks(5)
        #expect(ticks == [1, 2, 5, 10, 20])
        #expect(
            Scale(.log, 1e6, 4e9, from: 0, to: 100).binaryTicks(6).allSatisfy {
                $0.significand == 1
            })
    }

    @Test(
        "Places stay within the axis whatever the value and the domain",
        arguments: [Scale.Kind.linear, .log])
    func places(_ kind: Scale.Kind) {
        for (low, high) in [
            (0.0, 0.0), (5, 1), (.nan, .infinity), (1e300, 1e300), (-3, -3), (0.1, 7),
        ] {
            let scale = Scale(kind, low, high, from: 300, to: 20)
            for value in [0, -1, 1e308, .infinity, -.infinity, .nan, 0.3, low, high] {
                #expect((20...300).contains(scale(value)))
            }
            #expect(scale.ticks(5).count < 60)
        }
    }

    @Test("Labels of a column keep their distance and their order, and stay near")
    func column() {
        let wanted = [50.0, 51, 52, 200, 10]
        let places = LabelColumn.spread(wanted, gap: 13, from: 0, to: 300)
        #expect(places == [38, 51, 64, 200, 10])
        // Too many for the column: evenly over all of it.
        let many = LabelColumn.spread(Array(repeating: 5, count: 11), gap: 13, from: 0, to: 100)
        #expect(zip(many, many.dropFirst()).allSatisfy { abs($1 - $0 - 10) < 1e-9 })
        #expect(many.min() == 0 && many.max() == 100)
        #expect(LabelColumn.spread([], gap: 13, from: 0, to: 100).isEmpty)
    }
}
