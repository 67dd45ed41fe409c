"use strict";
// Engine: float32 networks with hand-written derivatives, spectral normalization, a step of training.
(function (pg) {
  // out[i, j] += Σ_k a[i, k]·b[j, k], summed in double precision, four columns at once.
  function addProduct(out, a, b, [n, m, k]) {
    for (let i = 0; i < n; i++) {
      const row = i * k;
      let j = 0;
      for (; j + 3 < m; j += 4) {
        const at = i * m + j, b0 = j * k, b1 = b0 + k, b2 = b1 + k, b3 = b2 + k;
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (let q = 0; q < k; q++) {
          const x = a[row + q];
          s0 += x * b[b0 + q]; s1 += x * b[b1 + q]; s2 += x * b[b2 + q]; s3 += x * b[b3 + q];
        }
        out[at] += s0; out[at + 1] += s1; out[at + 2] += s2; out[at + 3] += s3;
      }
      for (; j < m; j++) {
        let sum = 0;
        for (let q = 0; q < k; q++) sum += a[row + q] * b[j * k + q];
        out[i * m + j] += sum;
      }
    }
    return out;
  }
  function transposed(a, n, m) {
    const out = new a.constructor(n * m);
    for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out[j * n + i] = a[i * m + j];
    return out;
  }
  const length = (a) => Math.sqrt(a.reduce((sum, value) => sum + value * value, 0));
  const scale = (a, factor) => a.forEach((value, i) => (a[i] = value * factor));
  const times = ({ w, rows, cols }, v) => addProduct(new v.constructor(rows), w, v, [rows, 1, cols]);
  const transposedTimes = ({ w, rows, cols }, u) =>
    addProduct(new u.constructor(cols), transposed(w, rows, cols), u, [cols, 1, rows]);

  const newLayer = (rows, cols, slope) => {
    const [w, b, gw, gb] = [rows * cols, rows, rows * cols, rows].map((size) => new Float32Array(size));
    return { rows, cols, slope, w, b, gw, gb };
  };
  // A layer that is not trained: x ↦ factor·x + shift, coordinate by coordinate.
  const newCoordinates = (factor, shift) =>
    Object.assign(newLayer(2, 2, 1), { w: Float32Array.of(factor[0], 0, 0, factor[1]), b: Float32Array.from(shift) });
  // Linear layers with leaky ReLU of this slope between them (slope 0: ReLU), as sngan's mlp: uniform
  // weights with bound √(6/inputs) (He et al. 2015), zero biases.
  class MLP {
    constructor(sizes, slope, random) {
      this.trained = sizes.slice(1).map((rows, l) => {
        const layer = newLayer(rows, sizes[l], l + 2 < sizes.length ? slope : 1);
        layer.w.forEach((_, i) => (layer.w[i] = Math.sqrt(6 / sizes[l]) * (2 * random() - 1)));
        return layer;
      });
      this.layers = [...this.trained];
    }
    // Returns the outputs for n inputs. `acts[l]` goes into layer l, and comes out of layer l − 1.
    forward(inputs, n) {
      this.acts = [Float32Array.from(inputs)];
      for (const { w, b, rows, cols, slope } of this.layers) {
        const out = new Float32Array(n * rows);
        for (let i = 0; i < n; i++) out.set(b, i * rows);
        addProduct(out, this.acts.at(-1), w, [n, rows, cols]);
        if (slope !== 1) for (let i = 0; i < out.length; i++) if (out[i] <= 0) out[i] *= slope;
        this.acts.push(out);
      }
      return this.acts.at(-1);
    }
    // Multiplies by the derivative of the activation of layer l at the last forward pass.
    bend(values, l) {
      const { slope } = this.layers[l], out = this.acts[l + 1];
      if (slope !== 1) for (let i = 0; i < out.length; i++) if (out[i] <= 0) values[i] *= slope;
      return values;
    }
    // From ∂L/∂outputs of the last forward pass to ∂L/∂inputs; with `weights` it sets gw and gb.
    // `deltas[l]` is ∂L/∂(output of layer l before its activation).
    backward(gradient, n, { weights = true } = {}) {
      this.deltas = [];
      for (let l = this.layers.length - 1; l >= 0; l--) {
        const { w, gw, gb, rows, cols } = this.layers[l];
        const delta = (this.deltas[l] = this.bend(Float32Array.from(gradient), l));
        if (weights) {
          gw.fill(0);
          this.addOuter(l, this.acts[l], n);
          const ones = new Float32Array(n).fill(1), sums = new Float64Array(rows);
          gb.set(addProduct(sums, transposed(delta, n, rows), ones, [rows, 1, n]));
        }
        gradient = addProduct(new Float32Array(n * cols), delta, transposed(w, rows, cols), [n, cols, rows]);
      }
      return gradient;
    }
    // Adds Σ_i deltas[l][i] ⊗ inputs[i] to the gradient of the weight of layer l.
    addOuter(l, inputs, n) {
      const { gw, rows, cols } = this.layers[l], left = transposed(this.deltas[l], n, rows);
      addProduct(gw, left, transposed(inputs, n, cols), [rows, cols, n]);
    }
    // Adds to gw the gradient of a function P of ∇f at n inputs, for a network f with one output.
    // ∇f = W₁ᵀD₁W₂ᵀD₂…, and the slopes D are constant almost everywhere. So ∂P/∂W_l = Σ δ_l ⊗ t_l
    // with δ_l = ∂f/∂z_l, t_1 = ∂P/∂∇f and t_{l+1} = D_l W_l t_l. `derivative` maps ∇f to ∂P/∂∇f.
    addGradientPenalty(inputs, n, derivative) {
      this.forward(inputs, n);
      let tangent = derivative(this.backward(new Float32Array(n).fill(1), n, { weights: false }));
      this.layers.forEach(({ w, rows, cols }, l) => {
        this.addOuter(l, tangent, n);
        tangent = this.bend(addProduct(new Float32Array(n * rows), tangent, w, [n, rows, cols]), l);
      });
    }
  }
  // torch's Adam, and RMSprop with α = 0.99; ε = 1e-8.
  class Optimizer {
    constructor(network) {
      this.parts = network.trained.flatMap(({ w, b, gw, gb }) => [[w, gw], [b, gb]])
        .map(([w, g]) => ({ w, g, mean: w.slice().fill(0), square: w.slice().fill(0) }));
      this.steps = 0;
    }
    step({ optimizer, lr, betas }, decay) {
      this.steps += 1;
      const [beta1, beta2] = optimizer === "adam" ? betas : [0, 0.99];
      const corrected = (beta) => (optimizer === "adam" ? 1 - beta ** this.steps : 1);
      const rate = (decay * lr) / corrected(beta1), root = Math.sqrt(corrected(beta2));
      for (const { w, g, mean, square } of this.parts)
        for (let i = 0; i < w.length; i++) {
          mean[i] = beta1 * mean[i] + (1 - beta1) * g[i];
          square[i] = beta2 * square[i] + (1 - beta2) * g[i] * g[i];
          w[i] -= (rate * mean[i]) / (Math.sqrt(square[i]) / root + 1e-8);
        }
    }
  }
  // Spectral normalization as a change of coordinates around each optimizer step, as in
  // sngan.SpectralNorm: the layer holds W̄ = W/s with s = σ/c, and u is the left singular vector.
  // Another `settings.coefficient` c holds from the next step on.
  class SpectralNorm {
    constructor(network, settings) {
      this.settings = settings;
      this.norms = network.trained.map((layer) => ({ layer, ...this.start(layer) }));
      for (const { layer, s } of this.norms) scale(layer.w, 1 / s);
    }
    // u and σ/c of a raw weight, by power iteration until it converges.
    start(layer) {
      let u = Float64Array.from({ length: layer.rows }, pg.randomNumbers(1).normal), sigma = 0;
      for (let i = 0; i < 10000; i++) {
        scale(u, 1 / length(u));
        const v = transposedTimes(layer, u), last = sigma;
        sigma = length(v);
        if (sigma === 0 || (i > 20 && sigma - last < 1e-15 * sigma)) break;
        u = times(layer, v);
      }
      return { u: Float32Array.from(u), s: sigma / this.settings.coefficient || 1 };
    }
    // Before the step: g ← (g − ⟨g, W̄⟩/‖v‖² · u vᵀ)/s with v = W̄ᵀu, and W ← s·W̄.
    toRaw() {
      for (const norm of this.norms) {
        const { w, gw, cols } = norm.layer, { u, s } = norm;
        const v = (norm.v = transposedTimes(norm.layer, u));
        const ratio = gw.reduce((sum, g, i) => sum + g * w[i], 0) / length(v) ** 2 || 0;
        gw.forEach((g, i) => (gw[i] = (g - ratio * u[Math.floor(i / cols)] * v[i % cols]) / s));
        scale(w, s);
      }
    }
    // After the step: one power iteration on the new W from the old v, s ← σ/c and W̄ ← W/s.
    toNormalized() {
      for (const norm of this.norms) {
        const u = times(norm.layer, norm.v), size = length(u);
        if (size > 0) norm.u = u.map((value) => value / size);
        const sigma = length(transposedTimes(norm.layer, norm.u));
        norm.s = Math.fround(sigma / this.settings.coefficient) || 1;
        scale(norm.layer.w, 1 / norm.s);
      }
    }
  }
  // The pairs of sngan.losses as [loss, derivative] of a score: real, generated, generator's step.
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const negative = [(s) => -s, () => -1], surelyReal = [(s) => softplus(-s), (s) => -sigmoid(-s)];
  const LOSSES = {
    non_saturating: [surelyReal, [softplus, sigmoid], surelyReal],
    wasserstein: [negative, [(s) => s, () => 1], negative],
    hinge: [[(s) => Math.max(0, 1 - s), (s) => (s < 1 ? -1 : 0)],
            [(s) => Math.max(0, 1 + s), (s) => (s > -1 ? 1 : 0)], negative],
  };
  // The recipes of sngan.METHODS for points. `limit` names the setting that limits the critic.
  const usual = { optimizer: "adam", betas: [0, 0.9], lr: 1e-3, n_critic: 1 };
  const METHODS = {
    sn: { ...usual, loss: "hinge", limit: "coefficient", coefficient: 2, betas: [0, 0.99], lr: 2e-3 },
    wgan: { ...usual, loss: "wasserstein", limit: "clip", clip: 0.1, optimizer: "rmsprop" },
    "wgan-gp": { ...usual, loss: "wasserstein", limit: "penalty_weight", penalty: "wgan-gp",
                 penalty_weight: 1, lr: 2e-3 },
    r1: { ...usual, loss: "non_saturating", limit: "penalty_weight", penalty: "r1",
          penalty_weight: 0.3, betas: [0, 0.99] },
    vanilla: { ...usual, loss: "non_saturating" },
  };
  // Two networks, their optimizers, and the settings of a method, which may change at any time, as may
  // `decay`, a factor on the learning rate. As in sngan, networks for points compute in standard
  // coordinates (x − center)/spread.
  class Trainer {
    constructor({ settings, hidden, random, center, spread }) {
      Object.assign(this, { settings: { ...settings }, spread, decay: 1 });
      this.generator = new MLP([2, ...hidden, 2], 0, random);
      this.critic = new MLP([2, ...hidden, 1], 0.1, random);
      this.generator.layers.push(newCoordinates(spread, center));
      this.critic.layers.unshift(
        newCoordinates(spread.map((s) => 1 / s), center.map((c, i) => -c / spread[i])));
      this.optimizers = [this.generator, this.critic].map((network) => new Optimizer(network));
      this.norm = settings.coefficient ? new SpectralNorm(this.critic, this.settings) : null;
    }
    // Updates the critic. `mix` has one number of [0, 1) for each pair; only wgan-gp reads it.
    criticStep(real, noise, mix) {
      const n = noise.length / 2, { loss, clip, penalty } = this.settings;
      const fake = this.generator.forward(noise, n), [onReal, onFake] = LOSSES[loss];
      const scores = this.critic.forward([...real, ...fake], 2 * n);
      const terms = { critic_loss: 0, w_estimate: 0 };
      const gradient = scores.map((score, i) => {
        const [value, derivative] = i < n ? onReal : onFake;
        terms.critic_loss += value(score) / n;
        terms.w_estimate += (i < n ? score : -score) / n;
        return derivative(score) / n;
      });
      this.critic.backward(gradient, 2 * n);
      if (penalty) {
        const between = real.map((x, i) => mix[i >> 1] * x + (1 - mix[i >> 1]) * fake[i]);
        terms.penalty = this.addPenalty(penalty === "r1" ? real : between, n);
      }
      this.norm?.toRaw();
      this.optimizers[1].step(this.settings, this.decay);
      this.norm?.toNormalized();
      for (const { w, b } of clip ? this.critic.trained : [])
        for (const all of [w, b]) all.forEach((x, i) => (all[i] = Math.min(clip, Math.max(-clip, x))));
      return terms;
    }
    // Adds the gradient of λ·P, and returns P: E (‖∇f‖ − 1)² of WGAN-GP, or ½ E ‖∇f‖² of R1. The
    // slopes ∇f are those in standard coordinates, so that they do not depend on the data's units.
    addPenalty(points, n) {
      const { penalty, penalty_weight: weight } = this.settings, isR1 = penalty === "r1";
      let value = 0;
      this.critic.addGradientPenalty(points, n, (slopes) => {
        const standard = slopes.map((slope, i) => slope * this.spread[i & 1]);
        return standard.map((slope, i) => {
          const norm = Math.hypot(standard[i & ~1], standard[i | 1]);
          value += (isR1 ? norm ** 2 / 2 : (norm - 1) ** 2) / (2 * n);
          const factor = isR1 ? 1 : norm > 0 ? 2 - 2 / norm : 0;
          return (weight / n) * factor * slope * this.spread[i & 1];
        });
      });
      return value;
    }
    // −∂/∂x of the generator's loss of each point: where that loss pulls it; and the mean loss.
    pull(points) {
      const n = points.length / 2, [, , [loss, derivative]] = LOSSES[this.settings.loss];
      const scores = this.critic.forward(points, n);
      const pulls = this.critic.backward(scores.map((s) => -derivative(s)), n, { weights: false });
      return { pulls, loss: scores.reduce((sum, s) => sum + loss(s), 0) / n };
    }
    generatorStep(noise) {
      const n = noise.length / 2, { pulls, loss } = this.pull(this.generator.forward(noise, n));
      this.generator.backward(pulls.map((value) => -value / n), n);
      this.optimizers[0].step(this.settings, this.decay);
      return { generator_loss: loss };
    }
  }

  Object.assign(pg, { METHODS, SpectralNorm, Trainer, addProduct, transposed });
})((globalThis.playground ??= {}));
