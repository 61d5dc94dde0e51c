import type { RunFactsView, RunRequest } from '../src/modules/scenario-runner/scenario-runner.port.js';
import { Door } from '../test/support/door.js';
import { type Bench } from './harness.js';

/** A world from a seed, from the request of its run to READY: generated, sealed, its evidence verified. */
export const bench: Bench = async (note) => {
  const door = await Door.open('embedded', ['engine', 'sr']);
  try {
    const { packs } = (await (await door.client('engine')).get('/v1/engine/packs')).body as {
      readonly packs: Readonly<Record<string, { readonly parameters: object }>>;
    };
    const pack = process.env['PROBITY_BENCH_PACK'] ?? 'medium';
    const startMs = performance.now();
    const { run_id } = await door.request({
      run_equivalence_key: `bench:${pack}`,
      world: { kind: 'generate', scenario_id: 'bench', seed: '1', parameters: packs[pack]?.parameters },
      strategy: 'AUTO',
    } as unknown as RunRequest);
    const run = await door.settled(run_id, 900_000);
    const seconds = (performance.now() - startMs) / 1_000;
    if (run.state !== 'READY') throw new Error(`the run is ${run.state}: ${run.detail ?? ''}`);
    const facts = (await (await door.client('sr')).get(`/v1/runs/${run_id}/facts`)).body as RunFactsView;
    const rows = facts.counts?.rows_sealed ?? 0;
    note(
      `pack ${pack}, files on disk, engine and runner in a process each: ${rows.toLocaleString('en-US')} rows in ${seconds.toFixed(1)} s ` +
        `(${Math.round(rows / seconds).toLocaleString('en-US')} rows/s), peak memory of the engine ${Math.round(door.peakResidentBytes('engine') / 2 ** 20)} MiB`,
    );
    return [];
  } finally {
    await door.close();
  }
};
