/// The page's script: the theme's button, the card at the pointer, and arrow keys among points. All figures are
/// there without it.
///
/// It has no `<` and no `&`, so that HTML and XML read it alike, and sets text only, never markup.
enum PageScript {
    static let source = """
        "use strict";
        (function () {
          var root = document.documentElement;
          var button = document.getElementById("theme");
          var system = window.matchMedia("(prefers-color-scheme: dark)");
          function isDark() {
            var own = root.getAttribute("data-theme");
            return own ? own === "dark" : system.matches;
          }
          function name() { button.textContent = isDark() ? "Light theme" : "Dark theme"; }
          try {
            var kept = localStorage.getItem("innerq-theme");
            if (kept === "dark" || kept === "light") { root.setAttribute("data-theme", kept); }
          } catch (error) { /* A page from disk may have no storage. */ }
          button.hidden = false;
          name();
          system.addEventListener("change", name);
          button.addEventListener("click", function () {
            var theme = isDark() ? "light" : "dark";
            root.setAttribute("data-theme", theme);
            try { localStorage.setItem("innerq-theme", theme); } catch (error) { /* As above. */ }
            name();
          });

          var card = document.getElementById("card");
          document.querySelectorAll("svg").forEach(function (svg) {
            svg.querySelectorAll(".pt").forEach(function (point, index) {
              // The card takes the place of the browser's own tip.
              var title = point.querySelector("title");
              point.setAttribute("data-tip", title.textContent);
              point.setAttribute("aria-label", title.textContent.replace(/\\n/g, ", "));
              point.setAttribute("role", "img");
              title.remove();
              // One stop a figure; arrows go on from there.
              point.setAttribute("tabindex", index === 0 ? "0" : "-1");
            });
          });
          function show(point, x, y) {
            card.replaceChildren();
            point.getAttribute("data-tip").split("\\n").forEach(function (line) {
              var row = document.createElement("p");
              row.textContent = line;
              card.appendChild(row);
            });
            card.hidden = false;
            var box = card.getBoundingClientRect();
            var width = root.clientWidth;
            var left = x + 14 + box.width > width - 8 ? x - 14 - box.width : x + 14;
            var top = y + 14 + box.height > window.innerHeight - 8 ? y - 14 - box.height : y + 14;
            card.style.left = Math.max(8, Math.min(left, width - 8 - box.width)) + "px";
            card.style.top = Math.max(8, top) + "px";
          }
          function hide() { card.hidden = true; }
          function at(event) { return event.target.closest ? event.target.closest(".pt") : null; }
          document.addEventListener("pointermove", function (event) {
            var point = at(event);
            if (point) { show(point, event.clientX, event.clientY); } else { hide(); }
          });
          document.addEventListener("pointerdown", function (event) {
            var point = at(event);
            if (point) { show(point, event.clientX, event.clientY); } else { hide(); }
          });
          function showAt(point) {
            var box = point.getBoundingClientRect();
            show(point, box.left + box.width / 2, box.top + box.height / 2);
          }
          document.addEventListener("focusin", function (event) {
            var point = at(event);
            if (point) { showAt(point); } else { hide(); }
          });
          document.addEventListener("focusout", hide);
          document.addEventListener("scroll", function () {
            // Focus scrolls to its point: there the card goes along.
            var point = document.activeElement;
            var keeps = point ? point.matches(".pt:focus-visible") : false;
            if (keeps) { showAt(point); } else { hide(); }
          }, { passive: true });

          var steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
          document.addEventListener("keydown", function (event) {
            if (event.key === "Escape") { hide(); return; }
            var point = at(event);
            var step = steps[event.key];
            if (!point || !step) { return; }
            var svg = point.closest("svg");
            var next = null;
            if (point.hasAttribute("data-row")) {
              var row = Number(point.getAttribute("data-row")) + step[0];
              var column = Number(point.getAttribute("data-column")) + step[1];
              next = svg.querySelector('[data-row="' + row + '"][data-column="' + column + '"]');
            } else {
              var all = Array.from(svg.querySelectorAll(".pt"));
              next = all[all.indexOf(point) + step[0] + step[1]];
            }
            if (!next) { return; }
            event.preventDefault();
            point.setAttribute("tabindex", "-1");
            next.setAttribute("tabindex", "0");
            next.focus();
          });
        })();
        """
}
