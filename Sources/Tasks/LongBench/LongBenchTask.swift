/// The English tasks of LongBench, and what its `config` folder and `eval.py` say of each.
enum LongBenchTask: String, CaseIterable {
    case narrativeqa, qasper
    case multifieldqa = "multifieldqa_en"
    case hotpotqa
    case twoWiki = "2wikimqa"
    case musique
    case govReport = "gov_report"
    case qmsum
    case multiNews = "multi_news"
    case trec, triviaqa, samsum
    case passageCount = "passage_count"
    case passageRetrieval = "passage_retrieval_en"
    case lcc
    case repobench = "repobench-p"

    /// `longbench-multifieldqa`: words joined by hyphens, the language left out.
    var name: String {
        let name = rawValue.hasSuffix("_en") ? String(rawValue.dropLast(3)) : rawValue
        return "longbench-" + String(name.map { $0 == "_" ? "-" : $0 })
    }

    /// The task of a name as LongBench writes it, as reports do, or without the language.
    init?(named name: String) {
        let short = name.hasPrefix("longbench-") ? name : "longbench-" + name
        let plain = String(short.lowercased().map { $0 == "_" ? "-" : $0 })
        guard
            let task = Self.allCases.first(where: { $0.name == plain || $0.name + "-en" == plain })
        else { return nil }
        self = task
    }

    /// Tokens of an answer: `dataset2maxlen.json`.
    var maxTokens: Int {
        switch self {
        case .narrativeqa, .qasper, .samsum: 128
        case .multifieldqa, .trec, .lcc, .repobench: 64
        case .hotpotqa, .twoWiki, .musique, .triviaqa, .passageCount, .passageRetrieval: 32
        case .govReport, .qmsum, .multiNews: 512
        }
    }

    /// Where the question begins in a prompt: after the document, at the last of these.
    var questionMarker: String {
        switch self {
        case .narrativeqa, .qasper, .multifieldqa, .hotpotqa, .twoWiki, .musique, .trec, .triviaqa:
            "Question:"
        case .qmsum: "Query:"
        case .govReport, .multiNews: "Now, write"
        case .samsum: "Dialogue:"
        case .passageCount, .passageRetrieval: "Please enter"
        case .lcc, .repobench: "Next line of code:"
        }
    }

    var metric: String {
        switch self {
        case .narrativeqa, .qasper, .multifieldqa, .hotpotqa, .twoWiki, .musique, .triviaqa: "f1"
        case .govReport, .qmsum, .multiNews, .samsum: "rouge-l"
        case .trec: "classification"
        case .passageCount: "count"
        case .passageRetrieval: "retrieval"
        case .lcc, .repobench: "edit-similarity"
        }
    }

    /// The best score over the right answers: `scorer` of `eval.py`.
    func score(_ answer: String, gold: LongBenchGold) -> Double {
        var answer = answer
        switch self {
        case .trec, .triviaqa, .samsum:
            answer = Scalars(answer).lines.first.map { Array($0).text } ?? ""
        default: break
        }
        return gold.answers.reduce(0) { max($0, score(answer, truth: $1, classes: gold.classes)) }
    }

    private func score(_ answer: String, truth: String, classes: [String]) -> Double {
        switch self {
        case .narrativeqa, .qasper, .multifieldqa, .hotpotqa, .twoWiki, .musique, .triviaqa:
            TokenF1.score(answer, truth)
        case .govReport, .qmsum, .multiNews, .samsum: RougeL.score(answer, truth)
        case .trec: AnswerMatches.classification(answer, truth, classes: classes)
        case .passageCount: AnswerMatches.count(answer, truth)
        case .passageRetrieval: AnswerMatches.retrieval(answer, truth)
        case .lcc, .repobench: EditSimilarity.scoreOfCode(answer, truth)
        }
    }

    /// Says what is wrong with a sample that no answer could score on.
    func fault(of gold: LongBenchGold) -> LineFault? {
        if gold.answers.isEmpty { return LineFault("the field 'gold' holds no answer") }
        switch self {
        case .trec:
            guard gold.answers.allSatisfy(gold.classes.contains) else {
                return LineFault("an answer is none of the field 'gold.all_classes'")
            }
        case .passageRetrieval:
            guard gold.answers.allSatisfy({ AnswerMatches.paragraph(in: $0) != nil }) else {
                return LineFault("an answer is not of the form 'Paragraph 7'")
            }
        default: break
        }
        return nil
    }
}
