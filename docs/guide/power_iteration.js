sngan.widget("power_iteration", (box, data) => {
  const controls = sngan.row(box), buttons = sngan.row(box), numbers = sngan.row(box);
  const [left, right] = sngan.columns(box, 2);
  const plane = sngan.plot(left, { label: "The vector u turns towards the top singular direction", x: [-1.2, 1.2], y: [-1.2, 1.2], equal: true });
  sngan.legend(left, [["critic", "u now, and its course"], ["bound", "top singular direction"]]);
  const decay = sngan.plot(right, {
    label: "Relative error of σ over the iterations, logarithmic", x: [0, data.steps], y: [-12, 0], height: 300,
    xLabel: "iteration", yLabel: "relative error of σ", yShow: (v) => (v ? `10${superscript(v)}` : "1"),
  });
  sngan.legend(right, [["critic", "σ found"], ["muted", "slope (σ₂/σ₁) to the power 4, each iteration"]]);
  const showSigma = sngan.output(numbers, { id: "power_iteration-sigma", label: "σ found (true: 1)", digits: 6 });
  const showError = sngan.output(numbers, { id: "power_iteration-error", label: "relative error" });
  const circle = Array.from({ length: 73 }, (_, k) => [Math.cos(k * Math.PI / 36), Math.sin(k * Math.PI / 36)]);
  const logarithm = (error) => Math.max(-12, Math.log10(error));

  function superscript(value) {
    return String(value).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  }
  function draw() {
    const one = data.matrices[ratio.value], step = Number(slider.bar.value);
    plane.clear();
    plane.line(circle, "muted thin");
    for (const sign of [1, -1]) plane.arrow([0, 0], data.top.map((v) => 1.1 * sign * v), "bound");
    plane.line(one.u.slice(0, step + 1), "critic thin");
    plane.dots(one.u.slice(0, step + 1), "critic", 4);
    plane.arrow([0, 0], one.u[step], "critic");
    decay.clear();
    const last = one.error.findLastIndex((error) => error > 1e-15), end = Math.min(last, data.steps);
    const tail = Array.from({ length: data.steps + 1 }, (_, k) => [k, logarithm(one.error[end]) + (k - end) * 4 * Math.log10(Number(ratio.value))]);
    decay.line(tail.filter(([, v]) => v <= 0 && v >= -12), "muted thin");
    decay.line(one.error.slice(0, step + 1).map((error, k) => [k, logarithm(error)]), "critic");
    decay.dots(one.error.slice(0, step + 1).map((error, k) => [k, logarithm(error)]), "critic", 4);
    showSigma(one.sigma[step]);
    showError(one.error[step] < 1e-12 ? "below 1e-12" : one.error[step].toExponential(1));
  }
  const ratio = sngan.select(controls, { id: "power_iteration-ratio", label: "σ₂/σ₁", options: Object.keys(data.matrices).map((key) => [key, key]), value: "0.8", input: draw });
  const slider = sngan.slider(controls, { id: "power_iteration-step", label: "Iterations", min: 0, max: data.steps, step: 1, value: 0, input: draw });
  const go = (to) => slider.set(Math.min(data.steps, to));
  const at = () => Number(slider.bar.value);
  const player = sngan.player(buttons, { id: "power_iteration-play", every: 600, step: () => { go(at() + 1); return at() < data.steps; } });
  sngan.button(buttons, { id: "power_iteration-next", label: "One iteration", click: () => { player.stop(); go(at() + 1); } });
  sngan.button(buttons, { id: "power_iteration-again", label: "Start again", click: () => { player.stop(); go(0); } });
  slider.changed();
});
