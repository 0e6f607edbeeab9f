/// The page's style sheet. It has no `<` and no `&`, so that HTML and XML read it alike.
enum PageStyle {
    static let sheet: String = {
        func variables(_ colours: [(String, String)]) -> String {
            colours.map { "--\($0):\($1)" }.joined(separator: ";")
        }
        let light = variables(Palette.light) + ";color-scheme:light"
        let dark = variables(Palette.dark) + ";color-scheme:dark"
        return """
            :root{\(light)}
            @media (prefers-color-scheme:dark){:root:not([data-theme=light]){\(dark)}}
            :root[data-theme=dark]{\(dark)}
            @media print{:root,:root[data-theme=dark],:root:not([data-theme=light]){\(light)}}
            \(layout)
            \(parts)
            \(Palette.drawingRules)
            \(steps)
            \(narrow)
            """
    }()

    private static let layout = """
        *{box-sizing:border-box}
        html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
        body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:break-word}
        header,main,footer{max-width:1080px;margin:0 auto;padding:0 24px}
        header.page{display:flex;flex-wrap:wrap;gap:8px 24px;align-items:baseline;justify-content:space-between;padding-top:40px}
        h1{font-size:1.75rem;line-height:1.2;margin:0;letter-spacing:-.01em}
        h2{font-size:1.5rem;line-height:1.25;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
        h3{font-size:1.125rem;line-height:1.3;margin:0 0 12px}
        p{margin:0 0 12px;max-width:72ch}
        a{color:var(--link);text-underline-offset:3px;text-decoration-thickness:1px}
        nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 20px;margin:0;padding:0}
        nav{margin:16px 0 0}
        .model{padding:40px 0 8px;border-top:1px solid var(--edge);margin-top:40px}
        .model section{margin-top:56px}
        footer{padding-bottom:64px}
        footer h2:first-child{border-top:1px solid var(--edge);margin-top:64px;padding-top:32px}
        footer h2{font-size:1.125rem;margin:28px 0 12px}
        footer dt{font-weight:600;margin-top:10px}
        footer dd{margin:0;max-width:72ch}
        .skip{position:absolute;left:-999px}
        .skip:focus{left:16px;top:8px;background:var(--card);padding:4px 10px;z-index:3}
        :focus-visible{outline:2px solid var(--focus);outline-offset:2px;border-radius:2px}
        .theme{font:inherit;font-size:.875rem;color:var(--ink);background:var(--card);border:1px solid var(--edge);border-radius:6px;padding:5px 12px;cursor:pointer}
        .theme:hover{border-color:var(--axis)}
        """

