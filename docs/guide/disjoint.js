// Two uniform distributions: drag the generated one, and see which distance shows the way back.
sngan.widget("disjoint", (box, data) => {
  const state = { shift: 2, width: "1.0" };
  const controls = sngan.row(box);
  sngan.select(controls, {
    id: "disjoint-width", label: "Width of both", value: state.width,
    options: Object.keys(data.widths).map((width) => [width, width === "0.0" ? "0 (two points)" : width]),
    input: (width) => { state.width = width; draw(); },
  });
  sngan.legend(box, [["real", "real data"], ["generated", "generated: drag it"], ["bound", "Wasserstein distance W₁"], ["critic", "Jensen–Shannon divergence"]]);
  const blobs = sngan.plot(box, { label: "The two distributions, and the step that each distance asks for", x: [-3.5, 5.5], y: [-1.4, 2.4], height: 250, xLabel: "place", yShow: null });
  const numbers = sngan.row(box), derivatives = sngan.row(box);
  const show = {
    w1: sngan.output(numbers, { id: "disjoint-w1", label: "W₁" }),
    js: sngan.output(numbers, { id: "disjoint-js", label: "Jensen–Shannon" }),
    kl: sngan.output(numbers, { id: "disjoint-kl", label: "Kullback–Leibler" }),
    w1Gradient: sngan.output(derivatives, { id: "disjoint-w1-gradient", label: "derivative of W₁" }),
    jsGradient: sngan.output(derivatives, { id: "disjoint-js-gradient", label: "of Jensen–Shannon" }),
  };
  const curves = sngan.plot(box, { label: "Both distances over the shift", x: [-3, 3], y: [0, 3.2], height: 240, xLabel: "shift t", yLabel: "distance" });

  function blob(start, kind) {
    const width = Number(state.width);
    if (width === 0) return blobs.line([[start, 0], [start, 2.2]], kind);
    return blobs.area([[start, 0], [start, 1 / width], [start + width, 1 / width], [start + width, 0]], kind);
  }

  // the step down the slope: against the derivative, as long as it is steep
  function step(height, slope, kind, name) {
    const middle = state.shift + Number(state.width) / 2;
    if (Math.abs(slope) > 0) blobs.arrow([middle, height], [middle - slope, height], kind);
    else blobs.dots([[middle, height]], kind, 4);
    const text = Math.abs(slope) > 0 ? name : `${name}: ${state.shift === 0 ? "arrived" : "no direction"}`;
    const side = slope > 0 || (slope === 0 && middle < 1) ? 1 : -1;
    blobs.text(text, middle + 0.15 * side, height - 0.06, { "text-anchor": side > 0 ? "start" : "end" });
  }

  function draw() {
    const table = data.widths[state.width];
    const at = Math.round((state.shift - data.shifts[0]) / (data.shifts[1] - data.shifts[0]));
    blobs.clear();
    blobs.line([[-3.5, 0], [5.5, 0]], "muted");
    blob(0, "real");
    blob(state.shift, "generated");
    step(-0.45, table.w1Gradient[at], "bound", "W₁");
    step(-1.05, table.jsGradient[at], "critic", "Jensen–Shannon");
    curves.clear();
    for (const [key, kind] of [["w1", "bound"], ["js", "critic"]]) {
      const points = data.shifts.map((shift, i) => [shift, table[key][i]]);
      // two points: the divergence jumps to 0 at shift 0, so no line leads there
      const jumps = key === "js" && Number(state.width) === 0;
      for (const side of jumps ? [points.filter(([t]) => t < 0), points.filter(([t]) => t > 0)] : [points]) curves.line(side, kind);
      if (jumps) curves.dots([[0, 0]], kind, 3);
      curves.dots([[data.shifts[at], table[key][at]]], kind, 6);
    }
    for (const key of ["w1", "js", "w1Gradient", "jsGradient"]) show[key](table[key][at]);
    show.kl(at === data.shifts.indexOf(0) ? 0 : "∞");
  }

  const dot = sngan.handle(blobs, {
    id: "disjoint-shift", label: "Shift of the generated distribution", min: -3, max: 3, step: 0.05, value: state.shift, kind: "generated",
    at: (shift) => [shift + Number(state.width) / 2, 0], valueOf: (x) => x - Number(state.width) / 2,
    input: (shift) => { state.shift = shift; draw(); },
  });
  dot.set(state.shift);
  document.getElementById("disjoint-width").addEventListener("input", () => dot.set(state.shift));
});
