document.querySelectorAll("th button").forEach(function (button) {
  button.addEventListener("click", function () {
    var head = button.closest("th"), body = head.closest("table").tBodies[0];
    var number = head.classList.contains("number"), now = head.getAttribute("aria-sort");
    var up = now ? now === "descending" : !number;
    var cell = function (row) { return row.cells[head.cellIndex]; };
    var key = function (row) { return cell(row).dataset.key || cell(row).textContent; };
    var known = function (row) { return !cell(row).classList.contains("missing"); };
    var rows = Array.from(body.rows), there = rows.filter(known);
    there.sort(function (a, b) {
      var gap = number ? key(a) - key(b) : NaN;
      return isNaN(gap) ? key(a).localeCompare(key(b)) : gap;
    });
    if (!up) there.reverse();
    body.append.apply(body, there.concat(rows.filter(function (row) { return !known(row); })));
    Array.from(head.parentNode.cells).forEach(function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  });
});
