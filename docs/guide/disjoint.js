sngan.widget("disjoint", (box, data) => {
  const controls = sngan.row(box), numbers = sngan.row(box);
  const showW1 = sngan.output(numbers, { id: "disjoint-w1", label: "Wasserstein distance" });
  const showJs = sngan.output(numbers, { id: "disjoint-js", label: "Jensen–Shannon divergence" });
  const plot = sngan.plot(box, { label: "Two uniform distributions", x: [0, 4], y: [0, 1.5], height: 200 });
  const draw = (shift) => {
    plot.clear();
    plot.area([[0, 0], [0, 1], [1, 1], [1, 0]], "real");
    plot.area([[shift, 0], [shift, 1], [shift + 1, 1], [shift + 1, 0]], "generated");
    showW1(sngan.interpolate(data.shifts, data.w1, shift));
    showJs(sngan.interpolate(data.shifts, data.js, shift));
  };
  sngan.slider(controls, { id: "disjoint-shift", label: "Shift", min: 0, max: 3, step: 0.1, value: 0.5, input: draw }).changed();
});
