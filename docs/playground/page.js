"use strict";
// Page: drawings on canvases, the controls, and the loop that trains and draws.
(function (pg) {
  const RANGE = 1.25, CELLS = 40, LINES = 15, ARROWS = 64; // the plane, its pixels, lines and arrows
  const FRAME = 20, EVERY = 20, SLOW = 400, KEPT = 400; // ms, steps between records, ms, records
  const part = (name) => document.getElementById(`playground-${name}`);
  const lattice = (count, range) => Float32Array.from({ length: 2 * count * count }, (_, k) =>
    range * ((2 * (k % 2 ? Math.floor(k / 2 / count) : (k >> 1) % count)) / (count - 1) - 1));
  const cells = lattice(CELLS, RANGE * (1 - 1 / CELLS)), noiseGrid = lattice(LINES, 2);
  // A context in CSS pixels of an emptied canvas, and the colours of the page's present scheme.
  function prepared(canvas) {
    const { clientWidth: width, clientHeight: height } = canvas, ratio = window.devicePixelRatio || 1;
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    context.scale(ratio, ratio);
    return { context, width, height, colour: (name) => style.getPropertyValue(`--playground-${name}`).trim() };
  }
  // The critic's scores as a small picture: one colour above their mean, another below.
  function heatMap(critic, high, low) {
    const scores = critic.forward(cells, CELLS * CELLS), picture = new ImageData(CELLS, CELLS);
    const mean = scores.reduce((sum, s) => sum + s, 0) / scores.length;
    const most = scores.reduce((largest, s) => Math.max(largest, Math.abs(s - mean)), 1e-30);
    scores.forEach((score, k) => {
      const pixel = CELLS * (CELLS - 1 - Math.floor(k / CELLS)) + (k % CELLS), share = (score - mean) / most;
      const rgb = (share > 0 ? high : low).split(" ").map(Number);
      picture.data.set([...rgb, 170 * Math.abs(share)], 4 * pixel);
    });
    const canvas = Object.assign(document.createElement("canvas"), { width: CELLS, height: CELLS });
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas;
  }
  // Draws the plane; `cursor` is the place of the keyboard's pen. Returns the length of the longest pull.
  function drawPlane(canvas, { trainer, fixedReal }, { points, missed = [] }, cursor) {
    const { context, width, colour } = prepared(canvas);
    const x = (value) => ((value / RANGE + 1) * width) / 2, y = (value) => x(-value);
    const path = (trace, stroke, line) => {
      context.beginPath();
      trace();
      Object.assign(context, { strokeStyle: stroke, lineWidth: line }).stroke();
    };
    const dots = (cloud, fill, radius) => {
      context.fillStyle = fill;
      for (let i = 0; i < cloud.length; i += 2) {
        context.beginPath();
        context.arc(x(cloud[i]), y(cloud[i + 1]), radius, 0, 7);
        context.fill();
      }
    };
    context.drawImage(heatMap(trainer.critic, colour("high"), colour("low")), 0, 0, width, width);
    const grid = trainer.generator.forward(noiseGrid, LINES * LINES);
    path(() => {
      for (let k = 0; k < 2 * LINES * LINES; k++) {
        const line = Math.floor(k / LINES) % LINES, place = k % LINES;
        const at = k < LINES * LINES ? line * LINES + place : place * LINES + line;
        context[place ? "lineTo" : "moveTo"](x(grid[2 * at]), y(grid[2 * at + 1]));
      }
    }, colour("grid"), 1);
    dots(fixedReal, colour("real"), 3.5);
    for (const [a, b] of missed) path(() => context.arc(x(a), y(b), 10, 0, 7), colour("missed"), 2);
    const { pulls } = trainer.pull(points);
    const longest = pulls.reduce((most, p, i) => Math.max(most, Math.hypot(p, pulls[i ^ 1])), 0);
    path(() => {
      for (let i = 0; i < 2 * ARROWS; i += 2) {
        const [dx, dy] = [pulls[i], pulls[i + 1]].map((pull) => (0.25 * pull) / (longest || 1));
        const [endX, endY] = [x(points[i] + dx), y(points[i + 1] + dy)], angle = Math.atan2(dy, dx);
        context.moveTo(x(points[i]), y(points[i + 1]));
        context.lineTo(endX, endY);
        for (const turn of [angle + 2.6, angle - 2.6, angle + 2.6])
          context.lineTo(endX + 4 * Math.cos(turn), endY - 4 * Math.sin(turn));
      }
    }, colour("ink"), 1);
    dots(points, colour("fake"), 2.5);
    if (cursor) path(() => context.rect(x(cursor[0]) - 7, y(cursor[1]) - 7, 14, 14), colour("ink"), 2);
    return longest;
  }
  // Draws curves over the steps: {key of the records: name of a colour}; from 0 unless logarithmic.
  function drawChart(canvas, records, series, { top = 0, logarithmic = false } = {}) {
    const { context, width, height, colour } = prepared(canvas), last = records.at(-1).step || 1;
    const value = (record, key) => (logarithmic ? Math.log10(record[key]) : record[key]);
    const all = records.flatMap((one) => Object.keys(series).map((key) => value(one, key))).filter(Number.isFinite);
    const most = top || Math.max(...all), least = logarithmic ? Math.min(...all, most - 1) : 0;
    for (const [key, name] of Object.entries(series)) {
      context.beginPath();
      for (const record of records) {
        const share = Math.max(0, (value(record, key) - least) / (most - least || 1));
        context.lineTo((width * record.step) / last, height - 2 - (height - 4) * share);
      }
      Object.assign(context, { strokeStyle: colour(name), lineWidth: 2 }).stroke();
    }
  }
  const LIMITS = { coefficient: ["c", "norm of each weight"], clip: ["clip", "largest weight"],
                   penalty_weight: ["λ", "weight of the penalty"] };
  const PRESETS = { vanilla: { method: "vanilla", lr: 0.005 }, sn: { method: "sn", lr: 0.005 },
                    clip: { method: "wgan", limit: 0.01 } };
  const NOTHING = [[0, 0]]; // stands for a drawing until there is one
  let session, records, every, playing = false, turn, waited = 0, cursor = null, drawn = NOTHING, said;
  const number = (name) => Number(part(name).value);
  // The numbers in the controls as settings of the chosen method.
  function chosen() {
    const { limit } = pg.METHODS[part("method").value], [rate, steps] = [number("rate"), number("critic-steps")];
    return { lr: rate, n_critic: steps, ...(limit && { [limit]: number("limit") }) };
  }
  // Starts again with the data, method and seed in the controls.
  function reset() {
    const [data, method] = [part("data").value, part("method").value];
    const [seed, steps] = [number("seed"), number("steps")];
    session = new pg.Session({ data, method, drawn, seed, steps, settings: chosen() });
    [records, every, turn] = [[], EVERY, 0];
    cursor = data === "drawn" ? cursor ?? [0, 0] : null;
    part("drawing").hidden = !cursor;
    show("ready");
  }
  // Fills the controls with the recipe of a method, and starts again.
  function fill({ data, method, limit, lr }) {
    const recipe = pg.METHODS[method], value = limit ?? recipe[recipe.limit] ?? "";
    const values = { data, method, limit: value, rate: lr ?? recipe.lr, "critic-steps": recipe.n_critic };
    for (const [name, one] of Object.entries(values)) part(name).value = one;
    part("limit").disabled = !recipe.limit;
    const texts = LIMITS[recipe.limit] ?? ["limit", "none: the critic is free"];
    [part("limit-label").textContent, part("limit-meaning").textContent] = texts;
    reset();
  }
  // Draws everything, and writes the figures down. `done` says which network moved last.
  function show(done = said) {
    said = done;
    const now = { ...session.measure(), floor: session.floor }, { step, covered, total, share } = now;
    if (records.at(-1)?.step === step) records.pop();
    records.push({ ...now, modes: covered / total });
    if (records.length > KEPT) [records, every] = [records.filter((_, i) => i % 2 === 0), 2 * every];
    const longest = drawPlane(part("plane"), session, now, cursor);
    drawChart(part("distance"), records, { floor: "grid", w1: "fake", bound: "real" });
    drawChart(part("modes"), records, { share: "fake", modes: "real" }, { top: 1 });
    drawChart(part("constants"), records, { lipschitz: "real" }, { logarithmic: true });
    for (const name of ["w1", "floor", "bound", "value", "lipschitz"])
      part(`${name}-out`).textContent = now[name].toPrecision(3);
    part("longest-out").textContent = longest.toPrecision(3);
    part("step-out").textContent = `${step} (${done})`;
    part("modes-out").textContent = total ? `${covered} of ${total}` : "–";
    part("share-out").textContent = total ? `${(100 * share).toFixed(1)} %` : "–";
  }
  const moved = (network) => (session[`${network}Step`](), show(`${network} moved`));
  // One frame: full steps for some milliseconds, or in slow motion one step of one network.
  function frame(time) {
    if (playing && session.step >= session.steps) play(false);
    if (!playing) return;
    requestAnimationFrame(frame);
    if (!part("slow").checked) {
      const end = performance.now() + FRAME;
      do session.fullStep(); while (performance.now() < end && session.step % every && session.step < session.steps);
      show("both moved");
    } else if (time - waited > SLOW) {
      waited = time;
      turn = (turn + 1) % (session.trainer.settings.n_critic + 1);
      moved(turn ? "critic" : "generator");
    }
  }
  function play(on) {
    playing = on;
    part("play").textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(frame);
  }
  const draw = (point) => (drawn = [...(drawn === NOTHING ? [] : drawn), point]);
  const ARROW_KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  function pressed(event) {
    const move = ARROW_KEYS[event.key];
    if (!cursor || !(move || event.key === " ")) return;
    event.preventDefault();
    if (move) cursor = cursor.map((at, i) => Math.min(1.2, Math.max(-1.2, at + 0.05 * move[i])));
    else draw(cursor);
    reset();
  }
  function pointed(event) {
    if (!cursor || !(event.buttons & 1)) return;
    const { left, top, width } = part("plane").getBoundingClientRect();
    const place = (pixels) => RANGE * ((2 * pixels) / width - 1);
    draw((cursor = [place(event.clientX - left), -place(event.clientY - top)]));
    reset();
  }
  const on = (name, type, action) => part(name).addEventListener(type, action);
  on("play", "click", () => play(!playing));
  for (const network of ["critic", "generator"])
    on(`${network}-step`, "click", () => { play(false); moved(network); });
  for (const [name, type] of [["reset", "click"], ["seed", "change"], ["steps", "change"]]) on(name, type, reset);
  on("clear", "click", () => { drawn = NOTHING; reset(); });
  for (const name of ["data", "method"])
    on(name, "change", () => fill({ data: part("data").value, method: part("method").value }));
  for (const name of ["limit", "rate", "critic-steps"])
    on(name, "change", () => part(name).reportValidity() && Object.assign(session.trainer.settings, chosen()));
  for (const [name, preset] of Object.entries(PRESETS))
    on(`try-${name}`, "click", () => { fill({ data: "grid25", ...preset }); play(true); });
  on("plane", "keydown", pressed);
  for (const type of ["pointerdown", "pointermove"]) on("plane", type, pointed);
  // a canvas keeps its colours when the page changes between light and dark
  new MutationObserver(() => show()).observe(document.body, { attributeFilter: ["data-md-color-scheme"] });
  fill({ data: "ring8", method: "sn" });
})(globalThis.playground);
