// Six boxes and six goals: drag a box from one goal to another, and the two boxes change places.
sngan.widget("earth", (box, data) => {
  const state = { first: 7, order: [0, 1, 2, 3, 4, 5] };
  const count = state.order.length;
  const places = [...new Set(data.boxes)], steps = [...new Set(data.goals)];
  // how many equal places stand before this one: its height in the pile
  const level = (list, k) => list.slice(0, k).filter((place) => place === list[k]).length;
  const goal = (slot) => data.goals[slot] + state.first;
  const start = (k) => [data.boxes[k], 0.5 + level(data.boxes, k)];
  const at = (slot) => [goal(slot), -2.5 - level(data.goals, slot)];

  const controls = sngan.row(box), buttons = sngan.row(box);
  sngan.legend(box, [["real", "boxes (drag a number to another goal)"], ["generated", "goals"]]);
  const plot = sngan.plot(box, { label: "Six boxes above, their goals below, and where each box goes", x: [-0.7, 10.7], y: [-4.2, 3.2], height: 300, xLabel: "place", yShow: null });
  const numbers = sngan.row(box);
  const show = Object.fromEntries([["cost", "cost of this plan"], ["cheapest", "cheapest plan"], ["dearest", "dearest plan"]]
    .map(([key, label]) => [key, sngan.output(numbers, { id: `earth-${key}`, label, digits: 0 })]));
  const caption = "Rows: where boxes stand. Columns: the goals. Each number counts the boxes that go from the row to the column.";
  const cells = sngan.table(box, { caption, columns: ["", ...steps.map(String), "leave"], rows: [...places.map(String), "arrive"] });
  const heads = box.querySelectorAll("thead th");

  const side = 0.8 * Math.min(plot.toX(1) - plot.toX(0), plot.toY(0) - plot.toY(1));
  function square([x, y], kind, extra) {
    plot.draw("rect", { x: plot.toX(x) - side / 2, y: plot.toY(y) - side / 2, width: side, height: side, rx: 3, class: `area ${kind}`, ...extra });
  }

  function draw() {
    plot.clear();
    state.order.forEach((slot, k) => plot.line([start(k), at(slot)], "muted thin"));
    state.order.forEach((slot, k) => {
      square(start(k), "real", {});
      square(at(slot), "generated", {});
      plot.text(String(k + 1), ...start(k), { dy: 4.5, "text-anchor": "middle" });
    });
    names.replaceChildren();
    state.order.forEach((slot, k) => {
      const name = plot.text(String(k + 1), ...at(slot), { dy: 4.5, "text-anchor": "middle", class: "on-handle" });
      names.append(name);
    });
    const known = data.first[state.first];
    show.cost(state.order.reduce((sum, slot, k) => sum + Math.abs(goal(slot) - data.boxes[k]), 0));
    show.cheapest(known.cost);
    show.dearest(known.worst);
    fill();
  }

  // the plan as a table, with its sums over rows and columns
  function fill() {
    const plan = places.map((place) => steps.map((step) => state.order.filter((slot, k) => data.boxes[k] === place && data.goals[slot] === step).length));
    const sum = (list) => list.reduce((total, value) => total + value, 0);
    plan.forEach((line, i) => {
      line.forEach((value, j) => {
        cells[i][j].textContent = value || "·";
        cells[i][j].className = value ? "bound" : "muted";
      });
      cells[i][steps.length].textContent = sum(line);
    });
    steps.forEach((step, j) => {
      cells[places.length][j].textContent = sum(plan.map((line) => line[j]));
      heads[j].textContent = step + state.first;
    });
    cells[places.length][steps.length].textContent = count;
  }

  // While a box is dragged, the plan at the start of the drag counts, so that passing a goal changes nothing.
  let before = null, isMoving = false;
  function put(k, slot) {
    if (isMoving) return;
    const order = [...(before || state.order)], other = order.indexOf(slot);
    [order[k], order[other]] = [slot, order[k]];
    arrange(order);
  }
  function arrange(order) {
    state.order = order;
    isMoving = true; // setting a handle calls `put` again
    handles.forEach((handle, k) => handle.set(order[k] + 1));
    isMoving = false;
    draw();
  }
  const nearest = (x, y) => 1 + state.order.map((_, slot) => slot).reduce((best, slot) => {
    const far = (s) => Math.hypot(at(s)[0] - x, at(s)[1] - y);
    return far(slot) < far(best) ? slot : best;
  }, 0);
  const handles = state.order.map((slot, k) => sngan.handle(plot, {
    id: `earth-box${k + 1}`, label: `Goal of box ${k + 1}`, min: 1, max: count, step: 1, value: slot + 1, kind: "real",
    at: (value) => at(value - 1), valueOf: nearest, input: (value) => put(k, value - 1),
  }));
  const names = document.createElementNS("http://www.w3.org/2000/svg", "g");
  names.setAttribute("pointer-events", "none");
  plot.svg.append(names);
  plot.svg.addEventListener("pointerdown", () => { before = [...state.order]; });
  for (const end of ["pointerup", "pointercancel"]) plot.svg.addEventListener(end, () => { before = null; });

  sngan.slider(controls, {
    id: "earth-first", label: "Place of the first goal", min: 0, max: 7, step: 1, value: state.first,
    input: (first) => { state.first = first; arrange(state.order); },
  }).changed();
  sngan.button(buttons, { id: "earth-best", label: "Cheapest plan", click: () => arrange([...data.first[state.first].cheapest]) });
  sngan.button(buttons, { id: "earth-worst", label: "Dearest plan", click: () => arrange([...data.first[state.first].dearest]) });
});
