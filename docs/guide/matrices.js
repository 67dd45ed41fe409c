sngan.widget("matrices", (box, data) => {
  sngan.element(box, "p", { class: "sngan-title" }, "A matrix turns the unit circle into an ellipse");
  matrix(box, data);
  sngan.element(box, "p", { class: "sngan-title" }, "The true norm of a convolution is larger than the norm of its reshaped kernel");
  convolution(box, data);

  function matrix(box, data) {
    const [left, right] = sngan.columns(box, 2);
    const entries = sngan.row(right), presets = sngan.row(right), numbers = sngan.row(right);
    const plot = sngan.plot(left, { label: "The unit circle, its image under the matrix, and one direction with its image", x: [-3, 3], y: [-3, 3], equal: true });
    sngan.legend(right, [["muted", "unit circle"], ["critic", "its image"], ["bound", "longest and shortest direction"], ["generated", "your direction x and Ax"]]);
    const showSigma = sngan.output(numbers, { id: "matrices-sigma", label: "σ (largest stretch)" });
    const showLeast = sngan.output(numbers, { id: "matrices-least", label: "least stretch" });
    const showStretch = sngan.output(numbers, { id: "matrices-of-x", label: "stretch of x" });
    const value = { a: 1, b: 1.5, c: 0, d: 1, angle: 60 };
    const circle = Array.from({ length: 73 }, (_, k) => [Math.cos(k * Math.PI / 36), Math.sin(k * Math.PI / 36)]);
    const image = ([x, y]) => [value.a * x + value.b * y, value.c * x + value.d * y];
    const draw = () => {
      plot.clear();
      plot.line(circle, "muted thin");
      plot.area(circle.map(image), "critic");
      plot.line(circle.map(image), "critic");
      const [sigma, least, tilt] = singular(value);
      for (const [size, angle] of [[sigma, tilt], [least, tilt + Math.PI / 2]]) {
        const [ix, iy] = image([Math.cos(angle), Math.sin(angle)]);
        if (size > 0.02) plot.arrow([0, 0], [ix, iy], "bound");
      }
      const radians = value.angle * Math.PI / 180, x = [Math.cos(radians), Math.sin(radians)], Ax = image(x);
      plot.arrow([0, 0], x, "generated thin");
      plot.arrow([0, 0], Ax, "generated");
      showSigma(sigma);
      showLeast(least);
      showStretch(Math.hypot(...Ax));
    };
    const bars = {};
    for (const name of ["a", "b", "c", "d"]) {
      bars[name] = sngan.slider(entries, { id: `matrices-${name}`, label: name, min: -2, max: 2, step: 0.1, value: value[name], show: (v) => v.toFixed(1), input: (v) => { value[name] = v; draw(); } });
    }
    sngan.element(presets, "span", {}, "Try:");
    const point = sngan.handle(plot, {
      id: "matrices-angle", label: "Direction x in degrees", min: 0, max: 359, step: 1, value: value.angle,
      at: (angle) => [Math.cos(angle * Math.PI / 180), Math.sin(angle * Math.PI / 180)],
      valueOf: (x, y) => (Math.round(Math.atan2(y, x) * 180 / Math.PI) + 360) % 360,
      input: (v) => { value.angle = v; draw(); },
    });
    for (const [name, [a, b, c, d, angle]] of Object.entries(data.presets)) {
      sngan.button(presets, { id: `matrices-preset-${name}`, label: name, click: () => {
        for (const [key, v] of Object.entries({ a, b, c, d })) bars[key].set(v);
        point.set(angle);
      } });
    }
    for (const bar of Object.values(bars)) bar.changed();
    point.set(value.angle);
  }

  // Both singular values in closed form, and the angle of the direction that is stretched most.
  function singular({ a, b, c, d }) {
    const sum = a * a + b * b + c * c + d * d, det = Math.abs(a * d - b * c);
    const root = Math.sqrt(Math.max(0, sum * sum - 4 * det * det));
    const sigma = Math.sqrt((sum + root) / 2);
    const tilt = Math.atan2(2 * (a * b + c * d), a * a + c * c - b * b - d * d) / 2;
    return [sigma, sigma > 0 ? det / sigma : 0, tilt];
  }

  function convolution(box, data) {
    const controls = sngan.row(box), numbers = sngan.row(box);
    const [left, right] = sngan.columns(box, 2);
    const showMatrix = sngan.output(numbers, { id: "matrices-matrix", label: "norm of the reshaped kernel" });
    const showExact = sngan.output(numbers, { id: "matrices-exact", label: "true norm" });
    const showProved = sngan.output(numbers, { id: "matrices-proved", label: "proved bound" });
    const grid = sngan.plot(left, { label: "The nine weights of the kernel", x: [0, 3], y: [0, 3], equal: true, xShow: () => "", yShow: () => "" });
    sngan.legend(left, [["real", "positive weight"], ["generated", "negative weight"]]);
    const curve = sngan.plot(right, { label: "True norm over the place in the family", x: [0, data.places], y: [0, 3.2], height: 280, xLabel: "place in the family", yLabel: "norm" });
    sngan.legend(right, [["bound", "proved bound"], ["truth", "true norm (exact)"], ["critic", "norm of the reshaped kernel"]]);
    const draw = () => {
      const list = data.families[family.value], now = list[Number(share.bar.value)];
      grid.clear();
      now.kernel.forEach((weight, k) => {
        const cx = k % 3, cy = 2 - Math.floor(k / 3);
        const cell = grid.draw("rect", { x: grid.toX(cx), y: grid.toY(cy + 1), width: grid.toX(1) - grid.toX(0), height: grid.toY(0) - grid.toY(1), class: `cell ${weight < 0 ? "generated" : "real"}` });
        cell.style.fillOpacity = 0.8 * Math.abs(weight);
        grid.text(weight.toFixed(2), cx + 0.5, cy + 0.45, { "text-anchor": "middle" });
      });
      curve.clear();
      curve.line(list.map((one, k) => [k, one.proved]), "bound");
      curve.line(list.map((one, k) => [k, one.exact]), "truth thin");
      curve.line([[0, 1], [data.places, 1]], "critic");
      curve.dots([[Number(share.bar.value), now.exact]], "truth", 6);
      showMatrix(now.matrix);
      showExact(now.exact);
      showProved(now.proved);
    };
    const family = sngan.select(controls, { id: "matrices-family", label: "From one weight to", options: [["blur", "a blur"], ["edge", "an edge filter"], ["corner", "a corner filter"]], value: "blur", input: draw });
    const share = sngan.slider(controls, { id: "matrices-share", label: "Place", min: 0, max: data.places, step: 1, value: 5, input: draw });
    share.changed();
  }
});
