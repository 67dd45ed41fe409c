"use strict";
// Functions that tests call in node and in a browser; arguments and results are plain JSON.
(function (pg) {
  const plain = (arrays) => arrays.map(({ w, b }) => ({ w: [...w], b: [...b] }));

  // A trainer with the weights, vectors and settings of a state of the library.
  function loaded({ settings, generator, critic, norms, center, spread }) {
    const hidden = generator.slice(0, -1).map(({ b }) => b.length);
    const trainer = new pg.Trainer({
      settings: { ...settings, coefficient: null }, hidden, center, spread, random: () => 0,
    });
    trainer.settings = settings;
    for (const [network, layers] of [[trainer.generator, generator], [trainer.critic, critic]])
      network.trained.forEach((layer, i) => { layer.w.set(layers[i].w); layer.b.set(layers[i].b); });
    if (settings.coefficient) {
      trainer.norm = new pg.SpectralNorm({ trained: [] }, settings);
      trainer.norm.norms = trainer.critic.trained.map((layer, i) => ({
        layer, u: Float32Array.from(norms[i].u), s: norms[i].s,
      }));
    }
    return trainer;
  }

  function train(start) {
    const trainer = loaded(start), floats = (values) => Float32Array.from(values), terms = [];
    for (const { critic, noise } of start.steps) {
      let last = {};
      for (const step of critic)
        last = trainer.criticStep(floats(step.real), floats(step.noise), floats(step.mix));
      terms.push({ ...last, ...trainer.generatorStep(floats(noise)) });
    }
    return {
      terms, generator: plain(trainer.generator.trained), critic: plain(trainer.critic.trained),
      norms: trainer.norm ? trainer.norm.norms.map(({ u, s }) => ({ u: [...u], s })) : [],
    };
  }

  // σ, u and the proved bound of a matrix.
  function norms({ w, rows, cols }) {
    const layer = { w: Float32Array.from(w), rows, cols }, bound = pg.normBound(layer);
    const [{ u, s }] = new pg.SpectralNorm({ trained: [layer] }, { coefficient: 1 }).norms;
    return { u: [...u], sigma: s, bound };
  }

  globalThis.calls = {
    train,
    norms: (matrices) => matrices.map(norms),
    places: ({ name, draws }) => draws.map(([uniform, ...normals]) => pg.place(name, uniform, normals)),
    coverage: ({ clouds, name }) => clouds.map((points) => pg.coverage(points, pg.MIXTURES[name])),
    mixtures: () => pg.MIXTURES,
    methods: () => pg.METHODS,
    wasserstein: (pairs) => pairs.map(([x, y]) => pg.wasserstein(x, y)),
    random: (n) => {
      const random = pg.randomNumbers(7);
      return Array.from({ length: n }, () => [random(), random.normal()]);
    },
    measures: ({ steps, ...options }) => {
      const session = new pg.Session(options);
      for (let i = 0; i < steps; i++) session.fullStep();
      const { points, ...found } = session.measure();
      return { ...found, points: [...points], real: [...session.fixedReal],
               critic: plain(session.trainer.critic.layers) };
    },
  };
})(globalThis.playground);
