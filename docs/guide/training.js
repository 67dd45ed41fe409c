sngan.widget("training", (box, data) => {
  const NAMES = { original: "original GAN", clipping: "Wasserstein, clipping", penalty: "Wasserstein, penalty" };
  const PHASES = { critic: "only the critic is trained", generator: "only the generator is trained", both: "both are trained" };
  const controls = sngan.row(box), steps = sngan.row(box), numbers = sngan.row(box);
  const said = sngan.element(box, "p", { class: "sngan-said", "aria-live": "polite" });
  const [left, right] = sngan.columns(box, 2);
  const reach = data.reach, size = { x: [-reach, reach], y: [-reach, reach] };
  const map = sngan.plot(left, { label: "The critic's scores in the plane, real and generated points, and the generator's gradients", ...size, equal: true });
  const paint = sngan.heat(map, { side: data.side, ...size, kinds: ["generated", "real"] });
  sngan.legend(left, [["real", "real points, high score"], ["generated", "generated points, low score"], ["truth", "pull on each point"]]);
  const over = sngan.element(right, "div");
  sngan.legend(right, [["critic", "number of the critic's weights"]]);
  const moving = map.draw("g", {});
  const showPush = sngan.output(numbers, { id: "training-push", label: "mean pull" });
  const showSlope = sngan.output(numbers, { id: "training-slope", label: "steepest place" });
  const showProved = sngan.output(numbers, { id: "training-proved", label: "proved bound" });
  const showW1 = sngan.output(numbers, { id: "training-w1", label: "exact W₁" });

  function decode(text, scale) {
    return Array.from({ length: text.length / 2 }, (_, k) => (parseInt(text.slice(2 * k, 2 * k + 2), 16) / 127 - 1) * scale);
  }
  function pairs(flat) {
    return Array.from({ length: flat.length / 2 }, (_, k) => [flat[2 * k], flat[2 * k + 1]]);
  }
  function histogram(frame, method) {
    const width = method === "clipping" ? data.clip : 0.8, most = Math.max(...frame.counts), n = frame.counts.length;
    over.replaceChildren();
    const plot = sngan.plot(over, { label: "How the critic's weights are spread", x: [-width, width], y: [0, most], height: 260, xLabel: method === "clipping" ? `weight, clipped to ±${data.clip}` : "weight", yLabel: "weights" });
    frame.counts.forEach((count, k) => {
      const from = -width + 2 * width * k / n, to = from + 2 * width / n;
      plot.area([[from, 0], [from, count], [to, count], [to, 0]], "critic");
    });
  }
  const real = pairs(decode(data.real, reach));
  function draw() {
    const frame = data.methods[method.value][Number(slider.bar.value)];
    paint(decode(frame.map, 1));
    moving.replaceChildren();
    const points = pairs(decode(frame.points, reach)), arrows = pairs(decode(frame.arrows, 1));
    real.forEach(([px, py]) => dot(px, py, "real"));
    points.forEach(([px, py], k) => {
      if (Math.max(Math.abs(px), Math.abs(py)) >= reach) return; // outside of the map
      line(px, py, px + 0.4 * arrows[k][0], py + 0.4 * arrows[k][1]);
      dot(px, py, "generated");
    });
    histogram(frame, method.value);
    showPush(precise(frame.push));
    showSlope(precise(frame.slope));
    showProved(precise(frame.proved));
    showW1(frame.w1);
    said.textContent = `${NAMES[method.value]}: ${PHASES[frame.phase]}. So far ${frame.critic} critic updates and ${frame.generator} generator updates.`;
  }
  function precise(value) {
    return value < 0.001 ? value.toExponential(1) : value.toPrecision(3);
  }
  function dot(px, py, kind) {
    moving.append(map.draw("circle", { cx: map.toX(px), cy: map.toY(py), r: 3.5, class: `dot ${kind} rim` }));
  }
  function line(px, py, qx, qy) {
    const made = map.arrow([px, py], [qx, qy], "truth thin");
    moving.append(made);
  }
  const method = sngan.select(controls, { id: "training-method", label: "Critic", options: Object.entries(NAMES), value: "original", input: draw });
  const slider = sngan.slider(controls, { id: "training-frame", label: "Frame", min: 0, max: data.last, step: 1, value: 0, input: draw });
  const go = (to) => slider.set(Math.min(data.last, Math.max(0, to)));
  const at = () => Number(slider.bar.value);
  const player = sngan.player(steps, { id: "training-play", every: 500, step: () => { go(at() + 1); return at() < data.last; } });
  const jump = (id, label, to) => sngan.button(steps, { id, label, click: () => { player.stop(); go(to()); } });
  jump("training-back", "Back", () => at() - 1);
  jump("training-next", "Next", () => at() + 1);
  const first = (phase) => data.methods.original.findIndex((frame) => frame.phase === phase);
  jump("training-critic", "Critic only", () => 0);
  jump("training-generator", "Generator only", () => first("generator"));
  jump("training-both", "Both", () => first("both"));
  slider.changed();
});
