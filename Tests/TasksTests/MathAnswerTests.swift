import Tasks
import Testing

@Suite("Mathematical answers")
struct MathAnswerTests {
    private struct Pair: Decodable, Sendable {
        var one: String
        var other: String
        var equal: Bool
    }

    @Test("Equality is that of the package math-verify")
    func referenceVerdicts() throws {
        let file = TaskFile(path: try fixture("math_answers.jsonl"))
        let pairs = try file.read(Pair.self) { (pair) throws(LineFault) in pair }.values.map(
            \.value)
        #expect(pairs.count >= 70)
        for pair in pairs {
            let of = Comment(rawValue: "\(pair.one) | \(pair.other)")
            #expect(MathAnswer.equal(pair.one, pair.other) == pair.equal, of)
            #expect(MathAnswer.equal(pair.other, pair.one) == pair.equal, of)
        }
    }

    @Test(
        "One spelling for many",
        arguments: [
            ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})"),
            ("$\\dfrac12$.", "\\frac{1}{2}"), ("\\frac 59", "\\frac{5}{9}"),
            ("\\frac{270}7\\text{ degrees}", "\\frac{270}{7}"), ("-1/3", "-\\frac{1}{3}"),
            ("\\frac{-2}{5}", "-\\frac{2}{5}"), ("11\\sqrt2", "11\\sqrt{2}"), ("x^2", "x^{2}"),
            ("\\$32,\\!348", "32348"), ("11,\\! 111,\\! 111,\\! 100", "11111111100"),
            ("58,500", "58500"),
            ("(100,200)", "(100,200)"), (".35625", "0.35625"), ("5.40", "5.4"), ("007", "7"),
            ("864 \\mbox{ inches}^2", "864"), ("15\\mbox{ cm}^{2}", "15"), ("5 cm^2", "5"),
            ("12 square units", "12"), ("5.4 cents", "5.4"), ("76^\\circ", "76"),
            ("76^{\\circ}", "76"),
            ("50\\%", "50"), ("y = 2x + 3", "2x+3"), ("x \\in [-2,7]", "[-2,7]"),
            ("5x + y = 0", "5x+y=0"), ("\\text{Evelyn}", "evelyn"), ("\\textbf{(C)}", "c"),
            ("(C)", "c"),
            ("\\boxed{\\text{even}}", "even"), ("\\(4210_{5}\\)", "4210_{5}"),
            ("2516_8", "2516_{8}"),
            ("", ""), ("\\", "\\"), ("{{{", "{{{"), ("\\frac", "\\frac"), ("\\text", ""),
            ("^", "^"),
            ("\\frac{1", "\\frac{1}"),
        ])
    func normalization(answer: String, spelling: String) {
        #expect(MathAnswer.normalize(answer) == spelling)
    }

    @Test("Money, units and words beside a number do not make it another")
    func plainForms() {
        #expect(MathAnswer.equal("\\$18.90", "18.9"))
        #expect(MathAnswer.equal("15\\mbox{ cm}^2", "15"))
        #expect(MathAnswer.equal("\\text{Navin}", "navin"))
        #expect(MathAnswer.equal("x = 1 \\text{ or } 2", "2, 1"))
        #expect(!MathAnswer.equal("52_8", "52"))
        #expect(!MathAnswer.equal("east", "seat"))
        #expect(!MathAnswer.equal("(1,2]", "(1,2)"))
        #expect(!MathAnswer.equal("", "0"))
        #expect(!MathAnswer.equal("\\frac{1}{0}", "\\frac{2}{0}"))
    }

    @Test("A sign of plus or minus stands for two answers")
    func plusMinus() {
        #expect(MathAnswer.equal("1 \\pm \\sqrt{19}", "1-\\sqrt{19}, 1+\\sqrt{19}"))
        #expect(MathAnswer.equal("\\{1\\pm\\sqrt{5},-2\\}", "\\{-2, 1+\\sqrt5, 1-\\sqrt5\\}"))
        #expect(MathAnswer.equal("x = \\pm 3", "-3, 3"))
        #expect(!MathAnswer.equal("1 \\pm \\sqrt{19}", "1+\\sqrt{19}"))
        #expect(!MathAnswer.equal("\\pm 3", "-3, 4"))
    }

    @Test(
        "The answer is the last box, or what the last sentence says",
        arguments: [
            ("So $x = \\boxed{\\frac{1}{2}}.$", "\\frac{1}{2}"),
            ("\\boxed{1} then \\boxed{2}", "2"),
            ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"), ("$\\boxed 7$ is it", "7"), ("\\fbox{3}", "3"),
            ("\\boxed{1} and \\boxed{2", "1"),
            (
                "Final Answer: The final answer is $\\frac{3}{4}$. I hope it is correct.",
                "\\frac{3}{4}"
            ),
            ("the final answer is: 3.5. Done", "3.5"), ("The final answer is 12.\nProblem", "12"),
            ("\\boxed{1} The final answer is $2$.", "2"),
            ("The final answer is $\\boxed{3}$.", "3"),
        ])
    func extraction(solution: String, answer: String) {
        #expect(MathAnswer.extract(solution) == answer)
    }

    @Test("A solution without an answer has none")
    func noAnswer() {
        #expect(MathAnswer.extract("") == nil)
        #expect(MathAnswer.extract("It is 7.") == nil)
        #expect(MathAnswer.extract("\\boxed{7") == nil)
        #expect(MathAnswer.extract("the final answer is") == nil)
    }

    @Test("Deep nesting and odd text do not crash")
    func oddTexts() {
        for part in [
            "(", "{", "^{", "\\frac{", "-", "\\sqrt", "\\text{", ",", "\\boxed{", "2^", "\\cup",
        ] {
            let text = String(repeating: part, count: 700)
            #expect(MathAnswer.equal(text, text))
            #expect(!MathAnswer.equal(text + "1", text + "2"))
        }
    }

    @Test("Random LaTeX neither crashes nor differs from itself, and equality goes both ways")
    func randomTexts() {
        let parts = [
            "1", "2", "12", ".", ",", "/", "-", "+", "(", ")", "[", "]", "{", "}", "\\{", "\\}",
            "\\frac",
            "\\sqrt", "\\pi", "x", "y", "ab", "^", "_", "\\circ", "\\text", "\\cup", "=", "\\in",
            " ",
            "\\left", "\\right", "$", "\\$", "\\!", "%", "\\begin{pmatrix}", "\\end{pmatrix}", "&",
            "\\\\", "\\", "\\boxed", "cm", "\\sin", "*", "é", "\u{301}",
        ]
        var state: UInt64 = 5
        func random(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(count))
        }
        func text() -> String { (0...random(12)).map { _ in parts[random(parts.count)] }.joined() }
        var last = ""
        for _ in 0..<3000 {
            let text = text()
            #expect(MathAnswer.equal(text, text), "\(text)")
            #expect(
                MathAnswer.equal(text, last) == MathAnswer.equal(last, text), "\(text) | \(last)")
            _ = MathAnswer.extract(text)
            last = text
        }
    }
}
