// A double cone slides along a graph: outside of it lies what a smaller constant would forbid.
sngan.widget("lipschitz", (box, data) => {
  const names = { sin: "sin", free: "a critic without a rule", spectral: "a critic with spectral normalization" };
  const state = { key: "free", tip: -1, share: 0.6 };
  const controls = sngan.row(box);
  sngan.select(controls, {
    id: "lipschitz-function", label: "Function", value: state.key,
    options: Object.entries(names),
    input: (key) => { state.key = key; build(); share.changed(); },
  });
  const share = sngan.slider(controls, {
    id: "lipschitz-share", label: "Slope of the cone, as a share of the proved constant", min: 0, max: 1.2, step: 0.01, value: state.share,
    show: (value) => `${Math.round(100 * value)} %`, input: (value) => { state.share = value; if (plot) draw(); },
  });
  sngan.legend(box, [["critic", "the function"], ["bound", "the double cone (drag its tip)"], ["wrong", "outside the cone"]]);
  const frame = sngan.element(box, "div");
  const numbers = sngan.row(box), bracket = sngan.row(box);
  const show = {
    cone: sngan.output(numbers, { id: "lipschitz-cone", label: "slope of the cone", digits: 4 }),
    steepest: sngan.output(numbers, { id: "lipschitz-steepest", label: "steepest line from the tip", digits: 4 }),
    outside: sngan.output(numbers, { id: "lipschitz-outside", label: "points outside", digits: 0 }),
    lower: sngan.output(bracket, { id: "lipschitz-lower", label: "largest slope found", digits: 4 }),
    upper: sngan.output(bracket, { id: "lipschitz-upper", label: "proved bound", digits: 4 }),
  };
  const verdict = sngan.element(box, "p", { "aria-live": "polite" });
  const known = () => data.functions[state.key];
  const at = (place) => sngan.interpolate(data.line, known().values, place);
  let plot = null, dot = null;

  function build() {
    frame.replaceChildren();
    const low = Math.min(...known().values), high = Math.max(...known().values), room = 0.35 * (high - low);
    plot = sngan.plot(frame, { label: `${names[state.key]}, and a double cone with its tip on the graph`, x: [-5, 5], y: [low - room, high + room], height: 320, xLabel: "place x", yLabel: "f(x)" });
    plot.range = [low - room, high + room];
    dot = sngan.handle(plot, {
      id: "lipschitz-tip", label: "Place of the cone's tip", min: -5, max: 5, step: 0.05, value: state.tip, kind: "bound",
      at: (place) => [place, at(place)], valueOf: (x) => x, input: (place) => { state.tip = place; draw(); },
    });
    dot.set(state.tip);
  }

  // the sector on one side of the tip, cut off at the plot's edges
  function sector(side, tip, slope) {
    const end = 5 * side, [low, high] = plot.range;
    const reach = (limit) => (slope ? Math.min(Math.abs(end - state.tip), Math.abs(limit - tip) / slope) : Math.abs(end - state.tip));
    const up = reach(high), down = reach(low);
    const points = [[state.tip, tip], [state.tip + side * up, tip + slope * up]];
    if (up < Math.abs(end - state.tip)) points.push([end, high]);
    if (down < Math.abs(end - state.tip)) points.push([end, low]);
    points.push([state.tip + side * down, tip - slope * down]);
    return points;
  }

  function draw() {
    const tip = at(state.tip), slope = state.share * known().upper;
    const points = data.line.map((place, k) => [place, known().values[k]]);
    const steepness = ([x, y]) => (Math.abs(x - state.tip) < 1e-6 ? 0 : Math.abs(y - tip) / Math.abs(x - state.tip));
    const outside = points.filter((point) => steepness(point) > slope + 1e-3);
    plot.clear();
    for (const side of [-1, 1]) plot.area(sector(side, tip, slope), "bound");
    plot.line(points, "critic");
    plot.dots(outside, "wrong", 2.5);
    show.cone(slope);
    show.steepest(Math.max(...points.map(steepness)));
    show.outside(outside.length);
    show.lower(known().lower);
    show.upper(known().upper);
    verdict.textContent = state.share >= 1
      ? "It is proved that this cone holds the whole graph, wherever its tip is."
      : outside.length
        ? "The cone is too narrow here: the function is steeper than that."
        : slope >= known().lower
          ? "No place is known where this cone is too narrow, but it is not proved that there is none."
          : "The cone holds the graph here. Slide it: somewhere it is too narrow.";
  }

  build();
  share.changed();
});