    private static let parts = """
        dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(124px,1fr));gap:12px 20px;margin:20px 0}
        dl.facts dt,dl.run dt{font-size:.8125rem;color:var(--muted)}
        dl.facts dd{margin:0;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
        .run{border-left:2px solid var(--edge);padding-left:16px;margin:16px 0}
        .run p{max-width:none;margin:0 0 6px;font-size:.9375rem}
        .muted{color:var(--muted)}
        pre{margin:6px 0 0;padding:10px 12px;background:var(--code);border-radius:6px;overflow-x:auto;font:.8125rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
        ul.verdicts{list-style:none;margin:0;padding:0}
        ul.verdicts li{display:grid;grid-template-columns:22px 1fr;gap:0 8px;padding:12px 0;border-top:1px solid var(--grid)}
        ul.verdicts li:first-child{border-top:0}
        ul.verdicts svg{width:18px;height:18px;margin-top:4px}
        .names{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:baseline}
        .names strong{overflow-wrap:anywhere}
        .verdict{grid-column:2;font-variant-numeric:tabular-nums}
        .stored{grid-column:2;font-size:.875rem;color:var(--muted);overflow-wrap:anywhere}
        .badge{font-size:.8125rem;line-height:1.4;padding:1px 9px;border-radius:10px;border:1px solid transparent;white-space:nowrap}
        .plain{border-color:var(--axis);color:var(--muted)}
        .front-badge{border-color:var(--ink);color:var(--ink)}
        .g0{background:var(--grade-0);color:var(--grade-0-ink)}.g1{background:var(--grade-1);color:var(--grade-1-ink)}
        .g2{background:var(--grade-2);color:var(--grade-2-ink)}.g3{background:var(--grade-3);color:var(--grade-3-ink)}
        .g4{background:var(--grade-4);color:var(--grade-4-ink)}.g5{background:var(--grade-5);color:var(--grade-5-ink)}
        figure{margin:0}
        .panels{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:32px 40px;align-items:start}
        .panel svg{display:block;width:100%;height:auto;overflow:visible}
        figcaption{margin:16px 0 12px;color:var(--muted);font-size:.9375rem;max-width:76ch}
        .legend{padding-top:4px;font-size:.875rem}
        .legend-title{font-weight:600;margin:0 0 8px}
        ul.steps{list-style:none;margin:0;padding:0;columns:2;column-gap:24px;font-variant-numeric:tabular-nums}
        ul.steps li{display:flex;gap:8px;align-items:center;margin-bottom:3px;break-inside:avoid}
        .swatch{width:22px;height:14px;border:1px solid var(--edge);flex:none}
        details{margin:8px 0}
        summary{cursor:pointer;color:var(--link);font-size:.9375rem;width:fit-content;max-width:100%}
        .scroll{overflow-x:auto;margin:8px 0 16px;border-top:1px solid var(--edge);border-bottom:1px solid var(--edge);max-height:30rem;overflow-y:auto}
        table{border-collapse:collapse;font-size:.875rem;line-height:1.35;font-variant-numeric:tabular-nums;width:100%}
        caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
        th,td{padding:6px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
        tbody tr:last-child th,tbody tr:last-child td{border-bottom:0}
        thead th{font-weight:600;color:var(--muted);vertical-align:bottom;white-space:normal;min-width:4.5em;position:sticky;top:0;background:var(--page)}
        .word{text-align:left}
        tbody th{font-weight:500;position:sticky;left:0;background:var(--page)}
        .pt{cursor:default}
        .pt:focus{outline:2px solid var(--focus);outline-offset:1px}
        .pt:focus:not(:focus-visible){outline:none}
        .cell:focus{outline:none}
        .cell:focus-visible rect{stroke:currentColor;stroke-width:4.5}
        #card{position:fixed;z-index:2;pointer-events:none;max-width:min(320px,calc(100vw - 16px));padding:8px 12px}
        #card{background:var(--card);color:var(--ink);border:1px solid var(--axis);border-radius:6px;box-shadow:0 4px 16px #0003}
        #card{font-size:.8125rem;line-height:1.45;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
        #card p{margin:0}
        #card p:first-child{font-weight:600}
        """

    private static let steps = (0..<Palette.steps).map { ".s\($0){background:var(--step-\($0))}" }
        .joined(separator: "\n")

    private static let narrow = """
        @media (max-width:760px){.panels{grid-template-columns:minmax(0,1fr);gap:28px}}
        @media (max-width:480px){
        header,main,footer{padding-left:14px;padding-right:14px}
        header.page{padding-top:24px}
        h1{font-size:1.5rem}
        .model section{margin-top:44px}
        th,td{padding:6px 9px}
        tbody th{min-width:8.5em;max-width:44vw;white-space:normal;overflow-wrap:break-word}
        }
        @media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
        @media print{
        *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
        body{font-size:11pt}
        .theme,nav,.skip,#card{display:none}
        .panel,li,tr{break-inside:avoid}
        h3{break-after:avoid}
        .scroll{max-height:none;overflow:visible}
        table{font-size:7.5pt}
        th,td{padding:3px 5px;white-space:normal}
        .model{break-before:page}
        .model:first-of-type{break-before:auto}
        thead th,tbody th{position:static}
        }
        """
}
