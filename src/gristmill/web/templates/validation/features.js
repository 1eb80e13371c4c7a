(function () {
  "use strict";
  var byId = function (id) { return document.getElementById(id); };
  var table = byId("table"), search = byId("search"), sort = byId("sort"), kind = byId("kind");
  var odd = byId("odd"), told = byId("shown"), end = byId("end"), packed = byId("packed");
  var STEP = 60, items = [], order = [], drawn = 0;

  function unpack(source) {
    var text = atob(source.textContent), bytes = new Uint8Array(text.length);
    for (var at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
    var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
  }

  function fold(body) {
    var more = body.querySelector("tr.more");
    if (more) more.hidden = true;
  }

  /* Written rows: each is a body of the table that is there already. */
  function fromPage() {
    items = Array.from(table.tBodies).map(function (body, place) {
      var data = body.dataset;
      fold(body);
      return { place: place, name: data.name, kind: data.kind, difference: +data.difference,
        missing: +data.missing, odd: data.odd === "1", body: body };
    });
  }

  /* Packed rows: a body is made when it is first shown. The text was escaped when it was written. */
  function fromPack(rows) {
    items = rows.map(function (row, place) {
      return { place: place, name: row[0], kind: row[1], difference: row[2], missing: row[3],
        odd: row[4], html: row[5], body: null };
    });
  }

  function bodyOf(item) {
    if (!item.body) {
      item.body = document.createElement("tbody");
      item.body.innerHTML = item.html;
    }
    return item.body;
  }

  function compare(key) {
    if (key === "name") return function (a, b) { return a.name.localeCompare(b.name); };
    if (key === "place") return function (a, b) { return a.place - b.place; };
    return function (a, b) { return b[key] - a[key] || a.place - b.place; };
  }

  function choose() {
    var word = search.value.trim().toLocaleLowerCase();
    order = items.filter(function (item) {
      return (!word || item.name.toLocaleLowerCase().indexOf(word) >= 0) &&
        (!kind.value || item.kind === kind.value) && (!odd.checked || item.odd);
    }).sort(compare(sort.value));
    Array.from(table.tBodies).forEach(function (body) { body.remove(); });
    drawn = 0;
    grow(STEP);
    told.textContent = order.length.toLocaleString("en") + " of " + items.length.toLocaleString("en");
    document.querySelector(".nothing").hidden = order.length > 0;
    table.querySelectorAll("[data-sort]").forEach(function (button) {
      var on = button.dataset.sort === sort.value, head = button.parentNode;
      if (on) head.setAttribute("aria-sort", sort.value === "name" ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  function grow(by) {
    var next = order.slice(drawn, drawn + by);
    table.append.apply(table, next.map(bodyOf));
    drawn += next.length;
  }

  function details(item) {
    var more = item.body.querySelector("tr.more");
    if (more) return Promise.resolve(more);
    var size = +packed.dataset.chunk;
    var source = document.querySelectorAll(".packed-details")[Math.floor(item.place / size)];
    return unpack(source).then(function (parts) {
      item.body.insertAdjacentHTML("beforeend", parts[item.place % size]);
      return item.body.querySelector("tr.more");
    });
  }

  function open(item, wanted) {
    var button = item.body.querySelector("button.open");
    return details(item).then(function (more) {
      more.hidden = wanted === undefined ? !more.hidden : !wanted;
      button.setAttribute("aria-expanded", String(!more.hidden));
    });
  }

  /* Go to a feature that the filters, or laziness, may have left out. */
  function visit(place) {
    var item = items[place];
    if (!item) return;
    if (order.indexOf(item) < 0) {
      search.value = kind.value = "";
      odd.checked = false;
      choose();
    }
    grow(Math.max(0, order.indexOf(item) + 1 - drawn));
    open(item, true).then(function () {
      item.body.scrollIntoView({ block: "center" });
      item.body.querySelector("button.open").focus({ preventScroll: true });
    });
  }

  function listen() {
    [search, sort, kind, odd].forEach(function (control) { control.addEventListener("input", choose); });
    document.querySelectorAll("[name=bins]").forEach(function (radio) {
      radio.addEventListener("change", function () {
        table.classList.toggle("show-width", radio.value === "width");
        table.classList.toggle("show-mass", radio.value === "mass");
      });
    });
    table.addEventListener("click", function (event) {
      var head = event.target.closest("[data-sort]"), row = event.target.closest("tr.pair");
      if (head) {
        sort.value = sort.value === head.dataset.sort ? "place" : head.dataset.sort;
        choose();
      } else if (row && !String(getSelection())) {
        open(items[+row.id.slice(1)]);
      }
    });
    document.addEventListener("click", function (event) {
      var link = event.target.closest("a.card-feature[href]");
      if (!link) return;
      event.preventDefault();
      visit(+link.getAttribute("href").slice(2));
    });
    new IntersectionObserver(function (seen) {
      if (seen[0].isIntersecting) grow(STEP);
    }, { rootMargin: "1500px" }).observe(end);
    addEventListener("beforeprint", function () { grow(order.length); });
  }

  function start() {
    document.querySelectorAll(".needs-script").forEach(function (part) { part.hidden = false; });
    listen();
    choose();
    document.documentElement.dataset.ready = items.length;
  }

  if (!packed) {
    fromPage();
    start();
  } else if (window.DecompressionStream) {
    unpack(packed).then(fromPack).then(start);
  } else {
    var plain = document.querySelector(".plain");
    plain.insertAdjacentHTML("afterend", plain.textContent); /* escaped when it was written */
  }
})();
