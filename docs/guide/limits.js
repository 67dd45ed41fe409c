sngan.widget("limits", (box, data) => {
  const controls = sngan.row(box), numbers = sngan.row(box);
  const frame = sngan.element(box, "div");
  const plot = sngan.plot(frame, {
    label: "Proved bounds of the critic's slope and the steepest place found, over the number of hidden layers", x: [1, data.depths.length], y: [0, 1.1], height: 320,
    xShow: (v) => (Number.isInteger(v) ? String(v) : ""), xLabel: "hidden layers", yLabel: "slope",
  });
  sngan.legend(frame, [["muted", "product of the layers' norms"], ["bound", "proved bound; the truth lies below it"], ["truth", "attained slope; the truth lies above it"]]);
  const showProduct = sngan.output(numbers, { id: "limits-product", label: "product" });
  const showProved = sngan.output(numbers, { id: "limits-proved", label: "proved bound", digits: 4 });
  const showAttained = sngan.output(numbers, { id: "limits-attained", label: "attained", digits: 4 });
  const draw = () => {
    const rows = data.critics[kind.value], at = Number(depth.bar.value) - 1, now = rows[at];
    const curve = (key) => rows.map((row, k) => [k + 1, row[key]]);
    plot.clear();
    plot.area([...curve("proved"), ...curve("attained").reverse()], "bound");
    plot.line(curve("product"), "muted");
    plot.line(curve("proved"), "bound");
    plot.line(curve("attained"), "truth");
    plot.line([[at + 1, 0], [at + 1, 1.1]], "muted thin");
    plot.dots([[at + 1, now.product]], "muted", 5);
    plot.dots([[at + 1, now.proved]], "bound", 6);
    plot.dots([[at + 1, now.attained]], "truth", 6);
    showProduct(now.product);
    showProved(now.proved);
    showAttained(now.attained);
  };
  const kind = sngan.select(controls, { id: "limits-kind", label: "Critic", options: [["relu", "spectral norm, ReLU"], ["sorting", "orthogonal, sorting"]], value: "relu", input: draw });
  const depth = sngan.slider(controls, { id: "limits-depth", label: "Hidden layers", min: 1, max: data.depths.length, step: 1, value: 3, input: draw });
  depth.changed();
});
