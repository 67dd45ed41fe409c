sngan.widget("spectral_normalization", (box, data) => {
  sngan.element(box, "p", { class: "sngan-title" }, "The change of coordinates: a weight with two entries");
  coordinates(box, data);
  sngan.element(box, "p", { class: "sngan-title" }, "The six settings of the paper");
  settings(box, data);

  function coordinates(box, data) {
    const controls = sngan.row(box), numbers = sngan.row(box);
    const [left, right] = sngan.columns(box, 2), span = { x: [-2.2, 2.2], y: [-2.2, 2.2], equal: true };
    const plane = sngan.plot(left, { label: "The raw weight W, the normalized weight, and their gradients", ...span });
    sngan.legend(left, [["muted", "all weights of norm 1"], ["real", "raw W and its gradient"], ["critic", "W̄ and its gradient g"], ["generated", "the loss is smallest here"]]);
    const ways = sngan.plot(right, { label: "Gradient descent of the raw weight", ...span });
    sngan.legend(right, [["real", "25 steps of W, from 150°"], ["critic", "W̄ at the end"], ["generated", "the loss is smallest here"]]);
    const showG = sngan.output(numbers, { id: "spectral_normalization-g", label: "length of g" });
    const showRaw = sngan.output(numbers, { id: "spectral_normalization-raw", label: "length of W's gradient" });
    const showCorner = sngan.output(numbers, { id: "spectral_normalization-corner", label: "angle between W and its gradient", digits: 1 });
    const circle = Array.from({ length: 73 }, (_, k) => [Math.cos(k * Math.PI / 36), Math.sin(k * Math.PI / 36)]);
    const direction = (angle) => [Math.cos(angle * Math.PI / 180), Math.sin(angle * Math.PI / 180)];
    const along = ([px, py], [vx, vy], by) => [px + by * vx, py + by * vy];
    let angle = 120, handle;
    const draw = () => {
      const s = Number(size.value), unit = direction(angle), raw = unit.map((v) => s * v);
      const g = data.normalized[angle / 5], rawGradient = data.gradients[size.value][angle / 5];
      plane.clear();
      plane.line(circle, "muted thin");
      plane.dots([data.target], "generated", 6);
      plane.line([[0, 0], raw], "muted thin");
      plane.arrow(unit, along(unit, g, -0.5), "critic");
      plane.dots([unit], "critic", 5);
      plane.arrow(raw, along(raw, rawGradient, -0.5), "real");
      ways.clear();
      ways.line(circle, "muted thin");
      ways.dots([data.target], "generated", 6);
      const walk = data.walks[size.value], end = walk[walk.length - 1], length = Math.hypot(...end);
      ways.line([[0, 0], end], "muted thin");
      ways.line(walk, "real thin");
      ways.dots(walk, "real", 3.5);
      ways.dots([end.map((v) => v / length)], "critic", 6);
      showG(Math.hypot(...g));
      showRaw(Math.hypot(...rawGradient));
      const cosine = (rawGradient[0] * unit[0] + rawGradient[1] * unit[1]) / (Math.hypot(...rawGradient) || 1);
      showCorner(`${(Math.acos(cosine) * 180 / Math.PI).toFixed(1)}°`);
    };
    const size = sngan.select(controls, { id: "spectral_normalization-size", label: "Length of W (its σ)", options: Object.keys(data.gradients).map((key) => [key, key]), value: "1.0", input: () => handle.set(angle) });
    handle = sngan.handle(plane, {
      id: "spectral_normalization-angle", label: "Direction of W in degrees", min: 0, max: 355, step: 5, value: angle,
      at: (a) => direction(a).map((v) => v * Number(size.value)),
      valueOf: (x, y) => (Math.round(Math.atan2(y, x) * 36 / Math.PI) * 5 + 360) % 360,
      input: (a) => { angle = a; draw(); },
    });
    handle.set(angle);
  }

  function settings(box, data) {
    const controls = sngan.row(box), numbers = sngan.row(box), names = ["A", "B", "C", "D", "E", "F"];
    const frame = sngan.element(box, "div");
    const plot = sngan.plot(frame, {
      label: "Fréchet distance of the method in the settings A to F, logarithmic; lower is better", x: [0.5, 6.5], y: [-1, 2], height: 260,
      xShow: (v) => names[v - 1] ?? "", yShow: (v) => (Number.isInteger(v) ? String(10 ** v) : ""), xLabel: "setting", yLabel: "Fréchet distance",
    });
    sngan.legend(frame, [["critic", "the method"], ["bound", "sn, for comparison"]]);
    const showBest = sngan.output(numbers, { id: "spectral_normalization-best", label: "best setting", digits: 2 });
    const showMiddle = sngan.output(numbers, { id: "spectral_normalization-middle", label: "median", digits: 2 });
    const draw = () => {
      plot.clear();
      const bar = (value, at, wide, kind) => {
        const top = Math.log10(value);
        plot.area([[at - wide, -1], [at - wide, top], [at + wide, top], [at + wide, -1]], kind);
      };
      names.forEach((name, k) => {
        const own = data.settings[method.value][name], sn = data.settings.sn[name];
        if (own === null) plot.text("no run", k + 1, -0.9, { "text-anchor": "middle" });
        else bar(own, k + 1, 0.3, "critic");
        if (sn !== null && method.value !== "sn") plot.line([[k + 0.62, Math.log10(sn)], [k + 1.38, Math.log10(sn)]], "bound");
      });
      showBest(data.best[method.value]);
      showMiddle(data.middle[method.value]);
    };
    const order = ["sn", ...Object.keys(data.settings).filter((name) => name !== "sn")];
    const method = sngan.select(controls, { id: "spectral_normalization-method", label: "Method", options: order.map((name) => [name, name]), value: "vanilla", input: draw });
    draw();
  }
});
