// Parts of the things to move: controls, numbers, and plots in SVG. A page's script calls
// sngan.widget("NAME", (box, data) => { … }); `data` is what NAME_data.py computed.
const sngan = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function widget(name, build) {
    const box = document.querySelector(`[data-widget="${name}"]`);
    const data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
    box.replaceChildren();
    build(box, data);
    box.dataset.ready = "true";
  }

  function element(parent, tag, attributes = {}, text = "") {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    parent.append(made);
    return made;
  }

  function row(box) {
    return element(box, "div", { class: "sngan-row" });
  }

  // Boxes side by side; on a phone they stand below one another.
  function columns(parent, count) {
    const frame = element(parent, "div", { class: "sngan-columns" });
    return Array.from({ length: count }, () => element(frame, "div"));
  }

  // The meaning of colours: `entries` is a list of [kind, text].
  function legend(parent, entries) {
    const list = element(parent, "div", { class: "sngan-legend" });
    for (const [kind, text] of entries) element(element(list, "span", { class: kind }), "span", {}, text);
  }

  // A slider with its label. `show` turns the value into the text beside it.
  function slider(parent, { id, label, min, max, step, value, show = String, input }) {
    const frame = element(parent, "label", { class: "sngan-control", for: id });
    element(frame, "span", {}, label);
    const bar = element(frame, "input", { id, type: "range", min, max, step });
    const text = element(frame, "span", { class: "sngan-shown" });
    bar.value = value;
    const changed = () => {
      text.textContent = show(Number(bar.value));
      bar.setAttribute("aria-valuetext", text.textContent);
      input(Number(bar.value));
    };
    bar.addEventListener("input", changed);
    return { bar, changed, set: (to) => { bar.value = to; changed(); } };
  }

  // A choice: `options` is a list of [value, label].
  function select(parent, { id, label, options, value, input }) {
    const frame = element(parent, "label", { class: "sngan-control", for: id });
    element(frame, "span", {}, label);
    const list = element(frame, "select", { id });
    for (const [key, text] of options) element(list, "option", { value: key }, text);
    list.value = value;
    list.addEventListener("input", () => input(list.value));
    return list;
  }

  function button(parent, { id, label, click }) {
    const made = element(parent, "button", { id, type: "button", class: "sngan-button" }, label);
    made.addEventListener("click", () => click(made));
    return made;
  }

  // A number with its label; the returned function shows a new value.
  function output(parent, { id, label, digits = 3 }) {
    const frame = element(parent, "span", { class: "sngan-number" });
    element(frame, "span", {}, `${label} `);
    const shown = element(frame, "output", { id });
    return (value) => {
      shown.textContent = typeof value === "number" ? value.toFixed(digits) : value;
    };
  }

  // A table of numbers with a head for each row and column; returns cells[row][column].
  function table(parent, { caption, columns, rows }) {
    const made = element(parent, "table", { class: "sngan-table" });
    element(made, "caption", {}, caption);
    const head = element(element(made, "thead"), "tr");
    for (const text of columns) element(head, text ? "th" : "td", text ? { scope: "col" } : {}, text);
    const body = element(made, "tbody");
    return rows.map((text) => {
      const line = element(body, "tr");
      element(line, "th", { scope: "row" }, text);
      return columns.slice(1).map(() => element(line, "td"));
    });
  }

  // A plot with axes. `label` says to a screen reader what the plot shows.
  function plot(parent, { label, x, y, height = 320, xLabel = "", yLabel = "", xShow = String, yShow = String, equal = false }) {
    // as wide as the page allows, so that the text keeps its size on a phone
    const width = Math.max(280, Math.min(640, parent.clientWidth || 640));
    // `yShow: null` leaves out the scale of the heights
    const margin = { left: yShow ? 52 : 12, right: 12, top: 12, bottom: 42 };
    if (equal) height = (width - margin.left - margin.right) * (y[1] - y[0]) / (x[1] - x[0]) + margin.top + margin.bottom;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    svg.setAttribute("class", "sngan-plot");
    parent.append(svg);
    const toX = (v) => margin.left + (v - x[0]) / (x[1] - x[0]) * (width - margin.left - margin.right);
    const toY = (v) => height - margin.bottom - (v - y[0]) / (y[1] - y[0]) * (height - margin.top - margin.bottom);
    const fromX = (px) => x[0] + (px - margin.left) / (width - margin.left - margin.right) * (x[1] - x[0]);
    const fromY = (px) => y[0] + (height - margin.bottom - px) / (height - margin.top - margin.bottom) * (y[1] - y[0]);
    const draw = (tag, attributes, into = svg) => {
      const made = document.createElementNS(SVG, tag);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      into.append(made);
      return made;
    };
    const text = (content, attributes, into) => {
      const made = draw("text", attributes, into);
      made.textContent = content;
      return made;
    };
    for (const tick of ticks(...x)) {
      draw("line", { x1: toX(tick), x2: toX(tick), y1: toY(y[0]), y2: toY(y[1]), class: "grid" });
      text(xShow(tick), { x: toX(tick), y: height - margin.bottom + 16, "text-anchor": "middle" });
    }
    for (const tick of yShow ? ticks(...y) : []) {
      draw("line", { x1: toX(x[0]), x2: toX(x[1]), y1: toY(tick), y2: toY(tick), class: "grid" });
      text(yShow(tick), { x: margin.left - 6, y: toY(tick) + 4, "text-anchor": "end" });
    }
    text(xLabel, { x: (width + margin.left) / 2, y: height - 6, "text-anchor": "middle" });
    text(yLabel, { x: 14, y: height / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${height / 2})` });
    const layer = draw("g", {});
    return {
      svg, toX, toY, fromX, fromY, draw: (tag, attributes) => draw(tag, attributes, layer),
      clear: () => layer.replaceChildren(),
      text: (content, px, py, attributes = {}) => text(content, { x: toX(px), y: toY(py), ...attributes }, layer),
      line: (points, kind) => draw("path", { class: `line ${kind}`, d: path(points, toX, toY) }, layer),
      area: (points, kind) => draw("path", { class: `area ${kind}`, d: `${path(points, toX, toY)}Z` }, layer),
      dots: (points, kind, radius = 3) => {
        for (const [px, py] of points) draw("circle", { cx: toX(px), cy: toY(py), r: radius, class: `dot ${kind}` }, layer);
      },
      arrow: ([px, py], [qx, qy], kind) => draw("path", { class: `line ${kind}`, d: arrow([toX(px), toY(py)], [toX(qx), toY(qy)]) }, layer),
    };
  }

  // A map of side × side squares over a plot with equal axes. The returned function takes values
  // from -1 to 1, column by column from below: negative ones have the first kind, the others the second.
  function heat(on, { side, x, y, kinds }) {
    const wide = on.toX(x[1]) - on.toX(x[0]), high = on.toY(y[0]) - on.toY(y[1]);
    const squares = Array.from({ length: side * side }, (_, k) => on.draw("rect", {
      x: on.toX(x[0]) + Math.floor(k / side) * wide / side, y: on.toY(y[0]) - (k % side + 1) * high / side,
      width: wide / side, height: high / side,
    }));
    return (values) => squares.forEach((square, k) => {
      square.setAttribute("class", `cell ${kinds[values[k] < 0 ? 0 : 1]}`);
      square.style.fillOpacity = 0.75 * Math.abs(values[k]);
    });
  }

  // A dot to drag along a curve: `at(value)` is its place; `valueOf(x, y)` the value at a pointer.
  function handle(on, { id, label, min, max, step, value, at, valueOf, input, kind = "" }) {
    const dot = document.createElementNS(SVG, "circle");
    for (const [key, text] of Object.entries({ id, r: 9, class: `handle ${kind}`, role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": min, "aria-valuemax": max })) dot.setAttribute(key, text);
    on.svg.append(dot);
    on.svg.setAttribute("role", "group");
    const set = (to) => {
      value = Math.min(max, Math.max(min, min + Math.round((to - min) / step) * step));
      const [px, py] = at(value);
      dot.setAttribute("cx", on.toX(px));
      dot.setAttribute("cy", on.toY(py));
      dot.setAttribute("aria-valuenow", Number(value.toFixed(6)));
      input(value);
    };
    dot.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      const to = event.key === "Home" ? min : event.key === "End" ? max : by && value + by * step;
      if (to === undefined) return;
      event.preventDefault();
      set(to);
    });
    dot.addEventListener("pointerdown", (event) => dot.setPointerCapture(event.pointerId));
    dot.addEventListener("pointermove", (event) => {
      if (!dot.hasPointerCapture(event.pointerId)) return;
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(on.svg.getScreenCTM().inverse());
      set(valueOf(on.fromX(point.x), on.fromY(point.y)));
    });
    dot.sngan = { set }; // for the tests of the pages
    return { set, value: () => value, front: () => on.svg.append(dot) };
  }

  // Play and stop: `step` is called at each tick until it returns false.
  function player(parent, { id, label = "Play", every = 250, step }) {
    let timer = 0;
    const made = button(parent, { id, label, click: () => (timer ? stop() : start()) });
    made.setAttribute("aria-pressed", "false");
    function stop() { clearInterval(timer); timer = 0; made.textContent = label; made.setAttribute("aria-pressed", "false"); }
    function start() {
      timer = setInterval(() => { if (step() === false) stop(); }, every);
      made.textContent = "Stop";
      made.setAttribute("aria-pressed", "true");
    }
    return { stop };
  }

  // Linear interpolation in a table of values at increasing places.
  function interpolate(places, values, place) {
    let right = places.findIndex((p) => p >= place);
    if (right < 0) return values[values.length - 1];
    if (right === 0) return values[0];
    const share = (place - places[right - 1]) / (places[right] - places[right - 1]);
    return values[right - 1] + share * (values[right] - values[right - 1]);
  }

  function ticks(low, high) {
    const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(Number((k * step).toPrecision(6)));
    return out;
  }

  function path(points, toX, toY) {
    return points.map(([px, py], i) => `${i ? "L" : "M"}${toX(px).toFixed(2)} ${toY(py).toFixed(2)}`).join("");
  }

  function arrow([x1, y1], [x2, y2]) {
    const length = Math.hypot(x2 - x1, y2 - y1) || 1, head = Math.min(7, length / 2);
    const ux = (x2 - x1) / length * head, uy = (y2 - y1) / length * head;
    return `M${x1} ${y1}L${x2} ${y2}M${x2 - ux - uy / 2} ${y2 - uy + ux / 2}L${x2} ${y2}L${x2 - ux + uy / 2} ${y2 - uy - ux / 2}`;
  }

  return { widget, element, row, columns, legend, table, heat, slider, select, button, output, plot, handle, player, interpolate };
})();
