// Prices of six boxes: drag them, or follow a critic that learns them. Broken rules are red.
sngan.widget("dual", (box, data) => {
  const places = [...data.boxes, ...data.goals], count = data.boxes.length;
  const state = { prices: [...data.learned[0].prices], frame: 0 };
  const fee = (i, j) => state.prices[i] - state.prices[count + j];
  const distance = (i, j) => Math.abs(data.boxes[i] - data.goals[j]);
  const pairs = data.boxes.flatMap((_, i) => data.goals.map((_, j) => [i, j]));
  const excess = ([i, j]) => fee(i, j) - distance(i, j);
  const EXACT = 2e-3; // the critic's prices have three digits

  const controls = sngan.row(box), buttons = sngan.row(box);
  sngan.legend(box, [["real", "price to take a box"], ["generated", "money back at a goal"], ["critic", "critic"], ["bound", "cheapest plan"], ["wrong", "fee above the distance"]]);
  const plot = sngan.plot(box, { label: "Prices at the places of boxes and goals", x: [0, 10], y: [-6, 6], height: 340, xLabel: "place", yLabel: "price" });
  const numbers = sngan.row(box);
  const showValue = sngan.output(numbers, { id: "dual-value", label: "earned for six boxes" });
  const showCost = sngan.output(numbers, { id: "dual-cost", label: "cost of the cheapest plan" });
  const showBroken = sngan.output(numbers, { id: "dual-broken", label: "broken rules", digits: 0 });
  const verdict = sngan.element(box, "p", { "aria-live": "polite" });
  const caption = "Fee and distance for each pair. A green pair is tight: fee and distance are equal. Each ■ is a box of the cheapest plan.";
  const cells = sngan.table(box, { caption, columns: ["from → to", ...data.goals.map(String)], rows: data.boxes.map(String) });
  const climb = sngan.plot(box, { label: "What the critic earns, step by step", x: [0, data.learned.at(-1).step], y: [0, 12], height: 210, xLabel: "training step of the critic", yLabel: "earned" });

  // a blue price may not lie above any cone that stands on an orange one
  const roof = (place) => Math.min(...data.goals.map((goal, j) => state.prices[count + j] + Math.abs(place - goal)));
  const floor = (place) => Math.max(...data.boxes.map((from, i) => state.prices[i] - Math.abs(place - from)));

  function draw() {
    const grid = Array.from({ length: 201 }, (_, k) => k / 20);
    const edge = grid.map((place) => [place, Math.min(6, roof(place))]);
    plot.clear();
    plot.area([[0, 6], ...edge, [10, 6]], "generated").style.opacity = 0.12;
    plot.line(edge, "generated thin");
    if (state.frame !== null) plot.line(data.line.map((place, k) => [place, data.learned[state.frame].line[k]]), "critic");
    for (const [i, j] of pairs) {
      const ends = [[data.boxes[i], state.prices[i]], [data.goals[j], state.prices[count + j]]];
      const isBroken = excess([i, j]) > EXACT;
      if (data.plan[i][j]) plot.line(ends, "bound");
      if (isBroken) plot.line(ends, "wrong dashed");
    }
    numbersOf();
    climb.clear();
    climb.line([[0, data.cost], [data.learned.at(-1).step, data.cost]], "bound");
    climb.text("cost of the cheapest plan", data.learned.at(-1).step, data.cost, { dy: 22, "text-anchor": "end" });
    climb.line(data.learned.map(({ step, value }) => [step, value]), "critic");
    if (state.frame !== null) climb.dots([[data.learned[state.frame].step, data.learned[state.frame].value]], "critic", 6);
  }

  function numbersOf() {
    const sum = (masses, start) => masses.reduce((total, mass, k) => total + mass * state.prices[start + k], 0);
    const value = state.frame === null ? sum(data.massesX, 0) - sum(data.massesY, count) : data.learned[state.frame].value;
    const broken = pairs.filter((pair) => excess(pair) > EXACT).length;
    showValue(value);
    showCost(data.cost);
    showBroken(broken);
    verdict.textContent = broken
      ? "Some fee is above its distance, so these prices prove nothing."
      : `All fees are allowed. This proves that no plan costs less than ${value.toFixed(3)}.`;
    for (const [i, j] of pairs) {
      const over = excess([i, j]);
      cells[i][j].textContent = `${fee(i, j).toFixed(1)}\u00a0${over > EXACT ? ">" : "≤"}\u00a0${distance(i, j)} ${"■".repeat(data.plan[i][j])}`;
      cells[i][j].className = over > EXACT ? "wrong" : over > -0.05 ? "bound" : "muted";
    }
  }

  let isMoving = false; // setting a handle calls its `input` again
  function arrange(prices, frame) {
    Object.assign(state, { prices, frame });
    isMoving = true;
    handles.forEach((handle, k) => handle.set(prices[k]));
    isMoving = false;
    draw();
  }
  const handles = places.map((place, k) => sngan.handle(plot, {
    id: `dual-price${k + 1}`, min: -6, max: 6, step: 0.1, value: 0, kind: k < count ? "real" : "generated",
    label: k < count ? `Price to take a box at ${place}` : `Money back at the goal ${place}`,
    at: (price) => [place, price], valueOf: (_, y) => y,
    input: (price) => {
      if (isMoving) return;
      state.prices[k] = price;
      arrange([...state.prices], null);
    },
  }));

  const step = sngan.slider(controls, {
    id: "dual-step", label: "Training step of the critic", min: 0, max: data.learned.at(-1).step, step: data.learned[1].step, value: 0,
    input: (at) => {
      const frame = data.learned.findIndex((learned) => learned.step === at);
      arrange([...data.learned[frame].prices], frame);
    },
  });
  step.changed();
  sngan.player(controls, {
    id: "dual-play", label: "Solve", every: 150,
    step: () => {
      const last = data.learned.length - 1;
      const next = state.frame === null || state.frame === last ? 0 : state.frame + 1;
      step.set(data.learned[next].step);
      return next < last;
    },
  });
  sngan.button(buttons, { id: "dual-raise", label: "Raise blue as far as allowed", click: () => arrange(places.map((place, k) => (k < count ? roof(place) : state.prices[k])), null) });
  sngan.button(buttons, { id: "dual-lower", label: "Lower orange as far as allowed", click: () => arrange(places.map((place, k) => (k < count ? state.prices[k] : floor(place))), null) });
  sngan.button(buttons, { id: "dual-zero", label: "All prices 0", click: () => arrange(places.map(() => 0), null) });
});
