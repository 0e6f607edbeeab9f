/// Worked examples in the form of lm-eval's task `minerva_math`, with problems of this project's own.
enum MathExamples {
    static let all: [(problem: String, solution: String)] = [
        (
            #"A rectangle is $3$ times as long as it is wide, and its perimeter is $40.$  What is its area?"#,
            #"""
            Let the width be $w,$ so that the length is $3w.$  The perimeter is $2(w + 3w) = 8w = 40,$ which gives $w = 5$ and a length of $15.$  The area is $5 \cdot 15 = \boxed{75}.$
            Final Answer: The final answer is $75$.
            """#
        ),
        (
            #"Solve $\frac{2}{x} + \frac{1}{3} = \frac{7}{6}$ for $x.$"#,
            #"""
            Subtracting $\frac{1}{3} = \frac{2}{6}$ from both sides gives $\frac{2}{x} = \frac{5}{6}.$  Hence $5x = 12,$ and $x = \boxed{\frac{12}{5}}.$
            Final Answer: The final answer is $\frac{12}{5}$.
            """#
        ),
        (
            #"A bag holds $4$ red and $6$ blue marbles.  Two are drawn at random without replacement.  What is the probability that both are red?"#,
            #"""
            The first marble is red with probability $\frac{4}{10},$ and then the second is red with probability $\frac{3}{9}.$  The probability of both is $\frac{4}{10} \cdot \frac{3}{9} = \frac{12}{90} = \boxed{\frac{2}{15}}.$
            Final Answer: The final answer is $\frac{2}{15}$.
            """#
        ),
        (
            #"Find all values of $t$ for which $(t, 2t)$ lies on the circle $x^2 + y^2 = 45.$"#,
            #"""
            Putting $x = t$ and $y = 2t$ into the equation gives $t^2 + 4t^2 = 5t^2 = 45,$ so that $t^2 = 9.$  The values are $t = \boxed{-3, 3}.$
            Final Answer: The final answer is $-3, 3$.
            """#
        ),
    ]

    static func text(_ count: Int) -> String {
        all.prefix(count).map { "\(ask($0.problem)) \($0.solution)\n\n" }.joined()
    }

    static func ask(_ problem: String) -> String { "Problem:\n\(problem)\n\nSolution:" }
}
