"use strict";
// Trains one row of the playground's table: node playground_runs.js SCRIPTS... '{"data": ..., ...}'.
// It prints the measures of each seed at the end of its run as JSON.
const scripts = process.argv.slice(2, -1), { seeds, ...options } = JSON.parse(process.argv.at(-1));
for (const script of scripts) require(script);
const results = Array.from({ length: seeds }, (_, seed) => {
  const session = new globalThis.playground.Session({ ...options, seed });
  while (session.step < session.steps) session.fullStep();
  const { points, ...measures } = session.measure();
  return { ...measures, floor: session.floor };
});
process.stdout.write(JSON.stringify(results));
