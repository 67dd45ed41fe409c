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

  globalThis.calls = { train };
})(globalThis.playground);
