import Generation
import ModelFixtures
import Testing

@Suite struct StopMatcherTests {
    /// What is let through when a text arrives in pieces, each followed by a bar, and whether it stopped.
    func run(_ stops: [String], _ pieces: [String]) -> String {
        var matcher = StopMatcher(stops)
        var out = pieces.map { matcher.append($0) }
        out.append(matcher.isStopped ? "STOP" : matcher.flush())
        return out.joined(separator: "|")
    }

    @Test func textPassesWhenNothingStopsIt() {
        #expect(run([], ["a", "b"]) == "a|b|")
        #expect(run([""], ["a", "b"]) == "a|b|")
        #expect(run(["xyz"], ["ab", "c"]) == "ab|c|")
    }

    @Test func aStopStringEndsTheTextBeforeIt() {
        #expect(run(["\n\n"], ["one\n\ntwo"]) == "one|STOP")
        #expect(run(["END"], ["the ENDing", " never"]) == "the ||STOP")
        #expect(run(["END"], ["END"]) == "|STOP")
    }

    @Test func whatMayBeginAStopStringIsHeldBack() {
        #expect(run(["END"], ["the E", "N", "D!"]) == "the |||STOP")
        #expect(run(["END"], ["the E", "N", "E", "x"]) == "the ||EN|Ex|")
        #expect(run(["END"], ["the EN"]) == "the |EN")
        #expect(run(["aab"], ["aa", "aa", "b"]) == "|aa||STOP")
    }

    @Test func theFirstOfSeveralWins() {
        #expect(run(["two", "one"], ["zero one two"]) == "zero |STOP")
        #expect(run(["abc", "b"], ["a", "b", "c"]) == "|a||STOP")
    }

    @Test func charactersOfSeveralBytesStayWhole() {
        #expect(run(["é"], ["caf", "è é"]) == "caf|è |STOP")
        #expect(run(["🙂🙂"], ["🙂", "🙃"]) == "|🙂🙃|")
    }

    /// However the text is cut, the same comes out.
    @Test func cutsDoNotMatter() {
        let text = "abababcabcabd<stop><sto<stop>x"
        var numbers = Numbers(3)
        for stops in [["<stop>"], ["abd"], ["cab", "abd"], ["zzz"], ["<sto<"]] {
            var whole = StopMatcher(stops)
            let expected = whole.append(text) + whole.flush()
            for _ in 0..<50 {
                var matcher = StopMatcher(stops)
                var rest = Substring(text)
                var out = ""
                while !rest.isEmpty {
                    let piece = rest.prefix(1 + Int(numbers.next() % 4))
                    out += matcher.append(String(piece))
                    rest = rest.dropFirst(piece.count)
                }
                #expect(out + matcher.flush() == expected)
                #expect(matcher.isStopped == whole.isStopped)
            }
        }
    }
}
