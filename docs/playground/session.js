"use strict";
// Session: data, one training run with all random numbers from one seed, and its measures.
(function (pg) {
  const BATCH = 128, HIDDEN = [32, 32, 32], MEASURED = 512, DRAWN_STD = 0.015;
  // Random numbers in [0, 1) from a seed (mulberry32), with `.normal()` by Box and Muller.
  function randomNumbers(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    uniform.normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return uniform;
  }
  // The mixtures of sngan.data.
  const many = (count, make) => Array.from({ length: count }, (_, i) => make(i));
  const MIXTURES = {
    ring8: { std: 0.008, centres: many(8, (i) => (i * Math.PI) / 4).map((a) => [0.8 * Math.cos(a), 0.8 * Math.sin(a)]) },
    grid25: { std: 0.01, centres: many(25, (i) => [0.4 * (Math.floor(i / 5) - 2), 0.4 * ((i % 5) - 2)]) },
  };
  // A point of a data set, from one uniform and two normal numbers. `drawn` lists points [x, y].
  function place(name, uniform, [dx, dy], drawn) {
    if (name === "swissroll") {
      const t = 1.5 * Math.PI * (1 + 2 * uniform);
      return [(t * Math.cos(t) + 0.25 * dx) / 15, (t * Math.sin(t) + 0.25 * dy) / 15];
    }
    const { centres, std } = MIXTURES[name] ?? { centres: drawn, std: DRAWN_STD };
    const [x, y] = centres[Math.floor(uniform * centres.length)];
    return [x + std * dx, y + std * dy];
  }
  // Mean and standard deviation of each coordinate.
  function coordinates(points) {
    const mean = (values) => values.reduce((sum, x) => sum + x / values.length, 0);
    const columns = [0, 1].map((column) => points.filter((_, k) => k % 2 === column));
    const center = columns.map(mean);
    return { center, spread: columns.map((x, i) => Math.sqrt(mean(x.map((v) => (v - center[i]) ** 2)))) };
  }
  // `covered` modes of `total`, those that are `missed`, and the `share` of points within 3 σ of a mode.
  function coverage(points, { centres, std }) {
    const found = new Set();
    let good = 0;
    for (let i = 0; i < points.length; i += 2) {
      const distances = centres.map(([x, y]) => Math.hypot(points[i] - x, points[i + 1] - y));
      const least = Math.min(...distances);
      if (least <= 3 * std) found.add(distances.indexOf(least)), good++;
    }
    return { covered: found.size, total: centres.length, share: (2 * good) / points.length,
             missed: centres.filter((_, i) => !found.has(i)) };
  }
  // W₁ of two clouds of n points each: the mean distance of the best assignment, which is exact.
  // Shortest augmenting paths with potentials: Jonker, Volgenant 1987.
  function wasserstein(x, y) {
    const n = x.length / 2, u = new Float64Array(n), v = new Float64Array(n + 1);
    const owner = new Int32Array(n + 1).fill(-1), before = new Int32Array(n);
    const cost = (i, j) => Math.hypot(x[2 * i] - y[2 * j], x[2 * i + 1] - y[2 * j + 1]);
    const costs = Float64Array.from({ length: n * n }, (_, k) => cost(Math.floor(k / n), k % n));
    if (!costs.every(Number.isFinite)) return NaN; // a run may diverge
    for (let row = 0; row < n; row++) {
      const least = new Float64Array(n).fill(Infinity), done = new Uint8Array(n + 1);
      let column = n;
      for (owner[n] = row; owner[column] >= 0; ) {
        const from = owner[column];
        let step = Infinity, next = n;
        done[column] = 1;
        for (let j = 0; j < n; j++) {
          if (done[j]) continue;
          const reduced = costs[from * n + j] - u[from] - v[j];
          if (reduced < least[j]) { least[j] = reduced; before[j] = column; }
          if (least[j] < step) { step = least[j]; next = j; }
        }
        for (let j = 0; j <= n; j++)
          if (done[j]) { u[owner[j]] += step; v[j] -= step; } else least[j] -= step;
        column = next;
      }
      for (; column !== n; column = before[column]) owner[column] = owner[before[column]];
    }
    return owner.subarray(0, n).reduce((sum, i, j) => sum + costs[i * n + j] / n, 0);
  }
  // A proved bound of the largest singular value: ‖G^(2^k)‖_F^(1/2^k) ≥ σ² for G = WWᵀ or WᵀW.
  // Gram iteration, Delattre et al. 2023. Six squarings leave at most 1.4 % for 32 rows.
  function normBound({ w, rows, cols }) {
    const n = Math.min(rows, cols), a = Float64Array.from(rows <= cols ? w : pg.transposed(w, rows, cols));
    let gram = pg.addProduct(new Float64Array(n * n), a, a, [n, n, Math.max(rows, cols)]);
    for (let power = 1, logarithm = 0; ; power *= 2) {
      const size = Math.sqrt(gram.reduce((sum, value) => sum + value * value, 0));
      logarithm += Math.log(size) / power;
      if (power === 64 || size === 0) return Math.exp(logarithm / 2);
      const unit = gram.map((value) => value / size);
      gram = pg.addProduct(new Float64Array(n * n), unit, unit, [n, n, n]);
    }
  }
  // The product of the layers' bounds: leaky ReLU stretches nothing.
  const lipschitzBound = ({ layers }) => layers.reduce((bound, layer) => bound * normBound(layer), 1);

  // `floor` is the distance of other samples of the data. In `steps` the rate falls to 0 along a cosine.
  class Session {
    constructor({ data, method, seed, drawn = [], settings = {}, steps = 2000 }) {
      Object.assign(this, { data, drawn, steps, step: 0, random: randomNumbers(seed) });
      this.trainer = new pg.Trainer({
        settings: { ...pg.METHODS[method], ...settings }, hidden: HIDDEN, random: this.random,
        ...coordinates(this.real(4096)),
      });
      this.fixedNoise = this.noise(MEASURED);
      this.fixedReal = this.real(BATCH);
      this.floor = many(4, () => wasserstein(this.real(BATCH), this.fixedReal) / 4).reduce((sum, w1) => sum + w1);
    }
    noise = (n) => Float32Array.from({ length: 2 * n }, this.random.normal);
    real(n) {
      const { random, data, drawn } = this;
      const one = () => place(data, random(), [random.normal(), random.normal()], drawn);
      return Float32Array.from(many(n, one).flat());
    }
    criticStep() {
      const mix = Float32Array.from({ length: BATCH }, this.random);
      this.trainer.criticStep(this.real(BATCH), this.noise(BATCH), mix);
    }
    generatorStep() {
      this.trainer.generatorStep(this.noise(BATCH));
      this.step += 1;
      this.trainer.decay = (1 + Math.cos(Math.PI * Math.min(1, this.step / this.steps))) / 2;
    }
    // n_critic steps of the critic, and one of the generator.
    fullStep() {
      for (let i = 0; i < this.trainer.settings.n_critic; i++) this.criticStep();
      this.generatorStep();
    }
    // Exact W₁ of 128 real and 128 generated points; the critic's difference of means on the same
    // points; a proved Lipschitz constant; and the modes that 512 generated points cover.
    measure() {
      const { trainer: { generator, critic }, fixedReal } = this, mixture = MIXTURES[this.data];
      const all = generator.forward(this.fixedNoise, MEASURED), points = all.subarray(0, 2 * BATCH);
      const value = critic.forward([...fixedReal, ...points], 2 * BATCH)
        .reduce((sum, score, i) => sum + (i < BATCH ? score : -score) / BATCH, 0);
      const lipschitz = lipschitzBound(critic), w1 = wasserstein(fixedReal, points);
      return { step: this.step, points, value, lipschitz, bound: value / lipschitz || 0, w1,
               ...(mixture && coverage(all, mixture)) };
    }
  }

  Object.assign(pg, { MIXTURES, Session, coverage, lipschitzBound, normBound, place, randomNumbers, wasserstein });
})((globalThis.playground ??= {}));
