// Zoom, pan and read the timeline. Without this script the page says the same; it only lets a reader look closer.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const UNFOLDED = 13, MOST_MARKS = 2000, PAUSE_MS = 200;
  const START = 0, END = 1, KIND = 2, NAME = 3, BYTES = 4, TABLE = 5, ROW = 6;

  const written = (ns) => {
    const [size, unit] = UNITS.find(([limit]) => Math.abs(ns) >= limit) || UNITS[3];
    return `${(ns / size).toFixed(size === 1 ? 0 : 3)}\u00a0${unit}`;
  };

  const node = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // Lanes that lie squeezed together in a picture, and where everything lies once they are drawn as high as others.
  class Folds {
    constructor(svg) {
      this.svg = svg;
      this.height = svg.viewBox.baseVal.height;
      this.texts = [...svg.querySelectorAll("text.fold")];
      this.folds = this.texts.map((text) => ({ y: Number(text.dataset.y), height: Number(text.dataset.height), grown: UNFOLDED * text.dataset.count }))
        .sort((a, b) => a.y - b.y);
      this.open = false;
    }

    // The place of a height of the folded picture in the picture as it is now.
    at(y) {
      if (!this.open) return y;
      return this.folds.reduce((now, fold) => now + (fold.grown - fold.height) * Math.max(0, Math.min(1, (y - fold.y) / fold.height)), y);
    }

    // And back.
    from(y) {
      if (!this.open) return y;
      let left = y;
      for (const fold of this.folds) {
        const top = this.at(fold.y);
        if (y > top + fold.grown) left -= fold.grown - fold.height;
        else if (y > top) return fold.y + (y - top) * fold.height / fold.grown;
      }
      return left;
    }

    toggle() {
      this.open = !this.open;
      const { svg } = this;
      const height = this.at(this.height);
      svg.setAttribute("height", height);
      svg.setAttribute("viewBox", `0 0 ${svg.viewBox.baseVal.width} ${height}`);
      for (const mark of svg.querySelectorAll("rect.f-lane, path[data-kind]")) this.stretch(mark);
      for (const other of svg.querySelectorAll("text, g.end line")) this.shift(other);
      svg.querySelectorAll("text.unfolded").forEach((text) => text.remove());
      if (this.open) this.name();
    }

    stretch(mark) {
      const y = Number(mark.dataset.y ?? mark.getAttribute("y"));
      const height = Number(mark.dataset.height ?? mark.getAttribute("height"));
      const scale = (this.at(y + height) - this.at(y)) / height;
      mark.setAttribute("transform", `matrix(1 0 0 ${scale} 0 ${this.at(y) - scale * y})`);
    }

    shift(other) {
      for (const name of ["y", "y1", "y2"]) {
        if (!other.hasAttribute(name)) continue;
        other.dataset[`at${name}`] ??= other.getAttribute(name);
        other.setAttribute(name, this.at(Number(other.dataset[`at${name}`])));
      }
      if (other.classList.contains("fold")) other.setAttribute("visibility", this.open ? "hidden" : "visible");
    }

    name() {
      for (const { dataset, x } of this.texts) {
        for (let by = 0; by < dataset.count; by += 1) {
          const lane = this.svg.querySelector(`rect.f-lane[data-track="${dataset.track}"][data-lane="${Number(dataset.first) + by}"]`);
          const y = this.at(Number(lane.getAttribute("y")) + lane.getAttribute("height") / 2) + 3.8;
          this.svg.append(node("text", { class: "unfolded f-soft", x: x.baseVal[0].value, y, "text-anchor": "end", "font-size": 10 }, lane.dataset.name));
        }
      }
    }
  }

  class Chart {
    constructor(svg, data, tip, folds) {
      Object.assign(this, { svg, data, tip, folds, from: 0, to: data.limit, step: -1, shown: () => {} });
      this.left = Number(svg.dataset.left);
      this.width = Number(svg.dataset.width);
      this.bands = [...svg.querySelectorAll("path[data-kind]")];
      this.ends = [...svg.querySelectorAll("g.end")];
      this.ticks = svg.querySelector("g.ticks");
      this.drawn = { ticks: this.ticks.innerHTML, paths: this.bands.map((band) => band.getAttribute("d")) };
      const rows = [...this.ticks.querySelectorAll("line")].map((line) => [line.getAttribute("y1"), line.getAttribute("y2")].map(Number));
      this.rules = [...new Map(rows.map((row) => [row.join(), row])).values()];
      this.under = Number(this.ticks.querySelector("text").getAttribute("y"));
      svg.querySelector("title")?.remove();
      svg.tabIndex = 0;
      this.listen();
    }

    listen() {
      const { svg } = this;
      svg.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 300), this.time(event));
      }, { passive: false });
      svg.addEventListener("keydown", (event) => this.key(event));
      svg.addEventListener("pointerdown", (event) => { this.held = { x: event.clientX, from: this.from }; svg.setPointerCapture(event.pointerId); });
      svg.addEventListener("pointerup", () => { this.held = null; });
      svg.addEventListener("pointercancel", () => { this.held = null; });
      svg.addEventListener("pointermove", (event) => this.move(event));
      svg.addEventListener("pointerleave", () => { this.tip.hidden = true; });
      svg.addEventListener("blur", () => { this.tip.hidden = true; });
    }

    scale() { return this.svg.getBoundingClientRect().width / this.svg.viewBox.baseVal.width; }
    x(ns) { return this.left + this.width * (ns - this.from) / (this.to - this.from); }
    time(event) {
      const at = (event.clientX - this.svg.getBoundingClientRect().left) / this.scale();
      return this.from + (at - this.left) / this.width * (this.to - this.from);
    }

    zoom(by, around = (this.from + this.to) / 2) {
      const length = Math.min(this.data.limit, Math.max(200, (this.to - this.from) / by));
      const share = (around - this.from) / (this.to - this.from);
      this.show(around - share * length, length);
    }

    show(from, length = this.to - this.from) {
      this.from = Math.max(0, Math.min(from, this.data.limit - length));
      this.to = this.from + length;
      this.draw();
      this.shown(Math.round(this.from), Math.round(this.to), this.whole);
    }

    get whole() { return this.from === 0 && this.to === this.data.limit; }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const length = this.to - this.from;
      const done = {
        "+": () => this.zoom(1.5), "=": () => this.zoom(1.5), "-": () => this.zoom(1 / 1.5), "−": () => this.zoom(1 / 1.5),
        ArrowLeft: () => this.show(this.from - length / 8), ArrowRight: () => this.show(this.from + length / 8),
        0: () => this.show(0, this.data.limit), ",": () => this.visit(-1), ".": () => this.visit(1),
        Escape: () => { this.tip.hidden = true; },
      }[event.key];
      if (!done) return;
      event.preventDefault();
      done();
    }

    draw() {
      const { whole } = this;
      const seen = whole ? [] : this.operations.map((ops) => ops.filter((op) => op[END] >= this.from && op[START] <= this.to));
      const join = seen.reduce((all, ops) => all + ops.length, 0) > MOST_MARKS;
      this.bands.forEach((band, index) => band.setAttribute("d", whole ? this.drawn.paths[index] : this.path(band.dataset, seen[index], join)));
      for (const end of this.ends) {
        const at = this.x(this.data.tracks[end.dataset.track].end);
        end.setAttribute("transform", `translate(${at - Number(end.dataset.x)} 0)`);
        end.setAttribute("visibility", at < this.left || at > this.left + this.width + 1 ? "hidden" : "visible");
      }
      if (whole && !this.folds.open) this.ticks.innerHTML = this.drawn.ticks;
      else this.rule();
      this.tip.hidden = true;
    }

    // The operations of a band that are in view: each a mark, or with many in view those closer than a third of a pixel as one.
    path({ y, height }, ops, join) {
      const right = this.left + this.width;
      const marks = [];
      let start = 0, end = -Infinity;
      const mark = () => {
        if (end === -Infinity) return;
        const width = Math.max(0.25, end - start - (join ? 0 : 0.4)).toFixed(2);
        marks.push(`M${start.toFixed(2)} ${y}h${width}v${height}h-${width}z`);
      };
      for (const op of ops) {
        const from = Math.max(this.left, this.x(op[START])), to = Math.min(right, this.x(op[END]));
        if (join && from - end < 1 / 3) { end = Math.max(end, to); continue; }
        mark();
        [start, end] = [from, to];
      }
      mark();
      return marks.join("");
    }

    // Of each band its operations, by start.
    get operations() {
      this.of ??= this.bands.map(({ dataset: { track, lane, kind } }) => this.data.tracks[track].lanes[lane].filter((op) => this.data.kinds[op[KIND]] === kind));
      return this.of;
    }

    rule() {
      const rough = (this.to - this.from) / (this.width > 300 ? 8 : 4);
      const power = 10 ** Math.floor(Math.log10(rough));
      const step = power * [1, 2, 5, 10].find((digit) => power * digit >= rough);
      const [size, unit] = UNITS.find(([limit]) => this.to >= limit) || UNITS[3];
      const places = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
      this.ticks.replaceChildren();
      for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
        const x = this.x(at).toFixed(2);
        for (const [y1, y2] of this.rules) this.ticks.append(node("line", { class: "s-line", x1: x, x2: x, y1: this.folds.at(y1), y2: this.folds.at(y2), "stroke-width": 0.75 }));
        const label = (at / size).toFixed(places) + (at + step > this.to ? `\u00a0${unit}` : "");
        this.ticks.append(node("text", { class: "f-soft", x, y: this.folds.at(this.under), "text-anchor": "middle", "font-size": 10 }, label));
      }
    }

    move(event) {
      if (this.held) {
        const moved = (event.clientX - this.held.x) / this.scale() / this.width * (this.to - this.from);
        this.show(this.held.from - moved);
        return;
      }
      const found = this.under_pointer(event);
      if (!found) { this.tip.hidden = true; return; }
      const box = this.svg.getBoundingClientRect();
      this.tell(found, event.clientX - box.left, event.clientY - box.top);
    }

    under_pointer(event) {
      const y = this.folds.from((event.clientY - this.svg.getBoundingClientRect().top) / this.scale());
      const at = this.time(event);
      const near = (this.to - this.from) / this.width;
      const hit = (band) => {
        const top = Number(band.dataset.y);
        if (y < top || y > top + Number(band.dataset.height)) return null;
        const lane = this.data.tracks[band.dataset.track].lanes[band.dataset.lane];
        return lane.find((op) => this.data.kinds[op[KIND]] === band.dataset.kind && op[START] - near <= at && at < op[END] + near);
      };
      for (const band of [...this.bands].reverse()) {
        const op = hit(band);
        if (op) return op;
      }
      return null;
    }

    visit(by) {
      this.order ??= this.bands.flatMap((band) => this.data.tracks[band.dataset.track].lanes[band.dataset.lane]
        .filter((op) => this.data.kinds[op[KIND]] === band.dataset.kind)
        .map((op) => ({ op, track: Number(band.dataset.track), y: Number(band.dataset.y) + Number(band.dataset.height) })))
        .sort((a, b) => a.track - b.track || a.op[START] - b.op[START]);
      this.step = Math.max(0, Math.min(this.order.length - 1, this.step + by));
      const { op, y } = this.order[this.step];
      if (op[START] < this.from || op[END] > this.to) this.show((op[START] + op[END] - (this.to - this.from)) / 2);
      this.tell(op, this.x((op[START] + op[END]) / 2) * this.scale(), this.folds.at(y) * this.scale());
    }

    tell(op, x, y) {
      const { data, tip } = this;
      const bytes = op[BYTES] === null ? "" : ` · ${(op[BYTES] / 1e6).toFixed(2)}\u00a0MB`;
      const lines = [
        `${data.kindWords[op[KIND]]} · ${written(op[END] - op[START])}${bytes}`,
        data.names[op[NAME]] === data.kinds[op[KIND]] ? "" : data.names[op[NAME]],
        `${written(op[START])} – ${written(op[END])}`,
        `${data.tables[op[TABLE]]} ${data.words.row} ${op[ROW]}`,
      ];
      tip.replaceChildren(...lines.filter(Boolean).map((line) => Object.assign(document.createElement("div"), { textContent: line })));
      tip.hidden = false;
      const room = this.svg.parentElement.clientWidth - tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(room, x + 12))}px`;
      tip.style.top = `${y + 14}px`;
    }
  }

  // What is shown of a pair stands in the page's address, so that a link shows it too: #pair-1@1200-45000, in ns.
  const address = location.href.split("#")[0];
  const charts = new Map();

  let waiting = 0;

  const keep = (anchor, from, to, whole) => {
    clearTimeout(waiting);  // browsers refuse an address that changes with every frame
    waiting = setTimeout(() => history.replaceState(null, "", whole ? address : `${address}#${anchor}@${from}-${to}`), PAUSE_MS);
  };

  const follow = () => {
    const [, anchor, from, to] = /^#(.+)@(\d+)-(\d+)$/.exec(location.hash) || [];
    const found = charts.get(anchor);
    if (!found || Number(from) >= Number(to)) return;
    for (const chart of found) {
      const length = Math.min(chart.data.limit, Number(to) - Number(from));
      chart.from = Math.max(0, Math.min(Number(from), chart.data.limit - length));
      chart.to = chart.from + length;
      chart.draw();
    }
    document.getElementById(anchor).querySelector("figure.zoom").scrollIntoView({ block: "center" });
  };

  for (const figure of document.querySelectorAll("figure.zoom")) {
    const every = [...figure.querySelectorAll("svg.timeline")].map((svg) => new Folds(svg));
    const own = [];
    const button = figure.parentElement.querySelector("button.unfold");
    if (button) {
      const words = [button.textContent, button.dataset.fold];
      button.hidden = false;
      button.setAttribute("aria-expanded", "false");
      button.addEventListener("click", () => {
        every.forEach((folds) => folds.toggle());
        own.forEach((chart) => chart.draw());
        button.textContent = words[Number(every[0].open)];
        button.setAttribute("aria-expanded", String(every[0].open));
      });
    }
    if (!figure.dataset.replay) continue;
    const data = JSON.parse(document.getElementById(figure.dataset.replay).textContent);
    const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
    tip.setAttribute("role", "status");
    figure.append(tip);
    const { id } = figure.closest("article");
    for (const folds of every) own.push(new Chart(folds.svg, data, tip, folds));
    for (const chart of own) chart.shown = (...view) => keep(id, ...view);
    charts.set(id, own);
    figure.parentElement.querySelector(".keys").hidden = false;
  }
  addEventListener("hashchange", follow);
  follow();
})();
